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
    ConnectionConfigError,
    CredentialsError,
    DeliveryInDoubtError,
    HostKeyError,
    LiveRampError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.testing import LiveRampBox
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


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveRampBox]:
    """A receiver that knows passwords, which OpenSSH does only for users of the machine."""
    with LiveRampBox(tmp_path / "box", audiences=[]) as box:
        yield box


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


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
def test_wrong_host_key(kind: str, server: OpenSshServer, sending: Sending) -> None:
    """A server with another key than the pinned one, of the same kind or not, gets no login attempt and no byte."""
    before = len(server.log)
    with pytest.raises(HostKeyError, match=rf"{server.host}:{server.port} shows a host key"):
        way_to(server, host_keys=(public_text(other_key(kind)),)).send(sending.file.path, sending.claim())
    wait_until(lambda: "Disconnected from" in server.log[before:], "the server to see us leave")
    assert "userauth" not in server.log[before:]
    assert listing(sending.folder) == {}


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


def test_broken_known_hosts(server: OpenSshServer, folder: Path, tmp_path: Path) -> None:
    """A known_hosts file that cannot be read as one is named, before any connection."""
    known = tmp_path / "known_hosts"
    known.write_text("what?\n")
    with pytest.raises(ConnectionConfigError, match=re.escape(str(known))):
        way_to(server, host_keys=(), known_hosts=str(known)).check(str(folder))


def test_wrong_private_key(server: OpenSshServer, sending: Sending) -> None:
    """A key the server does not know is a fault of the connection, and is not tried again."""
    with pytest.raises(CredentialsError, match=rf"refused the login of {server.username}"):
        way_to(server, private_key=other_key().export_private_key().decode()).send(sending.file.path, sending.claim())
    assert listing(sending.folder) == {}


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
        with pytest.raises(fault, match="private_key cannot be read"):
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
    with pytest.raises(RemoteFolderError, match=re.escape(f"does not let us write and rename in {server.root}")):
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
    with pytest.raises(RemoteFolderError, match="does not let us write and rename"):
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


@pytest.mark.parametrize("options", [(), ("-P", "rename"), ("-P", "rename,stat,lstat")])
def test_foreign_file_is_never_replaced(
    options: tuple[str, ...], limited: StartServer, ledger: Ledger, tmp_path: Path
) -> None:
    """Somebody else's file under the final name stays, ours stays beside it, and both are whole."""
    server = limited(*options)
    sending = Sending(tmp_path, ledger, server.root)
    (server.root / NAME).write_bytes(b"somebody's")
    blind = "stat" in "".join(options)
    with pytest.raises(RemoteFolderError if blind else DeliveryInDoubtError):
        way_to(server).send(sending.file.path, sending.claim())
    assert sorted(listing(server.root).values()) == [b"sealed bytes", b"somebody's"]
    assert (server.root / NAME).read_bytes() == b"somebody's"


def test_doubt_is_final(server: OpenSshServer, sending: Sending) -> None:
    """Once in doubt, a delivery is not even begun again: the error says where to look."""
    (sending.folder / NAME).write_bytes(b"somebody's")
    with pytest.raises(DeliveryInDoubtError, match=re.escape(f"{sending.folder}/{NAME}: there is another file")):
        way_to(server).send(sending.file.path, sending.claim())
    with pytest.raises(DeliveryInDoubtError, match="LiveRamp's Files page"):
        sending.claim(holder="run 2")


def test_no_secret_in_a_repr(server: OpenSshServer) -> None:
    """Neither password, key nor passphrase shows when a transport is printed."""
    way = way_to(server, password="open sesame", passphrase="abracadabra")
    assert not any(secret in repr(way) for secret in ("sesame", "abracadabra", server.private_key, "PRIVATE KEY"))
