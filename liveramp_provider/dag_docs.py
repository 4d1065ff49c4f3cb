"""What a DAG's page in Airflow says of its audience."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.audience import DeviceFile, IdentifierColumn, SegmentColumn, SqlSource, TraitColumn

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Audience, Column, DeliveryFile, Destination, Source


def audience_doc(audience: Audience) -> str:
    """Markdown: who, from where, where to, in which columns."""
    lines = [
        f"# {audience.name}",
        "",
        f"Delivered daily at `{audience.schedule.cron}` ({audience.schedule.timezone}), each run for the day before. "
        f"Described in `{audience.path.name}`.",
        "",
        f"**Members** by `{audience.membership.key}` from {_source(audience.membership.source)}.",
        "",
    ]
    for source in audience.trait_sources:
        traits = ", ".join(f"`{trait.name}`" for trait in source.traits)
        lines += [f"**Traits** {traits} by `{source.key}` from {_source(source.source)}.", ""]
    for destination in audience.destinations:
        lines += _destination(destination)
    lines += [
        "## To deliver another day",
        "",
        "Backfill that day (partition date), or trigger with its date as *Partition Key* under *Advanced Options*. "
        "A day that was delivered is not sent again.",
    ]
    lines += [f"\n> ⚠ {warning}" for warning in audience.warnings]
    return "\n".join(lines)


def fault_doc(faults: str) -> str:
    """Markdown: what keeps the audience file from being used."""
    return f"# This audience file cannot be used\n\n```\n{faults}\n```\n\nCorrect the file; the DAG comes by itself."


def _source(source: Source) -> str:
    return f"a query through `{source.conn_id}`" if isinstance(source, SqlSource) else f"files `{source.path}`"


def _destination(destination: Destination) -> list[str]:
    sealed = f"PGP to `{destination.encryption.recipient}`" if destination.encryption else "not encrypted"
    lines = [
        f"## {destination.id}",
        "",
        f"`{destination.path}` through `{destination.conn_id}`, region {destination.region}, "
        f"{destination.update_method}, {destination.compression}, {sealed}. "
        f"A file with fewer than {destination.min_members} members is not sent.",
        "",
    ]
    for file in destination.files:
        lines += [f"**{file.slot}**", "", "| column | content |", "|---|---|", f"| {file.key_header} | {_key(file)} |"]
        lines += [f"| {column.header} | {_content(column)} |" for column in file.columns]
        lines.append("")
    return lines


def _key(file: DeliveryFile) -> str:
    if isinstance(file, DeviceFile):
        hashed = f", {file.hash}" if file.hash else ""
        return f"device id: {', '.join(trait for trait, _ in file.identifiers)}{hashed}"
    return "audience key"


def _content(column: Column) -> str:
    match column:
        case SegmentColumn():
            return f"`{column.value}` in every row"
        case IdentifierColumn():
            return f"{column.trait}, {column.hash or 'normalised'}"
        case TraitColumn():
            return column.trait
