"""A real SFTP client and a real GnuPG for the tests of LiveRamp in a box, and small good files to begin with."""

import asyncio
import gzip
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from liveramp_provider.testing import LiveRampAudience, LiveRampBox

PII = LiveRampAudience(
    name="High value-PII", folder="/uploads/high_value", filename=r"3242_high_value-PII_.*", kind="known"
)
DEVICE = LiveRampAudience(
    name="High value-D", folder="/uploads/high_value", filename=r"3242_high_value-D_.*", kind="pseudonymous"
)
PII_HEADER = ["CCID", "EMAIL1", "HIGH_VALUE"]


def person(number: int) -> list[str]:
    """One good row of a PII file."""
    return [f"M{number:04}", f"person{number}@example.com", "1"]


def people(numbers: range = range(30)) -> list[list[str]]:
    """Good rows of a PII file, one for every number."""
    return [person(number) for number in numbers]


def csv_of(rows: list[list[str]], header: list[str] | None = None, *, quoted: bool = True) -> bytes:
    """The rows under a header as CSV, every field quoted or none."""
    mark = '"' if quoted else ""
    lines = [",".join(f"{mark}{cell}{mark}" for cell in row) for row in [header or PII_HEADER, *rows]]
    return "".join(f"{line}\n" for line in lines).encode()


def pii_name(day: int, ending: str = ".csv") -> str:
    """The name of the PII file of a day in November."""
    return f"3242_high_value-PII_2026-11-{day:02}{ending}"


@asynccontextmanager
async def sftp(box: LiveRampBox, **login: Any) -> AsyncIterator[asyncssh.SFTPClient]:
    """An SFTP session with the box that trusts the box's host key and no other."""
    hosts = asyncssh.import_known_hosts(f"[{box.host}]:{box.port} {box.host_key}")
    options = {"username": box.username, "password": box.password, "client_keys": None, "agent_path": None} | login
    async with (
        asyncssh.connect(box.host, box.port, known_hosts=hosts, config=None, **options) as connection,
        connection.start_sftp_client() as client,
    ):
        yield client


def with_client(box: LiveRampBox, work: Callable[[asyncssh.SFTPClient], Awaitable[Any]], **login: Any) -> Any:
    """Run `work` with an SFTP session and return what it returns."""

    async def session() -> Any:
        async with sftp(box, **login) as client:
            return await work(client)

    return asyncio.run(session())


def upload(box: LiveRampBox, name: str, content: bytes, *, folder: str = PII.folder) -> None:
    """Put a file the careful way: exclusively under a dot-name, then renamed."""

    async def work(client: asyncssh.SFTPClient) -> None:
        async with client.open(f"{folder}/.upload.tmp", "xb") as file:
            await file.write(content)
        await client.rename(f"{folder}/.upload.tmp", f"{folder}/{name}")

    with_client(box, work)


def sealed(content: bytes, public_key: str, *options: str, zipped: bool = True) -> bytes:
    """The content zipped and encrypted by GnuPG to the only encryption subkey of `public_key`."""
    with tempfile.TemporaryDirectory(prefix="lrtest-") as home:
        Path(home, "key.asc").write_text(public_key, encoding="ascii")
        return subprocess.run(
            ["gpg", "--homedir", home, "--batch", "--quiet", "--compress-algo", "none", *options,
             "--recipient-file", f"{home}/key.asc", "--encrypt"],
            input=gzip.compress(content, mtime=0) if zipped else content, capture_output=True, check=True,
        ).stdout  # fmt: skip


async def put(client: asyncssh.SFTPClient, path: str) -> None:
    """Create a file of one byte, exclusively."""
    async with client.open(path, "xb") as file:
        await file.write(b"x")
