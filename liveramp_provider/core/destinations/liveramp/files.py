"""The files that LiveRamp gets: from the columns of an audience file, or the usual ones where it names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.destination import (
    DeviceFile,
    Hash,
    Identifier,
    IdentifierColumn,
    PiiFile,
    SegmentColumn,
    TraitColumn,
)
from liveramp_provider.core.destinations.liveramp import (
    DEVICE_SLOT,
    DEVICES,
    MATCHED_HASHES,
    MAX_SEGMENT_FIELDS,
    MAX_SEGMENT_NAME_CHARS,
    MEMBER_ID,
    REGIONS,
    SEGMENT_KEY_HEADER,
    identifier_of_header,
    identifier_of_trait,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from liveramp_provider.core.destination import Column, Detail, Region
    from liveramp_provider.core.destinations.columns import ColumnSpec
    from liveramp_provider.core.destinations.common import Report
    from liveramp_provider.core.destinations.liveramp import LayoutName
    from liveramp_provider.core.destinations.liveramp.spec import DeviceSpec, PiiSpec


def pii_file(
    spec: PiiSpec,
    *,
    region: Region,
    traits: Collection[str],
    segment: str,
    report: Report,
    layout: LayoutName = "liveramp",
) -> PiiFile:
    """The PII file an audience file asks for; faults go to `report`, all of them.

    :param traits: Names of the audience's traits.
    :param segment: Header of the membership column where the audience file names no columns.
    """
    if not spec.columns:
        if layout == "segment":
            report((), "a file like Segment's has no usual columns", "Write the columns of your mapping.")
        return _usual_pii_file(region, traits=traits, segment=segment, report=report)
    key_header = _key_header(spec, layout=layout, report=report)
    columns: list[Column] = []
    complete = True
    for header, column_spec in spec.columns.items():
        if header == key_header:
            continue
        column = _pii_column(header, column_spec, traits=traits, region=region, layout=layout, report=report)
        if column is None:
            complete = False
        else:
            columns.append(column)
    if layout == "segment":
        # As JavaScript's sort puts them: by code points, so that capitals come first.
        columns.sort(key=lambda column: column.header)
    _check_columns(key_header, columns, report=report)
    if complete and not any(isinstance(column, IdentifierColumn) for column in columns):
        report(("columns",), "no column identifies anybody", "LiveRamp needs an e-mail, a phone, or name and address.")
    return PiiFile(
        slot="PII",
        key_header=key_header,
        columns=tuple(columns),
        rules=REGIONS[region].files,
        key_formula=(key_header and spec.columns[key_header].formula) or "blank",
    )


def device_files(
    spec: DeviceSpec, *, region: Region, traits: Collection[str], segment: str, report: Report
) -> tuple[DeviceFile, ...]:
    """The Device file, or one a kind of id when they are hashed; faults go to `report`."""
    identifiers = _device_identifiers(spec, traits=traits, report=report)
    columns: list[TraitColumn | SegmentColumn] = []
    for header, column_spec in spec.columns.items():
        column = _device_column(header, column_spec, traits=traits, report=report)
        if column is not None:
            columns.append(column)
    columns = columns or [_segment_column(segment, "1", at=(), report=report)]
    if spec.hash == "none":
        layout = [("D", spec.headers.joined, identifiers)]
    else:
        own_header = {Identifier.IDFA: spec.headers.idfa, Identifier.GAID: spec.headers.gaid}
        kinds = list(dict.fromkeys(kind for _, kind in identifiers))
        layout = [(DEVICE_SLOT[kind], own_header[kind], [i for i in identifiers if i[1] is kind]) for kind in kinds]
    files = []
    for slot, header, own in layout:
        _check_columns(header, columns, report=report)
        hashed = None if spec.hash == "none" else Hash.SHA1
        files.append(
            DeviceFile(
                slot=slot,
                key_header=header,
                columns=tuple(columns),
                rules=REGIONS[region].files,
                identifiers=tuple(own),
                hash=hashed,
            )
        )
    return tuple(files)


def _usual_pii_file(region: Region, *, traits: Collection[str], segment: str, report: Report) -> PiiFile:
    rules = REGIONS[region]
    named = {trait.lower(): trait for trait in traits}
    columns: list[Column] = []
    for usual, header in rules.headers.items():
        trait = named.pop(usual, None) or named.pop(f"{usual}1", None)
        identifier = identifier_of_trait(usual)
        if trait is not None and identifier is not None:
            columns.append(IdentifierColumn(header=header, trait=trait, identifier=identifier, hash=None))
    for trait in named.values():
        if identifier_of_trait(trait) not in {None, *DEVICES}:
            report((), f"the trait {trait} has no usual header and is not sent; write the columns", warning=True)
    if not columns:
        report((), "no trait identifies anybody", f"Name one of {', '.join(rules.headers)}, or write the columns.")
    columns.append(_segment_column(segment, "1", at=(), report=report))
    return PiiFile(slot="PII", key_header=rules.key_header, columns=tuple(columns), rules=rules.files)


def _key_header(spec: PiiSpec, *, layout: LayoutName, report: Report) -> str:
    usual = SEGMENT_KEY_HEADER if layout == "segment" else "CCID"
    first, *_ = spec.columns
    keys = [header for header, column in spec.columns.items() if column.from_ == MEMBER_ID]
    if not keys:
        report(
            ("columns", first), "the first column must be the audience key", f"Begin with {usual}: {{from: member_id}}."
        )
        return ""
    key = keys[0]
    if key != first:
        report(("columns", key), "the audience key must be the first column", "Move it to the top.")
    if identifier_of_header(key)[0] is not None:
        report(("columns", key), "LiveRamp reads this header as an identifier, not as the key", f"Name it {usual}.")
    elif layout == "segment" and key != usual:
        report(("columns", key), "in Segment's files the audience key has another header", f"Name it {usual}.")
    if spec.columns[key].hash is not None or spec.columns[key].identifier is not None:
        report(("columns", key), "the audience key is sent as it is", "Write it as {from: member_id}.")
    for other in keys[1:]:
        report(("columns", other), "the audience key stands twice", "Leave this column out.")
    return key


def _device_identifiers(spec: DeviceSpec, *, traits: Collection[str], report: Report) -> list[tuple[str, Identifier]]:
    wanted = spec.identifiers or [trait for trait in traits if identifier_of_trait(trait) in DEVICES]
    if not wanted:
        report((), "no trait is a device id", "Select one named idfa or gaid under traits.")
    identifiers: list[tuple[str, Identifier]] = []
    for index, trait in enumerate(wanted):
        kind = identifier_of_trait(trait)
        if kind not in DEVICES:
            report(("identifiers", index), f"{trait} is no device id", "Use traits named idfa or gaid.")
        elif trait not in traits:
            report(("identifiers", index), f"no source gives a trait {trait}", _known(traits))
        elif (trait, kind) in identifiers:
            report(("identifiers", index), f"{trait} stands twice", "Leave it out here.")
        else:
            identifiers.append((trait, Identifier(kind)))
    # One fixed order, so that the file does not depend on the order of the configuration.
    return sorted(identifiers, key=lambda pair: (pair[1] is Identifier.GAID, pair[0]))


def _pii_column(
    header: str, spec: ColumnSpec, *, traits: Collection[str], region: Region, layout: LayoutName, report: Report
) -> Column | None:
    where = ("columns", header)
    if spec.segment is not None:
        return _segment_column(header, spec.segment, at=where, report=report)
    trait = spec.from_ or ""
    if trait == MEMBER_ID:
        return None  # reported by _key_header
    if trait not in traits:
        report(where, f"no source gives a trait {trait}", _known(traits))
        return None
    by_header, header_hash = identifier_of_header(header)
    identifier = spec.identifier or identifier_of_trait(trait) or by_header
    if by_header is not None and identifier is not by_header:
        report(
            where, f"LiveRamp reads this header as {by_header}, but {trait} is {identifier}", "Choose another header."
        )
        return None
    if header_hash is not None and header_hash is not spec.hash:
        report(where, f"the header promises {header_hash}", f"Write {{from: {trait}, hash: {header_hash}}}.")
        return None
    if identifier is None:
        if spec.hash is not None:
            report(where, "a segment field is never hashed", "Leave hash out, or say which identifier it is.")
        return TraitColumn(header=header, trait=trait, formula=spec.formula or "blank")
    if identifier in DEVICES:
        report(where, f"the device id {trait} may not stand beside known identifiers", "Send it in the device file.")
        return None
    if spec.hash is not None:
        _check_hash(
            where,
            identifier,
            spec.hash,
            # Segment's headers do not say what is hashed; LiveRamp was told when the audience was set up.
            plain_header=by_header is not None and header_hash is None and layout != "segment",
            region=region,
            report=report,
        )
    return IdentifierColumn(
        header=header, trait=trait, identifier=identifier, hash=spec.hash, formula=spec.formula or "blank"
    )


def _device_column(
    header: str, spec: ColumnSpec, *, traits: Collection[str], report: Report
) -> TraitColumn | SegmentColumn | None:
    where = ("columns", header)
    if spec.segment is not None:
        return _segment_column(header, spec.segment, at=where, report=report)
    trait = spec.from_ or ""
    by_header, _ = identifier_of_header(header)
    identifier = spec.identifier or identifier_of_trait(trait) or by_header
    if trait == MEMBER_ID:
        report(where, "the member id may not stand beside device ids", "It would link them to known people.")
    elif trait not in traits:
        report(where, f"no source gives a trait {trait}", _known(traits))
    elif identifier in DEVICES:
        report(where, f"{trait} is a device id, not a segment field", "Name it under identifiers.")
    elif identifier is not None:
        report(where, f"{identifier} may not stand beside device ids", "Send it in the pii file.")
    elif spec.hash is not None:
        report(where, "a segment field is never hashed", "Leave hash out.")
    else:
        return TraitColumn(header=header, trait=trait, formula=spec.formula or "blank")
    return None


def _segment_column(header: str, value: str, *, at: tuple[str, ...], report: Report) -> SegmentColumn:
    identifier, _ = identifier_of_header(header)
    if identifier is not None:
        report(at, f"LiveRamp reads the header {header} as {identifier}, not as a segment", "Choose another header.")
    length = len(header) + 1 + len(value)
    if length > MAX_SEGMENT_NAME_CHARS:
        report(
            at,
            f"header and value make a segment name of {length} characters; LiveRamp takes {MAX_SEGMENT_NAME_CHARS}",
            "Shorten one of them.",
        )
    return SegmentColumn(header=header, value=value)


def _check_hash(
    where: tuple[str, ...],
    identifier: Identifier,
    algorithm: Hash,
    *,
    plain_header: bool,
    region: Region,
    report: Report,
) -> None:
    if identifier not in MATCHED_HASHES:
        report(where, f"{identifier} is never hashed", "LiveRamp matches it in plain only; leave hash out.")
    elif identifier is Identifier.PHONE and not REGIONS[region].hashed_phones:
        report(where, f"phones are never hashed in region {region}", "Leave hash out.")
    elif algorithm not in MATCHED_HASHES[identifier]:
        matched = ", ".join(sorted(MATCHED_HASHES[identifier]))
        report(where, f"LiveRamp matches no {algorithm} of a {identifier}, only {matched}", warning=True)
    elif plain_header:
        header = f"{where[-1]}_{algorithm.upper()}"
        report(where, f"LiveRamp may read this header as a plain {identifier}; {header} says what it is", warning=True)


def _check_columns(key_header: str, columns: Iterable[Column], *, report: Report) -> None:
    headers = {key_header.upper()}
    read_as: dict[str, Identifier | Detail] = {}
    fields = 0
    for column in columns:
        at = ("columns", column.header)
        if column.header.upper() in headers:
            report(at, "the header stands twice", "Headers differ by more than capitals.")
        headers.add(column.header.upper())
        if not isinstance(column, IdentifierColumn):
            fields += 1
        elif read_as.setdefault(column.trait, column.identifier) is not column.identifier:
            report(at, f"the trait {column.trait} is {read_as[column.trait]} in another column", "It can be one only.")
    if fields > MAX_SEGMENT_FIELDS:
        report(
            ("columns",),
            f"{fields:,} segment fields; LiveRamp takes {MAX_SEGMENT_FIELDS:,} a file",
            "Leave some out, or make a second audience.",
        )


def _known(traits: Collection[str]) -> str:
    return f"Known traits: {', '.join(sorted(traits)) or 'none'}."
