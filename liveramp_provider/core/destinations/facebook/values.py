"""A destination of Facebook Custom Audiences from its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.destinations.common import file_destination
from liveramp_provider.core.destinations.facebook import FIELDS, MATCHED_BY, Facebook
from liveramp_provider.core.destinations.matched_columns import matched_files, region_of

if TYPE_CHECKING:
    from liveramp_provider.core.destinations.common import Reading
    from liveramp_provider.core.destinations.facebook.spec import FacebookSpec


def destination_of(spec: FacebookSpec, reading: Reading) -> Facebook:
    """The destination that `spec` describes; all that is wrong with it is reported."""
    files = matched_files(spec, spec.traits, reading, fields=FIELDS, matched_by=MATCHED_BY)
    return Facebook(**file_destination(spec, reading), filename=spec.filename, region=region_of(spec), files=files)
