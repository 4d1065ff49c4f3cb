"""An audience as a typed value: who, what is known of them, and where it goes.

:mod:`liveramp_provider.core.audience_file` makes these from YAML; behind that edge the values are trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from liveramp_provider.core.channels import Channel  # noqa: TC001 - the values are looked into at run time
from liveramp_provider.core.destination import Destination  # noqa: TC001 - as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the audience is delivered: a daily cron expression in a time zone."""

    cron: str
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSource:
    """Rows of a query; ``:snapshot_date`` and ``:audience`` are bound, never pasted.

    :param current: The query knows only today: it may not serve a past day.
    """

    conn_id: str
    query: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSource:
    """Rows of Parquet, CSV or JSON Lines files; ``{snapshot_date}`` in the path is the day.

    :param path: On this machine, or ``s3://bucket/key``; globs are allowed.
    :param current: The path is the same every day: it may not serve a past day.
    :param conn_id: Connection to S3; empty where the files are on this machine.
    """

    path: str
    format: Literal["parquet", "csv", "jsonl"]
    current: bool
    conn_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEventsSource:
    """What Segment's event log says at the end of a day: who had entered and not exited, or everybody's traits.

    :param path: As in :class:`FilesSource`, of JSON Lines; it may always be the same, because every event has a time.
    :param audience_key: Whose members; empty where it is a source of traits.
    """

    current: ClassVar[bool] = False

    path: str
    conn_id: str = ""
    audience_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSource:
    """Rows of pandas frames that a function yields.

    :param function: ``package.module:function``; it is called with ``snapshot_date`` and ``audience``, as far as it
        has parameters of these names.
    :param current: The function knows only today: it may not serve a past day.
    """

    function: str
    current: bool


Source = SqlSource | FilesSource | SegmentEventsSource | PythonSource


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """The columns that say from when to when a row of a slowly changing table holds.

    :param valid_from: Column of dates or moments; the row holds from then on, included.
    :param valid_to: Column of dates or moments; from then on it does not hold any more. Empty: until the next row.
    """

    valid_from: str
    valid_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Where the members' keys come from."""

    source: Source
    key: str
    as_of: AsOf | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Who has opted out and is in no file, whatever its day: people known by any of three columns.

    :param source: Always read as of now.
    :param key: Column of audience keys; empty: none.
    :param email: Column of e-mail addresses, plain or hashed; empty: none.
    :param phone: Column of phone numbers, plain or hashed; empty: none.
    :param updated_at: Column of dates or moments whose newest says how old the list is; empty: the files' own time.
    :param max_age: An older list stops the run; ``None``: its age does not matter.
    :param allow_empty: That nobody has opted out is believed; else it stops the run.
    """

    source: Source
    key: str = ""
    email: str = ""
    phone: str = ""
    updated_at: str = ""
    max_age: timedelta | None = None
    allow_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """A column of a source under our name."""

    name: str
    column: str


Keep = Literal["first", "last", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitSource:
    """A source of traits, joined to the members.

    :param as_of: ``None``: its rows are those of the day already.
    :param max_per_member: How many values of a trait a member may have: ``email``, ``email2``, ``email3`` …
    :param keep: Which are kept where a member has more; with ``all``, more are an error.
    :param order_by: Column that puts a member's rows in order; empty: values are in their own order.
    """

    source: Source
    key: str
    traits: tuple[Trait, ...]
    as_of: AsOf | None = None
    max_per_member: int = 1
    keep: Keep = "all"
    order_by: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The traits it gives; beside ``email`` there are ``email2`` … where a member may have several."""
        return tuple(
            name if number == 1 else f"{name}{number}"
            for name in (trait.name for trait in self.traits)
            for number in range(1, self.max_per_member + 1)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedTrait:
    """A trait worked out from earlier ones.

    :param expression: SQL over earlier traits and ``snapshot_date``; of known functions, none of which asks the clock.
    """

    name: str
    expression: str

    @property
    def names(self) -> tuple[str, ...]:
        """The trait it gives."""
        return (self.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictiveTraits:
    """Traits that a function works out, from one pandas frame of earlier traits to another.

    :param function: ``package.module:function``.
    :param inputs: The earlier traits it gets, in this order.
    :param traits: What it gives: our names and its columns.
    """

    function: str
    inputs: tuple[str, ...]
    traits: tuple[Trait, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The traits it gives."""
        return tuple(trait.name for trait in self.traits)


#: One step of enrichment; later ones see what earlier ones gave.
TraitStep = TraitSource | ComputedTrait | PredictiveTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """One audience file.

    :param deliver_by: How long after its scheduled moment a run may take before somebody is told; ``None``: for ever.
    :param notify: Who is told that a delivery is late, has failed or works again.
    :param suppression: ``None``: nobody is taken out.
    """

    id: str
    name: str
    path: Path
    schedule: Schedule
    deliver_by: timedelta | None
    notify: tuple[Channel, ...]
    owners: tuple[str, ...]
    membership: Membership
    traits: tuple[TraitStep, ...]
    suppression: Suppression | None
    destinations: tuple[Destination, ...]
    warnings: tuple[str, ...]

    @property
    def trait_names(self) -> tuple[str, ...]:
        """All traits, in the order in which they are worked out."""
        return tuple(name for step in self.traits for name in step.names)

    def destination(self, destination_id: str) -> Destination:
        """The destination with that id."""
        return next(destination for destination in self.destinations if destination.id == destination_id)
