"""How an audience is doing: the newest day says it, and the ledger keeps it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from liveramp_provider.core.ledger import Health

if TYPE_CHECKING:
    from tests.ledgers import LedgerDatabase

DAY = date(2026, 11, 20)


@given(runs=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", "extract", "preflight"])), max_size=30))
def test_the_newest_day_tells_how_things_are(runs: list[tuple[int, str]]) -> None:
    """In whatever order days are run, health is what the last run of the newest day left, and trouble has a first."""
    health = Health.before_all("vip")
    for number, trouble in runs:
        health = health.after(DAY + timedelta(days=number), trouble)

    if runs:
        newest = max(number for number, _ in runs)
        last = next(trouble for number, trouble in reversed(runs) if number == newest)
        assert (health.day, health.trouble) == (DAY + timedelta(days=newest), last)
        assert health.since <= health.day


def test_nothing_is_known_yet() -> None:
    """An audience of which nothing is known is well, from before any day."""
    assert Health.before_all("vip") == Health(audience="vip", day=date.min, trouble="", since=date.min)


def test_trouble_that_changes_its_kind_keeps_its_first_day() -> None:
    """A failure in another task is news, but the trouble is as old as its first day; a delivery ends it."""
    health = Health.before_all("vip").after(DAY, "extract").after(DAY + timedelta(days=1), "preflight")
    assert health == Health(audience="vip", day=DAY + timedelta(days=1), trouble="preflight", since=DAY)
    well = health.after(DAY + timedelta(days=2), "")
    assert (well.trouble, well.since) == ("", DAY + timedelta(days=2))
    assert well.after(DAY, "extract") == well


def test_the_ledger_keeps_the_health_of_each_audience(ledger_database: LedgerDatabase) -> None:
    """What is noted is found again, by another process too; a late writer with an older day changes nothing."""
    ledger = ledger_database.open()
    assert ledger.health("vip") == Health.before_all("vip")
    ill = Health(audience="vip", day=DAY, trouble="extract", since=DAY - timedelta(days=3))
    other = Health(audience="other", day=DAY, trouble="late", since=DAY)
    ledger.note_health(ill)
    ledger.note_health(other)
    ledger.note_health(Health(audience="vip", day=DAY - timedelta(days=1), trouble="", since=DAY))
    assert ledger_database.open().health("vip") == ill

    for now in (ill.after(DAY, ""), ill.after(DAY + timedelta(days=1), "preflight")):
        ledger.note_health(now)
        assert ledger_database.open().health("vip") == now
    assert ledger_database.open().health("other") == other
