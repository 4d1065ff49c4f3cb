"""Runs extract, enrich and build over small sources, and asks the plain reading what they must give."""

from __future__ import annotations

import gzip
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from liveramp_provider.core.audience import (
    Audience,
    FilesSource,
    Membership,
    Schedule,
    Source,
    Suppression,
    Trait,
    TraitSource,
)
from liveramp_provider.core.destination import (
    Column,
    Compression,
    DeviceFile,
    Encryption,
    Hash,
    Identifier,
    IdentifierColumn,
    PiiFile,
    Region,
    SegmentColumn,
    TraitColumn,
)
from liveramp_provider.core.destinations.liveramp import REGIONS, LiveRamp
from liveramp_provider.core.engine import EngineSettings
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace
from tests import plain_reading

if TYPE_CHECKING:
    from liveramp_provider.core import artifacts

DAY = date(2026, 11, 20)
SEGMENT = SegmentColumn(header="HIGH_VALUE", value="1")
_ADDRESS = {
    "FIRSTNAME": Identifier.FIRST_NAME,
    "LASTNAME": Identifier.LAST_NAME,
    "ADDRESS1": Identifier.ADDRESS1,
    "CITY": Identifier.CITY,
    "STATE": Identifier.STATE,
    "ZIP": Identifier.ZIP,
}
ADDRESS = tuple(IdentifierColumn(header=h, trait=i.value, identifier=i, hash=None) for h, i in _ADDRESS.items())


def email_column(hash: Hash | None = None) -> IdentifierColumn:
    header = f"EMAIL1_{hash.value.upper()}" if hash else "EMAIL1"
    return IdentifierColumn(header=header, trait="email", identifier=Identifier.EMAIL, hash=hash)


def phone_column(hash: Hash | None = None) -> IdentifierColumn:
    header = f"PHONE1_{hash.value.upper()}" if hash else "PHONE1"
    return IdentifierColumn(header=header, trait="phone", identifier=Identifier.PHONE, hash=hash)


def trait_column(trait: str) -> TraitColumn:
    return TraitColumn(header=trait.upper(), trait=trait)


def pii_file(*columns: Column) -> PiiFile:
    return PiiFile(slot="PII", key_header="CCID", columns=columns, rules=REGIONS["us"].files)


def device_files(*columns: Column, hash: Hash | None = None) -> tuple[DeviceFile, ...]:
    """One joined file, or with a hash one a kind."""
    idfa, gaid = ("idfa", Identifier.IDFA), ("gaid", Identifier.GAID)
    layout = (
        {"D": ("MOBILEID", (idfa, gaid))}
        if hash is None
        else {"D-IDFA": ("IDFA", (idfa,)), "D-AAID": ("AAID", (gaid,))}
    )
    return tuple(
        DeviceFile(
            slot=slot, key_header=header, columns=columns, rules=REGIONS["us"].files, identifiers=identifiers, hash=hash
        )
        for slot, (header, identifiers) in layout.items()
    )


def audience(
    *,
    members: Source,
    traits: Mapping[str, str],
    traits_from: Source | Sequence[tuple[Source, Mapping[str, str]]],
    files: Sequence[PiiFile | DeviceFile],
    key: str = "customer_id",
    region: Region = "us",
    compression: Compression = "none",
    encryption: Encryption | None = None,
    suppression: Suppression | None = None,
    id: str = "vip",
) -> Audience:
    """An audience with one destination.

    :param traits: Our name: the source's column; used where `traits_from` is one source.
    """
    sources = [(traits_from, traits)] if isinstance(traits_from, Source) else traits_from
    return Audience(
        id=id,
        name="VIPs",
        path=Path("vip.yaml"),
        schedule=Schedule(cron="0 0 * * *", timezone="America/New_York"),
        deliver_by=None,
        notify=(),
        owners=(),
        membership=Membership(source=members, key=key),
        traits=tuple(
            TraitSource(source=source, key=key, traits=tuple(Trait(name=n, column=c) for n, c in select.items()))
            for source, select in sources
        ),
        suppression=suppression,
        destinations=(
            LiveRamp(
                id="liveramp",
                conn_id="liveramp_default",
                region=region,
                path="/uploads/vip",
                update_method="incremental",
                org="3242",
                filename="{org}_{audience}-{kind}_{date}",
                compression=compression,
                encryption=encryption,
                files=tuple(replace(file, rules=REGIONS[region].files) for file in files),
                min_members=25,
                max_shrink_percent=50,
            ),
        ),
        warnings=(),
    )


