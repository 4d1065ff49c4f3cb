"""Who has opted out by e-mail or phone is in no file, however either side spells or hashes the address."""

from __future__ import annotations

import csv
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import FilesSource, Suppression
from liveramp_provider.core.destination import Identifier, IdentifierColumn, Region
from liveramp_provider.core.errors import DataError
from tests.core.pipeline import (
    SEGMENT,
    audience,
    csv_of,
    device_files,
    email_column,
    people_file,
    phone_column,
    pii_file,
    run,
    workspace,
)

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience

LAST_MONTH = date(2026, 10, 20)
DEVICE = "AEBE52E7-03EE-455A-B3C4-E57283966239"
ANN, BOB = "ann@example.com", "bob@example.com"


def hash_of(algorithm: str, text: str) -> str:
    return hashlib.new(algorithm, text.encode()).hexdigest()


def listed(folder: Path, rows: Sequence[Mapping[str, str]], **changes: object) -> Suppression:
    """A list of now with these columns; a second one takes the place of the first."""
    path = folder / "opt_outs.csv"
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    people = {name: name for name in ("key", "email", "phone") if name in columns}
    return Suppression(source=FilesSource(path=str(path), format="csv", current=True), **people | changes)  # type: ignore[arg-type]


def members(
    folder: Path,
    people: Mapping[str, Mapping[str, object]],
    suppression: Suppression | None,
    *,
    region: Region = "us",
) -> Audience:
    """People with e-mail, phone and device, all of which are sent."""
    source = people_file(folder / "people.parquet", people, ["email", "email2", "phone", "idfa", "gaid"])
    return audience(
        members=source,
        traits={name: name for name in ("email", "email2", "phone", "idfa", "gaid")},
        traits_from=source,
        files=[pii_file(email_column(), phone_column(), SEGMENT), *device_files(SEGMENT)],
        region=region,
        suppression=suppression,
    )


def built(folder: Path, made: Audience) -> dict[str, SealedFile]:
    return run(made, workspace(folder / "staging", threads=1), LAST_MONTH)


def first_cells(file: SealedFile) -> list[str]:
    return [row[0] for row in csv.reader(csv_of(file).decode().splitlines()[1:])]


def sent(folder: Path, people: Mapping[str, Mapping[str, object]], opt_outs: Suppression, region: Region = "us") -> str:
    """The members of the PII file, as one word."""
    return "".join(first_cells(built(folder, members(folder, people, opt_outs, region=region))["PII"]))


# E-mails.


@pytest.mark.parametrize(
    "written",
    [
        ANN,
        " Ann@Example.COM ",
        *(hash_of(name, ANN) for name in ("md5", "sha1", "sha256")),
        hash_of("md5", ANN).upper(),
    ],
    ids=["plain", "typed otherwise", "MD5", "SHA-1", "SHA-256", "capital digits"],
)
def test_an_email_means_the_person(tmp_path: Path, written: str) -> None:
    """Plain or hashed by any of three algorithms, an address on the list takes its owner out of every file."""
    people = {"A": {"email": "ANN@example.com", "idfa": DEVICE}, "B": {"email": BOB, "idfa": DEVICE[:-1] + "8"}}
    files = built(tmp_path, members(tmp_path, people, listed(tmp_path, [{"email": written}])))
    assert first_cells(files["PII"]) == ["B"]
    assert first_cells(files["D"]) == [DEVICE[:-1] + "8"]
    assert files["PII"].waterfall["suppressed"] == 1


@pytest.mark.parametrize("written", [ANN, hash_of("sha256", ANN)], ids=["plain", "SHA-256"])
def test_an_email_that_came_hashed_is_found(tmp_path: Path, written: str) -> None:
    """A member of whom only the hash is known is taken out by the address, and by the same hash."""
    people = {"A": {"email": hash_of("sha256", ANN).upper(), "phone": "5552345678"}, "B": {"email": BOB}}
    assert sent(tmp_path, people, listed(tmp_path, [{"email": written}])) == "B"


