"""Who has opted out by now: read whenever files are made, whatever their day, and never kept."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import SuppressionList
from liveramp_provider.core.destination import Identifier
from liveramp_provider.core.destinations.liveramp import identifier_of_trait
from liveramp_provider.core.engine import write_parquet
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.progress import duration, step
from liveramp_provider.core.sources import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    import ibis.expr.types as ir

    from liveramp_provider.core.addresses import ListedAddresses
    from liveramp_provider.core.audience import Audience, Suppression
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.sources import Reader
    from liveramp_provider.core.workspace import Workspace

log = logging.getLogger(__name__)

#: By what else than their key people may be known.
ADDRESSES = (Identifier.EMAIL, Identifier.PHONE)

_WAY_OUT = "Correct the column in the audience file, or the source."


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """The people to leave out.

    :param keys: Scratch Parquet file with one column ``member_id``, unique and in byte order.
    :param addresses: The e-mails and phones that people are known by.
    :param traits: In which traits members have theirs.
    :param record: What may be kept of it.
    """

    keys: Path
    addresses: tuple[ListedAddresses, ...]
    traits: Mapping[Identifier, tuple[str, ...]]
    record: SuppressionList


@contextmanager
def read_suppressed(
    audience: Audience, destination: Destination, day: date, *, workspace: Workspace
) -> Iterator[Suppressed | None]:
    """Who has opted out of `audience`, as the source says now; ``None`` where the audience has no suppression list.

    :param destination: Its region says how phone numbers are read.
    :param day: The day of the files. It does not matter who had opted out by then.
    :raises DataError: The list is empty and may not be, too old, or a column of it holds nothing that can be used.
    :raises SourceError: The source lacks a column or a file.
    :raises SourceUnavailableError: The source cannot be reached or broke off.
    """
    if audience.suppression is None:
        yield None
        return
    with workspace.staging.scratch() as scratch:
        with workspace.reader(audience, day) as reader:
            now = replace(reader, day=reader.today, day_end=datetime.now(UTC))
            suppressed = _read(audience, audience.suppression, destination, now, scratch=scratch)
        yield suppressed


def _read(
    audience: Audience, suppression: Suppression, destination: Destination, reader: Reader, *, scratch: Path
) -> Suppressed:
    from liveramp_provider.core.addresses import listed_addresses

    read_at = datetime.now(UTC)
    with step("suppression: reading who has opted out"):
        listed = _listed(suppression, reader)
        rows = int(reader.engine.to_pyarrow(listed.count()).as_py())
        keys = _keys(listed, reader, scratch / "keys.parquet")
        addresses = tuple(
            listed_addresses(
                listed,
                identifier,
                region=destination.region,
                engine=reader.engine,
                path=scratch / f"{identifier}.parquet",
            )
            for identifier in ADDRESSES
            if identifier.value in listed.columns
        )
        updated_at = _updated_at(listed, reader)
        counts, digest = _digest([keys, *(one.people for one in addresses)], reader)
    _check_filled(suppression, addresses, rows=rows, keys=counts[0])
    _check_age(suppression, updated_at, read_at)
    found = {one.identifier: one.count for one in addresses}
    record = SuppressionList(
        source=name_of(suppression.source),
        read_at=read_at,
        updated_at=updated_at.isoformat() if updated_at else "",
        keys=counts[0],
        emails=found.get(Identifier.EMAIL, 0),
        phones=found.get(Identifier.PHONE, 0),
        sha256=digest,
    )
    log.info(
        f"suppression: {rows:,} rows name {record.keys:,} keys, {record.emails:,} e-mails and {record.phones:,} phones "
        "of people who have opted out"
    )
    return Suppressed(keys=keys, addresses=addresses, traits=_address_traits(audience, destination), record=record)


def _listed(suppression: Suppression, reader: Reader) -> ir.Table:
    """The rows of the list, its columns under our names."""
    named = {
        "key": suppression.key,
        Identifier.EMAIL.value: suppression.email,
        Identifier.PHONE.value: suppression.phone,
        "updated": suppression.updated_at,
    }
    columns = {name: column for name, column in named.items() if column}
    rows = reader.table(suppression.source, list(columns.values()), label="suppression")
    return rows.select(**{name: rows[column] for name, column in columns.items()})


def _keys(listed: ir.Table, reader: Reader, path: Path) -> Path:
    """The audience keys on the list, each once, in byte order."""
    from liveramp_provider.core.identifiers import as_text, clean
    from liveramp_provider.core.rows import nothing

    key = clean(as_text(listed["key"])) if "key" in listed.columns else nothing()
    keyed = listed.select(member_id=key)
    write_parquet(reader.engine, keyed.filter(keyed.member_id.notnull()).distinct().order_by("member_id"), path)
    return path


def _updated_at(listed: ir.Table, reader: Reader) -> datetime | None:
    """How fresh the list is: its newest moment, or else what its source tells; ``None`` where nobody can say."""
    if "updated" in listed.columns:
        from liveramp_provider.core.moments import moment_of

        newest: datetime | None = reader.engine.to_pyarrow(moment_of(listed["updated"]).max()).as_py()
        return newest
    watermark = reader.records[-1].watermark
    return datetime.fromisoformat(watermark) if watermark else None


def _digest(paths: list[Path], reader: Reader) -> tuple[list[int], str]:
    """How many rows each of the files has, and the SHA-256 over all of them."""
    counts, digest = [], hashlib.sha256()
    for path in paths:
        count = 0
        for batch in reader.engine.to_pyarrow_batches(reader.engine.read_parquet(path)):
            count += batch.num_rows
            lines = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            digest.update("".join(f"{line}\n" for line in lines).encode())
        digest.update(b"\n")
        counts.append(count)
    return counts, digest.hexdigest()


def _check_filled(suppression: Suppression, addresses: Sequence[ListedAddresses], *, rows: int, keys: int) -> None:
    # An empty list is more often a broken job than good news, and whoever is sent by mistake cannot be called back.
    if not rows and not suppression.allow_empty:
        raise DataError(
            "suppression: the list is empty; nothing was sealed. Mend the source and clear this task, or write "
            "`allow_empty: true` if it may be that nobody has opted out."
        )
    columns = {Identifier.EMAIL: suppression.email, Identifier.PHONE: suppression.phone}
    for one in addresses:
        column = columns[one.identifier]
        if one.given and not one.count:
            raise DataError(
                f"suppression: none of the {one.given:,} values in {column} is an {one.identifier} address, plain or "
                f"as MD5, SHA-1 or SHA-256; nothing was sealed. {_WAY_OUT}"
            )
        if one.unreadable:
            log.warning(f"suppression: {one.unreadable:,} of {one.given:,} values in {column} cannot match anybody")
    if rows and not keys and not any(one.count for one in addresses):
        named = " or ".join(column for column in (suppression.key, *columns.values()) if column)
        raise DataError(
            f"suppression: none of the {rows:,} rows has a value in {named}; nothing was sealed. {_WAY_OUT}"
        )


def _check_age(suppression: Suppression, updated_at: datetime | None, now: datetime) -> None:
    if suppression.max_age is None:
        return
    if updated_at is None:
        raise DataError(
            "suppression: nobody can say how old the list is, and it has a max_age; nothing was sealed. "
            "Fill the column of updated_at."
        )
    age = now - updated_at
    if age > suppression.max_age:
        raise DataError(
            f"suppression: the list is of {updated_at:%F %H:%M} UTC, {duration(age.total_seconds())} old, and may be "
            f"{duration(suppression.max_age.total_seconds())} at most; nothing was sealed. "
            "Mend the job that writes it and clear this task."
        )


def _address_traits(audience: Audience, destination: Destination) -> dict[Identifier, tuple[str, ...]]:
    """Where members' e-mails and phones stand: in traits of that name, and where a file says so."""
    said = {pair for file in destination.files for pair in file.matching}
    named = {(trait, identifier_of_trait(trait)) for trait in audience.trait_names}
    return {
        identifier: tuple(sorted(trait for trait, kind in said | named if kind is identifier))
        for identifier in ADDRESSES
    }


def without(suppressed: Suppressed, profiles: ir.Table, reader: Reader) -> ir.Table:
    """The profiles of everybody else, in key order as they were."""
    from liveramp_provider.core.addresses import members_with
    from liveramp_provider.core.rows import staged

    gone = reader.engine.read_parquet(suppressed.keys)
    for listed in suppressed.addresses:
        traits = suppressed.traits[listed.identifier]
        gone = gone.union(members_with(listed, profiles, traits, engine=reader.engine))
    # Worked out by several threads, an anti-join mixes the blocks of rows.
    kept = profiles.anti_join(gone, "member_id").order_by("member_id")
    return staged(reader.engine, kept, reader.scratch / "profiles without suppressed.parquet")
