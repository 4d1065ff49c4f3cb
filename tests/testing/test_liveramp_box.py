"""LiveRamp in a box as a test and an operating system see it: routing, PGP, restarts, privacy, its end."""

import asyncio
import gzip
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import paramiko
import pytest

from liveramp_provider.testing import LiveRampAudience, LiveRampBox
from liveramp_provider.testing.keys import CannotOpenError
from liveramp_provider.testing.private_files import private_folder
from tests.testing.box_client import DEVICE, PII, csv_of, people, pii_name, put, sealed, sftp, upload, with_client
from tests.testing.conftest import NewBox


def statuses(box: LiveRampBox) -> list[str]:
    """What became of the files, in order of arrival."""
    return [file.status for file in box.files()]


@pytest.mark.parametrize(
    ("folder", "name"), [("/uploads", pii_name(1)), (PII.folder, "3242_other-PII_2026-11-01.csv"),
                         (PII.folder, f"x{pii_name(1)}")]
)  # fmt: skip
def test_file_that_no_audience_takes_is_unrouted(box: LiveRampBox, folder: str, name: str) -> None:
    """A file is routed by its folder and by its whole name."""
    upload(box, name, csv_of(people()), folder=folder)
    (file,) = box.files()
    assert (file.status, file.audience, box.segments()) == ("unrouted", None, {PII.name: 0, DEVICE.name: 0})


def test_pattern_must_match_the_whole_name(new_box: NewBox) -> None:
    """A name that only begins as the pattern wants belongs to nobody."""
    box = new_box(replace(PII, filename=r"3242_high_value-PII_[0-9-]+\.csv"))
    upload(box, pii_name(1, ".csv.gz"), gzip.compress(csv_of(people())))
    assert statuses(box) == ["unrouted"]


def test_sealed_file_is_opened(box: LiveRampBox) -> None:
    """A zipped file encrypted to the published key is ingested, and a test can read its CSV."""
    name, content = pii_name(1, ".csv.gz.gpg"), csv_of(people())
    upload(box, name, sealed(content, box.pgp_public_key))
    (file,) = box.files()
    assert (file.status, file.problems, file.encrypted, file.rows) == ("ingested", (), True, 30)
    assert box.decrypted(name) == content


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.pgp", ".csv.gz.pgp"])
def test_every_ending_is_undone(box: LiveRampBox, ending: str) -> None:
    """Files may be plain, zipped only, encrypted only, or both."""
    content = csv_of(people())
    zipped = gzip.compress(content) if ".gz" in ending else content
    upload(box, pii_name(1, ending), sealed(zipped, box.pgp_public_key, zipped=False) if "pgp" in ending else zipped)
    assert statuses(box) == ["ingested"]
    assert box.decrypted(pii_name(1, ending)) == content


def test_published_key_has_a_separate_encryption_subkey(box: LiveRampBox, tmp_path: Path) -> None:
    """The fingerprint is the primary key's, which cannot encrypt; exactly one subkey can."""
    (tmp_path / "key.asc").write_text(box.pgp_public_key)
    listing = subprocess.run(
        ["gpg", "--homedir", str(tmp_path), "--batch", "--with-colons", "--show-keys", str(tmp_path / "key.asc")],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    fields = [line.split(":") for line in listing]
    can = [(field[0], field[11].strip("SCEA")) for field in fields if field[0] in ("pub", "sub")]
    assert [(kind, "".join(sorted(uses))) for kind, uses in can] == [("pub", "cs"), ("sub", "e")]
    assert next(field[9] for field in fields if field[0] == "fpr") == box.pgp_fingerprint
    assert len(box.pgp_fingerprint) == 40


def _second_key(tmp_path: Path) -> str:
    return LiveRampBox(tmp_path / "another", audiences=[]).pgp_public_key


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda box, tmp_path: sealed(csv_of(people()), _second_key(tmp_path)), "encrypted to another key"),
        (lambda box, tmp_path: sealed(csv_of(people()), box.pgp_public_key)[:-30], "integrity"),
        (lambda box, tmp_path: csv_of(people()), "not a PGP encrypted file"),
        (lambda box, tmp_path: b"", "not a PGP encrypted file"),
        (lambda box, tmp_path: sealed(csv_of(people()), box.pgp_public_key, zipped=False), "not a complete gzip"),
        (
            lambda box, tmp_path: sealed(csv_of(people()), box.pgp_public_key, "--set-filename", "stage.csv"),
            "another file name",
        ),
    ],
)
def test_file_that_cannot_be_opened_is_rejected(
    box: LiveRampBox, tmp_path: Path, damage: Callable[[LiveRampBox, Path], bytes], sentence: str
) -> None:
    """A file for another key, a damaged one, and one whose content is not what its name says are rejected."""
    upload(box, pii_name(1, ".csv.gz.gpg"), damage(box, tmp_path))
    (file,) = box.files()
    assert file.status == "rejected"
    assert sentence in file.problems[0]
    with pytest.raises(CannotOpenError):
        box.decrypted(file.name)


