"""What is staged goes after its time, and nothing goes that a delivery under way needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from liveramp_provider.core.artifacts import Membership, SealedFile
from liveramp_provider.core.errors import LedgerError, SealBrokenError
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.core.ledger.records import deliveries
from liveramp_provider.core.retention import DayStages, remove_old
from liveramp_provider.core.staging import Staging, digest_of
from tests.deliveries import DAY, sealed_file

Worker = Callable[[], Staging]
LONG_AGO = date(2020, 2, 29)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    Ledger.in_file(tmp_path / "ledger.sqlite")
    return tmp_path / "ledger.sqlite"


def sealed_membership(here: Staging, *, audience: str = "high_value", day: date = DAY, inputs: object = 1) -> str:
    """The address of members that are sealed now."""
    with here.scratch() as scratch:
        file = scratch / "membership.parquet"
        file.write_bytes(b"0123456789")
        made = Membership(
            path=file, sha256=digest_of(file), rows_read=1, blank_keys=0, repeated_keys=0, members=1, sources=()
        )
        place = here.place(audience_id=audience, day=day, stage="extract", inputs=inputs)
        return here.address(place.seal(scratch, made))


def sealed_to_send(here: Staging, *, slot: str = "PII") -> SealedFile:
    """A delivery file that is sealed now."""
    with here.scratch() as scratch:
        made = sealed_file(scratch / "file.csv", slot=slot)
        place = here.place(audience_id="high_value", day=DAY, stage=f"build-liveramp-{slot}", inputs=1)
        return place.seal(scratch, made)


def in_state(ledger: Path, file: SealedFile, state: State) -> None:
    """Let the ledger say that the delivery of `file` has come to `state`."""
    Ledger.in_file(ledger).claim(file, folder="/uploads", holder="run 1")
    with sa.create_engine(f"sqlite:///{ledger}").begin() as connection:
        connection.execute(sa.update(deliveries).where(deliveries.c.slot == file.slot).values(state=state))


def a_moment() -> datetime:
    """Now; what is sealed before and after it differs also on S3, whose times are whole seconds."""
    time.sleep(1.1)
    now = datetime.now(UTC)
    time.sleep(1.1)
    return now


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


def keys(here: Staging) -> list[str]:
    return [stage.key for stage in here.store.stages()]


def test_what_is_old_goes_and_what_is_not_stays(worker: Worker, ledger: Path) -> None:
    """The age counts from the sealing: a backfilled old day stays as long as a new one."""
    here = worker()
    old = sealed_membership(here)
    moment = a_moment()
    young = sealed_membership(worker(), day=LONG_AGO)
    newer = sealed_membership(worker(), inputs=2)
    told = remove_old(worker().store, ledger=ledger, sealed_before=moment)
    assert [(day.audience, day.day, day.stages, day.held) for day in told] == [("high_value", DAY, 1, False)]
    assert told[0].size_bytes > 10
    assert {f"{here.store.address}/{key}" for key in keys(here)} == {young, newer}
    with pytest.raises(SealBrokenError):
        worker().load(Membership, old)
    assert remove_old(worker().store, ledger=ledger, sealed_before=moment) == []


def test_what_is_told_adds_up(worker: Worker, ledger: Path) -> None:
    """By audience and day: how many stages, and how many bytes."""
    here = worker()
    for audience, day, inputs in (("b", DAY, 1), ("a", DAY, 1), ("a", DAY, 2), ("a", LONG_AGO, 1)):
        sealed_membership(here, audience=audience, day=day, inputs=inputs)
    sizes = {stage.key: stage.size_bytes for stage in here.store.stages()}
    told = remove_old(here.store, ledger=ledger, sealed_before=soon())
    assert [(day.audience, day.day, day.stages) for day in told] == [
        ("a", LONG_AGO, 1),
        ("a", DAY, 2),
        ("b", DAY, 1),
    ]
    assert sum(day.size_bytes for day in told) == sum(sizes.values())
    assert keys(here) == []


@pytest.mark.parametrize("state", list(State))
def test_a_day_stays_while_a_delivery_is_not_finished(worker: Worker, ledger: Path, state: State) -> None:
    """One delivery of it that is under way or in doubt holds the whole day, a finished one nothing."""
    here = worker()
    sealed_membership(here)
    other = sealed_membership(here, audience="other")
    in_state(ledger, sealed_to_send(here, slot="D"), State.COMMITTED)
    in_state(ledger, sealed_to_send(here, slot="PII"), state)
    held = state is not State.COMMITTED
    told = {day.audience: day for day in remove_old(here.store, ledger=ledger, sealed_before=soon())}
    assert (told["high_value"].stages, told["high_value"].held) == (3, held)
    assert len(keys(here)) == (3 if held else 0)
    assert not told["other"].held
    assert other not in keys(here)


def test_a_file_that_is_still_to_be_sent_holds_its_day(worker: Worker, ledger: Path) -> None:
    """Until the ledger knows of it, or it is old itself, a sealed file keeps what it was made from."""
    here = worker()
    sealed_membership(here)
    moment = a_moment()
    file = sealed_to_send(here)
    (told,) = remove_old(here.store, ledger=ledger, sealed_before=moment)
    assert (told.stages, told.held) == (1, True)
    assert len(keys(here)) == 2
    in_state(ledger, file, State.COMMITTED)
    (told,) = remove_old(here.store, ledger=ledger, sealed_before=moment)
    assert (told.stages, told.held) == (1, False)
    assert [key.split("/")[2].partition("-")[0] for key in keys(here)] == ["build"]


def test_a_file_that_is_never_sent_goes(worker: Worker, ledger: Path) -> None:
    """One that was too small to send, say, holds nothing any more when it is old."""
    here = worker()
    sealed_membership(here)
    sealed_to_send(here)
    (told,) = remove_old(here.store, ledger=ledger, sealed_before=soon())
    assert (told.stages, told.held) == (2, False)
    assert keys(here) == []


def test_without_a_ledger_nothing_goes(worker: Worker, tmp_path: Path) -> None:
    """Where nobody knows what is under way, everything stays."""
    here = worker()
    sealed_membership(here)
    with pytest.raises(LedgerError):
        remove_old(here.store, ledger=tmp_path / "none.sqlite", sealed_before=soon())
    assert len(keys(here)) == 1


def test_the_ledger_stays_as_it_is(worker: Worker, ledger: Path) -> None:
    """What was delivered is remembered after its file is gone."""
    here = worker()
    in_state(ledger, sealed_to_send(here), State.COMMITTED)
    before = ledger.read_bytes()
    remove_old(here.store, ledger=ledger, sealed_before=soon())
    assert ledger.read_bytes() == before


def test_stages_may_run_meanwhile(worker: Worker, ledger: Path) -> None:
    """Whoever seals, finds or loads while old stages go gets whole stages, or is told that one is gone."""
    over, seen = threading.Event(), set()

    def remove() -> None:
        while not over.is_set():
            remove_old(worker().store, ledger=ledger, sealed_before=soon())

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for number in range(30):
            here = worker()
            try:
                address = sealed_membership(here, inputs=number)
                seen.add(worker().load(Membership, address).path.read_bytes())
            except (SealBrokenError, FileNotFoundError):
                seen.add(b"gone")
    finally:
        over.set()
        remover.join()
    assert seen <= {b"0123456789", b"gone"}


# Only in a folder.


def test_empty_folders_go(tmp_path: Path, ledger: Path) -> None:
    """With its last stage a day goes, and with its last day an audience; nothing of the work is left."""
    here = Staging(tmp_path / "staging")
    sealed_membership(here)
    sealed_membership(here, audience="other")
    (here.root / "other" / "mine.txt").touch()
    remove_old(here.store, ledger=ledger, sealed_before=soon())
    assert sorted(path.relative_to(here.root).as_posix() for path in here.root.rglob("*")) == [
        "other",
        "other/mine.txt",
    ]


def test_a_day_that_goes_while_a_stage_seals_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remover that takes the day's empty folder at the last moment does not fail the stage."""
    here, make, taken = Staging(tmp_path / "staging"), Path.mkdir, []

    def make_and_lose(folder: Path, *arguments: object, **options: object) -> None:
        make(folder, *arguments, **options)
        if folder.name == DAY.isoformat() and not taken:
            taken.append(folder)
            folder.rmdir()

    monkeypatch.setattr(Path, "mkdir", make_and_lose)
    sealed_membership(here)
    assert len(keys(here)) == len(taken) == 1


