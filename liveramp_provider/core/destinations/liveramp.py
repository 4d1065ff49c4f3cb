"""What LiveRamp accepts: headers, identifiers, hashes and limits, and the files that follow from an audience file.

Sources of the facts: LiveRamp's pages "Formatting File Data", "Formatting Identifiers", "Hashing Identifiers" and
"File Limits"; where those are silent, docs/architecture.md says what we chose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from liveramp_provider.core.audience import (
    DeviceFile,
    Hash,
    Identifier,
    IdentifierColumn,
    PiiFile,
    SegmentColumn,
    TraitColumn,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from liveramp_provider.core.audience import Column, Region
    from liveramp_provider.core.schema import ColumnSpec, DeviceSpec, PiiSpec

MIN_MEMBERS = 25
MAX_BYTES = 50 * 10**9
MAX_SEGMENT_FIELDS = 500
MAX_FIELD_VALUES = 5_000
MAX_SEGMENT_NAME_CHARS = 150

MEMBER_ID = "member_id"

#: The hashes LiveRamp matches; every other identifier goes in plain.
MATCHED_HASHES = {
    Identifier.EMAIL: {Hash.MD5, Hash.SHA1, Hash.SHA256},
    Identifier.PHONE: {Hash.SHA1},
}
DEVICES = {Identifier.IDFA, Identifier.GAID}
DEVICE_SLOT = {Identifier.IDFA: "D-IDFA", Identifier.GAID: "D-AAID"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRules:
    """What differs between LiveRamp's regions."""

    key_header: str
    headers: Mapping[str, str]
    max_rows: int
    max_row_chars: int
    hashed_phones: bool


_US_HEADERS = {
    "first_name": "FIRSTNAME",
    "last_name": "LASTNAME",
    "address1": "ADDRESS1",
    "address2": "ADDRESS2",
    "city": "CITY",
    "state": "STATE",
    "zip": "ZIP",
    "country": "COUNTRY",
    "email": "EMAIL1",
    "email2": "EMAIL2",
    "email3": "EMAIL3",
    "phone": "PHONE1",
    "phone2": "PHONE2",
}
_EU_HEADERS = {
    **_US_HEADERS,
    "city": "TOWN",
    "state": "COUNTY",
    "zip": "POSTCODE",
    "phone": "MOBILE1",
    "phone2": "MOBILE2",
}
_US = RegionRules(
    key_header="CCID", headers=_US_HEADERS, max_rows=500_000_000, max_row_chars=10_000, hashed_phones=True
)
_EU = RegionRules(
    key_header="CustomerID", headers=_EU_HEADERS, max_rows=500_000_000, max_row_chars=1_000, hashed_phones=False
)
_UK = RegionRules(
    key_header="CustomerID", headers=_EU_HEADERS, max_rows=100_000_000, max_row_chars=1_000, hashed_phones=False
)
_FR = RegionRules(
    key_header="CustomerID", headers=_EU_HEADERS, max_rows=30_000_000, max_row_chars=1_000, hashed_phones=False
)
REGIONS: Mapping[Region, RegionRules] = {"us": _US, "au": _US, "eu": _EU, "uk": _UK, "fr": _FR}

_HEADER = re.compile(
    r"(?P<prefix>MD5|SHA1|SHA256)?(?P<name>EMAIL|PHONE|MOBILE|LANDLINE|FIRSTNAME|LASTNAME|CITY|TOWN|STATE|COUNTY|ZIP"
    r"|POSTCODE|COUNTRY|ADDRESS(?=1)|ADDRESS2(?!\d))[1-3]?(_(?P<suffix>MD5|SHA-?1|SHA-?256))?"
)
_HEADER_IDENTIFIER = {
    "EMAIL": Identifier.EMAIL,
    "PHONE": Identifier.PHONE,
    "MOBILE": Identifier.PHONE,
    "LANDLINE": Identifier.PHONE,
    "FIRSTNAME": Identifier.FIRST_NAME,
    "LASTNAME": Identifier.LAST_NAME,
    "ADDRESS": Identifier.ADDRESS1,
    "ADDRESS2": Identifier.ADDRESS2,
    "CITY": Identifier.CITY,
    "TOWN": Identifier.CITY,
    "STATE": Identifier.STATE,
    "COUNTY": Identifier.STATE,
    "ZIP": Identifier.ZIP,
    "POSTCODE": Identifier.ZIP,
    "COUNTRY": Identifier.COUNTRY,
}


