"""The connection form and its Test button, as a person sees and uses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import asyncssh
import pytest
from playwright.sync_api import expect

from tests.browser.airflow_ui import extra, new_connection, paste, unfold_extras
from tests.servers import public_text

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from liveramp_provider.testing import LiveRampBox
    from tests.browser.conftest import ApiServer


def filled_in(page: Page, conn_id: str, box: LiveRampBox, *, password: str = "") -> Locator:
    """The form with everything but a private key, and its extras unfolded."""
    form = new_connection(page)
    form.get_by_label("Connection ID").fill(conn_id)
    form.get_by_label("SFTP host").fill(box.host)
    form.get_by_label("Port").fill(str(box.port))
    form.get_by_label("SFTP user").fill(box.username)
    form.get_by_label("Password").fill(password)
    unfold_extras(form)
    extra(form, "host_key").fill(box.host_key)
    return form


def save_and_test(form: Locator, conn_id: str) -> Locator:
    """Save, press Test in the connection's row; returns what pops up."""
    page = form.page
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="hidden")
    page.get_by_role("row", name=conn_id).get_by_role("button", name="Test Connection").click()
    toast = page.get_by_role("status").filter(has_text="Test Connection")
    toast.wait_for()
    return toast


def everything_at(box_home: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in box_home.rglob("*")}


def test_form_shows_the_fields(page: Page) -> None:
    """LiveRamp's fields have their labels and explanations, secrets are masked, and no other field is there."""
    form = new_connection(page)
    fields = {
        "host": (form.get_by_label("SFTP host"), "text"),
        "login": (form.get_by_label("SFTP user"), "text"),
        "password": (form.get_by_label("Password"), "password"),
        "port": (form.get_by_label("Port"), "number"),
        "element_host_key": (extra(form, "host_key"), "text"),
        "element_private_key": (extra(form, "private_key"), "password"),
        "element_private_key_passphrase": (extra(form, "private_key_passphrase"), "password"),
    }
    for name, (field, kind) in fields.items():
        expect(field).to_have_attribute("name", name)
        expect(field).to_have_js_property("type", kind)
    expect(form.get_by_label("Port")).to_have_attribute("placeholder", "22")
    unfold_extras(form)
    for words in ("Host key", "Private key (PEM)", "Private key passphrase", "Compare its fingerprint with LiveRamp"):
        expect(form.get_by_text(words)).to_be_visible()
    expect(form.get_by_label("Schema")).to_have_count(0)


def test_password_is_tested_and_kept(page: Page, box: LiveRampBox, api_server: ApiServer) -> None:
    """Test says who logged in where and by which host key; Airflow keeps what was typed, and shows no secret again."""
    form = filled_in(page, "by_password", box, password=box.password)
    before = everything_at(box.uploads)
    fingerprint = asyncssh.import_public_key(box.host_key).get_fingerprint()
    toast = save_and_test(form, "by_password")
    expect(toast).to_contain_text("Test Connection Successful")
    expect(toast).to_contain_text(f"Logged in to {box.host}:{box.port} as {box.username}")
    expect(toast).to_contain_text(f"the pinned one ({fingerprint})")
    assert everything_at(box.uploads) == before
    kept = json.loads(api_server.airflow("connections", "get", "by_password", "--output", "json"))[0]
    typed = json.loads(box.connection_json())
    kept |= {"port": int(kept["port"]), "extra": {name: text for name, text in kept["extra_dejson"].items() if text}}
    assert {name: kept[name] for name in typed} == typed
    page.get_by_role("row", name="by_password").get_by_role("button", name="Edit Connection").click()
    expect(page.get_by_label("SFTP user")).to_have_value(box.username)
    assert box.password not in page.content()
    assert box.password not in page.get_by_label("Password").input_value()


@pytest.mark.parametrize("passphrase", [None, "abracadabra"])
@pytest.mark.parametrize("form_of_key", ["openssh", "pkcs1-pem"])
def test_pasted_private_key(page: Page, box: LiveRampBox, form_of_key: str, passphrase: str | None) -> None:
    """A private key pasted into its one-line field lets one in, although the field loses the line breaks."""
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    box.authorize_key(public_text(key))
    name = f"by_{form_of_key}_{passphrase}"
    form = filled_in(page, name, box)
    paste(extra(form, "private_key"), key.export_private_key(form_of_key, passphrase).decode())
    assert "\n" not in extra(form, "private_key").input_value()
    extra(form, "private_key_passphrase").fill(passphrase or "")
    expect(save_and_test(form, name)).to_contain_text("Test Connection Successful")


def test_another_host_key(page: Page, box: LiveRampBox) -> None:
    """Where the server shows another host key than the pinned one, Test fails and says what to do."""
    form = filled_in(page, "elsewhere", box, password=box.password)
    extra(form, "host_key").fill(public_text(asyncssh.generate_private_key("ssh-ed25519")))
    toast = save_and_test(form, "elsewhere")
    expect(toast).to_contain_text("Test Connection Failed")
    expect(toast).to_contain_text(f"{box.host}:{box.port} shows a host key that is not the pinned one")
