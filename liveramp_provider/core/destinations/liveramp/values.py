"""A LiveRamp destination from its keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liveramp_provider.core.destinations.common import check_filename, file_destination
from liveramp_provider.core.destinations.liveramp import DEVICE_SLOT, LiveRamp, file_rules
from liveramp_provider.core.destinations.liveramp.files import device_files, pii_file

if TYPE_CHECKING:
    from liveramp_provider.core.destination import DeliveryFile
    from liveramp_provider.core.destinations.common import Reading
    from liveramp_provider.core.destinations.liveramp.spec import LiveRampSpec


def destination_of(spec: LiveRampSpec, reading: Reading) -> LiveRamp:
    """The destination that `spec` describes; all that is wrong with it is reported."""
    check_filename(spec.filename, reading, org=spec.org, longest_kind=max(DEVICE_SLOT.values(), key=len))
    return LiveRamp(
        **file_destination(spec, reading),
        region=spec.region,
        update_method=spec.update_method,
        org=spec.org,
        filename=spec.filename,
        files=_files(spec, reading),
    )


def _files(spec: LiveRampSpec, reading: Reading) -> tuple[DeliveryFile, ...]:
    if reading.traits is None:
        return ()
    traits = reading.traits
    segment = reading.audience.upper().replace("-", "_")
    files: list[DeliveryFile] = []
    if spec.files.pii is not None:
        report = reading.at("files", "pii")
        pii = pii_file(
            spec.files.pii, region=spec.region, traits=traits, segment=segment, report=report, layout=spec.layout
        )
        files.append(pii)
    if spec.files.device is not None:
        report = reading.at("files", "device")
        files += device_files(spec.files.device, region=spec.region, traits=traits, segment=segment, report=report)
        if spec.layout == "segment":
            report((), "Segment has no file of device ids", "Give it a destination of its own without layout: segment.")
    rules = file_rules(spec.region, delimiter=spec.delimiter, layout=spec.layout)
    return tuple(replace(file, rules=rules) for file in files)