class Report(Protocol):
    """Takes one finding: keys that lead to it in the audience file, what is wrong, and a hint."""

    def __call__(self, at: tuple[str | int, ...], message: str, hint: str = "", *, warning: bool = False) -> None:
        """Note one fault, or with `warning` something that works but will disappoint."""


def identifier_of_trait(trait: str) -> Identifier | None:
    """The identifier a trait is by its name: ``email``, ``email2`` … are e-mails, ``tier`` is none."""
    for name in (trait.lower(), trait.lower().rstrip("0123456789")):
        if name in set(Identifier):
            return Identifier(name)
    return None


def identifier_of_header(header: str) -> tuple[Identifier | None, Hash | None]:
    """The identifier and hash that LiveRamp's recommended header stands for: ``EMAIL1_SHA256`` is a hashed e-mail."""
    match = _HEADER.fullmatch(header)
    if match is None:
        return None, None
    algorithm = (match["suffix"] or match["prefix"] or "").replace("-", "").lower()
    return _HEADER_IDENTIFIER[match["name"]], Hash(algorithm) if algorithm else None


def pii_file(spec: PiiSpec, *, region: Region, traits: Collection[str], segment: str, report: Report) -> PiiFile:
    """The PII file an audience file asks for; faults go to `report`, all of them.

    :param traits: Names of the audience's traits.
    :param segment: Header of the membership column where the audience file names no columns.
    """
    rules = REGIONS[region]
    if not spec.columns:
        return _default_pii_file(rules, traits=traits, segment=segment, report=report)
    headers = list(spec.columns)
    if spec.columns[headers[0]].from_ != MEMBER_ID:
        report(("columns", headers[0]), "the first column must be the audience key", "Write it as {from: member_id}.")
    columns: list[Column] = []
    for header in headers[1:]:
        column = _column(header, spec.columns[header], traits=traits, region=region, report=report)
        if column is not None:
            columns.append(column)
    _check_columns(headers[0], columns, report=report)
    if not any(isinstance(column, IdentifierColumn) for column in columns):
        report(("columns",), "no column identifies anybody", "LiveRamp needs an e-mail, a phone, or name and address.")
    return PiiFile(slot="PII", key_header=headers[0], columns=tuple(columns))


def _default_pii_file(rules: RegionRules, *, traits: Collection[str], segment: str, report: Report) -> PiiFile:
    columns: list[Column] = []
    for trait, header in rules.headers.items():
        identifier = identifier_of_trait(trait)
        if trait in traits and identifier is not None:
            columns.append(IdentifierColumn(header=header, trait=trait, identifier=identifier, hash=None))
    if not columns:
        report((), "no trait identifies anybody", f"Name one of {', '.join(rules.headers)}, or write the columns.")
    columns.append(SegmentColumn(header=segment, value="1"))
    return PiiFile(slot="PII", key_header=rules.key_header, columns=tuple(columns))


def device_files(
    spec: DeviceSpec, *, region: Region, traits: Collection[str], segment: str, report: Report
) -> tuple[DeviceFile, ...]:
    """The Device file, or one a kind of id when they are hashed; faults go to `report`."""
    identifiers = _device_identifiers(spec, traits=traits, report=report)
    columns: list[TraitColumn | SegmentColumn] = []
    for header, column_spec in spec.columns.items():
        column = _column(header, column_spec, traits=traits, region=region, report=report)
        if isinstance(column, IdentifierColumn):
            report(("columns", header), f"{column.identifier} may not stand beside device ids", "Send it in pii.")
        elif column is not None:
            columns.append(column)
    columns = columns or [SegmentColumn(header=segment, value="1")]
    if spec.hash == "none":
        layout = [("D", spec.headers.joined, identifiers)]
    else:
        own_header = {Identifier.IDFA: spec.headers.idfa, Identifier.GAID: spec.headers.gaid}
        kinds = [kind for kind in (Identifier.IDFA, Identifier.GAID) if kind in {kind for _, kind in identifiers}]
        layout = [(DEVICE_SLOT[kind], own_header[kind], [i for i in identifiers if i[1] is kind]) for kind in kinds]
    files = []
    for slot, header, own in layout:
        _check_columns(header, columns, report=report)
        hashed = None if spec.hash == "none" else Hash.SHA1
        files.append(
            DeviceFile(slot=slot, key_header=header, identifiers=tuple(own), hash=hashed, columns=tuple(columns))
        )
    return tuple(files)


