"""The guards that look back: order, header and shrinking, each as a rule on what was delivered before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveramp_provider.core.destination import Layout, PiiFile, SegmentColumn
from liveramp_provider.core.destinations.liveramp import REGIONS
from liveramp_provider.core.errors import LedgerError, OutOfOrderError, SchemaDriftError, SuspiciousShrinkError
from liveramp_provider.core.guards.acceptance import NOTHING_ACCEPTED, Acceptance, Guard
from liveramp_provider.core.guards.history import (
    Due,
    Past,
    check_history,
    header_objection,
    judge,
    objections,
    order_objection,
    past_of,
    shrink_objection,
    warnings,
)
from liveramp_provider.core.ledger import Delivery, State, delivery_id, header_digest
from tests.core.test_ledger import FOLDER, claimed
from tests.deliveries import DAY, destination, sealed_file
from tests.integration.test_preflight import audience

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import UpdateMethod
    from liveramp_provider.core.ledger import Ledger
    from tests.ledgers import LedgerDatabase

HEADER = ("CCID", "EMAIL1")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def due(*, day: date = DAY, header: tuple[str, ...] = HEADER, members: int | None = 30) -> Due:
    return Due(
        destination="liveramp",
        audience="high_value",
        slot="PII",
        day=day,
        name=f"high_value-PII_{day}.csv",
        header_sha256=header_digest(header),
        members=members,
    )


def delivered(*, days: int = -1, header: tuple[str, ...] = HEADER, members: int = 30) -> Delivery:
    """A delivery of so many days after the one that is due."""
    day = DAY + timedelta(days=days)
    return Delivery(
        delivery_id=delivery_id(destination="liveramp", audience="high_value", slot="PII", day=day),
        destination="liveramp",
        audience="high_value",
        slot="PII",
        day=day,
        state=State.COMMITTED,
        epoch=1,
        holder="run 1",
        lease_until=LONG_AGO,
        send_attempts=1,
        folder=FOLDER,
        name=f"high_value-PII_{day}.csv",
        temp_path="",
        rows=members,
        members=members,
        size_bytes=1,
        sha256="",
        csv_sha256="",
        header_sha256=header_digest(header),
        recipient="",
        host_key="",
        evidence="E3",
        created_at=LONG_AGO,
        updated_at=LONG_AGO,
        committed_at=LONG_AGO,
    )


def test_every_guard_has_a_meaning() -> None:
    """What is accepted by a word is said in words, for each another."""
    assert len({guard.meaning for guard in Guard}) == len(Guard)


def test_nothing_to_compare_with() -> None:
    """Nothing speaks against a first delivery, however it looks."""
    for method in ("incremental", "segment_refresh", "full_refresh"):
        there = destination(FOLDER, update_method=method, max_shrink_percent=0)
        assert objections(due(members=1), there, Past()) == []
        assert list(warnings(due(members=1), there, Past())) == []


@pytest.mark.parametrize("method", ["incremental", "segment_refresh", "full_refresh"])
@pytest.mark.parametrize("days", [-1, 0, 1, 400])
def test_order(days: int, method: UpdateMethod) -> None:
    """Only an older day after a newer one is out of order: a refresh refuses it, an incremental one mentions it."""
    past = Past(newest=delivered(days=days))
    refused = order_objection(due(), past, destination(FOLDER, update_method=method))
    told = list(warnings(due(), destination(FOLDER, update_method=method), past))
    assert (refused is not None) == (days > 0 and method != "incremental")
    assert bool(told) == (days > 0 and method == "incremental")
    assert all(f"of {DAY}, and {DAY + timedelta(days=days)} was delivered already" in line for line in told)


def test_words_of_order() -> None:
    """The refusal says both days and what LiveRamp would do."""
    found = order_objection(due(), Past(newest=delivered(days=2)), destination(FOLDER, update_method="full_refresh"))
    assert found is not None
    assert (found.guard, found.error) == (Guard.BACKDATED, OutOfOrderError)
    assert found.words.startswith("it is of 2026-11-20, and 2026-11-22 was delivered already: by full_refresh LiveRamp")


@pytest.mark.parametrize(
    "header", [("CCID",), ("EMAIL1", "CCID"), ("CCID", "email1"), ("CCID", "EMAIL1", "VIP"), ("CCID\nEMAIL1",)]
)
def test_another_header(header: tuple[str, ...]) -> None:
    """A column more or fewer, another order and other capitals are another header; the same one is not."""
    past = Past(last=delivered())
    found = header_objection(due(header=header), past, destination(FOLDER))
    same = header == ("CCID\nEMAIL1",)  # which no header can be: they hold letters, digits and _
    assert (found is None) == same
    assert found is None or (found.guard, found.error) == (Guard.HEADER, SchemaDriftError)
    assert header_objection(due(), past, destination(FOLDER)) is None


def test_the_words_of_every_objection() -> None:
    """What is wrong, what would become of it, and what to look at."""
    there = destination(FOLDER, update_method="full_refresh")
    known = delivered(days=2, members=100)
    past = Past(newest=known, last=known, before=known)
    bad = due(header=("CCID",), members=10)
    assert [objection.words for objection in objections(bad, there, past)] == [
        "it is of 2026-11-20, and 2026-11-22 was delivered already: by full_refresh LiveRamp would go back to the "
        "older day until the next delivery",
        f"its header is not that of {known.name}, which was delivered last: LiveRamp would pause it, and every later "
        "file behind it, until a person there maps it. Put columns and delimiter back as they were, or agree on the "
        "new ones with LiveRamp first",
        "10 members, and 2026-11-22 had 100: 90.0% fewer (limit 50%, guards.max_shrink). Look for what is missing in "
        "the sources and in the build task's account",
    ]


def test_the_header_is_kept_as_it_always_was() -> None:
    """The digest in the ledgers that there are goes on meaning the same header, parted by commas."""
    assert header_digest(HEADER, delimiter=",") == header_digest(HEADER)
    assert header_digest(HEADER) == hashlib.sha256(b"CCID\nEMAIL1").hexdigest()
    assert len({header_digest(HEADER, delimiter=delimiter) for delimiter in ",|\t;"}) == 4


@pytest.mark.parametrize(
    ("members", "before", "percent", "refused"),
    [
        (50, 100, 50, False),
        (49, 100, 50, True),
        (99, 100, 0, True),
        (100, 100, 0, False),
        (101, 100, 0, False),
        (1, 100, 99, False),
        (0, 100, 99, True),
        (0, 0, 50, False),
        (0, 1_000_000, None, False),
        (66, 100, 33, True),
        (67, 100, 33, False),
    ],
)
def test_shrinking(members: int, before: int, percent: int | None, refused: bool) -> None:
    """A fall by the limit itself is let through, one member more is not."""
    found = shrink_objection(due(members=members), Past(before=delivered(members=before)), percent)
    assert (found is not None) == refused
    assert found is None or (found.guard, found.error) == (Guard.SHRINK, SuspiciousShrinkError)


@given(members=st.integers(0, 10**9), before=st.integers(1, 10**9), percent=st.integers(0, 99))
def test_shrinking_is_exact(members: int, before: int, percent: int) -> None:
    """Refused is exactly what has lost a larger share than the limit, whatever the size of the audience."""
    found = shrink_objection(due(members=members), Past(before=delivered(members=before)), percent)
    assert (found is not None) == ((before - members) * 100 > before * percent)


def test_words_of_shrinking() -> None:
    """The refusal says both numbers, both days and the limit."""
    found = shrink_objection(due(members=12_000), Past(before=delivered(members=30_000)), 50)
    assert found is not None
    assert found.words.startswith(
        "12,000 members, and 2026-11-19 had 30,000: 60.0% fewer (limit 50%, guards.max_shrink)"
    )


def test_a_guard_that_is_off_is_not_silent() -> None:
    """Where the audience file switches the guard off, a fall beyond the usual limit stands in the log."""
    there, past = destination(FOLDER, max_shrink_percent=None), Past(before=delivered(members=100))
    (line,) = warnings(due(members=49), there, past)
    assert "49 members, and 2026-11-19 had 100" in line
    assert "guards.max_shrink is off" in line
    assert list(warnings(due(members=50), there, past)) == []
    assert list(warnings(due(members=49), destination(FOLDER), past)) == []


# Against a ledger.


@pytest.fixture
def ledger(ledger_database: LedgerDatabase) -> Ledger:
    """An empty ledger."""
    return ledger_database.open()


@pytest.fixture
def file(tmp_path: Path) -> SealedFile:
    """A sealed file."""
    return sealed_file(tmp_path / "sealed")


def test_what_it_is_compared_with(ledger: Ledger, file: SealedFile) -> None:
    """The newest day, the last one made, and the day before in its last revision; nothing that is under way."""
    for number in (17, 20, 22, 18):
        claimed(ledger, replace(file, day=date(2026, 11, number), members=number), State.COMMITTED)
    again = replace(file, day=date(2026, 11, 18), revision=2, members=182)
    claim = ledger.claim(again, folder=FOLDER, holder="run 2", why="lost")
    claimed(ledger, replace(file, day=date(2026, 11, 19)), State.INTENT)
    past = past_of(due(), ledger)
    assert [one and one.members for one in (past.newest, past.last, past.before)] == [22, 18, 18]
    for state in (State.UPLOADING, State.VERIFIED, State.INTENT):
        claim.advance(state)
    claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))
    past = past_of(due(), ledger)
    assert [one and one.members for one in (past.newest, past.last, past.before)] == [22, 182, 182]


@pytest.mark.parametrize("other", ["destination", "audience", "slot"])
def test_nothing_else_counts(other: str, ledger: Ledger, file: SealedFile) -> None:
    """Deliveries of another destination, audience or slot are no precedent."""
    claimed(ledger, replace(file, **{other: "another"}), State.COMMITTED)
    assert past_of(due(), ledger) == Past()


def test_all_that_is_wrong_at_once(ledger: Ledger, file: SealedFile) -> None:
    """One refusal names everything that has to be accepted, and accepting less than that is not enough."""
    claimed(ledger, replace(file, day=date(2026, 11, 19), members=100), State.COMMITTED)
    claimed(ledger, replace(file, day=date(2026, 11, 22), members=100), State.COMMITTED)
    there, bad = destination(FOLDER, update_method="full_refresh"), due(header=("CCID",), members=10)
    past = past_of(bad, ledger)
    reasons = r"was not sent: it is of .* next delivery; its header .* with LiveRamp first; 10 members, .* account\. "
    way_out = r"To send it .* with accept: \[backdated, header, shrink\], and the reason in accept_why\.$"
    with pytest.raises(OutOfOrderError, match=reasons + way_out):
        judge(bad, there, past, NOTHING_ACCEPTED)
    some = Acceptance(guards=frozenset({Guard.BACKDATED, Guard.SHRINK}), why="agreed")
    with pytest.raises(SchemaDriftError, match=r"accept: \[header\]"):
        judge(bad, there, past, some)
    accepted = judge(bad, there, past, Acceptance(guards=frozenset(Guard), why="agreed"))
    assert [objection.guard for objection in accepted] == list(Guard)


def test_what_is_kept(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Each guard with the run that overruled it, when and why: once a run, however often it is tried."""
    claim = claimed(ledger, file, State.SEALED, holder="dag/run 1/deliver")
    claim.accept(["header"], why="agreed with LiveRamp")
    claimed(ledger, file, State.SEALED, holder="dag/run 1/deliver").accept(["header", "shrink"], why="and again")
    lines = ledger_database.sql("select delivery_id, guard, who, why from liveramp_acceptances order by guard")
    key = claim.delivery.delivery_id
    assert lines == [
        (key, "header", "dag/run 1/deliver", "agreed with LiveRamp"),
        (key, "shrink", "dag/run 1/deliver", "and again"),
    ]


