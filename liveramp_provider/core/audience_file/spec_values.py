"""From specs to values, with every check that needs more than one key to look at."""

from __future__ import annotations

import glob
import re
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from liveramp_provider.core.audience import (
    Audience,
    Destination,
    EmailChannel,
    Encryption,
    FilesSource,
    Membership,
    Schedule,
    SlackChannel,
    SqlSource,
    Suppression,
    Trait,
    TraitSource,
    WebhookChannel,
)
from liveramp_provider.core.audience_file.findings import dotted
from liveramp_provider.core.destinations import liveramp_files
from liveramp_provider.core.destinations.liveramp import MEMBER_ID
from liveramp_provider.core.naming import MAX_NAME_CHARS, PLACEHOLDERS, placeholders

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Channel, DeviceFile, PiiFile, Source
    from liveramp_provider.core.audience_file.findings import Findings, Location
    from liveramp_provider.core.audience_file.schema import (
        AudienceSpec,
        ChannelSpec,
        EncryptionSpec,
        FilesSpec,
        LiveRampSpec,
        SourceSpec,
        SqlSpec,
    )

#: What a query may bind.
QUERY_PARAMETERS = ("snapshot_date", "audience")

_NO_PLACEHOLDERS = "The path is the same whatever the day: opt-outs are always those of now."
_FILE_FORMATS = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv"}
_ONE_DAY = timedelta(days=1)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


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
        traits = self._traits()
        destinations = tuple(self._destination(index, traits) for index in range(len(spec.destinations)))
        self._check_destinations(destinations)
        return Audience(
            id=spec.audience,
            name=spec.name,
            path=self._path,
            schedule=Schedule(cron=spec.schedule.cron, timezone=spec.schedule.timezone),
            deliver_by=self._deliver_by(),
            notify=tuple(channel for channel in map(_channel, spec.notify) if channel is not None),
            owners=tuple(spec.owners),
            membership=Membership(source=self._source(spec.membership, ("membership",)), key=spec.membership.key),
            traits=traits,
            suppression=self._suppression(),
            destinations=destinations,
            warnings=tuple(self._findings.warnings),
        )

    def _deliver_by(self) -> timedelta | None:
        written = self._spec.deliver_by
        if written is None:
            return None
        where: Location = ("deliver_by",)
        number, unit = int(written[:-1]), written[-1]
        after = timedelta(hours=number) if unit == "h" else timedelta(minutes=number)
        if after > _ONE_DAY:
            self._findings.fault(where, "must be a day at most", "The next day's run begins then; write 24h or less.")
        if not self._spec.notify:
            self._findings.warn(where, "nobody is told of a late delivery; add notify")
        return after

    def _source(self, spec: SourceSpec, where: Location) -> Source:
        if spec.sql is not None:
            return self._query(spec.sql, (*where, "sql", "query"))
        if spec.files is None:
            raise AssertionError("the schema lets exactly one source through")
        return self._files_source(spec.files, (*where, "files", "path"))

    def _suppression(self) -> Suppression | None:
        spec = self._spec.suppression
        where: Location = ("suppression",)
        source: Source
        if spec is None:
            if "suppression" in self._spec.model_fields_set:
                self._findings.fault(
                    where, "has no value", "Name its source; without `suppression` nobody is left out."
                )
            return None
        if spec.sql is not None:
            at = (*where, "sql", "query")
            if "snapshot_date" in self._bound(spec.sql.query, at, given=("audience",)):
                message = "names :snapshot_date, but opt-outs are always those of now"
                self._findings.fault(at, message, "Read all who have opted out, whatever the day.")
            source = SqlSource(conn_id=spec.sql.conn_id, query=spec.sql.query, current=True)
        elif spec.files is not None:
            at = (*where, "files", "path")
            self._placeholders(spec.files.path, at, known=())
            source = self._files_at(spec.files.path, at, current=True)
        else:
            raise AssertionError("the schema lets exactly one source through")
        return Suppression(source=source, key=spec.key, allow_empty=spec.allow_empty)

    def _query(self, spec: SqlSpec, where: Location) -> SqlSource:
        bound = self._bound(spec.query, where, given=QUERY_PARAMETERS)
        self._check_day(where, dated="snapshot_date" in bound, current=spec.current, mark=":snapshot_date")
        return SqlSource(conn_id=spec.conn_id, query=spec.query, current=spec.current)

    def _bound(self, query: str, where: Location, *, given: tuple[str, ...]) -> set[str]:
        """What the query binds, and what it seems to mean."""
        known = " and ".join(f":{name}" for name in given)
        bound = set(text(query).compile().params)
        for name in sorted(bound - set(QUERY_PARAMETERS)):
            nearest = get_close_matches(name.lower(), given, n=1)
            hint = f"Did you mean :{nearest[0]}?" if nearest else "Write a literal colon as \\:."
            self._findings.fault(
                where, f"the query needs :{name}, but only {known} {'are' if given[1:] else 'is'} given", hint
            )
            bound.update(nearest)  # a slip of the pen says which day it reads, too
        return bound

    def _files_source(self, spec: FilesSpec, where: Location) -> FilesSource:
        names = self._placeholders(spec.path, where, known=("snapshot_date",))
        self._check_day(where, dated="snapshot_date" in names, current=spec.current, mark="{snapshot_date}")
        return self._files_at(spec.path, where, current=spec.current)

    def _files_at(self, path: str, where: Location, *, current: bool) -> FilesSource:
        suffix = next((suffix for suffix in _FILE_FORMATS if path.endswith(suffix)), None)
        if suffix is None:
            self._findings.fault(where, "is of unknown format", f"It must end in {', '.join(_FILE_FORMATS)}.")
        if not path.startswith("/"):
            # The folder's own name is no pattern, whatever characters it has.
            folder = glob.escape(str(self._path.parent)).replace("{", "{{").replace("}", "}}")
            path = f"{folder}/{path}"
        return FilesSource(path=path, format="parquet" if suffix == ".parquet" else "csv", current=current)

    def _placeholders(self, template: str, where: Location, *, known: tuple[str, ...]) -> set[str]:
        try:
            names = set(placeholders(template))
        except ValueError as error:
            self._findings.fault(where, f"its braces cannot be read: {error}")
            return set(known)
        for name in sorted(names - set(known)):
            hint = f"Known: {', '.join(f'{{{name}}}' for name in known)}." if known else _NO_PLACEHOLDERS
            self._findings.fault(where, f"unknown placeholder {{{name}}}", hint)
        return names

    def _check_day(self, where: Location, *, dated: bool, current: bool, mark: str) -> None:
        if not dated and not current:
            hint = f"Use {mark}, or write `current: true` and past days are refused."
            self._findings.fault(where, "does not say which day it reads", hint)
        if dated and current:
            self._findings.fault(where, f"names {mark} and is `current: true`", "Leave `current` out.")

    def _traits(self) -> tuple[TraitSource, ...]:
        sources = []
        first_seen: dict[str, str] = {MEMBER_ID: "the audience key"}
        for index, spec in enumerate(self._spec.traits):
            where: Location = ("traits", index)
            for name in spec.select:
                # The engine does not tell capitals apart in column names.
                if name.lower() in first_seen:
                    self._findings.fault(
                        (*where, "select", name),
                        f"the name is taken by {first_seen[name.lower()]}",
                        "Capitals make no difference; choose another name.",
                    )
                first_seen.setdefault(name.lower(), f"the trait {name} of traits[{index}]")
            traits = tuple(Trait(name=name, column=column) for name, column in spec.select.items())
            sources.append(TraitSource(source=self._source(spec, where), key=spec.key, traits=traits))
        return tuple(sources)

    def _destination(self, index: int, sources: tuple[TraitSource, ...]) -> Destination:
        spec = self._spec.destinations[index]
        where: Location = ("destinations", index)
        self._check_filename(spec, (*where, "filename"))
        if spec.encryption is None:
            self._findings.warn(where, "files are not encrypted; anyone who gets one can read it")
        return Destination(
            id=spec.id,
            conn_id=spec.conn_id,
            region=spec.region,
            path=spec.path,
            update_method=spec.update_method,
            org=spec.org,
            filename=spec.filename,
            compression=spec.compression,
            encryption=self._encryption(spec.encryption, (*where, "encryption")) if spec.encryption else None,
            files=self._files(spec, where, sources),
            min_members=spec.guards.min_members,
        )

    def _encryption(self, spec: EncryptionSpec, where: Location) -> Encryption:
        public_key = self._path.parent / spec.public_key
        if not public_key.is_file():
            self._findings.fault((*where, "public_key"), "there is no such file", "Relative paths start at this file.")
        return Encryption(recipient=spec.recipient.upper(), public_key=public_key, extension=spec.extension)

    def _files(
        self, spec: LiveRampSpec, where: Location, sources: tuple[TraitSource, ...]
    ) -> tuple[PiiFile | DeviceFile, ...]:
        if not self._knows_traits():
            return ()
        traits = {trait.name for source in sources for trait in source.traits}
        segment = self._spec.audience.upper().replace("-", "_")
        region = spec.region
        files: list[PiiFile | DeviceFile] = []
        if spec.files.pii is not None:
            report = self._report((*where, "files", "pii"))
            files.append(
                liveramp_files.pii_file(spec.files.pii, region=region, traits=traits, segment=segment, report=report)
            )
        if spec.files.device is not None:
            report = self._report((*where, "files", "device"))
            device = spec.files.device
            files.extend(
                liveramp_files.device_files(device, region=region, traits=traits, segment=segment, report=report)
            )
        return tuple(files)

    def _knows_traits(self) -> bool:
        """Whether every trait's name could be read; where not, nobody can say which one is missing."""
        select = ("traits", "select")
        places = (tuple(part for part in place if isinstance(part, str)) for place in self._findings.unread)
        return not any(place == select[: len(place)] for place in places)

    def _report(self, above: Location) -> liveramp_files.Report:
        def report(at: Location, message: str, hint: str = "", *, warning: bool = False) -> None:
            if warning:
                self._findings.warn((*above, *at), message)
            else:
                self._findings.fault((*above, *at), message, hint)

        return report

    def _check_filename(self, spec: LiveRampSpec, where: Location) -> None:
        names = self._placeholders(spec.filename, where, known=PLACEHOLDERS)
        if not {"date", "upload_date"} & names:
            self._findings.fault(where, "has no date, so tomorrow's file would overwrite today's", "Add {date}.")
        if "kind" not in names:
            self._findings.fault(where, "has no {kind}, so two files would share one name", "Add {kind}.")
        if names - set(PLACEHOLDERS):
            return
        try:
            example = spec.filename.format(
                org=spec.org, audience=self._spec.audience, kind="D-IDFA", date="2026-01-01", upload_date="2026-01-02"
            )
        except ValueError:
            return  # its braces are a fault already
        if not _PLAIN_NAME.fullmatch(example):
            self._findings.fault(where, "puts braces into the name", "LiveRamp takes letters, digits, '_', '.', '-'.")
        if example[0] in "._-":
            self._findings.fault(where, f"names begin with {example[0]!r}", "LiveRamp ignores such files.")
        if len(example) + len(".csv") > MAX_NAME_CHARS:
            self._findings.fault(where, f"may grow to {len(example) + 4} characters; LiveRamp takes {MAX_NAME_CHARS}")

    def _check_destinations(self, destinations: tuple[Destination, ...]) -> None:
        ids: set[str] = set()
        targets: dict[tuple[str, str, str, str], str] = {}
        for index, destination in enumerate(destinations):
            where: Location = ("destinations", index)
            if destination.id in ids:
                self._findings.fault((*where, "id"), "the id stands twice", "Ids name deliveries; they differ.")
            ids.add(destination.id)
            target = (destination.conn_id, destination.path, destination.org, destination.filename)
            if target in targets:
                self._findings.fault(
                    (*where, "path"),
                    f"its files would have the names of those of {targets[target]}",
                    "Choose another path, org or filename.",
                )
            targets.setdefault(target, f"{dotted(('destinations', index))}")


def _channel(spec: ChannelSpec) -> Channel | None:
    if spec.email is not None:
        return EmailChannel(conn_id=spec.email.conn_id, to=tuple(spec.email.to))
    if spec.slack is not None:
        return SlackChannel(conn_id=spec.slack.conn_id)
    return WebhookChannel(conn_id=spec.webhook.conn_id) if spec.webhook is not None else None
