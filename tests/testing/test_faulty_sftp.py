"""The faulty SFTP server by itself, with a plain client: who takes what when, and that it misbehaves only as told."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from liveramp_provider.testing.sftp import ALWAYS, LOOKED, Fault, FaultySftp, Pickup

CONTENT = random.Random(3).randbytes(200_000)
TEMPORARY, FINAL = f"{FaultySftp.folder}/.x.tmp", f"{FaultySftp.folder}/people.csv"
SHORTLY = {"patience_s": 0.5}
CUT = (asyncssh.Error, OSError)

Work = Callable[[asyncssh.SFTPClient], Awaitable[Any]]


def talk(sftp: FaultySftp, work: Work, *, patience_s: float = 20, **options: Any) -> Any:
    """What `work` gives in a session of its own; whoever has not been answered for long hangs up."""

    async def session() -> Any:
        login = {"username": sftp.username, "password": sftp.password, "client_keys": None, "config": None}
        trusted = ([asyncssh.import_public_key(sftp.host_key)], [], [])
        connection = await asyncssh.connect(sftp.host, sftp.port, known_hosts=trusted, **login, **options)
        asyncio.get_running_loop().call_later(patience_s, connection.abort)
        try:
            return await work(await connection.start_sftp_client())
        finally:
            connection.abort()

    return asyncio.run(session())


async def write(client: asyncssh.SFTPClient, path: str = TEMPORARY, content: bytes = CONTENT) -> None:
    """One request after the other, so that tests can count them."""
    async with client.open(path, "wb", max_requests=1, block_size=20_000) as file:
        await file.write(content)


async def upload(client: asyncssh.SFTPClient) -> None:
    """As a careful client does it."""
    await write(client)
    await client.rename(TEMPORARY, FINAL)


async def upload_directly(client: asyncssh.SFTPClient) -> None:
    await write(client, FINAL)


@pytest.fixture
def sftp(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FaultySftp]:
    """Of class B, or what the test's parameter says."""
    with FaultySftp(tmp_path / "sftp", pickup=getattr(request, "param", Pickup.B)) as running:
        yield running


def every(*pickups: Pickup) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sftp", pickups, indirect=True, ids=[pickup.name for pickup in pickups])


# Who takes what when.


@every(Pickup.A)
def test_a_looks_from_time_to_time(sftp: FaultySftp) -> None:
    """Class A takes what has a final name when it looks, and nothing before."""
    talk(sftp, upload)
    assert sftp.taken == ()
    sftp.poll()
    assert sftp.taken == (("people.csv", CONTENT),)


@every(Pickup.B, Pickup.C)
def test_b_and_c_take_at_once(sftp: FaultySftp) -> None:
    """By the time the rename is answered, the file is gone."""

    async def upload_and_compare(client: asyncssh.SFTPClient) -> None:
        await write(client)
        assert sftp.taken == ()
        await client.rename(TEMPORARY, FINAL)
        assert sftp.taken == (("people.csv", CONTENT),)

    talk(sftp, upload_and_compare)


@every(Pickup.D, Pickup.E)
def test_d_and_e_rename_nothing(sftp: FaultySftp) -> None:
    """Neither kind of rename is allowed, and the temporary name stays."""
    for rename in ("rename", "posix_rename"):
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            talk(sftp, lambda client, rename=rename: write_and(getattr(client, rename), client))
    sftp.poll()
    assert (sftp.taken, sftp.leftovers) == ((), (".x.tmp",))


async def write_and(rename: Callable[[str, str], Awaitable[None]], client: asyncssh.SFTPClient) -> None:
    await write(client)
    await rename(TEMPORARY, FINAL)


@every(Pickup.B, Pickup.D)
def test_taken_when_closed(sftp: FaultySftp) -> None:
    """A file written under its final name is taken when it is closed, before the client knows."""

    async def write_and_look(client: asyncssh.SFTPClient) -> None:
        await upload_directly(client)
        assert sftp.taken == (("people.csv", CONTENT),)

    talk(sftp, write_and_look)


@every(Pickup.E)
def test_e_takes_when_the_session_ends(sftp: FaultySftp) -> None:
    """Class E takes what is there once the client has gone."""

    async def write_and_look(client: asyncssh.SFTPClient) -> None:
        await upload_directly(client)
        assert sftp.taken == ()

    talk(sftp, write_and_look)
    sftp.poll()
    assert sftp.taken == (("people.csv", CONTENT),)


