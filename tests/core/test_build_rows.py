"""What the files hold: every cell and every count against the plain reading of the rules."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import Audience, SqlSource
from liveramp_provider.core.destination import Hash, Identifier, IdentifierColumn
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.testing.warehouse import make_warehouse
from tests import plain_reading
from tests.core.pipeline import (
    ADDRESS,
    DAY,
    SEGMENT,
    account,
    audience,
    csv_of,
    device_files,
    email_column,
    expected,
    expected_account,
    parquet,
    people_file,
    phone_column,
    pii_file,
    run,
    trait_column,
    workspace,
)
from tests.core.test_identifiers import devices, digests, emails, marks, noise, phones, words, zips

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile

CUSTOMER_TRAITS = {
    "email": "email_address",
    "phone": "mobile",
    "first_name": "first_name",
    "last_name": "last_name",
    "address1": "address",
    "city": "city",
    "state": "state",
    "zip": "zip",
    "country": "country",
    "loyalty_tier": "tier",
    "ltv": "ltv",
}
DEVICE_TRAITS = {"idfa": "idfa", "gaid": "gaid"}
COUNTRY = IdentifierColumn(header="COUNTRY", trait="country", identifier=Identifier.COUNTRY, hash=None)
ALL_PII = pii_file(
    *ADDRESS,
    COUNTRY,
    email_column(),
    *(email_column(hash) for hash in Hash),
    phone_column(),
    *(phone_column(hash) for hash in Hash),
    trait_column("loyalty_tier"),
    SEGMENT,
)
#: One file of every kind; the joined and the hashed device files side by side, though no destination takes both.
ALL_FILES = (
    ALL_PII,
    *device_files(trait_column("loyalty_tier"), SEGMENT),
    *device_files(SEGMENT, hash=Hash.SHA1),
)


def sql(table: str) -> SqlSource:
    query = f"select * from {table} where snapshot_date = :snapshot_date"
    return SqlSource(conn_id="warehouse", query=query, current=False)


def warehouse_audience(**changes: object) -> Audience:
    traits_from = [(sql("customers"), CUSTOMER_TRAITS), (sql("devices"), DEVICE_TRAITS)]
    parts = {"members": sql("vip"), "traits": {}, "traits_from": traits_from, "files": ALL_FILES} | changes
    return audience(**parts)


def read_warehouse(path: Path) -> tuple[list[str | None], dict[str, dict[str, object]]]:
    """The membership's raw keys, and everybody's raw traits under our names."""
    people: dict[str, dict[str, object]] = {}
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        day = (DAY.isoformat(),)
        for table, traits in (("customers", CUSTOMER_TRAITS), ("devices", DEVICE_TRAITS)):
            for row in connection.execute(f"select * from {table} where snapshot_date = ?", day):
                mine = people.setdefault(row["customer_id"], {})
                mine |= {trait: row[column] for trait, column in traits.items()}
        members = [row[0] for row in connection.execute("select customer_id from vip where snapshot_date = ?", day)]
    return members, people


def assert_files_are(readings: dict[str, plain_reading.Reading], files: dict[str, SealedFile]) -> None:
    """Every file is, cell by cell and count by count, the one the plain reading gives."""
    assert list(files) == list(readings)
    for slot, reading in readings.items():
        written, due = csv_of(files[slot]), plain_reading.csv_bytes(reading)
        # Lines first: a difference between two megabytes is nothing to look at.
        lines = zip(written.splitlines(), due.splitlines(), strict=False)
        assert [pair for pair in lines if pair[0] != pair[1]][:3] == []
        assert written == due
        assert account(files[slot]) == expected_account(reading)


class Large:
    """The sample warehouse as it comes, and what the plain reading makes of it."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "warehouse.db"
        make_warehouse(self.database, day=DAY)
        self.readings = expected(warehouse_audience(), *read_warehouse(self.database))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    return Large(tmp_path_factory.mktemp("large"))


def test_large_warehouse(large: Large, tmp_path: Path) -> None:
    """Of 20,000 customers with the dirt of real life, every cell and count is what the rules in plain words give."""
    assert_files_are(large.readings, run(warehouse_audience(), workspace(tmp_path, database=large.database)))


def test_the_large_warehouse_has_every_case(large: Large) -> None:
    """The sample warehouse reaches every reason, so that agreeing on it means something."""
    device, person = large.readings["D"], large.readings["PII"]
    assert all(device.waterfall.values())
    # With a column for every hash nothing is orphaned; a file without them has its own test.
    reached = [step for step, count in [*person.waterfall.items(), *person.blanked.items()] if count]
    assert reached.count("prehashed_without_column") == 0
    # Formulas are no dirt of real life, and have a test of their own.
    assert len(reached) == len(person.waterfall) + len(person.blanked) - 2 - 3
    assert person.control_character > 0


def test_another_region(tmp_path: Path) -> None:
    """Other people, read by the rules of another region, agree just so."""
    database = tmp_path / "warehouse.db"
    make_warehouse(database, day=DAY, customers=1_000, seed=3)
    made = warehouse_audience(region="eu", files=[ALL_PII])
    readings = expected(made, *read_warehouse(database))
    assert_files_are(readings, run(made, workspace(tmp_path, database=database)))


def test_a_file_without_hash_columns_loses_what_came_hashed(tmp_path: Path) -> None:
    """Hashed e-mails and phones have no place in a file of plain columns, and are counted."""
    database = tmp_path / "warehouse.db"
    make_warehouse(database, day=DAY, customers=1_500, seed=5)
    plain = warehouse_audience(files=[pii_file(email_column(), phone_column(), *ADDRESS, SEGMENT)])
    readings = expected(plain, *read_warehouse(database))
    assert readings["PII"].waterfall["prehashed_without_column"] > 0
    assert_files_are(readings, run(plain, workspace(tmp_path, database=database)))


