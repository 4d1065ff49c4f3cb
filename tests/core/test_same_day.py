"""One day of one audience is the same files wherever it was read from, and however often it was built."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import (
    FilesSource,
    SegmentEventsSource,
    Source,
    SqlSource,
    Suppression,
    Trait,
    TraitSource,
)
from liveramp_provider.core.destination import Hash
from tests.core.pipeline import (
    ADDRESS,
    SEGMENT,
    audience,
    csv_of,
    device_files,
    email_column,
    parquet,
    phone_column,
    pii_file,
    run,
    trait_column,
    workspace,
)
from tests.core.test_staging import ENCRYPTION
from tests.servers import PostgresServer

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience

    Person = Mapping[str, Any]
    Sources = tuple[Source, Source, Source, str]

DAY = date(2026, 11, 20)
WEEK = [DAY + timedelta(days=number) for number in range(-3, 5)]
OPTED_OUT = ["C006", "C011", "elsewhere"]

# A trait: its type in PostgreSQL, in Parquet, and where it stands in Segment's events.
TRAITS = {
    "email": ("text", pa.string(), "email"),
    "phone": ("text[]", pa.list_(pa.string()), "$Mobile"),
    "first_name": ("text", pa.string(), "firstName"),
    "last_name": ("text", pa.string(), "lastName"),
    "address1": ("text", pa.string(), "address.street"),
    "city": ("text", pa.string(), "address.city"),
    "state": ("text", pa.string(), "address.state"),
    "zip": ("text", pa.string(), "address.postalCode"),
    "idfa": ("uuid", pa.string(), "idfa"),
    "gaid": ("text", pa.string(), "gaid"),
    "orders": ("integer", pa.int64(), "orders"),
    "spent": ("numeric(10, 2)", pa.decimal128(10, 2), "spent"),
    "joined": ("date", pa.date32(), "joined"),
    "newsletter": ("boolean", pa.bool_(), "newsletter"),
}


def person(number: int, day: date) -> Person:
    """Somebody as they were on a day: some things change from day to day, and many are missing."""
    since = (day - WEEK[0]).days
    hashed = number % 7 == 0
    return {
        "email": f"{number:064x}" if hashed else f" Person{number}.{since % 3}@Example.com",
        "phone": [f"(555) 200-{number:04}", f"555.300.{number:04}"][: number % 3] or None,
        "first_name": ["Ann", "Zoë", "O'Neil, Jr.", 'Bo "B"', None][number % 5],
        "last_name": None if number % 11 == 0 else f"Łast {number}",
        "address1": f"{number} Elm St." if number % 4 else None,
        "city": "Ames" if number % 4 else None,
        "state": "IA" if number % 4 else None,
        "zip": f"0{number:04}" if number % 4 else None,
        "idfa": f"{number:08x}-aaaa-4aaa-8aaa-aaaaaaaaaaaa" if number % 2 else None,
        "gaid": f"{number // 2:08X}-BBBB-4BBB-8BBB-BBBBBBBBBBBB" if number % 3 else None,
        "orders": number + since if number % 6 else None,
        "spent": Decimal(number * 125) / 100,
        "joined": date(2026, 1, 1) + timedelta(days=number),
        "newsletter": number % 2 == 0,
    }


def people_of(day: date) -> dict[str, Person]:
    """The members of a day: every day some come and some go."""
    since = (day - WEEK[0]).days
    return {f"C{number:03}": person(number, day) for number in range(60) if (number + since) % 8}


# The same people in three places: the sources of members, traits and opt-outs, and the column of the key.


def in_postgres(folder: Path, engine: sa.Engine) -> Sources:
    columns = ", ".join(f"{name} {kind}" for name, (kind, *_) in TRAITS.items())
    with engine.begin() as connection:
        connection.exec_driver_sql("drop table if exists people")
        connection.exec_driver_sql(f"create table people (customer_id text, snapshot_date date, {columns})")
        names = ["customer_id", "snapshot_date", *TRAITS]
        values = ", ".join(f"cast(:{name} as {kind})" for name, (kind, *_) in TRAITS.items())
        insert = sa.text(f"insert into people ({', '.join(names)}) values (:customer_id, :snapshot_date, {values})")
        for day in WEEK:
            rows = [{"customer_id": key, "snapshot_date": day, **cells} for key, cells in people_of(day).items()]
            connection.execute(insert, rows)
        connection.exec_driver_sql("drop table if exists opt_outs; create table opt_outs (customer_id text)")
        connection.execute(sa.text("insert into opt_outs values (:key)"), [{"key": key} for key in OPTED_OUT])
    query = "select * from people where snapshot_date = :snapshot_date"
    source = SqlSource(conn_id="warehouse", query=query, current=False)
    opt_outs = SqlSource(conn_id="warehouse", query="select customer_id from opt_outs", current=True)
    return source, source, opt_outs, "customer_id"


def in_parquet(folder: Path, engine: sa.Engine) -> Sources:
    schema = pa.schema([("customer_id", pa.string()), *((name, kind) for name, (_, kind, _) in TRAITS.items())])
    for day in WEEK:
        rows = [{"customer_id": key, **cells} for key, cells in people_of(day).items()]
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{day}.parquet")
    source = FilesSource(path=f"{folder}/{{snapshot_date}}.parquet", format="parquet", current=False)
    return source, source, parquet(folder / "opt_outs.parquet", {"customer_id": OPTED_OUT}), "customer_id"


def in_events(folder: Path, engine: sa.Engine) -> Sources:
    """A file of events a day: who came and went, and everybody's traits as they were, address and all."""
    before: dict[str, Person] = {}
    opt_outs = [moved(key, 0, inside=True, audience_key="unsubscribed") for key in OPTED_OUT]
    write_events(folder / "2020.jsonl.gz", opt_outs, day=date(2020, 1, 1))
    for day in WEEK:
        now, lines = people_of(day), []
        for number, (key, cells) in enumerate(now.items()):
            lines.append({"type": "identify", "userId": key, "traits": traits_of(cells)})
            if key not in before:
                lines.append(moved(key, number, inside=True))
        lines += [moved(key, number, inside=False) for number, key in enumerate(before) if key not in now]
        before = now
        write_events(folder / f"{day}.jsonl.gz", lines, day=day)
    traits = SegmentEventsSource(path=f"{folder}/*.gz")
    return replace(traits, audience_key="vip"), traits, replace(traits, audience_key="unsubscribed"), "userId"