@every(Pickup.C, Pickup.E)
def test_c_and_e_tell_nothing(sftp: FaultySftp) -> None:
    """Neither an open file nor a name nor a folder may be looked at."""

    async def look(client: asyncssh.SFTPClient) -> None:
        async with client.open(TEMPORARY, "wb") as file:
            for question in (file.stat(), client.stat(FINAL), client.lstat(FINAL), client.listdir(sftp.folder)):
                with pytest.raises(asyncssh.SFTPPermissionDenied):
                    await question

    talk(sftp, look)


def test_every_arrival_counts(sftp: FaultySftp) -> None:
    """A client that sends twice is seen."""
    talk(sftp, upload)
    talk(sftp, upload)
    assert sftp.taken == (("people.csv", CONTENT),) * 2


def test_calls_are_counted(sftp: FaultySftp) -> None:
    """Every operation counts, and looks at a final name by themselves; those at other names do not."""

    async def look(client: asyncssh.SFTPClient) -> None:
        await upload(client)
        await client.stat(sftp.folder)
        assert sftp.calls[LOOKED] == 0
        assert not await client.exists(FINAL)
        await client.listdir(sftp.folder)

    talk(sftp, look)
    calls = sftp.calls
    assert {name: calls[name] for name in ("open", "write", "close", "rename")} == {
        "open": 1,
        "write": 10,
        "close": 1,
        "rename": 1,
    }
    assert (calls["stat"], calls[LOOKED]) == (2, 2)


def test_connection_json(sftp: FaultySftp) -> None:
    """The connection for Airflow has all that a client needs, the host key included."""
    told = json.loads(sftp.connection_json())
    assert (told["host"], told["port"], told["login"]) == (sftp.host, sftp.port, sftp.username)
    assert (told["password"], told["extra"]) == (sftp.password, {"host_key": sftp.host_key})


# What it can be told to do wrong.


@pytest.mark.parametrize("at", [1, 19_999, 20_000, 20_001, 200_000])
@every(Pickup.A)
def test_drop_at(at: int, sftp: FaultySftp) -> None:
    """The line is dead when that byte has come, and just so many bytes are kept; the next session works."""
    sftp.misbehave(Fault.DROP_AT, at=at)
    with pytest.raises(CUT):
        talk(sftp, upload)
    sftp.settle()
    assert (sftp.drop / ".x.tmp").read_bytes() == CONTENT[:at]
    talk(sftp, upload)
    sftp.poll()
    assert sftp.taken == (("people.csv", CONTENT),)


@every(Pickup.B, Pickup.D, Pickup.E)
def test_torso_is_taken(sftp: FaultySftp) -> None:
    """What a dead client leaves under a final name, these take as it is."""
    sftp.misbehave(Fault.DROP_AT, at=70_000)
    with pytest.raises(CUT):
        talk(sftp, upload_directly)
    sftp.poll()
    assert sftp.taken == (("people.csv", CONTENT[:70_000]),)


@pytest.mark.parametrize("at", [1, 4, 10])
def test_failing_write(at: int, sftp: FaultySftp) -> None:
    """The write of that number fails and leaves a hole; the others are kept."""

    async def write_all(client: asyncssh.SFTPClient) -> list[int]:
        failed = []
        async with client.open(TEMPORARY, "wb", max_requests=1, block_size=20_000) as file:
            for number in range(10):
                start = number * 20_000
                try:
                    await file.write(CONTENT[start : start + 20_000], start)
                except asyncssh.SFTPFailure:
                    failed.append(number + 1)
        return failed

    sftp.misbehave(Fault.FAIL_WRITE, at=at)
    assert talk(sftp, write_all) == [at]
    assert talk(sftp, write_all) == []


@every(Pickup.A)
def test_quota(sftp: FaultySftp) -> None:
    """Just as much as there is room for is kept, and every later write fails."""
    sftp.misbehave(Fault.QUOTA, at=50_000)
    with pytest.raises(asyncssh.SFTPFailure):
        talk(sftp, upload)
    sftp.settle()
    assert (sftp.drop / ".x.tmp").read_bytes() == CONTENT[:50_000]
    sftp.misbehave(Fault.QUOTA, at=len(CONTENT))
    talk(sftp, upload)


