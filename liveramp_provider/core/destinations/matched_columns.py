"""Receivers that take a fixed set of fields, each in a form of its own, to match people by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field as Key

from liveramp_provider.core.destination import (
    Detail,
    FileRules,
    Form,
    Hash,
    Identifier,
    IdentifierColumn,
    PiiFile,
)
from liveramp_provider.core.destinations.common import FileDestinationSpec, check_filename
from liveramp_provider.core.schema.types import CountryCode, Filename

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liveramp_provider.core.destination import Region
    from liveramp_provider.core.destinations.common import Reading
    from liveramp_provider.core.schema.base import Spec

#: The only file: known identifiers.
SLOT = "PII"


class Field(NamedTuple):
    """A field that a receiver takes.

    :param hash: ``None``: it is sent as it is.
    """

    header: str
    identifier: Identifier | Detail
    form: Form
    hash: Hash | None


class MatchedSpec(FileDestinationSpec):
    """The keys that these receivers share."""

    country_code: CountryCode | None = Key(
        default=None,
        description="Of phone numbers that say none; needed where a phone is mapped.",
        examples=["1"],
    )
    filename: Filename = Key(
        default="{audience}-{kind}_{date}",
        description="File name without extension; {audience}, {kind}, {date}, {upload_date}.",
        examples=["{audience}-{kind}_{date}"],
    )


def region_of(spec: MatchedSpec) -> Region:
    """By whose rules phone numbers on an opt-out list are read."""
    return "us" if spec.country_code in (None, "1") else "eu"


def matched_files(
    spec: MatchedSpec,
    chosen: Spec,
    reading: Reading,
    *,
    fields: Mapping[str, Field],
    matched_by: tuple[tuple[Identifier, ...], ...],
) -> tuple[PiiFile, ...]:
    """The file of the fields that `chosen` maps to traits; all that is wrong is reported.

    :param chosen: A trait, or nothing, under each name of `fields`.
    """
    check_filename(spec.filename, reading, org="", longest_kind=SLOT)
    mapped = {name: trait for name in fields if (trait := getattr(chosen, name)) is not None}
    report = reading.at("traits")
    if not mapped:
        report((), "maps no trait", f"Name one of {', '.join(fields)}.")
    if "phone" in mapped and spec.country_code is None:
        reading.report(("country_code",), "is missing, and a phone is mapped", 'Write the digits, such as "1".')
    for name, trait in mapped.items():
        if trait == reading.audience:
            report((name,), f"{trait} is the audience's own key, which is no trait", "Name another trait.")
        elif reading.traits is not None and trait not in reading.traits:
            known = ", ".join(sorted(reading.traits)) or "none"
            report((name,), f"no source gives a trait {trait}", f"Known traits: {known}.")
    columns = tuple(
        IdentifierColumn(header=field.header, trait=mapped[name], identifier=field.identifier, hash=field.hash)
        for name, field in fields.items()
        if name in mapped
    )
    twice = {trait for trait in mapped.values() if list(mapped.values()).count(trait) > 1}
    for trait in sorted(twice):
        report((), f"the trait {trait} is mapped twice", "A trait is one thing; leave one of them out.")
    rules = FileRules(
        forms={field.identifier: field.form for field in fields.values()},
        matched_by=tuple(enough for enough in matched_by if {*enough} <= {column.identifier for column in columns}),
        limits=None,
        country_code=spec.country_code or "",
    )
    if mapped and not rules.matched_by:
        report((), "nothing here is enough to match a person by", "Map email or phone.")
    return (PiiFile(slot=SLOT, key_header="", columns=columns, rules=rules),)