def test_whose_word_it_was(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """A person's word is kept once for each delivery, and another person's beside it."""
    for holder, day in (("run 1", 20), ("run 2", 20), ("run 1", 21), ("run 1", 20)):
        claim = ledger.claim(replace(file, day=date(2026, 11, day)), folder=FOLDER, holder=holder)
        claim.accept(["header"], why="agreed with LiveRamp")
        claim.release()
    kept = ledger_database.sql("select who, count(*) from liveramp_acceptances group by who order by who")
    assert kept == [("run 1", 2), ("run 2", 1)]


def test_a_worker_that_was_taken_over_accepts_nothing(
    ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase
) -> None:
    """Its word does not get into the audit."""
    claim = claimed(ledger, file, State.SEALED)
    claimed(ledger, file, State.SEALED)
    with pytest.raises(LedgerError, match="another worker took this delivery over"):
        claim.accept(["header"], why="agreed with LiveRamp")
    assert ledger_database.sql("select 1 from liveramp_acceptances") == []


# Before a row is read.


def two_files(*columns: str, method: UpdateMethod = "full_refresh", delimiter: Literal[",", "|"] = ",") -> Audience:
    """An audience of a PII and a D file; the first has these columns after its key, and this delimiter."""
    own, other = (tuple(SegmentColumn(header=name, value="1") for name in names) for names in (columns, ("EMAIL1",)))
    rules = replace(REGIONS["us"].files, layout=Layout(delimiter=delimiter))
    files = (
        PiiFile(slot="PII", key_header="CCID", columns=own, rules=rules),
        PiiFile(slot="D", key_header="CCID", columns=other, rules=REGIONS["us"].files),
    )
    return audience(destination(FOLDER, files=files, update_method=method))


@pytest.mark.parametrize("slots", [("PII", "D"), ("PII",)], ids=["both", "one"])
def test_an_older_day_is_refused_before_it_is_read(
    slots: tuple[str, ...], ledger: Ledger, file: SealedFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no file of the run may be sent; a file that may keeps the run going, with a warning about the other."""
    for slot in slots:
        claimed(ledger, replace(file, day=date(2026, 11, 21), slot=slot), State.COMMITTED)
    if slots == ("PII",):
        check_history(two_files("EMAIL1"), DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
        assert "2026-11-21 was delivered already" in caplog.text
    else:
        named = r"^3242_high_value-PII_2026-11-20\.csv.*\n3242_high_value-D_2026-11-20\.csv"
        with pytest.raises(OutOfOrderError, match=named):
            check_history(two_files("EMAIL1"), DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
    word = Acceptance(guards=frozenset({Guard.BACKDATED}), why="rolled back on purpose")
    check_history(two_files("EMAIL1"), DAY, 1, ledger=ledger, acceptance=word)
    check_history(two_files("EMAIL1", method="incremental"), DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)


def test_another_header_is_refused_before_a_row_is_read(ledger: Ledger, file: SealedFile) -> None:
    """As far as the file that is left to deliver has it; what is delivered already is nobody's trouble."""
    for slot in ("PII", "D"):
        claimed(ledger, replace(file, day=date(2026, 11, 19), slot=slot), State.COMMITTED)
    claimed(ledger, replace(file, slot="D"), State.COMMITTED)
    check_history(two_files("EMAIL1"), DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
    with pytest.raises(SchemaDriftError, match="PII_2026-11-20"):
        check_history(two_files("EMAIL1", "VIP"), DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
    claimed(ledger, file, State.COMMITTED)
    check_history(two_files("EMAIL1", "VIP"), DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)


def test_another_delimiter_is_another_header(ledger: Ledger, file: SealedFile) -> None:
    """Before a row is read as well as of a sealed file; one that was delivered is the header from then on."""
    claimed(ledger, replace(file, slot="D"), State.COMMITTED)
    claimed(ledger, replace(file, day=date(2026, 11, 19)), State.COMMITTED)
    commas, pipes = two_files("EMAIL1"), two_files("EMAIL1", delimiter="|")
    with pytest.raises(SchemaDriftError, match="Put columns and delimiter back as they were"):
        check_history(pipes, DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
    check_history(commas, DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
    claimed(ledger, replace(file, day=date(2026, 11, 18), delimiter="|"), State.COMMITTED)
    check_history(pipes, DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
    with pytest.raises(SchemaDriftError):
        check_history(commas, DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)


def test_a_revision_is_judged_before_a_row_is_read(ledger: Ledger, file: SealedFile) -> None:
    """By the name that it would have, although the revision before is delivered."""
    for slot in ("PII", "D"):
        claimed(ledger, replace(file, slot=slot), State.COMMITTED)
    changed = two_files("EMAIL1", "VIP")
    check_history(changed, DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
    claimed(ledger, replace(file, day=date(2026, 11, 21), slot="D"), State.COMMITTED)
    with pytest.raises(SchemaDriftError, match=r"^3242_high_value-PII_2026-11-20_r2\.csv.*\n.*-D_2026-11-20_r2\.csv"):
        check_history(changed, DAY, 2, ledger=ledger, acceptance=NOTHING_ACCEPTED)


def test_a_delivered_file_hides_no_other(ledger: Ledger, file: SealedFile) -> None:
    """What is left of a day is judged, wherever it stands in the audience file."""
    claimed(ledger, file, State.COMMITTED)
    claimed(ledger, replace(file, day=date(2026, 11, 21), slot="D"), State.COMMITTED)
    with pytest.raises(OutOfOrderError, match="high_value-D_2026-11-20"):
        check_history(two_files("EMAIL1"), DAY, 1, ledger=ledger, acceptance=NOTHING_ACCEPTED)
