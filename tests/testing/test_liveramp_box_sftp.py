"""What an SFTP client can and cannot do with LiveRamp in a box, and when a file is picked up."""

import asyncio
import hashlib
from base64 import decodebytes
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from liveramp_provider.testing import LiveRampBox
from tests.testing.box_client import PII, csv_of, people, pii_name, put, sftp, upload, with_client
from tests.testing.conftest import NewBox

FINAL = f"{PII.folder}/{pii_name(1)}"


def statuses(box: LiveRampBox) -> list[str]:
    """What became of the files, in order of arrival."""
    return [file.status for file in box.files()]


def test_renamed_file_is_ingested_when_the_rename_returns(box: LiveRampBox) -> None:
    """An upload with a rename is read, decided and gone from the folder when the client has its answer."""
    content = csv_of(people())
    upload(box, pii_name(1), content)
    (file,) = box.files()
    assert (file.status, file.problems, file.rows, file.unique_keys) == ("ingested", (), 30, 30)
    assert (file.name, file.folder, file.audience) == (pii_name(1), PII.folder, PII.name)
    assert (file.header, file.size_bytes, file.encrypted) == (("CCID", "EMAIL1", "HIGH_VALUE"), len(content), False)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert list((box.uploads / "high_value").iterdir()) == []


def test_closed_file_is_picked_up(box: LiveRampBox) -> None:
    """A file written directly under its final name is picked up when it is closed."""

    async def work(client: asyncssh.SFTPClient) -> list[str]:
        async with client.open(FINAL, "xb") as file:
            await file.write(csv_of(people()))
            assert box.files() == ()
        return list(await client.listdir(PII.folder))

    assert pii_name(1) not in with_client(box, work)
    assert statuses(box) == ["ingested"]


def test_file_of_a_lost_connection_is_picked_up_half_written(box: LiveRampBox) -> None:
    """Nobody protects a client that writes under the final name: what is there when its connection breaks is taken."""

    async def work() -> None:
        async with sftp(box) as client:
            file = await client.open(FINAL, "xb")
            await file.write(csv_of(people())[:200])
            client.exit()
            await client.wait_closed()
            for _ in range(500):
                if box.files():
                    return
                await asyncio.sleep(0.01)

    asyncio.run(work())
    assert [file.size_bytes for file in box.files()] == [200]


def test_uploads_are_cut_as_often_as_asked(box: LiveRampBox) -> None:
    """The line is dead in the middle of the next two uploads, half of the bytes are kept, and the third one works."""

    async def upload(client: asyncssh.SFTPClient) -> None:
        async with client.open(f"{PII.folder}/.upload", "wb") as file:
            await file.write(b"0123456789")

    box.cut_uploads(2)
    for _ in range(2):
        with pytest.raises(asyncssh.Error):
            with_client(box, upload)
        assert (box.uploads / "high_value" / ".upload").read_bytes() == b"01234"
    with_client(box, upload)
    assert (box.uploads / "high_value" / ".upload").read_bytes() == b"0123456789"


@pytest.mark.parametrize("name", [".hidden.csv", "_hidden.csv"])
def test_dot_and_underscore_names_are_not_picked_up(box: LiveRampBox, name: str) -> None:
    """Temporary names stay where they are until they are renamed or removed."""

    async def work(client: asyncssh.SFTPClient) -> None:
        async with client.open(f"{PII.folder}/.first", "xb") as file:
            await file.write(csv_of(people()))
        await client.rename(f"{PII.folder}/.first", f"{PII.folder}/{name}")

    with_client(box, work)
    assert box.files() == ()
    assert [path.name for path in (box.uploads / "high_value").iterdir()] == [name]


def test_posix_rename_picks_up(box: LiveRampBox) -> None:
    """OpenSSH's own rename counts as much as the standard one."""

    async def work(client: asyncssh.SFTPClient) -> None:
        async with client.open(f"{PII.folder}/.first", "xb") as file:
            await file.write(csv_of(people()))
        await client.posix_rename(f"{PII.folder}/.first", FINAL)

    with_client(box, work)
    assert statuses(box) == ["ingested"]


def test_paramiko_can_deliver(box: LiveRampBox) -> None:
    """Airflow's own SFTP hook is paramiko, so paramiko must get along with the box and its host key."""
    key = paramiko.Ed25519Key(data=decodebytes(box.host_key.split()[1].encode()))
    with paramiko.SSHClient() as client:
        client.get_host_keys().add(f"[{box.host}]:{box.port}", "ssh-ed25519", key)
        client.connect(box.host, box.port, box.username, box.password, look_for_keys=False, allow_agent=False)
        with client.open_sftp() as session:
            with session.open(f"{PII.folder}/.first", "wx") as file:
                file.write(csv_of(people()))
                assert file.stat().st_size == len(csv_of(people()))
            session.rename(f"{PII.folder}/.first", FINAL)
    assert statuses(box) == ["ingested"]