def test_hashes_of_two_algorithms_do_not_meet(tmp_path: Path) -> None:
    """Nobody can tell that an MD5 and a SHA-256 are of one address: the person stays, as the docs say."""
    people = {"A": {"email": hash_of("sha256", ANN), "phone": "5552345678"}, "B": {"email": BOB}}
    assert sent(tmp_path, people, listed(tmp_path, [{"email": hash_of("md5", ANN)}])) == "AB"


def test_any_of_several_emails_counts(tmp_path: Path) -> None:
    """Who has opted out with a second address is out, also where that address is not sent."""
    people = {"A": {"email": "other@example.com", "email2": ANN}, "B": {"email": BOB}}
    assert sent(tmp_path, people, listed(tmp_path, [{"email": ANN}])) == "B"


def test_an_email_under_another_name_counts(tmp_path: Path) -> None:
    """A trait that only its column calls an e-mail is looked at as well."""
    source = people_file(tmp_path / "people.parquet", {"A": {"contact": ANN}, "B": {"contact": BOB}}, ["contact"])
    column = IdentifierColumn(header="EMAIL1", trait="contact", identifier=Identifier.EMAIL, hash=None)
    made = audience(
        members=source,
        traits={"contact": "contact"},
        traits_from=source,
        files=[pii_file(column, SEGMENT)],
        suppression=listed(tmp_path, [{"email": ANN}]),
    )
    assert first_cells(built(tmp_path, made)["PII"]) == ["B"]


# Phones.


@pytest.mark.parametrize(
    "written",
    [
        "+1 (555) 234-5678",
        "5552345678",
        *(hash_of(name, form) for name in ("md5", "sha1", "sha256") for form in ("5552345678", "15552345678")),
        hash_of("sha256", "+15552345678"),
    ],
)
def test_a_phone_means_the_person(tmp_path: Path, written: str) -> None:
    """However a US number is written, and whichever form of it was hashed, its owner is out."""
    people = {"A": {"phone": "555.234.5678"}, "B": {"phone": "555-234-5679"}}
    assert sent(tmp_path, people, listed(tmp_path, [{"phone": written}])) == "B"


@pytest.mark.parametrize("written", ["+44 20 7946 0958", "442079460958", hash_of("sha256", "+442079460958")])
def test_an_international_phone_needs_no_plus(tmp_path: Path, written: str) -> None:
    """Outside the US a number is the same with and without its plus sign, on both sides."""
    people = {"A": {"phone": "442079460958"}, "B": {"phone": "+44 20 7946 0958"}, "C": {"phone": "+44 20 7946 0959"}}
    assert sent(tmp_path, people, listed(tmp_path, [{"phone": written}]), "uk") == "C"


# Both, and keys.


def test_every_column_of_the_list_counts(tmp_path: Path) -> None:
    """Key, e-mail and phone each take people out, and a person who is named twice is counted once."""
    people = {
        "A": {"email": ANN, "phone": "5552345678"},
        "B": {"email": BOB},
        "C": {"phone": "5552345679"},
        "D": {"email": "d@example.com"},
    }
    rows = [{"key": "A", "email": ANN, "phone": ""}, {"key": "", "email": BOB, "phone": "(555) 234-5679"}]
    file = built(tmp_path, members(tmp_path, people, listed(tmp_path, rows)))["PII"]
    assert first_cells(file) == ["D"]
    assert file.waterfall["suppressed"] == 3
    assert file.suppression is not None
    assert (file.suppression.keys, file.suppression.emails, file.suppression.phones) == (1, 2, 1)


ADDRESSES = st.sampled_from([f"{name}@example.com" for name in "abcdef"])
NUMBERS = st.sampled_from([f"555234567{digit}" for digit in range(6)])


def spelled(address: str, how: str) -> str:
    if how == "plain":
        return address
    if how == "typed":
        return f" {address.upper()} " if "@" in address else f"+1 ({address[:3]}) {address[3:6]}-{address[6:]}"
    return hash_of(how, address)


