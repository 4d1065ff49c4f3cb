"""Small audiences for tests of traits: members by key, steps of traits, and what is known of everybody in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from liveramp_provider.core.audience import FilesSource, Trait, TraitSource
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from tests.core.pipeline import DAY, audience, workspace

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import Profiles
    from liveramp_provider.core.audience import Audience, Source, TraitStep


def table(path: Path, columns: Mapping[str, Sequence[object]] | pa.Table) -> FilesSource:
    """A Parquet file that is as good for one day as for another."""
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(dict(columns)), path)
    return FilesSource(path=str(path), format="parquet", current=False)


def from_source(source: Source, *traits: str, key: str = "id", **changes: Any) -> TraitSource:
    """Traits called like the source's columns."""
    named = tuple(Trait(name=trait, column=trait) for trait in traits)
    return replace(TraitSource(source=source, key=key, traits=named), **changes)


def audience_of(folder: Path, members: Sequence[object], *steps: TraitStep, timezone: str = "UTC") -> Audience:
    """An audience of these members that has these steps of traits."""
    source = table(folder / "members.parquet", {"id": members})
    made = audience(members=source, traits={}, traits_from=(), files=[], key="id")
    return replace(made, traits=steps, schedule=replace(made.schedule, timezone=timezone))


def profiles_of(
    made: Audience, folder: Path, day: date = DAY, **engine: object
) -> tuple[Profiles, list[dict[str, Any]]]:
    """What is sealed of the audience's profiles, and their rows."""
    here = workspace(folder / "staging", **engine)
    profiles = enrich(made, day, extract(made, day, workspace=here), workspace=here)
    return profiles, pq.read_table(profiles.path).to_pylist()


def known(folder: Path, members: Sequence[object], *steps: TraitStep, **more: Any) -> list[dict[str, Any]]:
    """What is known of every member, in order of the key."""
    return profiles_of(audience_of(folder, members, *steps), folder, **more)[1]