@pytest.mark.parametrize("login", [{"username": "somebody"}, {"password": "wrong"}])
def test_strangers_are_refused(box: LiveRampBox, login: dict[str, str]) -> None:
    """Another user or another password does not get in."""
    with pytest.raises(asyncssh.PermissionDenied):
        with_client(box, lambda client: client.listdir("/uploads"), **login)


def test_public_key_gets_in_once_it_is_authorised(new_box: NewBox) -> None:
    """A public key works after it was registered, over restarts, and not before."""
    box, key = new_box(), asyncssh.generate_private_key("ssh-ed25519")
    login = {"password": None, "client_keys": [key]}
    with pytest.raises(asyncssh.PermissionDenied):
        with_client(box, lambda client: client.listdir("/uploads"), **login)
    box.authorize_key(key.export_public_key().decode())
    assert "high_value" in with_client(new_box(), lambda client: client.listdir("/uploads"), **login)


def test_no_shell(box: LiveRampBox) -> None:
    """The account is for files only."""

    async def work() -> None:
        async with asyncssh.connect(
            box.host, box.port, username=box.username, password=box.password, known_hosts=None, config=None
        ) as connection:
            await connection.run("id")

    with pytest.raises(asyncssh.ChannelOpenError):
        asyncio.run(work())


@pytest.mark.parametrize("path", ["/uploads/nowhere/a.csv", "/uploads/nowhere/.a.tmp"])
def test_missing_folder_is_refused(box: LiveRampBox, path: str) -> None:
    """A folder that LiveRamp has not made does not exist."""
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        with_client(box, lambda client: put(client, path))


def test_rename_into_missing_folder_is_refused(box: LiveRampBox) -> None:
    """A rename cannot make a folder either, and leaves the file where it was."""

    async def work(client: asyncssh.SFTPClient) -> bool:
        await put(client, f"{PII.folder}/.first")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await client.rename(f"{PII.folder}/.first", "/uploads/nowhere/a.csv")
        return await client.exists(f"{PII.folder}/.first")

    assert with_client(box, work)


@pytest.mark.parametrize("path", ["/a.csv", "/etc/a.csv", "/uploads", "/uploads/../a.csv", "../../../../tmp/a.csv"])
def test_places_outside_uploads_are_refused(box: LiveRampBox, path: str) -> None:
    """There is nothing but /uploads, and it is a folder."""
    with pytest.raises((asyncssh.SFTPPermissionDenied, asyncssh.SFTPNoSuchFile)):
        with_client(box, lambda client: put(client, path))


def test_links_do_not_lead_out_of_the_box(box: LiveRampBox, tmp_path: Path) -> None:
    """A link that somebody made on the machine is not followed."""
    (box.uploads / "out").symlink_to(tmp_path)
    (box.uploads / "high_value" / ".link").symlink_to(tmp_path / "secret")
    for path in ("/uploads/out/.a", f"{PII.folder}/.link"):
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            with_client(box, partial(put, path=path))
    assert not (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client: client.mkdir(f"{PII.folder}/new"),
        lambda client: client.rmdir(PII.folder),
        lambda client: client.symlink("/uploads", f"{PII.folder}/.link"),
        lambda client: client.link(f"{PII.folder}/.first", f"{PII.folder}/.link"),
        lambda client: client.chmod(f"{PII.folder}/.first", 0o777),
        lambda client: client.readlink(f"{PII.folder}/.first"),
    ],
)
def test_what_liveramp_does_not_promise_is_refused(
    box: LiveRampBox, forbidden: Callable[[asyncssh.SFTPClient], Awaitable[Any]]
) -> None:
    """No folders, no links, no attributes: a client that needs them would fail at LiveRamp."""

    async def work(client: asyncssh.SFTPClient) -> None:
        await put(client, f"{PII.folder}/.first")
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await forbidden(client)

    with_client(box, work)


def test_exclusive_create_and_plain_rename_do_not_replace(box: LiveRampBox) -> None:
    """A name that is taken stays taken; only posix-rename replaces a file."""

    async def work(client: asyncssh.SFTPClient) -> None:
        await put(client, f"{PII.folder}/.first")
        await put(client, f"{PII.folder}/.second")
        with pytest.raises(asyncssh.SFTPError):
            await put(client, f"{PII.folder}/.first")
        with pytest.raises(asyncssh.SFTPError):
            await client.rename(f"{PII.folder}/.first", f"{PII.folder}/.second")
        await client.posix_rename(f"{PII.folder}/.first", f"{PII.folder}/.second")
        await client.remove(f"{PII.folder}/.second")
        assert not await client.exists(f"{PII.folder}/.second")

    with_client(box, work)
    assert box.files() == ()
