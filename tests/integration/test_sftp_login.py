"""Who is let in and who is trusted: host keys, private keys and passwords, against OpenSSH and the box."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import asyncssh
import pytest

from liveramp_provider.core.errors import ConnectionConfigError, CredentialsError, HostKeyError, LiveRampError
from liveramp_provider.testing import LiveRampBox
from tests.deliveries import listing, sealed_file, way_to
from tests.servers import OpenSshServer, public_text, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim, Ledger


def other_key(kind: str = "ssh-ed25519") -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveRampBox]:
    """A receiver that knows passwords, which OpenSSH does only for users of the machine."""
    with LiveRampBox(tmp_path / "box", audiences=[]) as box:
        yield box


@pytest.fixture
def claim(ledger: Ledger, folder: Path, tmp_path: Path) -> Claim:
    """A claim on a file that is ready to be sent to the server's folder."""
    return ledger.claim(sealed_file(tmp_path / "sealed"), folder=str(folder), holder="run 1")


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
def test_wrong_host_key(kind: str, server: OpenSshServer, claim: Claim, folder: Path, tmp_path: Path) -> None:
    """A server with another key than the pinned one, of the same kind or not, gets no login attempt and no byte."""
    before = len(server.log)
    with pytest.raises(HostKeyError, match=rf"{server.host}:{server.port} shows a host key"):
        way_to(server, host_keys=(public_text(other_key(kind)),)).send(tmp_path / "sealed", claim)
    wait_until(lambda: "Disconnected from" in server.log[before:], "the server to see us leave")
    assert "userauth" not in server.log[before:]
    assert listing(folder) == {}


def test_login_is_visible_in_the_log(server: OpenSshServer, folder: Path) -> None:
    """The proof above is worth something: a login attempt does show in the server's log."""
    before = len(server.log)
    way_to(server).check(str(folder))
    assert "userauth" in server.log[before:]


def test_second_of_two_pinned_keys(server: OpenSshServer, folder: Path) -> None:
    """During a change of keys, either of the pinned ones will do."""
    way_to(server, host_keys=(public_text(other_key()), server.host_key)).check(str(folder))


def test_known_hosts(server: OpenSshServer, folder: Path, tmp_path: Path) -> None:
    """A known_hosts file pins the key of a server on another port than 22."""
    known = tmp_path / "known_hosts"
    known.write_text(f"[{server.host}]:{server.port} {server.host_key}\n")
    way_to(server, host_keys=(), known_hosts=str(known)).check(str(folder))


@pytest.mark.parametrize("line", ["", "[127.0.0.1]:{port} {other}", "elsewhere.invalid {own}", "@revoked * {own}"])
def test_known_hosts_that_do_not_know(line: str, server: OpenSshServer, folder: Path, tmp_path: Path) -> None:
    """A known_hosts file without the server's key, or with it revoked, means no connection."""
    known = tmp_path / "known_hosts"
    known.write_text(line.format(port=server.port, other=public_text(other_key()), own=server.host_key) + "\n")
    with pytest.raises(HostKeyError):
        way_to(server, host_keys=(), known_hosts=str(known)).check(str(folder))


def test_broken_host_key(server: OpenSshServer, folder: Path) -> None:
    """A host key that cannot be read is said with how one is written, before any connection."""
    with pytest.raises(ConnectionConfigError, match=r"host_key is no public key\. Write it as .*: <type> <base64>\.$"):
        way_to(server, host_keys=("what?",)).check(str(folder))


def test_broken_known_hosts(server: OpenSshServer, folder: Path, tmp_path: Path) -> None:
    """A known_hosts file that cannot be read as one is named, before any connection."""
    known = tmp_path / "known_hosts"
    known.write_text("what?\n")
    with pytest.raises(ConnectionConfigError, match=re.escape(str(known))):
        way_to(server, host_keys=(), known_hosts=str(known)).check(str(folder))


def test_wrong_private_key(server: OpenSshServer, claim: Claim, folder: Path, tmp_path: Path) -> None:
    """A key the server does not know is a fault of the connection, and is not tried again."""
    with pytest.raises(CredentialsError, match=rf"refused the login of {server.username}"):
        way_to(server, private_key=other_key().export_private_key().decode()).send(tmp_path / "sealed", claim)
    assert listing(folder) == {}


def test_password_where_keys_are_asked(server: OpenSshServer, folder: Path) -> None:
    """A server that takes no passwords refuses one as it refuses a wrong one, and the password is in no message."""
    with pytest.raises(CredentialsError) as caught:
        way_to(server, private_key="", password="open sesame").check(str(folder))
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(("passphrase", "fault"), [("right", None), ("wrong", ConnectionConfigError)])
def test_private_key_with_passphrase(
    passphrase: str, fault: type[LiveRampError] | None, server: OpenSshServer, folder: Path
) -> None:
    """An encrypted private key opens with its passphrase and no other."""
    locked = asyncssh.import_private_key(server.private_key).export_private_key("pkcs8-pem", "right").decode()
    way = way_to(server, private_key=locked, passphrase=passphrase)
    if fault is None:
        way.check(str(folder))
    else:
        with pytest.raises(fault, match=r"private_key cannot be read\. Paste .* if any\.$"):
            way.check(str(folder))


@pytest.mark.parametrize("change", [{"private_key": "no key"}, {"host_keys": ("ssh-ed25519 AAAA",)}])
def test_unreadable_keys(change: dict[str, object], server: OpenSshServer, folder: Path) -> None:
    """Keys that are none are faults of the connection, found before it is opened."""
    before = len(server.log)
    with pytest.raises(ConnectionConfigError):
        way_to(server, **change).check(str(folder))
    assert server.log[before:] == ""


def test_password(box: LiveRampBox, server: OpenSshServer) -> None:
    """A password logs in; another one is refused."""
    at_the_box = {"port": box.port, "host_keys": (box.host_key,), "username": box.username, "private_key": ""}
    way_to(server, **at_the_box, password=box.password).check("/uploads")
    with pytest.raises(CredentialsError):
        way_to(server, **at_the_box, password="wrong").check("/uploads")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ``.ssh`` folder of a user whom asyncssh takes for ours."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path / ".ssh"


def test_users_own_keys_are_not_offered(server: OpenSshServer, folder: Path, home: Path) -> None:
    """Whoever runs the worker may have a key for the server; a connection without one does not use it."""
    (home / "id_ed25519").write_text(server.private_key)
    with pytest.raises(CredentialsError):
        way_to(server, private_key="", password="wrong").check(str(folder))


def test_users_own_settings_do_not_count(server: OpenSshServer, folder: Path, home: Path) -> None:
    """Nothing in the user's ssh settings changes where we go, as whom, or what we trust there."""
    (home / "config").write_text("Host *\n  User somebody\n  Hostname nowhere.invalid\n  StrictHostKeyChecking no\n")
    way_to(server).check(str(folder))
    with pytest.raises(HostKeyError):
        way_to(server, host_keys=(public_text(other_key()),)).check(str(folder))


def test_no_secret_in_a_repr(server: OpenSshServer) -> None:
    """Neither password, key nor passphrase shows when a transport is printed."""
    way = way_to(server, password="open sesame", passphrase="abracadabra")
    assert not any(secret in repr(way) for secret in ("sesame", "abracadabra", server.private_key, "PRIVATE KEY"))
