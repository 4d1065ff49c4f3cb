"""Deaths and take-overs on the way to S3: whoever goes on, one object arrives, and what is left behind is named."""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import LedgerError, RemoteFolderError, TransientError, TransportError
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports import s3 as transport_module
from liveramp_provider.core.transports import s3_wire
from liveramp_provider.testing import FakeS3, Fault
from tests.deliveries import NAME, Delivering, sealed_file, way_to_s3
from tests.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liveramp_provider.testing.s3.faults import Call

KEY = f"drop/{NAME}"
CONTENT = random.Random(7).randbytes(300_000)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try gives up at once."""
    monkeypatch.setattr(transport_module, "_PAUSES_S", {})


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[FakeS3]:
    with FakeS3(tmp_path / "s3", smallest_part_bytes=1) as running:
        yield running


@pytest.fixture
def may_abort(s3: FakeS3) -> None:
    """The credentials may abort uploads as well."""
    s3.allowed |= {"AbortMultipartUpload"}


@pytest.fixture
def delivering(s3: FakeS3, tmp_path: Path) -> Delivering:
    """A sealed file that is to come into the bucket."""
    file = sealed_file(tmp_path / "sealed", CONTENT)
    return Delivering(file, tmp_path / "ledger" / "ledger.sqlite", f"s3://{s3.bucket_name}/drop", way_to_s3(s3))


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is larger than one request takes, and goes in three parts."""
    monkeypatch.setattr(transport_module, "MAX_PUT_BYTES", len(CONTENT) - 1)
    monkeypatch.setattr(transport_module, "PART_BYTES", 140_000)


@pytest.mark.parametrize(
    ("call", "before", "state"),
    [
        ("PutObject", 0, State.INTENT),
        ("CreateMultipartUpload", 0, State.SEALED),
        ("UploadPart", 0, State.UPLOADING),
        ("UploadPart", 2, State.UPLOADING),
        ("CompleteMultipartUpload", 0, State.INTENT),
    ],
)
@pytest.mark.parametrize("fault", [Fault.STALL, Fault.HOLD], ids=["request is lost", "request comes through"])
def test_kill(
    fault: Fault,
    call: Call,
    before: int,
    state: State,
    delivering: Delivering,
    s3: FakeS3,
    request: pytest.FixtureRequest,
) -> None:
    """Killed in any request, whether it comes through or not, the next try ends with one object and no second one."""
    if call != "PutObject":
        request.getfixturevalue("in_parts")
    if before:
        s3.misbehave(Fault.NO_CHECKSUM, before, call=call)  # does no harm to a part
    s3.misbehave(fault, call=call)
    child = multiprocessing.get_context("fork").Process(target=delivering.deliver)
    child.start()
    wait_until(lambda: s3.calls.get(call, 0) == before + 1, "the request")
    if fault is Fault.HOLD:
        assert s3.held.wait(20)
    child.kill()
    child.join()
    assert delivering.recorded().state is state
    s3.go_on.set()
    created = fault is Fault.HOLD and state is State.INTENT
    wait_until(lambda: bool(s3.objects()) == created and not s3.connections, "the request to end")
    receipt = delivering.deliver()
    assert (s3.objects(), len(s3.versions(KEY))) == ({KEY: CONTENT}, 1)
    assert receipt.evidence == ("C" if created else "E1")


def test_old_holder_resumes(delivering: Delivering, s3: FakeS3) -> None:
    """An old holder whose request comes through after another took over does not commit; the other one finds it."""
    old = delivering.claim()
    s3.misbehave(Fault.HOLD)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(way_to_s3(s3, config=None).send, delivering.file.path, old)
        assert s3.held.wait(20)
        with pytest.raises(TransportError, match="ConditionalRequestConflict"):
            delivering.deliver()
        s3.go_on.set()
        with pytest.raises(LedgerError, match="took this delivery over"):
            first.result()
    assert delivering.deliver().evidence == "C"
    assert len(s3.versions(KEY)) == 1


def test_old_holder_begins_late(delivering: Delivering, s3: FakeS3) -> None:
    """An old holder that goes on after another has delivered sends nothing."""
    old = delivering.claim()
    delivering.deliver()
    calls = s3.calls
    with pytest.raises(LedgerError, match="took this delivery over"):
        delivering.transport.send(delivering.file.path, old)
    assert s3.calls == calls


@pytest.mark.usefixtures("in_parts")
def test_old_holder_stops_between_parts(delivering: Delivering, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old holder that learns in the middle of an upload that it was taken over stops there."""
    monkeypatch.setattr(s3_wire, "_RENEW_EVERY_S", -1)
    old = delivering.claim()
    s3.misbehave(Fault.HOLD, call="UploadPart")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(way_to_s3(s3, config=None).send, delivering.file.path, old)
        assert s3.held.wait(20)
        new = delivering.claim()
        s3.go_on.set()
        with pytest.raises(LedgerError, match="took this delivery over"):
            first.result()
    assert (s3.calls["UploadPart"], s3.objects()) == (1, {})
    delivering.transport.send(delivering.file.path, new)
    assert s3.objects() == {KEY: CONTENT}


@pytest.mark.usefixtures("in_parts")
def test_parts_that_stay_are_named(delivering: Delivering, s3: FakeS3, caplog: pytest.LogCaptureFixture) -> None:
    """Where parts of a failed upload may not be removed, log and ledger name the upload."""
    s3.misbehave(Fault.DENIED, call="CompleteMultipartUpload")
    with pytest.raises(RemoteFolderError):
        delivering.deliver()
    (upload,) = s3.unfinished
    told = f"deliver: the parts of upload {upload} stay at {delivering.path} until "
    told += "the bucket's lifecycle rule removes them: AccessDenied"
    assert caplog.messages == [told]
    assert delivering.recorded().temp_path == upload


@pytest.mark.usefixtures("in_parts", "may_abort")
def test_parts_are_removed(delivering: Delivering, s3: FakeS3) -> None:
    """Where that is allowed, nothing is left of a failed upload."""
    s3.misbehave(Fault.DENIED, call="CompleteMultipartUpload")
    with pytest.raises(RemoteFolderError):
        delivering.deliver()
    assert s3.unfinished == ()


@pytest.mark.usefixtures("in_parts", "may_abort")
def test_parts_of_a_dead_try_are_removed(delivering: Delivering, s3: FakeS3) -> None:
    """The next try removes what one left behind that could not clear up any more."""
    there = {"Bucket": s3.bucket_name, "Key": KEY}
    left = way_to_s3(s3).connect().create_multipart_upload(**there)["UploadId"]
    delivering.claim().advance(State.UPLOADING, temp_path=left)
    delivering.deliver()
    assert (s3.unfinished, s3.objects()) == ((), {KEY: CONTENT})


@pytest.mark.usefixtures("in_parts", "may_abort")
def test_parts_that_are_gone_are_no_news(delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """Where a dead try's parts have been removed by now, nothing is said of them."""
    delivering.claim().advance(State.UPLOADING, temp_path="gone")
    delivering.deliver()
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


def test_sixteen_workers(delivering: Delivering, s3: FakeS3) -> None:
    """Sixteen tries of one task take over from each other, and one object arrives."""

    def attempt(_: int) -> None:
        with suppress(TransientError):
            delivering.deliver()

    with ThreadPoolExecutor(16) as workers:
        list(workers.map(attempt, range(16)))
    delivering.deliver()
    assert (s3.objects(), len(s3.versions(KEY))) == ({KEY: CONTENT}, 1)
