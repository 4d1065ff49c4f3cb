"""Rows 1 to 20: what goes wrong between us and an SFTP server, of five kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports.sftp import Deadlines, SftpEndpoint, SftpTransport
from liveramp_provider.testing.sftp import ALWAYS, LOOKED, Fault, FaultySftp, Pickup
from tests.deliveries import NAME
from tests.faults.outcomes import DOUBT, ONCE, STOPPED, Outcome
from tests.faults.runner import CONTENT, TRIES, Case, Scene
from tests.servers import public_text

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from liveramp_provider.core.transports import Transport

RENAMING = (Pickup.A, Pickup.B, Pickup.C)
DIRECT = (Pickup.D, Pickup.E)
SOMEBODYS = b"somebody's"
#: What a person is asked about, or what turned out well after all.
ONCE_OR_DOUBT = ONCE | DOUBT
#: What a client puts into one write where the server does not say that it takes more, as many do.
_BLOCK_BYTES = 32 * 1024
_LIMITS = (b"limits@openssh.com", b"1")


@dataclass
class Server:
    """A faulty server, and a receiver behind it that keeps all it takes."""

    sftp: FaultySftp
    home: Path
    pickup: Pickup
    choices: dict[str, Any] = field(default_factory=dict)

    path = FaultySftp.folder
    in_worker: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def transport(self) -> Transport:
        return self.way()

    def way(self, *, operation_s: float = 60, **changes: Any) -> SftpTransport:
        """The right way to log in, apart from `changes`.

        :param operation_s: How long one operation may take.
        """
        right: dict[str, Any] = {
            "host": self.sftp.host,
            "port": self.sftp.port,
            "username": self.sftp.username,
            "password": self.sftp.password,
            "private_key": "",
            "passphrase": "",
            "host_keys": (self.sftp.host_key,),
            "known_hosts": "",
        }
        deadlines = Deadlines(operation_s=operation_s)
        return SftpTransport(SftpEndpoint(**(right | changes)), direct=self.pickup in DIRECT, deadlines=deadlines)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.sftp.password,)

    @property
    def takes_torsos(self) -> bool:
        return self.pickup in DIRECT

    def collect(self) -> None:
        self.sftp.poll()

    def copies(self) -> list[bytes]:
        return [content for _, content in self.sftp.taken if content != SOMEBODYS]

    def leftovers(self) -> list[str]:
        return list(self.sftp.leftovers)


@contextmanager
def receive(home: Path, *, pickup: Pickup, **options: Any) -> Iterator[Server]:
    """A server of that kind; where nothing can be renamed, the audience file says so.

    :param options: Of :func:`asyncssh.listen`.
    """
    with small_writes(), FaultySftp(home, pickup=pickup, **options) as sftp:
        yield Server(sftp, home, pickup, {"upload": "direct"} if pickup in DIRECT else {})


@contextmanager
def small_writes() -> Iterator[None]:
    """Servers started meanwhile do not offer to take 4 MiB at once, which is more than the whole file."""
    offered = asyncssh.sftp.SFTPServerHandler._extensions
    offered.remove(_LIMITS)
    try:
        yield
    finally:
        offered.append(_LIMITS)


def server_of(scene: Scene) -> Server:
    assert isinstance(scene.receiver, Server)
    return scene.receiver


def nothing_left(scene: Scene) -> str:
    """Whether something of ours lies at the receiver that it does not take."""
    # An upload that could not be renamed is kept for the next try.
    left = len(scene.receiver.leftovers()) if scene.got().whole else 0
    return f"{left} temporary files stay" if left else ""


def case(pickup: Pickup, row: int, name: str, promise: frozenset[Outcome], **changes: Any) -> Case:
    """A case at a server of that kind."""
    complain = nothing_left if pickup in RENAMING else (lambda _: "")
    options: dict[str, Any] = {"complain": complain} | changes
    way = f"SFTP {pickup.name}"
    return Case(row=row, name=name, way=way, promise=promise, receive=partial(receive, pickup=pickup), **options)


def faulty(
    pickup: Pickup, row: int, fault: Fault, *, at: int = 1, times: int | None = None, promise: frozenset[Outcome]
) -> Case:
    """A case in which the server misbehaves."""

    def inject(scene: Scene) -> None:
        server_of(scene).sftp.misbehave(fault, times, at=at)

    where = f", at {at:,}" if "`at`" in fault.value else ""
    often = "" if times in (None, 1) else ", always" if times == ALWAYS else f", {times}×"
    return case(pickup, row, f"{fault.name}{where}{often}", promise, inject=inject)


def first_by(scene: Scene, tries: int, **changes: Any) -> None:
    """The first tries take a wrong way."""
    scene.ways = [server_of(scene).way(**changes)] * tries


def connecting(pickup: Pickup) -> Iterator[Case]:
    """Rows 1, 16 and 19: nothing is ever begun, so that every kind of server is as good as any."""
    gone: dict[str, dict[str, Any]] = {
        "nobody listens": {"port": 1},
        "no such host": {"host": "nowhere.invalid"},
    }
    for name, changes in gone.items():
        for tries in (1, 3):
            yield case(pickup, 1, f"{name}, {tries}×", ONCE, inject=partial(first_by, tries=tries, **changes))
        yield case(pickup, 1, f"{name}, always", STOPPED, inject=partial(first_by, tries=99, **changes))
    wrong = {"inject": partial(first_by, tries=99, password="wrong"), "complain": tried_twice}
    yield case(pickup, 1, "wrong password", STOPPED, **wrong)
    yield case(pickup, 16, "no such folder", STOPPED, inject=into_a_missing_folder)
    other = public_text(asyncssh.generate_private_key("ssh-ed25519"))
    wrong = {"inject": partial(first_by, tries=99, host_keys=(other,)), "complain": tried_twice}
    yield case(pickup, 19, "another host key", STOPPED, **wrong)


def tried_twice(scene: Scene) -> str:
    """Whether what a person has to correct was tried more often than once before and once after the clear."""
    return "" if len(scene.heard) == 2 else f"tried {len(scene.heard)} times"


def into_a_missing_folder(scene: Scene) -> None:
    """The audience file names a folder that is not there."""
    scene.delivering.path = "/uploads/missing"


def writing(pickup: Pickup) -> Iterator[Case]:
    """Rows 2 and 5 to 9: between the first byte and the close."""
    renames = pickup in RENAMING
    good, bad = (ONCE, STOPPED) if renames else (ONCE_OR_DOUBT, ONCE_OR_DOUBT | STOPPED)
    edges = range(_BLOCK_BYTES, len(CONTENT), _BLOCK_BYTES)
    points = sorted({1, len(CONTENT) // 2, len(CONTENT), *(edge + by for edge in edges for by in (-1, 0, 1))})
    for at in points:
        yield faulty(pickup, 2, Fault.DROP_AT, at=at, promise=good)
    for at in range(1, -(-len(CONTENT) // _BLOCK_BYTES) + 1):
        yield faulty(pickup, 5, Fault.FAIL_WRITE, at=at, promise=good)
    for times, promise in ((1, good), (ALWAYS, bad)):
        yield faulty(pickup, 6, Fault.QUOTA, at=len(CONTENT) // 2, times=times, promise=promise)
        if pickup.tells:
            yield faulty(pickup, 7, Fault.SHORT, at=len(CONTENT) // 2, times=times, promise=promise)
        yield faulty(pickup, 8, Fault.FAIL_CLOSE, times=times, promise=promise)
    yield faulty(pickup, 9, Fault.LOSE_CLOSE_REPLY, promise=good)
    yield faulty(pickup, 9, Fault.LOSE_CLOSE_REPLY, times=3, promise=good)


def stalling(pickup: Pickup) -> Iterator[Case]:
    """Rows 3 and 4: a server that says nothing, or takes its time."""
    promise = ONCE if pickup in RENAMING else ONCE_OR_DOUBT
    stalls = {Fault.STALL_OPEN: 1, Fault.STALL_WRITE: len(CONTENT) // 2, Fault.STALL_CLOSE: 1}
    if pickup.tells:
        stalls[Fault.STALL_FSTAT] = 1
    if pickup in RENAMING:
        stalls |= {Fault.STALL_RENAME: 1, Fault.STALL_AFTER_RENAME: 1}
    for fault, at in stalls.items():
        for times in (1, 3):
            yield impatient(faulty(pickup, 3, fault, at=at, times=times, promise=promise), times)
    slow = STOPPED if pickup in RENAMING else DOUBT | STOPPED
    yield impatient(faulty(pickup, 4, Fault.SLOW, at=1000, times=ALWAYS, promise=slow), 2 * TRIES)


def impatient(case: Case, tries: int) -> Case:
    """The same case, in which the first tries wait half a second and not a minute."""

    def inject(scene: Scene) -> None:
        case.inject(scene)
        first_by(scene, tries, operation_s=0.5)

    return replace(case, inject=inject)


def renaming(pickup: Pickup) -> Iterator[Case]:
    """Rows 10, 11 and 14."""
    if pickup.tells:
        yield case(
            pickup, 14, "a file of that name is there", DOUBT, inject=put_somebodys, complain=somebodys_is_replaced
        )
    if pickup in DIRECT:
        return
    for fault in (Fault.RENAME_REFUSED, Fault.RENAME_FAILS):
        yield faulty(pickup, 10, fault, promise=ONCE)
        yield faulty(pickup, 10, fault, times=ALWAYS, promise=STOPPED)
    for fault in (Fault.DROP_BEFORE_RENAME, Fault.DROP_AFTER_RENAME):
        for times in (1, 2, 3):
            yield faulty(pickup, 11, fault, times=times, promise=ONCE)
    yield faulty(pickup, 14, Fault.NO_POSIX_RENAME, promise=ONCE)
    # The other rename replaces: where nobody may look first, it is not used.
    yield faulty(pickup, 14, Fault.NO_PLAIN_RENAME, promise=ONCE if pickup.tells else STOPPED)


def put_somebodys(scene: Scene) -> None:
    """Somebody else's file has the name already."""
    (server_of(scene).sftp.drop / NAME).write_bytes(SOMEBODYS)


