"""Profiles as they grow: members, and step by step what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.audience import ComputedTrait, PredictiveTraits
from liveramp_provider.core.engine import write_parquet
from liveramp_provider.core.progress import step
from liveramp_provider.core.rows import staged
from liveramp_provider.core.traits.computed import VALUE_ERRORS, fault_of, with_computed
from liveramp_provider.core.traits.predictive import predicted
from liveramp_provider.core.traits.values import source_traits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import ibis.expr.types as ir

    from liveramp_provider.core.audience import TraitSource, TraitStep
    from liveramp_provider.core.sources import Reader


class GrowingProfiles:
    """Members with the traits of the steps so far.

    Joins and expressions wait until the profiles are written, so that the engine goes over them once.

    :param members: One column ``member_id``, unique.
    """

    def __init__(self, members: ir.Table, reader: Reader) -> None:
        self._members = members
        self._reader = reader
        self._profiles = members
        self._computed: dict[str, ir.Table] = {}
        #: How many values were left out beyond what a member may have, by trait.
        self.cut: dict[str, int] = {}

    def grow(self, steps: Sequence[TraitStep]) -> None:
        """Take the steps in their order; later ones see what earlier ones gave."""
        sources = 0
        for one in steps:
            if isinstance(one, ComputedTrait):
                self._profiles = with_computed(self._profiles, one, self._reader.day)
                self._computed[one.name] = self._profiles
            elif isinstance(one, PredictiveTraits):
                self._predict(one)
            else:
                sources += 1
                self._read(one, f"traits source {sources}")

    def write(self, path: Path) -> None:
        """Write the profiles to the Parquet file `path`, in byte order of the key.

        :raises DataError: A computed trait cannot be worked out for some member.
        """
        engine = self._reader.engine
        try:
            # Joining and sorting in one go would hold both at once.
            joined = staged(engine, self._profiles, path.with_name(f"unordered {path.name}"))
            write_parquet(engine, joined.order_by("member_id"), path)
            return
        except VALUE_ERRORS:
            failure = fault_of(self._computed, engine)
            if failure is None:
                raise
        # Outside the handler: the engine's message quotes values and must not be this error's context either.
        raise failure

    def _read(self, source: TraitSource, label: str) -> None:
        with step(f"enrich: reading {label}"):
            tables, cut = source_traits(source, self._members, reader=self._reader, label=label)
        for table in tables:
            self._join(table)
        self.cut |= cut

    def _predict(self, traits: PredictiveTraits) -> None:
        folder = self._reader.scratch / f"function for {traits.names[0]}"
        folder.mkdir()
        with step(f"enrich: putting members in order for {traits.function}"):
            self.write(folder / "profiles.parquet")
        self._profiles = self._reader.engine.read_parquet(folder / "profiles.parquet")
        self._computed.clear()
        with step(f"enrich: calling {traits.function}"):
            given = predicted(folder / "profiles.parquet", traits, engine=self._reader.engine, folder=folder / "traits")
        self._join(given)

    def _join(self, table: ir.Table) -> None:
        # The other key gets a name that no trait can have.
        self._profiles = self._profiles.left_join(table, "member_id", rname="other {name}").drop("other member_id")