def test_numbers_in_a_file_are_as_people_write_them(tmp_path: Path) -> None:
    """A number from the warehouse has no trailing zeros and no exponent in the file."""
    database = tmp_path / "warehouse.db"
    make_warehouse(database, day=DAY, customers=400, seed=6)
    with_number = warehouse_audience(
        files=[pii_file(email_column(), trait_column("ltv")), *device_files(trait_column("ltv"))]
    )
    readings = expected(with_number, *read_warehouse(database))
    assert_files_are(readings, run(with_number, workspace(tmp_path, database=database)))


def test_shared_devices(tmp_path: Path) -> None:
    """An id that several members have, or one member in both columns, is one row with the smallest member's fields."""
    one, two, three = (f"{letter * 8}-0000-4000-8000-000000000000" for letter in "abc")
    people = {
        "20": {"idfa": one, "tier": "second"},
        "100": {"gaid": one.upper(), "idfa": "broken", "tier": "first"},
        "3": {"idfa": two, "gaid": two, "tier": "both"},
        "4": {"gaid": three, "idfa": one, "tier": "own"},
    }
    source = people_file(tmp_path / "people.parquet", people, ["idfa", "gaid", "tier"])
    traits = {trait: trait for trait in ("idfa", "gaid", "tier")}
    made = audience(members=source, traits=traits, traits_from=source, files=device_files(trait_column("tier")))
    sealed = run(made, workspace(tmp_path / "staging"))["D"]
    due = [f'"{two.upper()}","both"', f'"{one}","first"', f'"{three}","own"']
    assert csv_of(sealed).decode().splitlines()[1:] == due
    assert (sealed.waterfall["device_shared"], sealed.waterfall["device_format"], sealed.members) == (3, 1, 3)


def test_members_are_unique_and_ordered(tmp_path: Path) -> None:
    """Membership is every key once, cleaned, in byte order, with an account of the rows that are not."""
    keys = ["b", " b", "a", None, "null", "\ufffd", "🌻", "B", "10", "9", "a\n"]
    source = parquet(tmp_path / "m.parquet", {"customer_id": pa.array(keys, pa.string())})
    made = audience(members=source, traits={"email": "email"}, traits_from=source, files=[])
    membership = extract(made, DAY, workspace=workspace(tmp_path / "staging"))
    assert pq.read_table(membership.path)["member_id"].to_pylist() == ["10", "9", "B", "a", "b", "\ufffd", "🌻"]
    assert (membership.rows_read, membership.blank_keys, membership.repeated_keys, membership.members) == (11, 2, 2, 7)


formulas = st.sampled_from(("=1+1", "=a@b.co", "@SUM(A1)", "+1|x", "-2+3", "-x!A0", "-Kx3"))
dirty = st.builds("{}{}{}".format, marks, st.one_of(words, noise, formulas), marks)
person = st.fixed_dictionaries(
    {},
    optional={
        "email": st.one_of(st.none(), emails, digests, dirty),
        "phone": st.one_of(st.none(), phones, digests, dirty),
        "first_name": st.one_of(st.none(), st.sampled_from(("Ann", "Zoë")), dirty),
        "last_name": st.one_of(st.none(), st.just("Lee"), dirty),
        "address1": st.one_of(st.none(), st.just("1 Elm\nApt 2"), dirty),
        "city": st.one_of(st.none(), st.just("Boston"), dirty),
        "state": st.one_of(st.none(), st.just("MA"), dirty),
        "zip": st.one_of(st.none(), zips, dirty),
        "loyalty_tier": st.one_of(st.none(), st.just('g"o,ld'), dirty),
        "idfa": st.one_of(st.none(), devices, digests, dirty),
        "gaid": st.one_of(st.none(), devices, digests, dirty),
    },
)
ids = st.one_of(st.integers(0, 30).map(str), st.text("aB \t\u00a0é\ufffd🌻", max_size=3), words, formulas)
OWN_FILES = (
    pii_file(
        *ADDRESS,
        email_column(),
        email_column(Hash.SHA256),
        phone_column(Hash.SHA1),
        trait_column("loyalty_tier"),
        SEGMENT,
    ),
    *device_files(trait_column("loyalty_tier")),
    *device_files(trait_column("loyalty_tier"), hash=Hash.SHA1),
)
OWN_TRAITS = (*CUSTOMER_TRAITS, *DEVICE_TRAITS)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(members=st.lists(st.none() | ids, max_size=30), people=st.dictionaries(ids, person, min_size=8, max_size=25))
def test_any_people(tmp_path_factory: pytest.TempPathFactory, members: list[str | None], people: dict) -> None:
    """However odd the keys and values, every cell and every count is what the rules in plain words give."""
    folder = tmp_path_factory.mktemp("people")
    # One row a cleaned key, as a source of traits promises.
    keyed = {plain_reading.free_text(key).value: key for key in people}
    rows = {key: people[key] for key in keyed.values()}
    everybody = [*members, *rows]
    made = audience(
        members=parquet(folder / "members.parquet", {"customer_id": pa.array(everybody, pa.string())}),
        traits={trait: trait for trait in OWN_TRAITS},
        traits_from=people_file(folder / "people.parquet", rows, OWN_TRAITS),
        files=OWN_FILES,
    )
    traits = {cleaned: rows[key] for cleaned, key in keyed.items() if cleaned is not None}
    assert_files_are(expected(made, everybody, traits), run(made, workspace(folder / "staging")))
