"""The traps that peers fell into, each with a test of its name; the docstring quotes the trap."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from liveramp_provider.core import file_rows
from liveramp_provider.core.audience import FilesSource, SqlSource
from liveramp_provider.core.destination import Hash
from liveramp_provider.core.errors import SourceError
from liveramp_provider.core.naming import delivered_name
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from tests.core.pipeline import (
    DAY,
    SEGMENT,
    audience,
    csv_of,
    device_files,
    email_column,
    parquet,
    people_file,
    phone_column,
    pii_file,
    run,
    trait_column,
    workspace,
)
from tests.plain_reading import digest_of

EMAIL, PHONE = "ann@example.com", "5551234567"
HASHED_EMAILS = [email_column(hash) for hash in Hash]


def cells(folder: Path, people: dict[str, dict[str, str]], *columns: object) -> list[list[str]]:
    """Header and rows of the PII file of these people."""
    traits = sorted({trait for person in people.values() for trait in person} | {c.trait for c in columns})
    source = people_file(folder / "people.parquet", people, traits)
    made = audience(members=source, traits={t: t for t in traits}, traits_from=source, files=[pii_file(*columns)])
    lines = csv_of(run(made, workspace(folder / "staging"))["PII"]).decode().splitlines()
    return [line[1:-1].split('","') for line in lines]


def test_trap_01_phone_pattern_unanchored(tmp_path: Path) -> None:
    """Phone pattern unanchored: `555.123.4567` → `555`, `+1-555-123-4567` → `1555123`, `+44 20 7946 0958` cut to
    `44207946`. All dotted numbers of an area code then share one hash.
    """
    given = {"1": "555.123.4567", "2": "+1-555-123-4567", "3": "+44 20 7946 0958", "4": "555.765.4321"}
    people = {key: {"phone": phone, "email": EMAIL} for key, phone in given.items()}
    rows = cells(tmp_path, people, email_column(), phone_column(), phone_column(Hash.SHA1))[1:]
    assert [row[2] for row in rows] == [PHONE, PHONE, "", "5557654321"]
    assert [row[3] for row in rows] == [digest_of(phone, "sha1") if phone else "" for phone in (row[2] for row in rows)]


def test_trap_02_null_hashed_as_text(tmp_path: Path) -> None:
    """`null` hashed as text, so everybody without a trait shares one "identity"."""
    words = ["null", "NULL", "None", "nan", "NaN", "N/A", "undefined", "<nil>", "", "  ", "\u00a0null\u00a0"]
    people = {f"{n:02}": {"email": word, "phone": PHONE} for n, word in enumerate(words)}
    people["99"] = {"phone": "null", "email": EMAIL}
    rows = cells(tmp_path, people, *HASHED_EMAILS, phone_column(), phone_column(Hash.SHA1))[1:]
    assert {tuple(row[1:4]) for row in rows[:-1]} == {("", "", "")}
    assert rows[-1][4:] == ["", ""]


def test_trap_03_header_from_the_data(tmp_path: Path) -> None:
    """Header taken from the first record, or from the keys present: shifted cells, vanished columns, drift between
    days.
    """
    columns = (email_column(), trait_column("tier"), phone_column(), trait_column("nobodys"), SEGMENT)
    source = parquet(
        tmp_path / "p.parquet",
        {"nobodys": [None], "phone": [PHONE], "unknown": ["x"], "email": [EMAIL], "tier": [None], "customer_id": ["1"]},
    )
    traits = {trait: trait for trait in ("nobodys", "phone", "email", "tier")}
    made = audience(members=source, traits=traits, traits_from=source, files=[pii_file(*columns)])
    written = csv_of(run(made, workspace(tmp_path / "staging"))["PII"]).decode()
    assert written == (f'"CCID","EMAIL1","TIER","PHONE1","NOBODYS","HIGH_VALUE"\n"1","{EMAIL}","","{PHONE}","","1"\n')


def test_trap_04_hashed_again(tmp_path: Path) -> None:
    """MD5/SHA-1 pre-hashed or padded emails hashed again; upper-case hex kept; SHA-256 phones destroyed."""
    algorithms = [hash.value for hash in Hash]
    people = {a: {"email": f" {digest_of(EMAIL, a).upper()}\n", "phone": digest_of(PHONE, a)} for a in algorithms}
    people["padded"] = {"email": f"\u00a0{EMAIL} ", "phone": PHONE}
    rows = cells(tmp_path, people, *HASHED_EMAILS, *(phone_column(hash) for hash in Hash))[1:]
    all_of = {value: [digest_of(value, a) for a in algorithms] for value in (EMAIL, PHONE)}
    by_key = {row[0]: row[1:] for row in rows}
    assert by_key.pop("padded") == [*all_of[EMAIL], *all_of[PHONE]]
    for algorithm, row in by_key.items():
        own = [a == algorithm for a in algorithms]
        due = [
            digest if mine else "" for value in (EMAIL, PHONE) for digest, mine in zip(all_of[value], own, strict=True)
        ]
        assert row == due


def test_trap_05_case_and_country_code(tmp_path: Path) -> None:
    """Email upper-cased before hashing (no match ever); `+1` kept on phones."""
    people = {"1": {"email": EMAIL.upper(), "phone": f"+1{PHONE}"}}
    row = cells(tmp_path, people, email_column(), email_column(Hash.SHA256), phone_column(), phone_column(Hash.SHA1))[1]
    assert row[1:] == [EMAIL, digest_of(EMAIL, "sha256"), PHONE, digest_of(PHONE, "sha1")]


def test_trap_06_minimum_counts_unique_keys(tmp_path: Path) -> None:
    """Minimum of 25 checked per batch and on rows, not on unique keys of the file."""
    ids = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(48)]
    people = {f"{n:02}": {"idfa": ids[2 * n], "gaid": ids[2 * n + 1], "email": EMAIL} for n in range(24)}
    source = people_file(tmp_path / "people.parquet", people, ["idfa", "gaid", "email"])
    keys = [key for key in people for _ in range(2)]  # each member twice in the membership
    made = audience(
        members=parquet(tmp_path / "members.parquet", {"customer_id": keys}),
        traits={t: t for t in ("idfa", "gaid", "email")},
        traits_from=source,
        files=[pii_file(email_column()), *device_files(SEGMENT)],
    )
    sealed = run(made, workspace(tmp_path / "staging"))
    assert (sealed["PII"].rows, sealed["PII"].members) == (24, 24)
    assert (sealed["D"].rows, sealed["D"].members) == (48, 24)


def test_trap_07_same_name_every_day(tmp_path: Path) -> None:
    """Same file name every day; `.gz` appended without saying so."""
    source = people_file(tmp_path / "people.parquet", {"1": {"email": EMAIL}}, ["email"])
    names = {}
    for compression in ("none", "gzip"):
        made = audience(
            members=source,
            traits={"email": "email"},
            traits_from=source,
            files=[pii_file(email_column())],
            compression=compression,
        )
        for day in (DAY, DAY + timedelta(days=1)):
            sealed = run(made, workspace(tmp_path / "staging"), day)["PII"]
            names[compression, day] = sealed.name
            assert sealed.name == delivered_name(made.destinations[0], audience_id="vip", slot="PII", day=day)
            assert sealed.path.read_bytes().startswith(b"\x1f\x8b") == (compression == "gzip")
    assert sorted(names.values()) == [
        f"3242_vip-PII_2026-11-{day}.csv{ending}" for day in (20, 21) for ending in ("", ".gz")
    ]


def test_trap_09_words_for_missing_and_whole_numbers(tmp_path: Path) -> None:
    """`<nil>`, `nan`, `NaT`, `1.0` written for missing or integer values."""
    table = {
        "customer_id": [1.0, 2.0, 3.0],
        "email": [EMAIL] * 3,
        "visits": [4.0, None, float("nan")],
        "seen": [date(2026, 11, 20), None, None],
        "vip": [True, None, False],
        "nick": ["Al", "<nil>", None],
    }
    source = parquet(tmp_path / "p.parquet", table)
    traits = {trait: trait for trait in table if trait != "customer_id"}
    columns = [email_column(), *(trait_column(trait) for trait in ("visits", "seen", "vip", "nick"))]
    made = audience(members=source, traits=traits, traits_from=source, files=[pii_file(*columns)])
    assert csv_of(run(made, workspace(tmp_path / "staging"))["PII"]).decode().splitlines()[1:] == [
        f'"1","{EMAIL}","4","2026-11-20","true","Al"',
        f'"2","{EMAIL}","","","",""',
        f'"3","{EMAIL}","","","false",""',
    ]


def calls(work: Callable[[], object]) -> int:
    """How many functions, of Python's and of C's, `work` calls in this thread."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_trap_10_quadratic_file_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quadratic file building: a default batch of 50,000 rows took 28 CPU seconds."""
    monkeypatch.setattr(file_rows, "_BATCH_ROWS", 1_024)
    sealed = {}
    work = {}
    for rows in (1, 8_192, 16_384, 32_768):
        people = {f"{n:06}": {"email": f"a{n}@example.com"} for n in range(rows)}
        source = people_file(tmp_path / f"{rows}.parquet", people, ["email"])
        made = audience(
            members=source,
            traits={"email": "email"},
            traits_from=source,
            files=[pii_file(email_column(), email_column(Hash.SHA256))],
            compression="gzip",
        )
        here = workspace(tmp_path / f"staging{rows}", threads=1)
        profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)

        def build_it(made=made, profiles=profiles, here=here, rows=rows) -> None:
            sealed[rows] = build(made, made.destinations[0], DAY, profiles, workspace=here)[0]

        work[rows] = calls(build_it)
    assert [file.rows for file in sealed.values()] == list(work)
    # The first build loads modules. Of the others, the growth is compared: twice the rows, twice the work.
    _, small, middle, large = work.values()
    assert large - middle < 3 * (middle - small)
    # Some calls a batch, and none a row.
    assert large - small < (32_768 - 8_192) / 8