def parquet(path: Path, columns: Mapping[str, Sequence[object]]) -> FilesSource:
    """A Parquet file with these columns, which knows its day."""
    pq.write_table(pa.table(dict(columns)), path)
    return FilesSource(path=str(path), format="parquet", current=False)


def people_file(path: Path, people: Mapping[str, Mapping[str, object]], traits: Sequence[str]) -> FilesSource:
    """A Parquet file of text, with a row a person."""
    rows = {"customer_id": pa.array(list(people), pa.string())}
    rows |= {trait: pa.array([person.get(trait) for person in people.values()], pa.string()) for trait in traits}
    return parquet(path, rows)


def workspace(folder: Path, *, database: Path | sa.Engine | None = None, **engine: object) -> Workspace:
    """Stages below `folder`; every connection is the SQLite file `database`."""

    def connect(conn_id: str) -> sa.Engine:
        return database if isinstance(database, sa.Engine) else sa.create_engine(f"sqlite:///{database}")

    return Workspace(staging=Staging(folder), connect=connect, engine=EngineSettings(**engine))


def run(audience: Audience, workspace: Workspace, day: date = DAY) -> dict[str, artifacts.SealedFile]:
    """Extract, enrich, build: the sealed files by slot."""
    membership = extract(audience, day, workspace=workspace)
    profiles = enrich(audience, day, membership, workspace=workspace)
    sealed = build(audience, audience.destinations[0], day, profiles, workspace=workspace)
    return {file.slot: file for file in sealed}


def csv_of(sealed: artifacts.SealedFile) -> bytes:
    """The plain CSV of an unencrypted file."""
    content = sealed.path.read_bytes()
    return gzip.decompress(content) if sealed.name.endswith(".gz") else content


def plain_columns(file: PiiFile | DeviceFile) -> Iterator[plain_reading.Column]:
    """The file's columns in the words of the plain reading, without the key."""
    for column in file.columns:
        if isinstance(column, SegmentColumn):
            yield plain_reading.Column(column.header, segment=column.value)
        else:
            hash = column.hash.value if isinstance(column, IdentifierColumn) and column.hash else None
            yield plain_reading.Column(column.header, trait=column.trait, hash=hash)


def expected(
    audience: Audience, members: Sequence[object], traits: Mapping[str, Mapping[str, object]]
) -> dict[str, plain_reading.Reading]:
    """What the files must hold, by slot.

    :param members: Raw keys of the membership source.
    :param traits: Cleaned key: trait: raw value.
    """
    readings = {}
    destination = audience.destinations[0]
    unique = plain_reading.read_members(members)
    for file in destination.files:
        columns = list(plain_columns(file))
        if isinstance(file, PiiFile):
            key = plain_reading.Column(file.key_header, trait="member_id")
            readings[file.slot] = plain_reading.pii(unique, traits, [key, *columns], region=destination.region)
        else:
            hash = file.hash.value if file.hash else None
            kinds = [trait for trait, _ in file.identifiers]
            readings |= plain_reading.device(unique, traits, kinds, columns, hash)
    return readings


def account(sealed: artifacts.SealedFile) -> dict[str, object]:
    """All that a sealed file says of its content."""
    return {
        "header": list(sealed.header),
        "waterfall": sealed.waterfall,
        "blanked": sealed.blanked,
        "members": sealed.members,
    }


def expected_account(reading: plain_reading.Reading) -> dict[str, object]:
    blanked = {**reading.blanked, "control_character": reading.control_character}
    return {"header": reading.header, "waterfall": reading.waterfall, "blanked": blanked, "members": reading.members}


def told(error: BaseException) -> str:
    """All that anyone can learn from an error: its own words, and those of every error it came from."""
    parts, queue, seen = [], [error], set()
    while queue:
        one = queue.pop()
        if id(one) not in seen:
            seen.add(id(one))
            parts += [str(one), repr(one), repr(one.args), *map(str, getattr(one, "__notes__", ()))]
            queue += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join([*parts, *traceback.format_exception(error)])
