"""Airflow's UI in a real browser: Debian's Chromium, somebody who is signed in, and the forms they use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

CHROMIUM = "/usr/bin/chromium"
# Tests run as root and without a screen, and talk to nobody but the server on this machine.
_ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_PATIENCE_MS = 15_000


@contextmanager
def signed_in(url: str, password: str) -> Iterator[Page]:
    """A page of 1280×800 in the light theme, signed in as admin."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        context = browser.new_context(
            base_url=url,
            viewport={"width": 1280, "height": 800},
            color_scheme="light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.goto("/auth/login")
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{url}/")
        yield page
        browser.close()


def new_connection(page: Page) -> Locator:
    """The dialog *Add Connection* with type LiveRamp and its standard fields unfolded."""
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").fill("LiveRamp")
    form.get_by_role("combobox").press("Enter")
    form.get_by_label("SFTP host").wait_for()
    return form


def unfold_extras(form: Locator) -> None:
    """Show the extras; the standard fields fold up."""
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    extra(form, "host_key").wait_for()


def extra(form: Locator, name: str) -> Locator:
    """The input of an extra; Airflow ties its label to nothing."""
    return form.locator(f"#element_{name}")


def paste(field: Locator, text: str) -> None:
    """Paste as a person does: the browser takes away what the field cannot hold."""
    field.page.evaluate("text => navigator.clipboard.writeText(text)", text)
    field.focus()
    field.page.keyboard.press("Control+V")