LISTED = st.sampled_from(["plain", "typed", "md5", "sha1", "sha256"])
KNOWN = st.sampled_from(["plain", "typed", "sha1"])


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(st.tuples(st.none() | ADDRESSES, st.none() | NUMBERS, KNOWN), min_size=1, max_size=8),
    opt_outs=st.lists(st.tuples(ADDRESSES | NUMBERS, LISTED), min_size=1, max_size=6),
)
def test_the_list_is_read_as_plain_python_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
    people: list[tuple[str | None, str | None, str]],
    opt_outs: list[tuple[str, str]],
) -> None:
    """For any people and any list, those are out whose address is on it, in a form that can be compared."""
    folder = tmp_path_factory.mktemp("case")
    known = {
        f"M{number}": {
            "email": email and spelled(email, how),
            "phone": phone and spelled(phone, how),
            "idfa": f"AEBE52E7-03EE-455A-B3C4-{number:012X}",
        }
        for number, (email, phone, how) in enumerate(people)
    }
    rows = [
        {"email": spelled(address, how), "phone": ""}
        if "@" in address
        else {"email": "", "phone": spelled(address, how)}
        for address, how in opt_outs
    ]
    gone = {
        f"M{number}"
        for number, (email, phone, how) in enumerate(people)
        for address, listed_how in opt_outs
        if address in (email, phone) and not (how == "sha1" and listed_how in ("md5", "sha256"))
    }
    file = built(folder, members(folder, known, listed(folder, rows)))["D"]
    expected = [person["idfa"] for key, person in known.items() if key not in gone]
    assert first_cells(file) == expected


# A list that cannot be used.


@pytest.mark.parametrize(("column", "value"), [("email", "no address"), ("phone", "12")])
def test_a_column_of_something_else_stops_the_run(tmp_path: Path, column: str, value: str) -> None:
    """Where none of the values can be an address, the wrong column was named, and nothing is sealed."""
    rows = [{"key": "Z", column: value}, {"key": "Y", column: value}]
    made = members(tmp_path, {"A": {"email": ANN}}, listed(tmp_path, rows))
    with pytest.raises(DataError, match=f"none of the 2 values in {column} is an? {column}") as caught:
        built(tmp_path, made)
    assert value not in str(caught.value)