def _device_identifiers(spec: DeviceSpec, *, traits: Collection[str], report: Report) -> list[tuple[str, Identifier]]:
    identifiers: list[tuple[str, Identifier]] = []
    for index, trait in enumerate(spec.identifiers):
        kind = identifier_of_trait(trait)
        if kind not in DEVICES:
            report(("identifiers", index), f"{trait} is no device id", "Use traits named idfa or gaid.")
        elif trait not in traits:
            report(("identifiers", index), f"no source gives a trait {trait}", "Select it under traits.")
        else:
            identifiers.append((trait, Identifier(kind)))
    # One fixed order, so that the file does not depend on the order of the configuration.
    return sorted(identifiers, key=lambda pair: (pair[1] is Identifier.GAID, pair[0]))


def _column(header: str, spec: ColumnSpec, *, traits: Collection[str], region: Region, report: Report) -> Column | None:
    where = ("columns", header)
    if spec.segment is not None:
        return SegmentColumn(header=header, value=spec.segment)
    trait = spec.from_ or ""
    if trait == MEMBER_ID:
        report(where, "the audience key stands in the first column only", "A hashed or repeated key cannot be matched.")
        return None
    if trait not in traits:
        report(where, f"no source gives a trait {trait}", f"Known traits: {', '.join(sorted(traits)) or 'none'}.")
        return None
    by_header, header_hash = identifier_of_header(header)
    by_trait = identifier_of_trait(trait)
    identifier = spec.identifier or by_trait or by_header
    if by_header is not None and identifier is not by_header:
        report(where, f"LiveRamp reads this header as {by_header}, but the trait {trait} is {identifier}")
        return None
    if header_hash is not spec.hash and header_hash is not None:
        report(where, f"the header promises {header_hash}", f"Write {{from: {trait}, hash: {header_hash}}}.")
        return None
    if identifier is None:
        if spec.hash is not None:
            report(where, "a segment field is never hashed", "Leave hash out, or say which identifier it is.")
        return TraitColumn(header=header, trait=trait)
    if identifier in DEVICES:
        report(where, f"the device id {trait} may not stand beside known identifiers", "Send it in the device file.")
        return None
    _check_hash(where, identifier, spec.hash, region=region, report=report)
    return IdentifierColumn(header=header, trait=trait, identifier=identifier, hash=spec.hash)


def _check_hash(
    where: tuple[str | int, ...], identifier: Identifier, algorithm: Hash | None, *, region: Region, report: Report
) -> None:
    if algorithm is None:
        return
    if identifier not in MATCHED_HASHES:
        report(where, f"{identifier} is never hashed", "LiveRamp matches it in plain only.")
    elif identifier is Identifier.PHONE and not REGIONS[region].hashed_phones:
        report(where, f"phones are never hashed in region {region}", "Leave hash out.")
    elif algorithm not in MATCHED_HASHES[identifier]:
        matched = ", ".join(sorted(MATCHED_HASHES[identifier]))
        report(where, f"LiveRamp matches no {algorithm} of a {identifier}, only {matched}", warning=True)


def _check_columns(key_header: str, columns: Collection[Column], *, report: Report) -> None:
    seen = {key_header.upper()}
    for column in columns:
        if column.header.upper() in seen:
            report(("columns", column.header), "the header stands twice", "Headers differ by more than capitals.")
        seen.add(column.header.upper())
    fields = sum(not isinstance(column, IdentifierColumn) for column in columns)
    if fields > MAX_SEGMENT_FIELDS:
        report(("columns",), f"{fields:,} segment fields; LiveRamp takes {MAX_SEGMENT_FIELDS:,} a file")