def somebodys_is_replaced(scene: Scene) -> str:
    """Whether it was."""
    server = server_of(scene).sftp
    there = [server.drop / NAME] if (server.drop / NAME).exists() else []
    contents = [*(path.read_bytes() for path in there), *(content for _, content in server.taken)]
    return "" if SOMEBODYS in contents else "somebody's file was replaced"


def looking(pickup: Pickup) -> Iterator[Case]:
    """Rows 12, 13 and 20: what is asked of the server, and what can be known without its answer."""
    yield case(pickup, 12, "nothing goes wrong", ONCE, complain=looked)
    if pickup in DIRECT:
        return
    expected = {Fault.STAT_DENIED: "E3", Fault.FSTAT_DENIED: "E4", Fault.NO_SIZE: "E4"}
    for fault, grade in expected.items():
        grade = grade if pickup.tells else "E4"
        injected = faulty(pickup, 13, fault, promise=ONCE)
        yield case(
            pickup, 13, injected.name, ONCE, inject=injected.inject, complain=partial(proven_otherwise, grade=grade)
        )
    yield case(pickup, 20, "an upload lies there from a dead try", ONCE, inject=leave_an_upload)


def lines(pickup: Pickup) -> Iterator[Case]:
    """Rows 17 and 18: lines on which nothing goes wrong, and little goes at a time, or answers come in any order."""
    kinds: dict[str, tuple[int, dict[str, int]]] = {
        "new keys every 16 KiB": (17, {"rekey_bytes": 16 * 1024}),
        "packets of 4 KiB": (18, {"max_pktsize": 4 * 1024}),
        "a window of 8 KiB": (18, {"window": 8 * 1024}),
    }
    promise = ONCE if pickup in RENAMING else ONCE_OR_DOUBT
    for name, (row, options) in kinds.items():
        usual = case(pickup, row, name, promise)
        yield replace(usual, receive=partial(receive, pickup=pickup, **options))
    yield faulty(pickup, 18, Fault.BACKWARD, promise=promise)
    for at in (len(CONTENT) // 2, len(CONTENT)):
        yield and_as_well(faulty(pickup, 18, Fault.DROP_AT, at=at, promise=promise), Fault.BACKWARD)


def and_as_well(case: Case, fault: Fault) -> Case:
    """The same case at a server that is like that."""

    def inject(scene: Scene) -> None:
        case.inject(scene)
        server_of(scene).sftp.misbehave(fault)

    return replace(case, name=f"{case.name}, {fault.name}", inject=inject)


def looked(scene: Scene) -> str:
    """Whether the final name was ever looked at."""
    times = server_of(scene).sftp.calls[LOOKED]
    return f"the final name was looked at {times} times" if times else nothing_left(scene)


def proven_otherwise(scene: Scene, *, grade: str) -> str:
    """Whether the receipt says more or less than is known."""
    evidence = scene.delivering.recorded().evidence
    return "" if evidence == grade else f"the evidence is {evidence} instead of {grade}"


def leave_an_upload(scene: Scene) -> None:
    """A worker died half-way."""
    scene.delivering.claim(State.UPLOADING, holder="dag/run 1/deliver")
    (server_of(scene).sftp.drop / ".upload.tmp").write_bytes(random.Random(7).randbytes(1000))


def cases() -> Iterator[Case]:
    """Every case of these rows."""
    for pickup in Pickup:
        for group in (connecting, writing, stalling, renaming, looking, lines):
            yield from group(pickup)
