"""A day sent again on purpose: the files of a revision, made beside those of the first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.audience import FilesSource, Suppression
from liveramp_provider.core.errors import RevisionError
from liveramp_provider.core.guards.revision import check_revision
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.core.pipeline.build import build, rebuild
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.retention import remove_old
from tests.core.pipeline import DAY, SEGMENT, audience, csv_of, email_column, people_file, pii_file, workspace
from tests.core.test_ledger import claimed

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile

PEOPLE = {f"C{number}": {"email": f"p{number}@example.com"} for number in range(3)}


class Day:
    """One day's people, and as many revisions of their file as a test likes."""

    def __init__(self, folder: Path) -> None:
        self._opt_outs = folder / "opt_outs.csv"
        self._opt_outs.write_text("id\nC0\n")
        self.workspace = workspace(folder / "staging")
        source = people_file(folder / "people.parquet", PEOPLE, ["email"])
        self.audience = audience(
            members=source,
            traits={"email": "email"},
            traits_from=source,
            files=[pii_file(email_column(), SEGMENT)],
            suppression=Suppression(
                source=FilesSource(path=str(self._opt_outs), format="csv", current=True), key="id", allow_empty=False
            ),
        )

    def file(self, revision: int) -> SealedFile:
        membership = extract(self.audience, DAY, workspace=self.workspace)
        profiles = enrich(self.audience, DAY, membership, workspace=self.workspace)
        destination = self.audience.destinations[0]
        (file,) = build(self.audience, destination, DAY, profiles, workspace=self.workspace, revision=revision)
        return file

    def opt_out(self, key: str) -> None:
        self._opt_outs.write_text(self._opt_outs.read_text() + f"{key}\n")


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(tmp_path)


def test_the_same_rows_under_another_name(day: Day) -> None:
    """A revision holds what the first one held, has a place and a name of its own, and leaves the first alone."""
    first = day.file(1)
    second = day.file(2)
    assert (first.revision, second.revision) == (1, 2)
    assert second.name == first.name.replace(".csv", "_r2.csv")
    assert second.path.name == second.name
    assert csv_of(second) == csv_of(first)
    assert second.path.parent != first.path.parent
    assert (day.file(1), day.file(2)) == (first, second)


def test_opt_outs_of_now(day: Day) -> None:
    """Whoever has opted out since the first delivery is not in a revision, also where that waits for its delivery."""
    day.file(1)
    day.opt_out("C1")
    second = day.file(2)
    day.opt_out("C2")
    waited = rebuild(day.audience, day.audience.destinations[0], second, workspace=day.workspace)
    keys = [
        [line.partition(",")[0].strip('"') for line in csv_of(file).decode().splitlines()[1:]]
        for file in (second, waited)
    ]
    assert keys == [["C2"], []]
    assert (waited.name, waited.revision) == (second.name, 2)


def test_what_a_revision_is_made_from_stays(day: Day, tmp_path: Path) -> None:
    """While a revision is sealed and not delivered, nothing of its day is removed, although the first was delivered."""
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    claimed(ledger, day.file(1), State.COMMITTED)
    before_the_revision = datetime.now(UTC)
    second = day.file(2)
    (told,) = remove_old(
        day.workspace.staging.store, ledger=tmp_path / "ledger.sqlite", sealed_before=before_the_revision
    )
    assert told.held
    claim = ledger.claim(second, folder="/uploads", holder="run 2", why="lost at LiveRamp")
    for state in (State.UPLOADING, State.VERIFIED, State.INTENT):
        claim.advance(state)
    claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))
    (told,) = remove_old(
        day.workspace.staging.store,
        ledger=tmp_path / "ledger.sqlite",
        sealed_before=datetime.now(UTC) + timedelta(hours=1),
    )
    assert not told.held


def test_before_a_row_is_read(day: Day, tmp_path: Path) -> None:
    """A revision of a day of which nothing was delivered is refused at once; one of a delivered day may begin."""
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    check_revision(day.audience, DAY, 1, ledger=ledger)
    with pytest.raises(RevisionError, match=r"revision 2 of .* follows revision 1, of which no file was delivered"):
        check_revision(day.audience, DAY, 2, ledger=ledger)
    claimed(ledger, day.file(1), State.INTENT)
    with pytest.raises(RevisionError, match=r"no file was delivered\. Deliver that one first; .* lists what was\.$"):
        check_revision(day.audience, DAY, 2, ledger=ledger)
    claimed(ledger, day.file(1), State.INTENT).advance(State.COMMITTED, committed_at=datetime.now(UTC))
    check_revision(day.audience, DAY, 2, ledger=ledger)
    with pytest.raises(RevisionError, match="revision 3 of"):
        check_revision(day.audience, DAY, 3, ledger=ledger)


def test_a_name_that_would_be_too_long(day: Day, tmp_path: Path) -> None:
    """Where the first name just fits, its revision would not be taken, and that is said before anything is made."""
    destination = replace(day.audience.destinations[0], filename="x" * 246)
    made = replace(day.audience, destinations=(destination,))
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    with pytest.raises(RevisionError, match="253 characters, and 250 are the most"):
        check_revision(made, DAY, 2, ledger=ledger)


def test_a_name_that_just_fits(day: Day, tmp_path: Path) -> None:
    """The longest name that LiveRamp takes is no fault, and one character more is, by the name that would be sent."""
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    claimed(ledger, day.file(1), State.COMMITTED)
    template = "{audience}-{kind}_{date}_"
    taken = len(f"{day.audience.id}-{day.file(1).slot}_{DAY}_") + len("_r2.csv")
    for filler in (250 - taken, 251 - taken):
        destination = replace(day.audience.destinations[0], filename=template + "x" * filler)
        made = replace(day.audience, destinations=(destination,))
        if taken + filler == 250:
            check_revision(made, DAY, 2, ledger=ledger)
            continue
        with pytest.raises(RevisionError, match=f"^{day.audience.id}-{day.file(1).slot}_{DAY}_x+_r2.csv: 251"):
            check_revision(made, DAY, 2, ledger=ledger)
