"""Preflight against real servers and a real gpg: everything that is wrong, at once, and nothing changed anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from liveramp_provider.core.audience import Audience, Membership, Schedule, SqlSource
from liveramp_provider.core.destination import Encryption
from liveramp_provider.core.errors import (
    ConfigError,
    ConnectionConfigError,
    CredentialsError,
    EncryptionKeyError,
    HostKeyError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.guards.preflight import preflight
from liveramp_provider.testing.keys import PgpKeys, pgp_keys
from tests.deliveries import destination, way_to
from tests.key_owner import KeyOwner
from tests.servers import OpenSshServer, public_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.errors import LiveRampError
    from liveramp_provider.core.transports import Transport


def audience(*destinations: Destination) -> Audience:
    return Audience(
        id="high_value",
        name="High value",
        path=Path("high_value.yaml"),
        schedule=Schedule(cron="0 0 * * *", timezone="UTC"),
        deliver_by=None,
        notify=(),
        owners=(),
        membership=Membership(source=SqlSource(conn_id="warehouse", query="", current=True), key="id"),
        traits=(),
        suppression=None,
        destinations=destinations,
        warnings=(),
    )


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> PgpKeys:
    """The receiver's PGP keys; made once."""
    return pgp_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def ready(folder: Path, keys: PgpKeys) -> Destination:
    """A destination with nothing wrong."""
    public = Encryption(recipients=(keys.fingerprint,), public_key=keys.folder / "public.asc", extension="gpg")
    return destination(folder, encryption=public)


def ways(server: OpenSshServer) -> Callable[[Destination], Transport]:
    """The way to a destination by its connection's name, some of which are wrong."""
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    transports = {
        "liveramp_default": way_to(server),
        "wrong_host_key": way_to(server, host_keys=(public_text(stranger),)),
        "wrong_key": way_to(server, private_key=stranger.export_private_key().decode()),
        "nobody_there": way_to(server, port=1),
    }

    def way(destination: Destination) -> Transport:
        if destination.conn_id not in transports:
            raise ConnectionConfigError(f"there is no connection {destination.conn_id}")
        return transports[destination.conn_id]

    return way


def wrong_recipient(ready: Destination) -> Encryption:
    assert ready.encryption is not None
    return replace(ready.encryption, recipients=("B" * 40,))


def test_ready(ready: Destination, keys: PgpKeys, server: OpenSshServer, caplog: pytest.LogCaptureFixture) -> None:
    """With nothing wrong it passes, and says which destinations are ready and which key will be used."""
    caplog.set_level("INFO")
    preflight(audience(ready, replace(ready, id="plain", encryption=None)), transport=ways(server))
    (ready_after,) = [message for message in caplog.messages if message.startswith("preflight: ready for ")]
    assert re.fullmatch(r"preflight: ready for liveramp, plain \((under )?[0-9.]+ s\)", ready_after)
    (key,) = [message for message in caplog.messages if message.startswith("preflight: liveramp: encrypts to subkey ")]
    assert key.endswith(f" of {keys.fingerprint}")


def test_nothing_is_written(ready: Destination, tmp_path: Path) -> None:
    """Looking is all it does: it passes at a server that allows nothing else, and the folder is as before."""
    with OpenSshServer(tmp_path / "server", sftp_options=("-p", "stat")) as server:
        preflight(audience(replace(ready, path=str(server.root))), transport=ways(server))
        assert list(server.root.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"conn_id": "wrong_host_key"}, HostKeyError),
        ({"conn_id": "wrong_key"}, CredentialsError),
        ({"conn_id": "unheard_of"}, ConnectionConfigError),
        ({"conn_id": "nobody_there"}, TransportError),
        ({"path": "/nowhere/at/all"}, RemoteFolderError),
    ],
)
def test_one_fault(
    change: dict[str, str], expected: type[LiveRampError], ready: Destination, server: OpenSshServer
) -> None:
    """A single fault comes out as what it is, so that only what passes by itself is tried again."""
    with pytest.raises(expected):
        preflight(audience(ready, replace(ready, id="other", **change)), transport=ways(server))