def test_flipped_byte_is_rejected(box: LiveRampBox) -> None:
    """One changed byte in the middle of an encrypted file is noticed."""
    content = bytearray(sealed(csv_of(people(range(2000))), box.pgp_public_key, zipped=False))
    content[len(content) // 2] ^= 1
    upload(box, pii_name(1, ".csv.gpg"), bytes(content))
    assert statuses(box) == ["rejected"]


def test_inner_file_name_may_be_the_delivered_one(box: LiveRampBox) -> None:
    """The PGP packet may carry the name that the file has without its last ending."""
    option = ("--set-filename", pii_name(1, ".csv.gz"))
    upload(box, pii_name(1, ".csv.gz.gpg"), sealed(csv_of(people()), box.pgp_public_key, *option))
    assert statuses(box) == ["ingested"]


def test_same_name_twice_is_two_files(box: LiveRampBox) -> None:
    """LiveRamp does not know names: a file that is sent again is received again, and `decrypted` shows the newest."""
    upload(box, pii_name(1), csv_of(people(range(30))))
    upload(box, pii_name(1), csv_of(people(range(40))))
    assert statuses(box) == ["ingested", "ingested"]
    assert box.decrypted(pii_name(1)) == csv_of(people(range(40)))


def test_restart_keeps_everything(new_box: NewBox) -> None:
    """After a restart the same keys, password, files, members and seed configuration are there."""
    box = new_box()
    upload(box, pii_name(1), csv_of(people()))
    identity = (box.password, box.host_key, box.pgp_public_key, box.pgp_fingerprint)
    before = (box.files(), box.members(PII.name), box.segments())
    box = new_box()
    assert (box.password, box.host_key, box.pgp_public_key, box.pgp_fingerprint) == identity
    assert (box.files(), box.members(PII.name), box.segments()) == before
    upload(box, pii_name(2), csv_of(people(), ["CCID", "EMAIL1", "OTHER"]))
    upload(box, pii_name(3, ".csv.gpg"), sealed(csv_of(people()), box.pgp_public_key, zipped=False))
    assert statuses(box) == ["ingested", "paused", "queued"]


def test_restart_keeps_paused_files(new_box: NewBox) -> None:
    """A paused audience is still paused after a restart, and can be mapped then."""
    box = new_box()
    for day, header in enumerate((["CCID", "EMAIL1", "A"], ["CCID", "EMAIL1", "B"], ["CCID", "EMAIL1", "B"]), 1):
        upload(box, pii_name(day), csv_of(people(), header))
    box = new_box()
    assert statuses(box) == ["ingested", "paused", "queued"]
    assert [file.status for file in box.map_paused(PII.name)] == ["ingested", "ingested"]
    assert statuses(new_box()) == ["ingested"] * 3


def test_file_of_an_interrupted_run_is_read_at_the_next_start(new_box: NewBox) -> None:
    """A finished file that the box had no time for, because it was killed, is not forgotten."""
    box = new_box()
    home = box.uploads.parent.parent
    (box.uploads / "high_value" / pii_name(1)).write_bytes(csv_of(people()))
    taken = home / "received" / "000001" / "uploads" / "high_value"
    taken.mkdir(parents=True)
    (taken / pii_name(2)).write_bytes(csv_of(people()))
    box = new_box()
    assert [(file.name, file.status) for file in box.files()] == [
        (pii_name(2), "ingested"), (pii_name(1), "ingested"),
    ]  # fmt: skip
    assert list((box.uploads / "high_value").iterdir()) == []
    assert stat.S_IMODE((home / "received/000002/uploads/high_value" / pii_name(1)).stat().st_mode) == 0o600


def test_everything_is_private(box: LiveRampBox) -> None:
    """Only the owner can read the box's home, whatever mode a client asks for and whatever the umask is."""
    home = box.uploads.parent.parent
    before = os.umask(0)
    try:
        upload(box, pii_name(1, ".csv.gpg"), sealed(csv_of(people()), box.pgp_public_key, zipped=False))
        with_client(box, lambda client: put(client, f"{PII.folder}/.left"))
        fresh = LiveRampBox(home.parent / "deep" / "fresh", audiences=[PII])
    finally:
        os.umask(before)
    paths = [home, *home.rglob("*"), fresh.uploads.parent.parent.parent, *(home.parent / "deep").rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in paths}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_home_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    """A home that was made by hand, with the usual mode, is closed to others."""
    (tmp_path / "home").mkdir(mode=0o755)
    assert stat.S_IMODE(private_folder(tmp_path / "home").stat().st_mode) == 0o700


def test_connection_json_is_an_airflow_connection(box: LiveRampBox) -> None:
    """The JSON has the fields of Airflow's connections, and its host key is the server's."""
    connection = json.loads(box.connection_json())
    assert connection == {
        "conn_type": "liveramp", "host": "127.0.0.1", "port": box.port, "login": "acme",
        "password": box.password, "extra": {"host_key": box.host_key},
    }  # fmt: skip
    with socket.create_connection((box.host, box.port)) as plain, paramiko.Transport(plain) as transport:
        transport.start_client(timeout=10)
        offered = transport.get_remote_server_key()
    assert f"{offered.get_name()} {offered.get_base64()}" == box.host_key


def _agents(scratch: Path) -> set[str]:
    found = subprocess.run(["ps", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    return {line for line in found.splitlines() if "gpg-agent" in line and str(scratch) in line}


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_nothing_is_left_running(new_box: NewBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the box has stopped there is no thread, no open port, no gpg-agent and no GnuPG home."""
    # A short path: the agent's socket lies below it.
    scratch = Path(tempfile.mkdtemp(prefix="t-"))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = {thread.name for thread in threading.enumerate()}
    with LiveRampBox(tmp_path / "other", audiences=[PII]) as box:
        upload(box, pii_name(1, ".csv.gpg"), sealed(csv_of(people()), box.pgp_public_key, zipped=False))
        assert statuses(box) == ["ingested"]
        address = (box.host, box.port)
    assert {thread.name for thread in threading.enumerate()} - before == set()
    assert _agents(scratch) == set()
    scratch.rmdir()  # which it refuses when anything is left in it
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_stopping_closes_connections(new_box: NewBox, tmp_path: Path) -> None:
    """A client that is still connected loses its connection when the box stops, and the box does not hang."""

    async def work() -> None:
        with LiveRampBox(tmp_path / "other", audiences=[PII]) as box:
            session = sftp(box)
            client = await session.__aenter__()
            await asyncio.to_thread(box.__exit__, None, None, None)
            with pytest.raises((asyncssh.SFTPError, asyncssh.Error)):
                await client.listdir("/uploads")
            with pytest.raises(RuntimeError):
                _ = box.port

    asyncio.run(asyncio.wait_for(work(), 20))


def test_uploads_at_once_are_all_ingested(box: LiveRampBox) -> None:
    """Files that arrive at the same time are read one after the other, and none is lost."""

    async def one(day: int) -> None:
        async with sftp(box) as client:
            async with client.open(f"{PII.folder}/.{day}", "xb") as file:
                await file.write(csv_of(people(range(day * 100, day * 100 + 30))))
            await client.rename(f"{PII.folder}/.{day}", f"{PII.folder}/{pii_name(day)}")

    async def all_of_them() -> None:
        await asyncio.gather(*(one(day) for day in range(1, 9)))

    asyncio.run(all_of_them())
    assert statuses(box) == ["ingested"] * 8
    assert box.segments()[PII.name] == 240


@pytest.mark.parametrize("folder", ["uploads/a", "/a", "/uploads/../a", "/uploads/a/", "/uploads//a"])
def test_audience_needs_a_folder_below_uploads(folder: str) -> None:
    """An audience that could never receive a file is refused when it is written down."""
    with pytest.raises(ValueError, match="folder"):
        replace(PII, folder=folder)


def test_audience_needs_a_regular_expression() -> None:
    """A broken file name pattern is refused when it is written down."""
    with pytest.raises(ValueError, match="regular expression"):
        replace(PII, filename="(")


def test_audiences_of_one_name_are_refused(new_box: NewBox) -> None:
    """Two audiences cannot share a name, because members are asked for by name."""
    with pytest.raises(ValueError, match="same name"):
        new_box(PII, LiveRampAudience(name=PII.name, folder="/uploads/b", filename="b.*", kind="known"))


def test_box_imports_no_other_part_of_the_provider() -> None:
    """The box is an independent check: it uses neither the provider's code nor Airflow nor a data frame."""
    script = (
        "import sys, liveramp_provider.testing\n"
        "ours = [m for m in sys.modules if m.startswith('liveramp_provider.') and '.testing' not in m]\n"
        "heavy = [m for m in ('airflow', 'pandas', 'ibis', 'duckdb', 'pyarrow') if m in sys.modules]\n"
        "print(ours + heavy)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
