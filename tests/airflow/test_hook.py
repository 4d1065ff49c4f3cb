"""The hook: an Airflow connection becomes the way to a server, or an error that says what to correct."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from liveramp_provider.core.errors import ConnectionConfigError
from liveramp_provider.core.transports.sftp import SftpTransport
from liveramp_provider.hooks.liveramp import LiveRampHook
from tests.servers import public_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Connect = Callable[..., LiveRampHook]

CONN_ID = "liveramp_test"
HOST_KEY = public_text(asyncssh.generate_private_key("ssh-ed25519"))
PRIVATE_KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
LOCKED_KEY = asyncssh.import_private_key(PRIVATE_KEY).export_private_key("openssh", "abracadabra", rounds=1).decode()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Connect:
    """Makes the connection, by default with a password and a pinned host key, and a hook for it."""
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody's known_hosts, nobody's ssh_config

    def connect(*, extra: dict[str, Any] | None = None, **changes: Any) -> LiveRampHook:
        connection = {"conn_type": "liveramp", "host": "files.example.com", "login": "acme", "password": "open sesame"}
        connection |= {"extra": {"host_key": HOST_KEY} | (extra or {})} | changes
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
        return LiveRampHook(CONN_ID)

    return connect


def fault(hook: LiveRampHook) -> str:
    with pytest.raises(ConnectionConfigError) as caught:
        hook.endpoint()
    # A foreign error behind ours would be printed with it, and might quote what the connection holds.
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


def test_password(hook: Connect) -> None:
    """Host, login and password are the connection's, the port is SSH's, and the host key is pinned."""
    endpoint = hook().endpoint()
    assert (endpoint.host, endpoint.port, endpoint.username) == ("files.example.com", 22, "acme")
    assert (endpoint.password, endpoint.private_key, endpoint.passphrase) == ("open sesame", "", "")
    assert (endpoint.host_keys, endpoint.known_hosts) == ((HOST_KEY,), "")


def test_transport(hook: Connect) -> None:
    """What the operators get is a transport to that server."""
    made = hook(port=2222)
    assert made.transport() == SftpTransport(made.endpoint())
    assert made.endpoint().port == 2222


@pytest.mark.parametrize("conn_type", ["liveramp", "sftp"])
def test_connection_types(conn_type: str, hook: Connect) -> None:
    """A connection of the SFTP provider serves as well."""
    assert hook(conn_type=conn_type).endpoint().host == "files.example.com"


def test_private_key(hook: Connect) -> None:
    """A private key in the extras needs no password."""
    endpoint = hook(password=None, extra={"private_key": PRIVATE_KEY}).endpoint()
    assert (endpoint.private_key, endpoint.password) == (PRIVATE_KEY, "")


def test_private_key_with_passphrase(hook: Connect) -> None:
    """A locked private key comes with its passphrase."""
    endpoint = hook(extra={"private_key": LOCKED_KEY, "private_key_passphrase": "abracadabra"}).endpoint()
    assert (endpoint.private_key, endpoint.passphrase) == (LOCKED_KEY, "abracadabra")


@pytest.mark.parametrize("path", ["{home}/key", "~/key"])
@pytest.mark.parametrize("extra", ["private_key_passphrase", "passphrase"])
def test_key_file(extra: str, path: str, hook: Connect, tmp_path: Path) -> None:
    """A key file is read, from the user's home where it says so; its passphrase has the two names it has elsewhere."""
    (tmp_path / "key").write_text(LOCKED_KEY)
    endpoint = hook(extra={"key_file": path.format(home=tmp_path), extra: "abracadabra"}).endpoint()
    assert (endpoint.private_key, endpoint.passphrase) == (LOCKED_KEY, "abracadabra")


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"])
def test_kinds_of_host_keys(kind: str, hook: Connect) -> None:
    """Every kind of host key comes through as it was pinned, also with the comment ssh-keyscan prints no more."""
    key = public_text(asyncssh.generate_private_key(kind))
    assert hook(extra={"host_key": f"{key} comment"}).endpoint().host_keys == (key,)


def test_known_hosts(hook: Connect, tmp_path: Path) -> None:
    """Without a pinned key, a known_hosts file is trusted: the one named, or the user's own."""
    own = tmp_path / ".ssh" / "known_hosts"
    own.parent.mkdir()
    for path, extra in ((own, {}), (tmp_path / "hosts", {"known_hosts": str(tmp_path / "hosts")})):
        path.write_text(f"files.example.com {HOST_KEY}\n")
        endpoint = hook(extra={"host_key": None} | extra).endpoint()
        assert (endpoint.host_keys, endpoint.known_hosts) == ((), str(path))


def test_no_host_key(hook: Connect) -> None:
    """A connection that pins nothing is refused, with the way to get the key."""
    assert "pins no host key. Add the extra host_key, as `ssh-keyscan" in fault(hook(extra={"host_key": None}))


