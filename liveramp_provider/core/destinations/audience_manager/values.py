"""An Audience Manager destination from its keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from liveramp_provider.core.destination import DeliveryFile, Identifier, TraitColumn
from liveramp_provider.core.destinations.audience_manager import (
    COMMA,
    ID,
    MASTER_DPID,
    SEPARATORS,
    AudienceManager,
    SegmentFile,
    file_rules,
)
from liveramp_provider.core.destinations.common import file_destination
from liveramp_provider.core.destinations.liveramp import identifier_of_trait
from liveramp_provider.core.destinations.single_identifier import traits_of_kind

if TYPE_CHECKING:
    from liveramp_provider.core.destinations.audience_manager.spec import AudienceManagerSpec
    from liveramp_provider.core.destinations.common import Reading

# What parts fields and segments, whichever is chosen: a mapping should not depend on that.
_PARTING = re.compile(f"[{COMMA}{''.join(SEPARATORS.values())}]")


def destination_of(spec: AudienceManagerSpec, reading: Reading) -> AudienceManager:
    """The destination that `spec` describes; all that is wrong with it is reported."""
    if spec.control_file and spec.path.startswith("s3://"):
        hint = "Leave it out, unless your receiver expects such files."
        reading.report(("control_file",), "LiveRamp takes every object below a prefix for data", hint, warning=True)
    return AudienceManager(
        **file_destination(spec, reading),
        control_file=spec.control_file,
        split_bytes=spec.split.max_bytes if spec.split else None,
        split_numbers=spec.split.numbers if spec.split else "001",
        # What is delivered late would put back an older day.
        update_method="full_refresh",
        filename=f"{spec.sync_type}_{spec.destination_id}_{{kind}}_{spec.client}_{{sync}}_{{timestamp}}",
        files=_files(spec, reading),
    )


def _files(spec: AudienceManagerSpec, reading: Reading) -> tuple[DeliveryFile, ...]:
    if reading.traits is None:
        return ()
    segments = _segments(spec, reading)
    files: list[DeliveryFile] = []
    for kind, wanted in ((Identifier.GAID, spec.files.gaid), (Identifier.IDFA, spec.files.idfa)):
        if wanted is None:
            continue
        report = reading.at("files", str(kind))
        traits = traits_of_kind(wanted.traits, kind, known=reading.traits, report=report)
        file = SegmentFile(
            slot=MASTER_DPID[kind],
            key_header=ID,
            columns=segments,
            rules=file_rules(spec.separator),
            identifiers=tuple((trait, kind) for trait in traits),
            hash=None,
            sync=spec.sync,
        )
        files.append(file)
    return tuple(files)


def _segments(spec: AudienceManagerSpec, reading: Reading) -> tuple[TraitColumn, ...]:
    """A column a segment: its mapping value, and the trait that says who is in it."""
    known = reading.traits or ()
    mapped: dict[str, str] = {}
    for trait, segment in spec.segments.items():
        report = reading.at("segments", trait)
        mapping = segment.mapping or str(segment.id)
        if trait not in known:
            report((), f"no source gives a trait {trait}", f"Known traits: {', '.join(sorted(known)) or 'none'}.")
        elif identifier_of_trait(trait) is not None:
            report((), f"{trait} identifies people, and says of nobody whether they are in a segment")
        if _PARTING.search(mapping):
            report(("mapping",), "holds a comma, a space or a tab, which part what stands in a row", "Take it out.")
        elif mapping in mapped:
            report((), f"{mapped[mapping]} is mapped to {mapping} as well", "Give one of them another mapping.")
        mapped.setdefault(mapping, trait)
    return tuple(TraitColumn(header=mapping, trait=trait, formula="allow") for mapping, trait in mapped.items())
