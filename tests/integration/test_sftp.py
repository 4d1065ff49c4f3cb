"""The SFTP transport against Debian's OpenSSH: what arrives, what is refused, and what is left behind."""

from __future__ import annotations

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import asyncssh
import pytest

from liveramp_provider.core.errors import (
    DeliveryInDoubtError,
    HostKeyError,
    LiveRampError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.ledger import Ledger, State
from tests.deliveries import NAME, PausedFile, listing, sealed_file, way_to
from tests.servers import OpenSshServer, public_text, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

    StartServer = Callable[..., OpenSshServer]

MIB = 1024 * 1024
TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")


def other_key(kind: str = "ssh-ed25519") -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers whose ``sftp-server`` has options; they end with the test."""
    running: list[OpenSshServer] = []

    def start(*options: str) -> OpenSshServer:
        server = OpenSshServer(tmp_path / f"server{len(running)}", sftp_options=options)
        running.append(server)
        server.start()
        return server

    yield start
    for server in running:
        server.stop()


class Sending:
    """A file on its way from `tmp_path` to a folder, claimed in a ledger."""

    def __init__(self, tmp_path: Path, ledger: Ledger, folder: Path, content: bytes = b"sealed bytes") -> None:
        self.file = sealed_file(tmp_path / "sealed", content)
        self.ledger = ledger
        self.folder = folder

    def claim(self, holder: str = "run 1") -> Claim:
        return self.ledger.claim(self.file, folder=str(self.folder), holder=holder)


@pytest.fixture
def sending(tmp_path: Path, ledger: Ledger, folder: Path) -> Sending:
    """A small file for the server's folder."""
    return Sending(tmp_path, ledger, folder)


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 20_000_000])
def test_whole_file_arrives(size: int, server: OpenSshServer, folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    """Whatever its size, the file lies whole under its final name, alone, and its size was confirmed (E3)."""
    content = random.Random(size).randbytes(size)
    claim = Sending(tmp_path, ledger, folder, content).claim()
    way_to(server).send(tmp_path / "sealed", claim)
    assert listing(folder) == {NAME: content}
    assert (claim.delivery.state, claim.delivery.evidence) == (State.COMMITTED, "E3")


def test_host_key_is_recorded(server: OpenSshServer, sending: Sending) -> None:
    """The ledger keeps the fingerprint of the server that took the file."""
    claim = sending.claim()
    way_to(server).send(sending.file.path, claim)
    assert claim.delivery.host_key == asyncssh.import_public_key(server.host_key).get_fingerprint()


def test_only_a_temporary_name_before(server: OpenSshServer, folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    """Until it is complete, the file has a dot-name that matches nothing, and the ledger knows that name."""
    content = random.Random(1).randbytes(3 * MIB)
    claim = Sending(tmp_path, ledger, folder, content).claim()
    with ThreadPoolExecutor() as pool, PausedFile(tmp_path / "pipe", content) as paused:
        sent = pool.submit(way_to(server).send, paused.path, claim)
        wait_until(lambda: any(folder.iterdir()), "the upload to begin")
        names = [path.name for path in folder.iterdir()]
        known = ledger.find(claim.delivery.delivery_id)
        paused.flow()
        sent.result()
    assert [bool(TEMPORARY.fullmatch(name)) for name in names] == [True]
    assert known is not None
    assert (known.state, known.temp_path) == (State.UPLOADING, f"{folder}/{names[0]}")
    assert listing(folder) == {NAME: content}


def test_hardware_ciphers(server: OpenSshServer, folder: Path) -> None:
    """AES-GCM is agreed on in both directions."""
    before = len(server.log)
    way_to(server).check(str(folder))
    agreed = re.findall(r"kex: (\S+) cipher: (\S+)", server.log[before:])
    assert sorted(agreed) == [
        ("client->server", "aes128-gcm@openssh.com"),
        ("server->client", "aes128-gcm@openssh.com"),
    ]


def test_check_writes_nothing(server: OpenSshServer, folder: Path) -> None:
    """Looking at the folder changes nothing in it, not even its time stamp."""
    before = folder.stat()
    way_to(server).check(str(folder))
    assert listing(folder) == {}
    assert folder.stat().st_mtime_ns == before.st_mtime_ns


def test_missing_folder(server: OpenSshServer, folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    """A folder that does not exist is named, by the check and by the upload, and is not made."""
    missing = folder / "missing"
    with pytest.raises(RemoteFolderError, match=re.escape(f"{missing} at {server.host}")):
        way_to(server).check(str(missing))
    with pytest.raises(RemoteFolderError, match=re.escape(f"{missing} at {server.host}")):
        way_to(server).send(tmp_path / "sealed", Sending(tmp_path, ledger, missing).claim())
    assert not missing.exists()


def test_folder_that_is_a_file(server: OpenSshServer, folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    """A file in the folder's place is a fault of the configuration and stays as it is."""
    file = folder / "file"
    file.write_bytes(b"somebody's")
    with pytest.raises(RemoteFolderError, match=re.escape(f"{file} at {server.host}")):
        way_to(server).check(str(file))
    with pytest.raises(RemoteFolderError):
        way_to(server).send(tmp_path / "sealed", Sending(tmp_path, ledger, file).claim())
    assert listing(folder) == {"file": b"somebody's"}


def test_read_only_folder(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """A folder that may not be written to is a fault of the configuration; the check cannot see it yet."""
    server = limited("-R")
    way_to(server).check(str(server.root))
    with pytest.raises(RemoteFolderError, match=re.escape(f"does not let us write in {server.root}")):
        way_to(server).send(tmp_path / "sealed", Sending(tmp_path, ledger, server.root).claim())
    assert listing(server.root) == {}


def test_nobody_listens(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """A server that is not there is worth another try, and nobody has to wait for it."""
    server = limited()
    server.stop()
    sending = Sending(tmp_path, ledger, server.root)
    with pytest.raises(TransportError, match=rf"{server.host}:{server.port}: ConnectionRefusedError"):
        way_to(server).send(sending.file.path, sending.claim())
    assert sending.claim(holder="run 2").delivery.state is State.SEALED


def test_server_dies_in_an_upload(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """A server killed half-way fails this try; the next one delivers once and clears the torso away."""
    server = limited()
    content = random.Random(2).randbytes(32 * MIB)
    sending = Sending(tmp_path, ledger, server.root, content)

    def kill_early() -> None:
        wait_until(lambda: any(path.stat().st_size for path in server.root.iterdir()), "the first bytes")
        server.stop()

    killer = threading.Thread(target=kill_early)
    killer.start()
    with pytest.raises(TransportError):
        way_to(server).send(sending.file.path, sending.claim())
    killer.join()
    torso = listing(server.root)
    assert [len(found) < len(content) for found in torso.values()] == [True]
    server.start()
    claim = sending.claim()
    way_to(server).send(sending.file.path, claim)
    assert listing(server.root) == {NAME: content}
    assert claim.delivery.send_attempts == 2


def test_file_that_changes_its_size(server: OpenSshServer, sending: Sending) -> None:
    """What arrives in another size than was sealed never gets its final name."""
    claim = sending.claim()
    sending.file.path.write_bytes(b"sealed")
    with pytest.raises(TransportError, match="keeps 6 of 12 bytes"):
        way_to(server).send(sending.file.path, claim)
    assert listing(sending.folder) == {}


def test_failure_frees_the_claim(server: OpenSshServer, sending: Sending) -> None:
    """Another run need not wait for the lease of one that failed in an orderly way."""
    with pytest.raises(HostKeyError):
        way_to(server, host_keys=(public_text(other_key()),)).send(sending.file.path, sending.claim())
    claim = sending.claim(holder="run 2")
    way_to(server).send(sending.file.path, claim)
    assert claim.delivery.state is State.COMMITTED


def test_size_denied(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """Where the server tells no sizes, the file still arrives once, and the evidence says that it is weaker (E4)."""
    server = limited("-P", "stat,lstat,fstat")
    sending = Sending(tmp_path, ledger, server.root)
    way_to(server).check(str(server.root))
    claim = sending.claim()
    way_to(server).send(sending.file.path, claim)
    assert listing(server.root) == {NAME: b"sealed bytes"}
    assert (claim.delivery.state, claim.delivery.evidence) == (State.COMMITTED, "E4")


def test_plain_rename_denied(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """Where only posix-rename is allowed, that one is used."""
    server = limited("-P", "rename")
    sending = Sending(tmp_path, ledger, server.root)
    way_to(server).send(sending.file.path, sending.claim())
    assert listing(server.root) == {NAME: b"sealed bytes"}


def test_posix_rename_denied(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """posix-rename is not needed where the plain one is allowed."""
    server = limited("-P", "posix-rename")
    sending = Sending(tmp_path, ledger, server.root)
    way_to(server).send(sending.file.path, sending.claim())
    assert listing(server.root) == {NAME: b"sealed bytes"}


def test_rename_denied(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """Where nothing may be renamed, that is said; once it is allowed, the upload is finished, not sent anew."""
    server = limited("-P", "rename,posix-rename")
    sending = Sending(tmp_path, ledger, server.root)
    with pytest.raises(RemoteFolderError, match="does not let us rename"):
        way_to(server).send(sending.file.path, sending.claim())
    assert [bool(TEMPORARY.fullmatch(name)) for name in listing(server.root)] == [True]
    sending.file.path.unlink()
    claim = sending.claim()
    way_to(limited()).send(sending.file.path, claim)
    assert listing(server.root) == {NAME: b"sealed bytes"}
    assert claim.delivery.state is State.COMMITTED


def test_upload_that_vanishes_after_a_refusal(limited: StartServer, ledger: Ledger, tmp_path: Path) -> None:
    """An upload that vanishes after the server had refused its rename was not delivered by us: a person has to look."""
    server = limited("-P", "rename,posix-rename")
    sending = Sending(tmp_path, ledger, server.root)
    with pytest.raises(RemoteFolderError):
        way_to(server).send(sending.file.path, sending.claim())
    for leftover in server.root.iterdir():
        leftover.unlink()
    with pytest.raises(DeliveryInDoubtError, match="vanished before its rename"):
        way_to(limited()).send(sending.file.path, sending.claim())


@pytest.mark.parametrize(
    ("denied", "expected"),
    [
        ("posix-rename", DeliveryInDoubtError),
        ("rename", DeliveryInDoubtError),
        ("stat,lstat", TransportError),  # the server only says "failure", and does not let us see why
        ("rename,stat,lstat", RemoteFolderError),
    ],
)
def test_foreign_file_is_never_replaced(
    denied: str, expected: type[LiveRampError], limited: StartServer, ledger: Ledger, tmp_path: Path
) -> None:
    """Somebody else's file under the final name stays, ours stays beside it, and both are whole."""
    server = limited("-P", denied)
    sending = Sending(tmp_path, ledger, server.root)
    (server.root / NAME).write_bytes(b"somebody's")
    with pytest.raises(expected):
        way_to(server).send(sending.file.path, sending.claim())
    assert sorted(listing(server.root).values()) == [b"sealed bytes", b"somebody's"]
    assert (server.root / NAME).read_bytes() == b"somebody's"


def test_doubt_is_final(server: OpenSshServer, sending: Sending) -> None:
    """Once in doubt, a delivery is not even begun again: the error says where to look."""
    (sending.folder / NAME).write_bytes(b"somebody's")
    with pytest.raises(DeliveryInDoubtError, match=re.escape(f"{sending.folder}/{NAME}: there is another file")):
        way_to(server).send(sending.file.path, sending.claim())
    with pytest.raises(DeliveryInDoubtError, match="the receiver's list of files"):
        sending.claim(holder="run 2")
