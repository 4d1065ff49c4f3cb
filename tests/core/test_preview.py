"""A preview shows what a delivery would be: the same counts, the shape of its rows, and what is new."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import sqlite3
import string
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from liveramp_provider.core.audience import SqlSource
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.comparison import ColumnChanges, Comparison, MemberChanges, column_changes, compare
from liveramp_provider.core.errors import DataError, LedgerError
from liveramp_provider.core.home import Home
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.preview import FilePreview, mask, preview_files
from liveramp_provider.core.workspace import Workspace
from liveramp_provider.testing.warehouse import make_warehouse
from tests.core.pipeline import audience as small_audience
from tests.core.pipeline import email_column, people_file, pii_file, trait_column

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience

EXAMPLE = Path(__file__).parents[2] / "dags" / "audiences" / "high_value_customers.yaml"
DAYS = (date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20))
_SIGNS = set("xX9hH" + string.punctuation + " ")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.db"
    for day in DAYS:
        make_warehouse(path, day=day, customers=1000)
    return path


def unencrypted(audience: Audience) -> Audience:
    return replace(audience, destinations=tuple(replace(d, encryption=None) for d in audience.destinations))


def workspace(folder: Path, warehouse: Path) -> Workspace:
    return Workspace(staging=Home(folder).staging, connect=lambda _: sa.create_engine(f"sqlite:///{warehouse}"))


def built(audience: Audience, day: date, here: Workspace) -> dict[str, SealedFile]:
    profiles = enrich(audience, day, extract(audience, day, workspace=here), workspace=here)
    return {file.slot: file for file in build(audience, audience.destinations[0], day, profiles, workspace=here)}


def previewed(audience: Audience, day: date, here: Workspace, rows: int = 5) -> dict[str, FilePreview]:
    profiles = enrich(audience, day, extract(audience, day, workspace=here), workspace=here)
    shown = preview_files(audience, audience.destinations[0], day, profiles, sample_rows=rows, workspace=here)
    return {file.slot: file for file in shown}


def deliver(home: Home, files: Mapping[str, SealedFile]) -> None:
    """Write into the ledger what it says after a delivery."""
    ledger = Ledger.in_file(home.ledger)
    for file in files.values():
        claim = ledger.claim(file, folder="/uploads", holder="test")
        for state in (State.UPLOADING, State.VERIFIED, State.INTENT):
            claim.advance(state)
        claim.advance(State.COMMITTED, committed_at=datetime.now(UTC), evidence="E3")


def compared(audience: Audience, day: date, home: Home, here: Workspace, slot: str = "PII") -> Comparison:
    membership = extract(audience, day, workspace=here)
    file = previewed(audience, day, here)[slot]
    return compare(
        file, membership, audience=audience, day=day, ledger=home.ledger, staging=home.staging, workspace=here
    )


def members(warehouse: Path, day: date) -> set[str]:
    rows = sqlite3.connect(warehouse).execute("select customer_id from vip where snapshot_date = ?", (str(day),))
    return {key.strip() for (key,) in rows if key}


# Masked values.


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("Ann.Lee7@example.com", "Xxx.Xxx9@xxxxxxx.xxx"),
        ("2125550123", "9999999999"),
        ("C0000017", "X9999999"),
        ("Zoë Müller-李", "Xxx Xxxxxx-x"),
        ("a" * 31 + "7" + "0" * 32, "h" * 64),
        ("aebe52e7-03ee-455a-b3c4-e57283966239", "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"),
        ("AEBE52E7-03EE-455A-B3C4-E57283966239", "HHHHHHHH-HHHH-HHHH-HHHH-HHHHHHHHHHHH"),
        ("12 Main St. #4", "99 Xxxx Xx. #9"),
        ("line\nbreak\u00a0", "xxxxxxxxxxx"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_mask_keeps_the_shape(value: str, shape: str) -> None:
    """Digits, capitals, punctuation and length can be seen, so a reader knows a normalised value from a raw one."""
    assert mask(value) == shape


@given(st.text())
def test_a_mask_keeps_nothing_else(value: str) -> None:
    """As many signs as characters, and none of them is a letter or digit of the value."""
    masked = mask(value)
    assert len(masked) == len(value)
    assert set(masked) <= _SIGNS
    assert all(sign == character or sign in "xX9hH" for sign, character in zip(masked, value, strict=True))


@given(st.text("0123456789abcdef", min_size=32, max_size=64).filter(lambda digest: not digest.isdigit()))
def test_hashes_of_one_length_all_look_alike(digest: str) -> None:
    """Not even the places of its letters tell one hash from another."""
    assert mask(digest) == "h" * len(digest)
    assert mask(digest.upper()) == "H" * len(digest)


# The files.


def test_a_preview_counts_what_a_build_seals(warehouse: Path, tmp_path: Path) -> None:
    """Name, rows, members, bytes of CSV, waterfall and blanked cells are those of the file that would be sent."""
    audience = load_audience(EXAMPLE)
    here = workspace(tmp_path, warehouse)
    shown = previewed(audience, DAYS[2], here)
    sealed = built(audience, DAYS[2], here)
    assert shown.keys() == sealed.keys() == {"PII", "D"}
    for slot, file in sealed.items():
        facts = ("name", "rows", "members", "header", "csv_bytes", "waterfall", "blanked", "destination")
        assert {fact: getattr(shown[slot], fact) for fact in facts} == {fact: getattr(file, fact) for fact in facts}


def test_the_sample_is_the_first_rows_masked(warehouse: Path, tmp_path: Path) -> None:
    """Row by row the shapes of the file's first rows; only the fixed segment value is shown."""
    audience = unencrypted(load_audience(EXAMPLE))
    here = workspace(tmp_path, warehouse)
    shown = previewed(audience, DAYS[2], here, rows=20)
    for slot, file in built(audience, DAYS[2], here).items():
        with gzip.open(file.path, "rt", encoding="utf-8", newline="") as content:
            header, *rows = csv.reader(content)
        *_, segment = header
        assert segment == "HIGH_VALUE"
        assert shown[slot].sample == tuple((*map(mask, cells), value) for *cells, value in rows[:20])