def test_wrong_pgp_key(ready: Destination, server: OpenSshServer) -> None:
    """A PGP key that is not the pinned one is found before anything is read."""
    with pytest.raises(EncryptionKeyError):
        preflight(audience(replace(ready, encryption=wrong_recipient(ready))), transport=ways(server))


def key_file(destination: Destination, tmp_path: Path, content: bytes, primary: str) -> Destination:
    """`destination` with another key pinned."""
    (tmp_path / "other.asc").write_bytes(content)
    return replace(
        destination,
        encryption=Encryption(recipients=(primary,), public_key=tmp_path / "other.asc", extension="gpg"),
    )


@pytest.mark.parametrize("state", ["revoked", "expired", "sign only"])
def test_unusable_pgp_key(state: str, ready: Destination, server: OpenSshServer, tmp_path: Path) -> None:
    """A key that has ended, was revoked or cannot encrypt is found before anything is read."""
    owner = KeyOwner()
    try:
        primary = owner.primary(expires="20260601T000000" if state == "expired" else "never")
        if state != "sign only":
            owner.subkey(primary)
        if state == "revoked":
            owner.revoke(primary)
        changed = key_file(ready, tmp_path, owner.public(primary), primary)
    finally:
        owner.close()
    words = {"revoked": "is revoked", "expired": "has expired", "sign only": "no encryption subkey"}[state]
    with pytest.raises(EncryptionKeyError, match=f"{primary} {words}|{primary} has {words}"):
        preflight(audience(changed), transport=ways(server))


@pytest.mark.parametrize(("days", "warned"), [(1, True), (13, True), (16, False)])
def test_a_key_that_ends_soon(
    days: int, warned: bool, ready: Destination, server: OpenSshServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two weeks before the end of a key the log warns, with the day; the day is delivered all the same."""
    owner = KeyOwner()
    try:
        primary = owner.primary()
        owner.gpg("--quick-add-key", primary, "cv25519", "encr", f"{days}d")
        changed = key_file(ready, tmp_path, owner.public(primary), primary)
    finally:
        owner.close()
    caplog.set_level("INFO")
    preflight(audience(changed), transport=ways(server))
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    until = datetime.now(UTC) + timedelta(days=days)
    (key,) = [message for message in caplog.messages if "encrypts to subkey" in message]
    assert key.endswith(f" of {primary}, valid until {until:%Y-%m-%d}")
    told = re.compile(rf"preflight: liveramp: the key {primary} ends on {until:%Y-%m-%d}, .* pin both in recipient\.")
    assert [bool(told.fullmatch(warning)) for warning in warnings] == [True] * warned


def test_all_faults_at_once(ready: Destination, server: OpenSshServer) -> None:
    """Every fault of every destination is in one error, a line each; a server that is away does not hide them."""
    everything = audience(
        replace(ready, id="a", encryption=wrong_recipient(ready), conn_id="wrong_host_key"),
        replace(ready, id="b", conn_id="nobody_there"),
        replace(ready, id="c", path="/nowhere/at/all"),
        replace(ready, id="d", conn_id="unheard_of"),
        ready,
    )
    with pytest.raises(ConfigError) as caught:
        preflight(everything, transport=ways(server))
    lines = str(caught.value).splitlines()
    assert lines[1].startswith(f"{server.host}:{server.port} shows a host key")
    expected = ["B" * 40, "shows a host key", "/nowhere/at/all", "unheard_of"]
    assert len(lines) == len(expected)
    assert all(part in line for part, line in zip(expected, lines, strict=True))


def test_two_faults_at_once(ready: Destination, server: OpenSshServer) -> None:
    """Of two faults neither hides the other."""
    wrong = replace(ready, path="/nowhere/at/all", encryption=wrong_recipient(ready))
    with pytest.raises(ConfigError, match=rf"(?s)^.*{'B' * 40}.*\n/nowhere/at/all at "):
        preflight(audience(wrong), transport=ways(server))


def test_faults_before_absence(ready: Destination, server: OpenSshServer) -> None:
    """What a person must correct is said at once, not after five tries of a server that is away."""
    with pytest.raises(RemoteFolderError):
        preflight(
            audience(replace(ready, conn_id="nobody_there"), replace(ready, path="/nowhere/at/all")),
            transport=ways(server),
        )
