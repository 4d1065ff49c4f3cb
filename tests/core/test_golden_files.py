"""Golden bytes: a handful of people, and the files they must give to the last byte.

The files in ``golden/`` were written by hand from the rules; nothing generates them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import FilesSource, Source, SqlSource
from liveramp_provider.core.destination import Compression, Hash
from liveramp_provider.testing.warehouse import make_warehouse
from tests.core.pipeline import (
    ADDRESS,
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

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile

GOLDEN = Path(__file__).parent / "golden"
TRAITS = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "address1",
    "city",
    "state",
    "zip",
    "idfa",
    "gaid",
    "tier",
    "nobodys",
)
IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
PEOPLE = {
    "100": {
        "email": " MyName@LiveRamp.com ",
        "phone": "+1 (555) 123-4567",
        "first_name": "Ann",
        "zip": "02134",
        "tier": "gold",
        "idfa": IDFA.lower(),
    },
    "20": {
        "email": "null",
        "first_name": "Zoë",
        "last_name": 'O"Hara',
        "address1": "1 Elm St\nApt 2",
        "city": "Boston",
        "state": "MA",
        "zip": "02134-1234",
        "gaid": "E4FE9BDE-CAA0-47B6-908D-FFBA3FA184F2",
    },
    "é1": {
        "email": "AD474377422023FE13C6421AFA7958559EE3CE1C5AA8395E92140CC09912C1BE",
        "tier": "N/A",
        "idfa": "00000000-0000-0000-0000-000000000000",
    },
    "7": {"phone": "555.123.4567 x9", "email": "nobody@example", "idfa": IDFA},
    "8": {"first_name": "No", "last_name": "Address"},
    "9": {},
}
PII = pii_file(
    *ADDRESS,
    email_column(),
    email_column(Hash.SHA256),
    phone_column(),
    phone_column(Hash.SHA1),
    trait_column("tier"),
    trait_column("nobodys"),
    SEGMENT,
)
FILES = (PII, *device_files(SEGMENT), *device_files(trait_column("tier"), hash=Hash.SHA1))


def golden_files(folder: Path, compression: Compression) -> dict[str, SealedFile]:
    folder.mkdir()
    source = people_file(folder / "people.parquet", PEOPLE, TRAITS)
    traits = {trait: trait for trait in TRAITS}
    made = audience(members=source, traits=traits, traits_from=source, files=FILES, compression=compression)
    return run(made, workspace(folder / "staging"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SealedFile]:
    return golden_files(tmp_path_factory.mktemp("golden") / "plain", "none")


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SealedFile]:
    return golden_files(tmp_path_factory.mktemp("golden") / "compressed", "gzip")


@pytest.mark.parametrize(
    ("slot", "golden"),
    [("PII", "pii.csv"), ("D", "device.csv"), ("D-IDFA", "device_idfa.csv"), ("D-AAID", "device_aaid.csv")],
)
def test_golden_bytes(plain: dict[str, SealedFile], compressed: dict[str, SealedFile], slot: str, golden: str) -> None:
    """The file is the golden one to the last byte: order, quotes, digests, and columns that nobody fills."""
    assert csv_of(plain[slot]).decode() == (GOLDEN / golden).read_text("utf-8")
    assert csv_of(compressed[slot]).decode() == (GOLDEN / golden).read_text("utf-8")


def test_compressed_files_are_the_same_on_every_run(compressed: dict[str, SealedFile], tmp_path: Path) -> None:
    """Two installations that build the same people seal the same bytes: no time and no name is in them."""
    for slot, again in golden_files(tmp_path / "again", "gzip").items():
        assert again.path.read_bytes() == compressed[slot].path.read_bytes()
        assert again.path.read_bytes()[3:8] == bytes(5)  # no flags, so no name; no time


COLUMNS = {
    "email": "email_address",
    "phone": "mobile",
    "first_name": "first_name",
    "last_name": "last_name",
    "zip": "zip",
    "ltv": "ltv",
}
DEVICES = ("idfa", "gaid")
WAREHOUSE_FILES = (
    pii_file(
        *ADDRESS[:2], ADDRESS[5], email_column(), email_column(Hash.MD5), phone_column(), trait_column("ltv"), SEGMENT
    ),
    *device_files(SEGMENT),
)


def as_written(value: object) -> str | None:
    """What somebody who exports a CSV file writes."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else None if value is None else str(value)