def test_a_preview_seals_nothing_to_send(warehouse: Path, tmp_path: Path) -> None:
    """Beside the two artefacts of rows to work with, nothing stays in the staging folder."""
    previewed(load_audience(EXAMPLE), DAYS[2], workspace(tmp_path, warehouse))
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"membership.parquet", "profiles.parquet", "manifest.json"}


def test_a_limit_stops_a_preview_as_it_stops_a_build(tmp_path: Path) -> None:
    """What LiveRamp would refuse is told before the day of delivery."""
    rows = {"1": {"email": "a@example.com", "tier": "x" * 200}}
    people = people_file(tmp_path / "p.parquet", rows, ["email", "tier"])
    traits = {"email": "email", "tier": "tier"}
    file = pii_file(email_column(), trait_column("tier"))
    made = small_audience(members=people, traits=traits, traits_from=people, files=[file])
    with pytest.raises(DataError, match="TIER: a segment name of 205 characters"):
        previewed(made, DAYS[2], workspace(tmp_path / "home", tmp_path / "none.db"))


# What is new.


def test_entered_left_and_same_add_up_to_both_days(warehouse: Path, tmp_path: Path) -> None:
    """Counted by member id against the newest earlier day that was delivered, not against an older one."""
    audience = unencrypted(load_audience(EXAMPLE))
    home, here = Home(tmp_path / "home"), workspace(tmp_path / "private", warehouse)
    for day in DAYS[:2]:
        deliver(home, built(audience, day, workspace(home.folder, warehouse)))
    comparison = compared(audience, DAYS[2], home, here)
    before, now = members(warehouse, DAYS[1]), members(warehouse, DAYS[2])
    assert comparison.before is not None
    assert comparison.before.day == DAYS[1]
    assert comparison.members == MemberChanges(
        entered=len(now - before), left=len(before - now), same=len(now & before)
    )
    assert comparison.members.entered > 0
    assert comparison.members.left > 0
    assert comparison.columns == ColumnChanges(added=(), removed=(), moved=())
    assert comparison.same_day is None


def test_a_day_that_was_delivered_already_is_said(warehouse: Path, tmp_path: Path) -> None:
    """Its own delivery is not what it is compared with."""
    audience = unencrypted(load_audience(EXAMPLE))
    home = Home(tmp_path)
    here = workspace(home.folder, warehouse)
    for day in DAYS[1:]:
        deliver(home, built(audience, day, here))
    for day, same_day, before in ((DAYS[2], DAYS[2], DAYS[1]), (DAYS[1], DAYS[1], None), (DAYS[0], None, None)):
        found = compared(audience, day, home, here)
        assert (found.same_day and found.same_day.day, found.before and found.before.day) == (same_day, before)


