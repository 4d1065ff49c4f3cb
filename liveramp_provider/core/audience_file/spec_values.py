"""From specs to values, with every check that needs more than one key to look at."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.audience import Audience, Schedule, Suppression
from liveramp_provider.core.audience_file.findings import dotted
from liveramp_provider.core.audience_file.spec_sources import SourceValues, duration
from liveramp_provider.core.channels import (
    EmailChannel,
    SlackChannel,
    WebhookChannel,
)
from liveramp_provider.core.destinations.common import Reading
from liveramp_provider.core.destinations.kinds import destination_of

if TYPE_CHECKING:
    from liveramp_provider.core.audience_file.findings import Findings, Location
    from liveramp_provider.core.audience_file.schema import (
        AudienceSpec,
        ChannelSpec,
    )
    from liveramp_provider.core.channels import Channel
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.destinations.common import Report

#: The DAG's own tasks and groups, which a destination's group stands beside.
_STEPS = ("preflight", "extract", "enrich")
_ONE_DAY = timedelta(days=1)
_TRAIT_NAMES = (("traits", "select"), ("traits", "computed"))


def audience_of(spec: AudienceSpec, path: Path, findings: Findings) -> Audience:
    """The audience that `spec` describes; what is wrong with it goes to `findings`.

    :param path: The audience file; relative paths start beside it.
    """
    return _Values(spec, path, findings).audience()


class _Values:
    def __init__(self, spec: AudienceSpec, path: Path, findings: Findings) -> None:
        self._spec = spec
        self._path = path
        self._findings = findings

    def audience(self) -> Audience:
        spec = self._spec
        sources = SourceValues(spec.audience, self._path, self._findings)
        membership = sources.membership(spec.membership)
        traits = sources.traits(spec.traits)
        names = tuple(name for step in traits for name in step.names)
        destinations = tuple(self._destination(index, names) for index in range(len(spec.destinations)))
        self._check_destinations(destinations)
        self._check_residency()
        return Audience(
            id=spec.audience,
            name=spec.name,
            path=self._path,
            schedule=Schedule(cron=spec.schedule.cron, timezone=spec.schedule.timezone),
            deliver_by=self._deliver_by(),
            notify=tuple(channel for channel in map(_channel, spec.notify) if channel is not None),
            owners=tuple(spec.owners),
            membership=membership,
            traits=traits,
            suppression=self._suppression(sources, names),
            destinations=destinations,
            warnings=tuple(self._findings.warnings),
        )

    def _deliver_by(self) -> timedelta | None:
        written = self._spec.deliver_by
        if written is None:
            return None
        where: Location = ("deliver_by",)
        after = duration(written)
        if after > _ONE_DAY:
            self._findings.fault(where, "must be a day at most", "The next day's run begins then; write 24h or less.")
        if not self._spec.notify:
            self._findings.warn(where, "nobody is told of a late delivery; add notify")
        return after

    def _destination(self, index: int, traits: tuple[str, ...]) -> Destination:
        reading = Reading(
            audience=self._spec.audience,
            destination=self._spec.destinations[index].id,
            name=self._spec.name,
            timezone=self._spec.schedule.timezone,
            path=self._path,
            traits=traits if self._knows_traits() else None,
            report=self._report(("destinations", index)),
        )
        return destination_of(self._spec.destinations[index], reading)

    def _knows_traits(self) -> bool:
        """Whether every trait's name could be read; where not, nobody can say which one is missing."""
        places = (tuple(part for part in place if isinstance(part, str)) for place in self._findings.unread)
        return not any(place == named[: len(place)] for place in places for named in _TRAIT_NAMES)

    def _report(self, above: Location) -> Report:
        def report(at: Location, message: str, hint: str = "", *, warning: bool = False) -> None:
            if warning:
                self._findings.warn((*above, *at), message)
            else:
                self._findings.fault((*above, *at), message, hint)

        return report

    def _suppression(self, sources: SourceValues, traits: tuple[str, ...]) -> Suppression | None:
        spec = self._spec.suppression
        if spec is not None:
            return sources.suppression(spec, traits)
        if "suppression" in self._spec.model_fields_set:
            hint = "Name its source; without `suppression` nobody is left out."
            self._findings.fault(("suppression",), "has no value", hint)
        return None

    def _check_destinations(self, destinations: tuple[Destination, ...]) -> None:
        ids: set[str] = set()
        targets: dict[tuple[str, str, str, str], str] = {}
        for index, destination in enumerate(destinations):
            where: Location = ("destinations", index)
            if destination.id in ids:
                self._findings.fault((*where, "id"), "the id stands twice", "Ids name deliveries; they differ.")
            ids.add(destination.id)
            if destination.id in _STEPS:
                self._findings.fault((*where, "id"), "is the name of a task before it", "Choose another id.")
            # A bucket is the same one whoever reaches it.
            server = "" if destination.on_s3 else destination.conn_id
            target = (server, destination.path, destination.org, destination.filename)
            if target in targets:
                self._findings.fault(
                    (*where, "path"),
                    f"its files would have the names of those of {targets[target]}",
                    "Choose another path, org or filename.",
                )
            targets.setdefault(target, f"{dotted(('destinations', index))}")

    def _check_residency(self) -> None:
        residency = self._spec.residency
        if residency is None and "residency" in self._spec.model_fields_set:
            hint = "Name the region, or leave the key out; then nothing is held against it."
            self._findings.fault(("residency",), "has no value", hint)
        if residency is None or ("residency",) in self._findings.unread:
            return
        for index, spec in enumerate(self._spec.destinations):
            where: Location = ("destinations", index)
            region = getattr(spec, "region", None)
            if region is None:
                self._findings.warn(
                    where, f"a destination of kind {spec.kind} names no region to hold residency against"
                )
            elif region != residency:
                self._findings.fault(
                    (*where, "region"),
                    f"is {region}, and the data of this audience's people stays in {residency} (residency)",
                    f"Deliver to an account in {residency}.",
                )


def _channel(spec: ChannelSpec) -> Channel | None:
    if spec.email is not None:
        return EmailChannel(conn_id=spec.email.conn_id, to=tuple(spec.email.to))
    if spec.slack is not None:
        return SlackChannel(conn_id=spec.slack.conn_id)
    return WebhookChannel(conn_id=spec.webhook.conn_id) if spec.webhook is not None else None