def test_values_that_match_nobody_are_told_as_a_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Single broken values do not stop the run; the log says how many, and shows none."""
    rows = [{"email": ANN}, {"email": "canary at example"}]
    with caplog.at_level(logging.INFO):
        assert sent(tmp_path, {"A": {"email": ANN}, "B": {"email": BOB}}, listed(tmp_path, rows)) == "B"
    assert "1 of 2 values in email cannot match anybody" in caplog.text
    assert "canary" not in caplog.text
    assert "example.com" not in caplog.text


def test_no_address_on_any_row_stops_the_run(tmp_path: Path) -> None:
    """Rows without a value are a broken list, whatever is allowed."""
    made = members(tmp_path, {"A": {"email": ANN}}, listed(tmp_path, [{"email": ""}], allow_empty=True))
    with pytest.raises(DataError, match="none of the 1 rows has a value in email"):
        built(tmp_path, made)


def test_the_addresses_are_not_kept(tmp_path: Path) -> None:
    """When the files are sealed, nothing in the staging folder has an address that is only on the list."""
    built(tmp_path, members(tmp_path, {"A": {"email": BOB}}, listed(tmp_path, [{"email": ANN}])))
    kept = [path for path in (tmp_path / "staging").rglob("*") if path.is_file()]
    marks = [ANN.encode(), *(hash_of(name, ANN).encode() for name in ("md5", "sha1", "sha256"))]
    assert kept
    assert [path for path in kept if any(mark in path.read_bytes() for mark in marks)] == []


# How old it is.


def aged(folder: Path, age: timedelta) -> Suppression:
    made = listed(folder, [{"email": ANN}], max_age=timedelta(hours=24))
    moment = (datetime.now(UTC) - age).timestamp()
    os.utime(folder / "opt_outs.csv", (moment, moment))
    return made


def test_a_file_is_as_old_as_its_last_change(tmp_path: Path) -> None:
    """Younger than max_age it is believed, and the manifest says of when it is."""
    made = members(tmp_path, {"B": {"email": BOB}}, aged(tmp_path, timedelta(hours=23)))
    record = built(tmp_path, made)["PII"].suppression
    assert record is not None
    age = datetime.now(UTC) - datetime.fromisoformat(record.updated_at)
    assert timedelta(hours=23) <= age < timedelta(hours=23, minutes=5)


def test_an_old_file_stops_the_run(tmp_path: Path) -> None:
    """Older than max_age it may lack whoever opted out since: nothing is sealed."""
    made = members(tmp_path, {"B": {"email": BOB}}, aged(tmp_path, timedelta(hours=25)))
    with pytest.raises(DataError, match="25 h old, and may be 24 h at most; nothing was sealed"):
        built(tmp_path, made)
    assert not list((tmp_path / "staging").glob("vip/*/build-*"))


NOW = datetime.now(UTC)


def moments() -> Iterator[tuple[str, pa.Array]]:
    """The same two moments, 30 hours and one hour ago, as sources write them."""
    old, new = NOW - timedelta(hours=30), NOW - timedelta(hours=1)
    yield "moments with a zone", pa.array([new, old], pa.timestamp("us", "America/New_York"))
    yield "moments without", pa.array([new.replace(tzinfo=None), old.replace(tzinfo=None)], pa.timestamp("us"))
    yield "text", pa.array([new.isoformat(), old.isoformat()])
    yield "text without a zone", pa.array([f"{new:%Y-%m-%d %H:%M:%S}", None])


@pytest.mark.parametrize(("kind", "updated"), list(moments()), ids=lambda part: part if isinstance(part, str) else "")
def test_the_newest_moment_of_a_column_counts(tmp_path: Path, kind: str, updated: pa.Array) -> None:
    """With updated_at the list is as old as its newest row, in whatever form moments come."""
    made, record = suppressed_by_column(tmp_path, updated, hours=2), None
    record = built(tmp_path, made)["PII"].suppression
    assert record is not None
    assert abs(datetime.fromisoformat(record.updated_at) - (NOW - timedelta(hours=1))) < timedelta(seconds=2)
    with pytest.raises(DataError, match="old, and may be 30 min at most"):
        built(tmp_path, suppressed_by_column(tmp_path, updated, hours=0.5))


def suppressed_by_column(folder: Path, updated: pa.Array, *, hours: float) -> Audience:
    path = folder / "opt_outs.parquet"
    pq.write_table(pa.table({"email": [ANN, "x@example.com"], "changed": updated}), path)
    source = FilesSource(path=str(path), format="parquet", current=True)
    suppression = Suppression(source=source, email="email", updated_at="changed", max_age=timedelta(hours=hours))
    return members(folder, {"B": {"email": BOB}}, suppression)


def test_a_list_of_unknown_age_stops_the_run(tmp_path: Path) -> None:
    """Where max_age is asked for and no row says when, the list is not believed."""
    made = suppressed_by_column(tmp_path, pa.array([None, None], pa.string()), hours=2)
    with pytest.raises(DataError, match="nobody can say how old the list is"):
        built(tmp_path, made)


def test_without_max_age_an_old_list_is_used(tmp_path: Path) -> None:
    """Age matters only where the audience file says so."""
    made = members(tmp_path, {"A": {"email": ANN}, "B": {"email": BOB}}, None)
    old = replace(aged(tmp_path, timedelta(days=400)), max_age=None)
    assert first_cells(built(tmp_path, replace(made, suppression=old))["PII"]) == ["B"]
