"""Rows 21 to 28: what goes wrong between us and S3, at one request and in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liveramp_provider.core.transports import s3 as transport_module
from liveramp_provider.testing import FakeS3, Fault
from tests.deliveries import NAME, s3_client, way_to_s3
from tests.faults.outcomes import DOUBT, ONCE, STOPPED, Outcome
from tests.faults.runner import CONTENT, Case, Scene

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from liveramp_provider.core.transports import Transport
    from liveramp_provider.testing.s3.faults import Call

SOMEBODYS = b"somebody's"
#: By what way the file goes: the call that makes the object appear.
CREATING: dict[str, Call] = {"S3": "PutObject", "S3 in parts": "CompleteMultipartUpload"}


@dataclass
class Bucket:
    """A bucket that keeps every version it ever got; LiveRamp reads each of them."""

    s3: FakeS3
    home: Path
    arrived: list[bytes]
    in_worker: Callable[[], AbstractContextManager[None]]
    takes_torsos: bool = False
    choices: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"s3://{self.s3.bucket_name}/drop"

    @property
    def key(self) -> str:
        return f"drop/{NAME}"

    @property
    def transport(self) -> Transport:
        return way_to_s3(self.s3)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.s3.secret_key,)

    def collect(self) -> None:
        pass

    def copies(self) -> list[bytes]:
        return [content for content in self.arrived if content != SOMEBODYS]

    def leftovers(self) -> list[str]:
        return list(self.s3.unfinished)


@contextmanager
def at_once(home: Path) -> Iterator[Bucket]:
    """The file goes by one request."""
    arrived: list[bytes] = []
    with FakeS3(home, smallest_part_bytes=1, arrived=lambda content, _: arrived.append(content.read_bytes())) as s3:
        yield Bucket(s3, home, arrived, in_worker=nullcontext)


@contextmanager
def small_parts() -> Iterator[None]:
    """One request does not take the whole file: it goes in three parts."""
    largest, part = transport_module.MAX_PUT_BYTES, transport_module.PART_BYTES
    transport_module.MAX_PUT_BYTES, transport_module.PART_BYTES = len(CONTENT) - 1, len(CONTENT) // 3 + 1
    try:
        yield
    finally:
        transport_module.MAX_PUT_BYTES, transport_module.PART_BYTES = largest, part


@contextmanager
def in_parts(home: Path) -> Iterator[Bucket]:
    """The file is larger than one request takes."""
    with small_parts(), at_once(home) as bucket:
        bucket.in_worker = small_parts
        yield bucket


RECEIVE = {"S3": at_once, "S3 in parts": in_parts}


def fault(row: int, fault: Fault, times: int, *, promise: frozenset[Outcome] = ONCE) -> Iterator[Case]:
    """The request that creates the object meets with `fault`, so many `times`, either way."""
    for way, call in CREATING.items():
        yield Case(
            row=row,
            name=f"{fault.value}, {times}×",
            way=way,
            promise=promise,
            receive=RECEIVE[way],
            inject=meeting(fault, times, call),
        )


def meeting(fault: Fault, times: int, call: Call) -> Callable[[Scene], None]:
    """Let the next requests of that kind meet with `fault`."""

    def inject(scene: Scene) -> None:
        bucket_of(scene).s3.misbehave(fault, times, call=call)

    return inject


def bucket_of(scene: Scene) -> Bucket:
    assert isinstance(scene.receiver, Bucket)
    return scene.receiver


def puts_only(scene: Scene) -> str:
    """Whether anything but writing was asked for."""
    others = set(bucket_of(scene).s3.calls) - {*CREATING.values(), "CreateMultipartUpload", "UploadPart"}
    return f"asked for {', '.join(sorted(others))}" if others else ""


def put_somebodys(scene: Scene) -> None:
    """Somebody else's object has the name already."""
    bucket = bucket_of(scene)
    client = s3_client(
        endpoint_url=bucket.s3.endpoint_url,
        aws_access_key_id=bucket.s3.access_key,
        aws_secret_access_key=bucket.s3.secret_key,
    )
    client.put_object(Bucket=bucket.s3.bucket_name, Key=bucket.key, Body=SOMEBODYS)


def still_somebodys(scene: Scene) -> str:
    """Whether it was replaced."""
    bucket = bucket_of(scene)
    return "" if bucket.s3.objects()[bucket.key] == SOMEBODYS else "somebody's object was replaced"


def cases() -> Iterator[Case]:
    """Every case of these rows."""
    for times in (1, 2, 5, 9):
        for one in (Fault.CUT_BODY, Fault.INTERNAL_ERROR, Fault.SLOW_DOWN, Fault.CONFLICT):
            yield from fault(21, one, times)
    for times in (1, 2, 3, 9):
        yield from fault(22, Fault.LOST_ANSWER, times)
        yield from fault(22, Fault.LATE_ERROR, times)
    yield from fault(22, Fault.STALL, 1)
    for times in (1, 2, 5):
        yield from fault(23, Fault.FLIPPED_BIT, times)
    for call in ("CreateMultipartUpload", "UploadPart"):
        for one in (Fault.CUT_BODY, Fault.FLIPPED_BIT, Fault.SLOW_DOWN, Fault.LOST_ANSWER, Fault.LATE_ERROR):
            yield Case(
                row=27,
                name=f"{call} {one.value}",
                way="S3 in parts",
                promise=ONCE,
                receive=in_parts,
                inject=meeting(one, 2, call),
            )
    for way, receive in RECEIVE.items():
        yield Case(row=24, name="only writing is allowed", way=way, promise=ONCE, receive=receive, complain=puts_only)
        yield Case(
            row=25,
            name="an object of that name is there",
            way=way,
            promise=DOUBT,
            receive=receive,
            inject=put_somebodys,
            complain=still_somebodys,
        )
    for one in (Fault.EXPIRED_TOKEN, Fault.SKEWED_CLOCK):
        yield from fault(28, one, 1)
        yield from fault(28, one, 99, promise=STOPPED)