def test_only_what_was_delivered_is_compared_with(warehouse: Path, tmp_path: Path) -> None:
    """Of two builds of one day the file that went out leads to its own members; the other counts for nothing."""
    audience = unencrypted(load_audience(EXAMPLE))
    home, private = Home(tmp_path / "home"), workspace(tmp_path / "private", warehouse)
    here = workspace(home.folder, warehouse)
    deliver(home, {})
    files = built(audience, DAYS[1], here)
    Ledger.in_file(home.ledger).claim(files["PII"], folder="/uploads", holder="test")
    assert compared(audience, DAYS[2], home, private).before is None

    fewer = built(restricted(audience, "customer_id < 'C0000500'"), DAYS[1], here)
    deliver(home, fewer)
    assert {file.path.parent for file in files.values()}.isdisjoint(file.path.parent for file in fewer.values())
    before, now = members(warehouse, DAYS[1]), members(warehouse, DAYS[2])
    before = {key for key in before if key < "C0000500"}
    assert compared(audience, DAYS[2], home, private).members == MemberChanges(
        entered=len(now - before), left=len(before - now), same=len(now & before)
    )


def restricted(audience: Audience, condition: str) -> Audience:
    """The audience, of those members only for whom the condition holds."""
    source = audience.membership.source
    assert isinstance(source, SqlSource)
    narrower = replace(source, query=f"{source.query} and {condition}")
    return replace(audience, membership=replace(audience.membership, source=narrower))


def test_what_is_not_staged_any_more_is_not_guessed(warehouse: Path, tmp_path: Path) -> None:
    """Without the membership the columns are still compared; without the files, only what the ledger says."""
    audience = unencrypted(load_audience(EXAMPLE))
    home, private = Home(tmp_path / "home"), workspace(tmp_path / "private", warehouse)
    files = built(audience, DAYS[1], workspace(home.folder, warehouse))
    deliver(home, files)
    day = home.folder / "staging" / audience.id / DAYS[1].isoformat()
    (folder,) = day.glob("extract-*")
    shutil.rmtree(folder)
    comparison = compared(audience, DAYS[2], home, private)
    assert (comparison.members, comparison.columns) == (None, ColumnChanges(added=(), removed=(), moved=()))
    shutil.rmtree(day)
    comparison = compared(audience, DAYS[2], home, private)
    assert (comparison.members, comparison.columns) == (None, None)
    assert comparison.before is not None
    assert (comparison.before.rows, comparison.before.members) == (files["PII"].rows, files["PII"].members)


def test_what_was_sealed_in_another_form_is_passed_over(warehouse: Path, tmp_path: Path) -> None:
    """A manifest of an older version, or a torn one, is as if the day were not staged, and no failure."""
    audience = unencrypted(load_audience(EXAMPLE))
    home, private = Home(tmp_path / "home"), workspace(tmp_path / "private", warehouse)
    files = built(audience, DAYS[1], workspace(home.folder, warehouse))
    deliver(home, files)
    manifest = files["PII"].path.parent / "manifest.json"
    older = {key: value for key, value in json.loads(manifest.read_text()).items() if key != "made_from"}
    for content in (json.dumps(older), "{"):
        manifest.write_text(content)
        assert compared(audience, DAYS[2], home, private).columns is None


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("A B C", "A B C", ColumnChanges(added=(), removed=(), moved=())),
        ("A B C", "A C D", ColumnChanges(added=("D",), removed=("B",), moved=())),
        ("A B C D", "A D B C", ColumnChanges(added=(), removed=(), moved=("D",))),
        ("A B C D", "A X C D B", ColumnChanges(added=("X",), removed=(), moved=("B",))),
        ("A", "B", ColumnChanges(added=("B",), removed=("A",), moved=())),
    ],
)
def test_columns_are_compared_by_header(old: str, new: str, changes: ColumnChanges) -> None:
    """A column that comes or goes moves no other."""
    assert column_changes(old.split(), new.split()) == changes


def test_an_installation_is_only_looked_at(warehouse: Path, tmp_path: Path) -> None:
    """Not a byte, a file or a time changes in the ledger and staging that a preview compares with."""
    audience = unencrypted(load_audience(EXAMPLE))
    home, private = Home(tmp_path / "home"), workspace(tmp_path / "private", warehouse)
    deliver(home, built(audience, DAYS[1], workspace(home.folder, warehouse)))

    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in home.folder.rglob("*")}

    before = state()
    assert compared(audience, DAYS[2], home, private).members is not None
    assert state() == before


def test_a_ledger_that_cannot_be_read_is_told(warehouse: Path, tmp_path: Path) -> None:
    """A file that is no ledger is one error, and a missing one is not made."""
    audience, private = load_audience(EXAMPLE), workspace(tmp_path / "private", warehouse)
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    with pytest.raises(
        LedgerError, match=r"the ledger .*ledger\.sqlite cannot be read \(unable to open database file\)"
    ):
        compared(audience, DAYS[2], home, private)
    assert list(home.folder.iterdir()) == []
    home.ledger.write_text("no database" * 100)
    with pytest.raises(LedgerError, match="file is not a database"):
        compared(audience, DAYS[2], home, private)