def test_trap_11_rows_in_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Credentials written next to the staged plaintext; whole user record logged on a hash error."""
    caplog.set_level(logging.DEBUG)
    people = {"canary-1": {"email": "canary@example.com", "phone": "5550001111", "tier": "canary-tier"}}
    people["canary-2"] = {"email": "canary@@example.com", "phone": "canary", "tier": "x"}
    rows = cells(tmp_path, people, email_column(), email_column(Hash.SHA256), phone_column(), trait_column("tier"))
    assert len(rows) == 2
    assert "sealed" in caplog.text
    assert [
        word for word in ("canary", "5550001111", digest_of("canary@example.com", "sha256")) if word in caplog.text
    ] == []
    manifests = "".join(path.read_text() for path in tmp_path.rglob("manifest.json"))
    assert "canary" not in manifests


@pytest.fixture
def today() -> date:
    return datetime.now(UTC).astimezone(ZoneInfo("America/New_York")).date()


def test_trap_12_current_sources_serve_no_past_day(tmp_path: Path, today: date) -> None:
    """Backfill sends today's members under an old date."""
    sources = (
        SqlSource(conn_id="w", query="select '1' as customer_id, 'a@example.com' as email", current=True),
        FilesSource(
            path=people_file(tmp_path / "p.parquet", {"1": {"email": EMAIL}}, ["email"]).path,
            format="parquet",
            current=True,
        ),
    )
    for number, source in enumerate(sources):
        made = audience(members=source, traits={"email": "email"}, traits_from=source, files=[pii_file(email_column())])
        here = workspace(tmp_path / f"staging{number}", database=sa.create_engine("sqlite://"))
        for days in (2, 30, -1):
            with pytest.raises(SourceError, match="membership: the source is `current: true`"):
                run(made, here, today - timedelta(days=days))
        # The run of the night, just after the day, and a day that was sealed in time.
        yesterday = today - timedelta(days=1)
        assert run(made, here, yesterday)["PII"].rows == 1


