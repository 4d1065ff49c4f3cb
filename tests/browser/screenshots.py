"""The pictures in docs/images: ``make screenshots`` takes them anew.

Everything in them is real: ``make up`` in a folder of its own, a backfill of the sample audience, and a browser.
"""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from liveramp_provider.testing.standalone import free_port
from tests.browser.airflow_ui import extra, new_connection, signed_in, unfold_extras
from tests.browser.running_up import RunningUp

if TYPE_CHECKING:
    from datetime import date

    from playwright.sync_api import Locator, Page

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_DAG = "/dags/high_value_customers"
_MANY = "examples/audiences/many_destinations.yaml"
_BAR_PX = 315
_RUNS_MS = 15 * 60_000
_EXAMPLE_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMSYSz6GXeRL1eguLiQ9SSNLXdCNUnbnFjSK5kdNmqlj"


def main() -> None:
    """Take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    today = datetime.now(ZoneInfo("America/New_York")).date()
    days = [today - timedelta(days=ago) for ago in (4, 3, 2)]
    with (
        tempfile.TemporaryDirectory() as home,
        RunningUp(Path(home) / "up", "--port", str(free_port())) as up,
        signed_in(up.url, up.password) as page,
    ):
        page.set_default_timeout(60_000)
        connection_form(page)
        trigger(page, days[0])
        backfill(page, days[-1], days[-1], "backfill-one-day")
        backfill(page, days[0], days[-1], "backfill-three-days").get_by_role("button", name="Run Backfill").click()
        grid_and_log(page, len(days))
    with (
        tempfile.TemporaryDirectory() as home,
        RunningUp(Path(home) / "up", "--port", str(free_port()), "--audience", _MANY) as up,
        signed_in(up.url, up.password) as page,
    ):
        page.set_default_timeout(60_000)
        graph(page)


def connection_form(page: Page) -> None:
    """Both halves of the form: one folds up when the other unfolds."""
    form = new_connection(page)
    form.get_by_label("Connection ID").fill("liveramp_default")
    unfold_extras(form)
    extra(form, "host_key").fill(_EXAMPLE_HOST_KEY)
    form.get_by_role("heading").click()  # the field then shows how the key begins
    take(page, "connection-form-extras", form, height_px=695)
    form.get_by_role("button", name="Standard Fields").click()
    for label, text in {
        "SFTP host": "files.example.com",
        "SFTP user": "acme",
        "Password": "x" * 12,
        "Port": "22",
    }.items():
        form.get_by_label(label).fill(text)
    take(page, "connection-form", form, height_px=645)


def trigger(page: Page, day: date) -> None:
    """The dialog that triggers one day."""
    dialog = trigger_dialog(page)
    dialog.get_by_role("button", name="Advanced Options").click()
    dialog.get_by_label("Partition Key").fill(day.isoformat())
    take(page, "trigger-partition-key", dialog, height_px=600)


def backfill(page: Page, first: date, last: date, name: str) -> Locator:
    """The dialog that runs a range of days."""
    trigger_dialog(page).get_by_text("Backfill", exact=True).click()
    dialog = page.get_by_role("dialog").filter(has_text="Reprocess Behavior")
    for day in (first, last):
        dialog.get_by_text("Select date and time").first.click()
        page.get_by_placeholder("YYYY/MM/DD").fill(f"{day:%Y/%m/%d}")
        page.get_by_placeholder("YYYY/MM/DD").press("Enter")
        page.keyboard.press("Escape")
        page.get_by_placeholder("YYYY/MM/DD").wait_for(state="hidden")
    dialog.get_by_text("will be triggered").wait_for()
    take(page, name, dialog, height_px=575)
    return dialog


def grid_and_log(page: Page, backfilled: int) -> None:
    """The runs of a backfill when all are done, and what the task that delivers says."""
    page.goto(f"{_DAG}/runs")
    runs = page.get_by_role("row").filter(has_text="Backfill").filter(has_text="Success")
    runs.nth(backfilled - 1).wait_for(timeout=_RUNS_MS)
    page.get_by_text("Backfill in progress").wait_for(state="hidden")
    page.get_by_role("button", name="Expand all task groups").click()
    widen_grid(page)
    run = runs.last.locator(f"a[href*='{_DAG}/runs/']").first.get_attribute("href")
    page.get_by_text("deliver_PII").wait_for()
    take(page, "grid-after-backfill", page.locator("body"), height_px=700)
    page.goto(f"{run}/tasks/liveramp.deliver_PII")
    page.get_by_text("deliver: ").first.wait_for()
    page.get_by_text("Receipt of").click()
    take(page, "deliver-log", page.locator("body"), height_px=610)


def graph(page: Page) -> None:
    """The graph of an audience with several destinations, which nobody has run yet."""
    page.goto("/dags/everywhere")
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Expand all task groups").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    page.get_by_text("deliver_D").wait_for()
    page.get_by_label("fit view").click()
    # The map in the corner would cover the last task.
    page.add_style_tag(content=".react-flow__minimap, .react-flow__panel { display: none }")
    take(page, "graph-many-destinations", page.locator(".react-flow"), height_px=640)


def widen_grid(page: Page) -> None:
    """Pull the bar between grid and details to the right, so that every run has room."""
    page.mouse.move(_BAR_PX, 700)
    page.mouse.down()
    page.mouse.move(_BAR_PX + 80, 700, steps=5)
    page.mouse.up()


def trigger_dialog(page: Page) -> Locator:
    """The dialog behind the DAG's button *Trigger*."""
    page.goto(_DAG)
    page.get_by_role("button", name="Trigger").first.click()
    return page.get_by_role("dialog").filter(has_text="Single Run")


def take(page: Page, name: str, part: Locator, *, height_px: int) -> None:
    """Take a picture of the top of that part of the page."""
    page.wait_for_timeout(1_500)  # whatever slides or fades has come to rest
    box = part.bounding_box()
    assert box, name
    box["height"] = height_px
    page.screenshot(path=IMAGES / f"{name}.png", clip=box, animations="disabled", caret="hide")


if __name__ == "__main__":
    main()