def test_nothing_else_is_touched(tmp_path: Path, ledger: Path) -> None:
    """Neither what has another name, nor what lies behind a symbolic link, at any depth."""
    here, elsewhere = Staging(tmp_path / "staging"), tmp_path / "elsewhere"
    stage = f"extract-{'0' * 16}"
    kept = [
        elsewhere / DAY.isoformat() / stage / "manifest.json",
        here.root / "vip" / DAY.isoformat() / "notes" / "a.txt",
        here.root / "vip" / "2026-02-31" / stage / "a.txt",
        here.root / "vip" / "notes" / stage / "a.txt",
        here.root / "v.i.p" / DAY.isoformat() / stage / "a.txt",
        here.root / DAY.isoformat() / stage / "manifest.json",
    ]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.touch()
    (here.root / "link").symlink_to(elsewhere)
    (here.root / "vip" / "2026-11-19").symlink_to(elsewhere / DAY.isoformat())
    (here.root / "vip" / DAY.isoformat() / f"enrich-{'1' * 16}").symlink_to(kept[0].parent)
    gone = here.root / "vip" / DAY.isoformat() / stage
    gone.mkdir()
    (gone / "link").symlink_to(elsewhere)
    assert [day.stages for day in remove_old(here.store, ledger=ledger, sealed_before=soon())] == [1]
    assert not gone.exists()
    assert [path for path in kept if not path.exists()] == []
    assert len([path for path in tmp_path.rglob("*") if path.is_symlink()]) == 3