def test_trap_12_a_sealed_day_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, today: date) -> None:
    """A day that was sealed in time can be delivered later: as it was, not as it is today."""
    source = people_file(tmp_path / "p.parquet", {"1": {"email": EMAIL}}, ["email"])
    current = FilesSource(path=source.path, format="parquet", current=True)
    made = audience(members=current, traits={"email": "email"}, traits_from=current, files=[pii_file(email_column())])
    here = workspace(tmp_path / "staging")
    first = run(made, here, today)
    # The folder of a day that is over by now.
    old = today - timedelta(days=40)
    first["PII"].path.parents[1].rename(tmp_path / "staging" / "vip" / old.isoformat())
    people_file(tmp_path / "p.parquet", {"2": {"email": EMAIL}}, ["email"])
    assert extract(made, old, workspace=here).members == 1
    assert b'"1"' in csv_of(run(made, here, old)["PII"])


def test_trap_12_a_day_not_written_yet(tmp_path: Path) -> None:
    """A day whose files are not there yet is an error that says so, not an empty audience."""
    people_file(tmp_path / "2026-11-19.parquet", {"1": {"email": EMAIL}}, ["email"])
    source = FilesSource(path=f"{tmp_path}/{{snapshot_date}}.parquet", format="parquet", current=False)
    made = audience(members=source, traits={"email": "email"}, traits_from=source, files=[pii_file(email_column())])
    with pytest.raises(SourceError, match=r"membership: no file matches .*2026-11-20\.parquet.*has been written yet"):
        run(made, workspace(tmp_path / "staging"))
    assert run(made, workspace(tmp_path / "staging"), date(2026, 11, 19))["PII"].rows == 1


def test_trap_12_a_query_reads_its_day(tmp_path: Path) -> None:
    """A query that names :snapshot_date gives each day its own members, also when an old day is run later."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'w.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("create table vip (customer_id text, email text, day text)")
        for key, day in (("1", "2026-11-19"), ("2", "2026-11-20")):
            connection.exec_driver_sql("insert into vip values (?, ?, ?)", (key, EMAIL, day))
    source = SqlSource(conn_id="w", query="select * from vip where day = :snapshot_date", current=False)
    made = audience(members=source, traits={"email": "email"}, traits_from=source, files=[pii_file(email_column())])
    here = workspace(tmp_path / "staging", database=engine)
    found = [csv_of(run(made, here, day)["PII"]).splitlines()[1:] for day in (DAY, DAY - timedelta(days=1))]
    assert found == [[b'"2","ann@example.com"'], [b'"1","ann@example.com"']]