@every(Pickup.A)
def test_short(sftp: FaultySftp) -> None:
    """The client is told that all went well, and the size tells the truth."""

    async def write_and_ask(client: asyncssh.SFTPClient) -> int | None:
        async with client.open(TEMPORARY, "wb") as file:
            await file.write(CONTENT)
            return (await file.stat()).size

    sftp.misbehave(Fault.SHORT, at=199_999)
    assert talk(sftp, write_and_ask) == 199_999


@every(Pickup.A)
def test_backward_answers(sftp: FaultySftp) -> None:
    """What is written at the same time is answered from the last to the first, and all of it is kept."""

    async def write_at_once(client: asyncssh.SFTPClient) -> list[int]:
        answered: list[int] = []
        async with client.open(TEMPORARY, "wb") as file:

            async def write_one(number: int) -> None:
                await file.write(CONTENT[number * 20_000 : (number + 1) * 20_000], number * 20_000)
                answered.append(number)

            await asyncio.gather(*map(write_one, range(10)))
        return answered

    assert talk(sftp, write_at_once) == list(range(10))
    sftp.misbehave(Fault.BACKWARD)
    assert talk(sftp, write_at_once) == list(range(9, -1, -1))
    assert (sftp.drop / ".x.tmp").read_bytes() == CONTENT


@every(Pickup.D)
def test_failing_close(sftp: FaultySftp) -> None:
    """A close that fails loses bytes, says so, and is no reason to take the file."""
    sftp.misbehave(Fault.FAIL_CLOSE)
    with pytest.raises(asyncssh.SFTPFailure):
        talk(sftp, upload_directly)
    sftp.poll()
    assert (sftp.drop / "people.csv").read_bytes() == CONTENT[:100_000]
    assert sftp.taken == ()


@every(Pickup.D)
def test_lost_answer_to_a_close(sftp: FaultySftp) -> None:
    """The file is closed and taken, and the client is never told."""
    sftp.misbehave(Fault.LOSE_CLOSE_REPLY)
    with pytest.raises(CUT):
        talk(sftp, upload_directly)
    assert sftp.taken == (("people.csv", CONTENT),)


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.RENAME_REFUSED, asyncssh.SFTPPermissionDenied), (Fault.RENAME_FAILS, asyncssh.SFTPFailure)],
)
def test_refused_renames(fault: Fault, error: type[Exception], sftp: FaultySftp) -> None:
    """In as many sessions as was said, neither kind of rename works, however often it is tried; then it does."""

    async def try_both(client: asyncssh.SFTPClient) -> None:
        await write(client)
        for rename in (client.rename, client.posix_rename, client.rename):
            with pytest.raises(error):
                await rename(TEMPORARY, FINAL)

    sftp.misbehave(fault, times=2)
    talk(sftp, try_both)
    talk(sftp, try_both)
    talk(sftp, upload)
    assert sftp.taken == (("people.csv", CONTENT),)


@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        (Fault.DROP_BEFORE_RENAME, False),
        (Fault.DROP_AFTER_RENAME, True),
        (Fault.STALL_RENAME, False),
        (Fault.STALL_AFTER_RENAME, True),
    ],
)
def test_renames_without_an_answer(fault: Fault, arrives: bool, sftp: FaultySftp) -> None:
    """The client cannot tell whether the rename was done; here it is known."""
    sftp.misbehave(fault)
    with pytest.raises(CUT):
        talk(sftp, upload, **SHORTLY)
    sftp.poll()
    assert sftp.taken == ((("people.csv", CONTENT),) if arrives else ())
    assert sftp.leftovers == (() if arrives else (".x.tmp",))


@pytest.mark.parametrize(
    ("fault", "kept"),
    [(Fault.STALL_OPEN, None), (Fault.STALL_WRITE, 70_000), (Fault.STALL_FSTAT, 200_000), (Fault.STALL_CLOSE, 200_000)],
)
@every(Pickup.A)
def test_stalls(fault: Fault, kept: int | None, sftp: FaultySftp) -> None:
    """Not a word, while the connection itself stays alive, until the client gives up."""

    async def careful(client: asyncssh.SFTPClient) -> None:
        async with client.open(TEMPORARY, "wb", max_requests=1, block_size=20_000) as file:
            await file.write(CONTENT)
            await file.stat()

    sftp.misbehave(fault, at=70_000)
    with pytest.raises(CUT):
        talk(sftp, careful, **SHORTLY, keepalive_interval=0.05, keepalive_count_max=1)
    sftp.settle()
    torso = sftp.drop / ".x.tmp"
    assert (torso.stat().st_size if torso.exists() else None) == kept