# Only on S3.


def test_other_objects_are_not_touched(s3_worker: Worker, ledger: Path) -> None:
    """What lies beside the prefix or has another name stays."""
    here = s3_worker()
    sealed_membership(here)
    client, bucket = here.store.client, here.store.bucket
    stage = f"vip/2026-11-20/extract-{'0' * 16}"
    kept = [stage, f"staging/of-tests/{stage}-x/a", f"staging/of-tests-too/{stage}/a", "staging/of-tests/notes.txt"]
    for name in kept:
        client.put_object(Bucket=bucket, Key=name)
    assert [day.audience for day in remove_old(here.store, ledger=ledger, sealed_before=soon())] == ["high_value"]
    assert sorted(each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]) == sorted(kept)


def test_what_was_never_sealed_goes(s3_worker: Worker, ledger: Path) -> None:
    """A file whose worker died before its manifest was put, or came too late with it, does not stay for ever."""
    here = s3_worker()
    stage = f"vip/2026-11-20/extract-{'0' * 16}"
    name = f"staging/of-tests/{stage}/{'a' * 64}/membership.parquet"
    here.store.client.put_object(Bucket=here.store.bucket, Key=name, Body=b"12345")
    moment = datetime.now(UTC) - timedelta(minutes=1)
    assert remove_old(here.store, ledger=ledger, sealed_before=moment) == []
    (told,) = remove_old(here.store, ledger=ledger, sealed_before=soon())
    assert told == DayStages(audience="vip", day=DAY, stages=1, size_bytes=5, held=False)
    assert here.store.client.list_objects_v2(Bucket=here.store.bucket)["KeyCount"] == 0


def test_what_a_late_worker_left_does_not_make_a_stage_younger(s3_worker: Worker, ledger: Path) -> None:
    """The age is the manifest's, and the leftover goes with its stage."""
    here = s3_worker()
    sealed_membership(here)
    moment = a_moment()
    (key,) = keys(here)
    here.store.client.put_object(Bucket=here.store.bucket, Key=f"staging/of-tests/{key}/{'a' * 64}/membership.parquet")
    assert [day.stages for day in remove_old(here.store, ledger=ledger, sealed_before=moment)] == [1]
    assert here.store.client.list_objects_v2(Bucket=here.store.bucket)["KeyCount"] == 0


def test_a_killed_remover_leaves_no_half_stage(s3_worker: Worker, ledger: Path) -> None:
    """What it began to remove is not sealed any more, and the next one removes the rest."""
    here, removed = s3_worker(), []
    sealed_membership(here)

    def die(**_: object) -> None:
        removed.append(None)
        if len(removed) == 2:
            raise SystemExit(9)

    here.store.client.meta.events.register("before-call.s3.DeleteObject", die)
    with pytest.raises(SystemExit):
        remove_old(here.store, ledger=ledger, sealed_before=soon())
    assert here.store.keys("high_value/") == []
    assert [day.stages for day in remove_old(here.store, ledger=ledger, sealed_before=soon())] == [1]
    assert keys(here) == []


def test_more_stages_than_a_page_lists(s3_worker: Worker, ledger: Path) -> None:
    """S3 lists so many objects at a time; all are seen."""
    here = s3_worker()
    here.store.client.meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=3)
    )
    for number in range(4):
        sealed_membership(here, inputs=number)
    assert len(keys(here)) == len(here.store.keys("high_value/2026-11-20/extract-")) == 4
    assert [day.stages for day in remove_old(here.store, ledger=ledger, sealed_before=soon())] == [4]
    assert keys(here) == []