def write_events(path: Path, events: list[dict[str, Any]], *, day: date) -> None:
    """A file of the day's events, the last one first and every seventh twice."""
    stamped = [
        {**event, "messageId": f"{day}-{number}", "timestamp": f"{day}T{number % 24:02}:30:00.5-05:00"}
        for number, event in enumerate(events)
    ]
    text = "\n".join(json.dumps(event) for event in reversed([*stamped, *stamped[::7]]))
    path.write_bytes(gzip.compress(text.encode()))


def moved(key: str, number: int, *, inside: bool, audience_key: str = "vip") -> dict[str, Any]:
    if number % 2:
        return {"type": "identify", "userId": key, "traits": {audience_key: inside}}
    event = "Audience Entered" if inside else "Audience Exited"
    return {"type": "track", "userId": key, "event": event, "properties": {"audience_key": audience_key}}


def traits_of(cells: Person) -> dict[str, Any]:
    traits: dict[str, Any] = {"address": {}}
    for name, (_, _, place) in TRAITS.items():
        value = cells[name]
        written = float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, date) else value
        holder, _, field = place.rpartition(".")
        (traits["address"] if holder else traits)[field] = written
    return traits


PLACES: dict[str, Callable[[Path, sa.Engine], Sources]] = {
    "postgres": in_postgres,
    "parquet": in_parquet,
    "events": in_events,
}


class Site:
    """The audience, read from one of the places."""

    def __init__(self, place: str, folder: Path, engine: sa.Engine) -> None:
        self._folder, self._engine = folder / place, engine
        self._folder.mkdir()
        members, traits, opt_outs, key = PLACES[place](self._folder, engine)
        columns = {name: column if place == "events" else name for name, (*_, column) in TRAITS.items()}
        several = TraitSource(
            source=traits,
            key=key,
            traits=(Trait(name="phone", column=columns.pop("phone")),),
            max_per_member=2,
            keep="first",
        )
        made = audience(
            members=members,
            traits=columns,
            traits_from=traits,
            key=key,
            files=FILES,
            suppression=Suppression(source=opt_outs, key=key),
        )
        self.audience: Audience = replace(made, traits=(*made.traits, several))

    def build(self, day: date, *, staging: str = "staging", encrypted: bool = False) -> dict[str, SealedFile]:
        destination = self.audience.destinations[0]
        if encrypted:
            destination = replace(destination, encryption=ENCRYPTION)
        made = replace(self.audience, destinations=(destination,))
        return run(made, workspace(self._folder / staging, database=self._engine), day)


FIELDS = [trait_column(name) for name in ("orders", "spent", "joined", "newsletter")]
FILES = [
    pii_file(
        email_column(),
        *(email_column(hash) for hash in Hash),
        phone_column(),
        phone_column(Hash.SHA1),
        trait_column("phone2"),
        *ADDRESS,
        *FIELDS,
        SEGMENT,
    ),
    *device_files(*FIELDS, SEGMENT, hash=Hash.SHA1),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    with PostgresServer() as server:
        engine = sa.create_engine(server.url)
        yield engine
        engine.dispose()


def test_the_same_files_from_three_places(tmp_path: Path, engine: sa.Engine) -> None:
    """PostgreSQL, Parquet and Segment's event log of the same people give every file byte for byte alike."""
    built = [Site(place, tmp_path, engine).build(DAY) for place in PLACES]
    for slot in ("PII", "D-IDFA", "D-AAID"):
        assert len({csv_of(files[slot]) for files in built}) == 1
        assert len({files[slot].csv_sha256 for files in built}) == 1
    pii = built[0]["PII"]
    assert pii.waterfall["members"] == len(people_of(DAY))
    assert pii.waterfall["suppressed"] == 2
    assert pii.rows > 40


def test_a_day_built_again_after_a_week(tmp_path: Path, engine: sa.Engine) -> None:
    """With other days of a week between, the same bytes are sealed; built from nothing, the same CSV."""
    between = [WEEK[0], WEEK[-1]]
    site = Site("events", tmp_path, engine)
    first = site.build(DAY, encrypted=True)
    others = {site.build(day, encrypted=True)["PII"].csv_sha256 for day in between}
    again = site.build(DAY, encrypted=True)
    assert bytes_of(again) == bytes_of(first)
    anew = site.build(DAY, staging="elsewhere", encrypted=True)
    assert {slot: file.csv_sha256 for slot, file in anew.items()} == {
        slot: file.csv_sha256 for slot, file in first.items()
    }
    # Nothing was handed over from one staging to the other, and every day was another.
    assert anew["PII"].sha256 != first["PII"].sha256
    assert len(others | {first["PII"].csv_sha256}) == 1 + len(between)


def bytes_of(files: Mapping[str, SealedFile]) -> dict[str, bytes]:
    return {slot: file.path.read_bytes() for slot, file in files.items()}