class Warehouse:
    """The same people in SQL, in Parquet and in CSV."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, folder / "warehouse.db"
        make_warehouse(self.database, day=DAY, customers=1_500, seed=9)
        engine = sa.create_engine(f"sqlite:///{self.database}")
        with engine.connect() as connection:
            self._tables = {
                "vip": self._read(connection, "vip", ["customer_id"]),
                "customers": self._read(connection, "customers", ["customer_id", *COLUMNS.values()]),
                "devices": self._read(connection, "devices", ["customer_id", *DEVICES]),
            }
        engine.dispose()

    def _read(self, connection: sa.Connection, table: str, columns: Sequence[str]) -> dict[str, list[object]]:
        rows = connection.execute(sa.text(f"select {', '.join(columns)} from {table}")).all()
        return {column: [row[number] for row in rows] for number, column in enumerate(columns)}

    def source(self, table: str, kind: str, shuffled: int | None) -> Source:
        order = list(range(len(self._tables[table]["customer_id"])))
        if shuffled is not None:
            random.Random(shuffled).shuffle(order)
        cells = {column: [values[row] for row in order] for column, values in self._tables[table].items()}
        if kind == "parquet":
            return parquet(self.folder / f"{table}.parquet", cells)
        if kind == "csv":
            # A CSV file has texts; the numbers' are those that people write.
            texts = {
                c: [None if v is None else f"{v:g}" if c == "ltv" and v == int(v) else str(v) for v in vs]
                for c, vs in cells.items()
            }
            pa.csv.write_csv(
                pa.table({c: pa.array(v, pa.string()) for c, v in texts.items()}), self.folder / f"{table}.csv"
            )
            return FilesSource(path=str(self.folder / f"{table}.csv"), format="csv", current=False)
        query = f"select * from {table} where snapshot_date = :snapshot_date"
        return SqlSource(conn_id="warehouse", query=query, current=False)

    def digests(self, staging: Path, *, kind: str, shuffled: int | None = None, **engine: object) -> dict[str, str]:
        sources = {table: self.source(table, kind, shuffled) for table in self._tables}
        made = audience(
            members=sources["vip"],
            traits={},
            traits_from=[(sources["customers"], COLUMNS), (sources["devices"], {d: d for d in DEVICES})],
            files=WAREHOUSE_FILES,
        )
        sealed = run(made, workspace(staging, database=self.database, **engine))
        return {slot: file.csv_sha256 for slot, file in sealed.items()}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return Warehouse(tmp_path_factory.mktemp("warehouse"))


@pytest.fixture(scope="module")
def usual(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return warehouse.digests(tmp_path_factory.mktemp("usual"), kind="sql")


@pytest.mark.parametrize(
    "run_as",
    [
        {"kind": "parquet", "shuffled": 1, "threads": 1},
        {"kind": "parquet", "shuffled": 2, "threads": 4},
        {"kind": "csv", "shuffled": 3, "threads": 2},
        {"kind": "sql", "threads": 4, "memory_limit": "60MB"},
    ],
    ids=str,
)
def test_same_people_same_digest(warehouse: Warehouse, usual: dict, tmp_path: Path, run_as: dict) -> None:
    """The CSV is the same to the last byte whatever the kind of source, the order of its rows, threads and memory."""
    assert warehouse.digests(tmp_path, **run_as) == usual


def test_other_people_another_digest(warehouse: Warehouse, usual: dict, tmp_path: Path) -> None:
    """Other people have another digest, so that an equal one says something."""
    other = Warehouse(tmp_path)
    other._tables["customers"]["zip"][::50] = ["10001"] * len(other._tables["customers"]["zip"][::50])
    changed = other.digests(tmp_path / "staging", kind="parquet")
    assert (changed["PII"] != usual["PII"], changed["D"] == usual["D"]) == (True, True)