@pytest.mark.parametrize("extra", ["no_host_key_check", "allow_host_key_change", "ignore_hostkey_verification"])
@pytest.mark.parametrize("pinned", [HOST_KEY, None], ids=["pinned", "unpinned"])
@pytest.mark.parametrize("value", [True, "true", "True"])
@pytest.mark.filterwarnings("ignore:The `ignore_hostkey_verification`")
def test_unverified_servers(extra: str, pinned: str | None, value: object, hook: Connect) -> None:
    """No extra switches the verification of the host key off, whether or not a key is pinned."""
    message = fault(hook(extra={extra: value, "host_key": pinned}))
    assert f"connection {CONN_ID}" in message
    assert "remove no_host_key_check and allow_host_key_change" in message or "Must check host key" in message


def test_verification_switched_on(hook: Connect) -> None:
    """Saying that the host key is to be checked is fine."""
    extra = {"no_host_key_check": "false", "allow_host_key_change": "false"}
    assert hook(extra=extra).endpoint().host_keys == (HOST_KEY,)


def test_missing_connection() -> None:
    """A connection that does not exist is named, with the place to add it."""
    assert "there is no connection nowhere. Add it under Admin" in fault(LiveRampHook("nowhere"))


def test_missing_host(hook: Connect) -> None:
    """A connection without a host is named."""
    assert f"connection {CONN_ID}" in fault(hook(host=None))


@pytest.mark.parametrize(
    "host_key", ["AAAA", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 ?", "what is this", "ssh-dss AAAA"]
)
def test_host_key_that_is_none(host_key: str, hook: Connect) -> None:
    """A pinned key that is no key is an error, not a connection without one."""
    assert f"connection {CONN_ID}" in fault(hook(extra={"host_key": host_key}))


@pytest.mark.parametrize("private_key", ["nonsense", "-----BEGIN\nnonsense\n-----END", LOCKED_KEY])
def test_private_key_that_is_none(private_key: str, hook: Connect) -> None:
    """A private key that cannot be read is an error that does not quote it."""
    message = fault(hook(extra={"private_key": private_key}))
    assert f"connection {CONN_ID}" in message
    assert "nonsense" not in message
    assert "PRIVATE KEY" not in message


def test_missing_key_file(hook: Connect) -> None:
    """A key file that is not there is an error of the connection."""
    assert "key_file cannot be read: No such file" in fault(hook(extra={"key_file": "/nowhere/key"}))


def test_key_and_key_file(hook: Connect) -> None:
    """Two private keys contradict each other."""
    assert f"connection {CONN_ID}" in fault(hook(extra={"private_key": PRIVATE_KEY, "key_file": "/nowhere/key"}))


def test_secrets_stay_secret(hook: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a printed hook, endpoint or transport nor the log shows password, key or passphrase."""
    caplog.set_level(logging.DEBUG)
    made = hook(extra={"private_key": LOCKED_KEY, "private_key_passphrase": "abracadabra"})
    said = "".join([repr(made), str(made), repr(made.endpoint()), repr(made.transport()), caplog.text])
    assert not any(
        secret in said for secret in ("sesame", "abracadabra", "PRIVATE KEY", *LOCKED_KEY.splitlines()[1:-1])
    )


KEY_FORMS = {
    "openssh": PRIVATE_KEY,
    "openssh, locked": LOCKED_KEY,
    "pem, locked": asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    .export_private_key("pkcs1-pem", "abracadabra")
    .decode(),
}
LOST_LINES = {
    "pasted": lambda text: text.strip().replace("\n", " "),
    "typed by a program": lambda text: text.strip().replace("\n", ""),
    "spelled": lambda text: text.replace("\n", "\\n"),
    "spelled in Windows": lambda text: text.replace("\n", "\\r\\n"),
}


@pytest.mark.parametrize("lose_lines", LOST_LINES.values(), ids=LOST_LINES.keys())
@pytest.mark.parametrize("key", KEY_FORMS.values(), ids=KEY_FORMS.keys())
def test_private_key_without_line_breaks(key: str, lose_lines: Callable[[str], str], hook: Connect) -> None:
    """A private key whose line breaks a form took away, or a variable spells, is the same key."""
    passphrase = "" if key == PRIVATE_KEY else "abracadabra"
    endpoint = hook(extra={"private_key": lose_lines(key), "private_key_passphrase": passphrase}).endpoint()
    read, given = (asyncssh.import_private_key(text, passphrase or None) for text in (endpoint.private_key, key))
    assert read.export_private_key("pkcs8-pem") == given.export_private_key("pkcs8-pem")


def test_host_key_as_scanned(hook: Connect) -> None:
    """The whole line that ssh-keyscan prints, with the host in front, pins the key."""
    for line in (f"files.example.com {HOST_KEY}", f"[files.example.com]:2222 {HOST_KEY}"):
        assert hook(extra={"host_key": line}).endpoint().host_keys == (HOST_KEY,)
