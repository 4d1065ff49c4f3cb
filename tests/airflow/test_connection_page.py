"""Every connection on the page docs/connection.md is one that works, and every field of the form is on it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import quote

import asyncssh
import pytest

from liveramp_provider.get_provider_info import get_provider_info
from liveramp_provider.hooks.liveramp import LiveRampHook

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "connection.md").read_text(encoding="utf-8")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMSYSz6GXeRL1eguLiQ9SSNLXdCNUnbnFjSK5kdNmqlj"
KEY = asyncssh.generate_private_key("ssh-ed25519")
# The page shows the beginning of a key and an ellipsis.
ELLIPSIS = "b3BlbnNz…"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
QUOTED = {"{": lambda text: text.replace("\n", "\\n"), "l": lambda text: quote(text, safe="")}


def variable(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the block's variable as a shell would."""
    (assignment,) = shlex.split(block)
    name, _, value = assignment.partition("=")
    lines = KEY.export_private_key("openssh", "abracadabra", rounds=1).decode().splitlines()[1:-1]
    monkeypatch.setenv(name, value.replace(ELLIPSIS, QUOTED[value[0]]("\n".join(lines))))


@pytest.mark.parametrize("block", [block for block in BLOCKS if ELLIPSIS not in block], ids=["JSON", "URI"])
def test_connections_with_a_password(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader copies has host, user, password and host key, every character of them."""
    variable(block, monkeypatch)
    endpoint = LiveRampHook().endpoint()
    assert (endpoint.host, endpoint.port, endpoint.username) == ("files.example.com", 22, "acme")
    assert (endpoint.password, endpoint.private_key, endpoint.host_keys) == ("open sesame", "", (HOST_KEY,))


@pytest.mark.parametrize("block", [block for block in BLOCKS if ELLIPSIS in block], ids=["JSON", "URI"])
def test_connections_with_a_private_key(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of many lines comes through in both forms, with its passphrase."""
    variable(block, monkeypatch)
    endpoint = LiveRampHook().endpoint()
    read = asyncssh.import_private_key(endpoint.private_key, endpoint.passphrase)
    assert read.export_private_key("pkcs8-pem") == KEY.export_private_key("pkcs8-pem")
    assert (endpoint.host, endpoint.password, endpoint.host_keys) == ("files.example.com", "", (HOST_KEY,))


@pytest.mark.parametrize("kind", ["liveramp", "liveintent_events"])
def test_every_field_is_on_the_page(kind: str) -> None:
    """The tables have the forms' fields under the forms' labels."""
    form = next(form for form in get_provider_info()["connection-types"] if form["connection-type"] == kind)
    labels = {f"extra `{name}`": field["label"] for name, field in form["conn-fields"].items()}
    labels |= {f"`{name}`": label for name, label in form["ui-field-behaviour"]["relabeling"].items()}
    rows = {(cells[1], cells[0]) for line in PAGE.splitlines() if len(cells := line.strip("| ").split(" | ")) == 3}
    assert labels.items() <= rows


def test_pictures_are_there_and_small() -> None:
    """Every picture a page shows exists, and none is larger than 150 kB."""
    for page in DOCS.glob("*.md"):
        for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (DOCS / picture).stat().st_size < 150_000, f"{page.name}: {picture}"