def test_slow(sftp: FaultySftp) -> None:
    """It takes as many bytes a second as was said."""
    sftp.misbehave(Fault.SLOW, at=100)
    with pytest.raises(CUT):
        talk(sftp, upload, **SHORTLY)
    sftp.misbehave(Fault.SLOW, at=100_000_000)
    talk(sftp, upload)
    assert sftp.taken == (("people.csv", CONTENT),)


@pytest.mark.parametrize(
    ("fault", "work"),
    [
        (Fault.STAT_DENIED, lambda client: client.stat(FaultySftp.folder)),
        (Fault.STAT_DENIED, lambda client: client.listdir(FaultySftp.folder)),
        (Fault.NO_PLAIN_RENAME, upload),
        (Fault.NO_REMOVE, lambda client: client.remove(TEMPORARY)),
    ],
)
def test_denials(fault: Fault, work: Work, sftp: FaultySftp) -> None:
    """What a server never allows is denied in every session."""
    sftp.misbehave(fault)
    for _ in range(3):
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            talk(sftp, work)
    assert sftp.taken == ()


def test_lost_behind_a_gateway(sftp: FaultySftp) -> None:
    """The server says that a connection is lost, and the client's own one lives on."""

    async def twice(client: asyncssh.SFTPClient) -> None:
        with pytest.raises(asyncssh.SFTPConnectionLost):
            await client.open(TEMPORARY, "wb")
        await client.stat(FaultySftp.folder)

    sftp.misbehave(Fault.LOSE_OPEN)
    talk(sftp, twice)
    assert list(sftp.drop.iterdir()) == []


def test_open_files_cannot_be_looked_at(sftp: FaultySftp) -> None:
    """Where only the look at an open file is denied, the one by name works."""

    async def look(client: asyncssh.SFTPClient) -> int | None:
        async with client.open(TEMPORARY, "wb") as file:
            await file.write(CONTENT)
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await file.stat()
        return (await client.stat(TEMPORARY)).size

    sftp.misbehave(Fault.FSTAT_DENIED)
    assert talk(sftp, look) == len(CONTENT)


def test_no_size(sftp: FaultySftp) -> None:
    """Files can be looked at, and nothing says how large they are."""

    async def look(client: asyncssh.SFTPClient) -> list[int | None]:
        async with client.open(TEMPORARY, "wb") as file:
            await file.write(CONTENT)
            looks = [await file.stat()]
        return [look.size for look in (*looks, await client.stat(TEMPORARY), await client.lstat(TEMPORARY))]

    sftp.misbehave(Fault.NO_SIZE)
    assert talk(sftp, look) == [None] * 3


def test_posix_rename_unknown(sftp: FaultySftp) -> None:
    """The rename that replaces is not known, the plain one works."""
    sftp.misbehave(Fault.NO_POSIX_RENAME)
    with pytest.raises(asyncssh.SFTPOpUnsupported):
        talk(sftp, lambda client: write_and(client.posix_rename, client))
    talk(sftp, upload)
    assert sftp.taken == (("people.csv", CONTENT),)


def test_often(sftp: FaultySftp) -> None:
    """A fault may be asked for always, also one that usually comes once."""
    sftp.misbehave(Fault.RENAME_FAILS, ALWAYS)
    for _ in range(3):
        with pytest.raises(asyncssh.SFTPFailure):
            talk(sftp, upload)


def test_stopping_frees_those_who_wait(tmp_path: Path) -> None:
    """A client whose answer never comes is set free when the server stops."""

    async def wait_for_ever(client: asyncssh.SFTPClient) -> None:
        writing = asyncio.ensure_future(write(client))
        while not sftp.calls["open"]:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(sftp.__exit__, None, None, None)
        await writing

    with FaultySftp(tmp_path / "sftp") as sftp:
        sftp.misbehave(Fault.STALL_OPEN)
        with pytest.raises(CUT):
            talk(sftp, wait_for_ever)
