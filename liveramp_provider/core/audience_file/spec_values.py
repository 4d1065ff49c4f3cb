"""From specs to values, with every check that needs more than one key to look at."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.audience import (
    Audience,
    Destination,
    Encryption,
    Schedule,
    Suppression,
)
from liveramp_provider.core.audience_file.findings import dotted
from liveramp_provider.core.audience_file.spec_sources import SourceValues, duration, placeholders_in
from liveramp_provider.core.channels import (
    EmailChannel,
    SlackChannel,
    WebhookChannel,
)
from liveramp_provider.core.destinations import liveramp_files
from liveramp_provider.core.naming import MAX_NAME_CHARS, PLACEHOLDERS

if TYPE_CHECKING:
    from liveramp_provider.core.audience import DeviceFile, PiiFile
    from liveramp_provider.core.audience_file.findings import Findings, Location
    from liveramp_provider.core.audience_file.schema import (
        AudienceSpec,
        ChannelSpec,
        EncryptionSpec,
        LiveRampSpec,
    )
    from liveramp_provider.core.channels import Channel

_ONE_DAY = timedelta(days=1)
_TRAIT_NAMES = (("traits", "select"), ("traits", "computed"))
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
        sources = SourceValues(spec.audience, self._path, self._findings)
        membership = sources.membership(spec.membership)
        traits = sources.traits(spec.traits)
        names = tuple(name for step in traits for name in step.names)
        destinations = tuple(self._destination(index, names) for index in range(len(spec.destinations)))
        self._check_destinations(destinations)
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
        spec = self._spec.destinations[index]
        where: Location = ("destinations", index)
        self._check_filename(spec, (*where, "filename"))
        if spec.kms_key_id is not None and not spec.path.startswith("s3://"):
            self._findings.fault((*where, "kms_key_id"), "is for a path that begins with s3://", "Leave it out.")
        self._check_upload(spec, where)
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
            files=self._files(spec, where, set(traits)),
            min_members=spec.guards.min_members,
            max_shrink_percent=_percent(spec.guards.max_shrink),
            kms_key_id=spec.kms_key_id or "",
            upload=spec.upload,
            on_doubt=spec.on_doubt or "stop",
        )

    def _check_upload(self, spec: LiveRampSpec, where: Location) -> None:
        if spec.upload == "direct" and spec.path.startswith("s3://"):
            self._findings.fault((*where, "upload"), "is for SFTP; S3 creates objects whole", "Leave it out.")
        if spec.upload == "direct" and spec.encryption is None and spec.compression == "none":
            self._findings.fault(
                (*where, "upload"),
                "may show LiveRamp half a file, which would be read as a whole one",
                "Add encryption, or compression: gzip.",
            )
        if spec.on_doubt is not None and spec.upload != "direct":
            self._findings.fault((*where, "on_doubt"), "is for upload: direct", "Leave it out.")

    def _encryption(self, spec: EncryptionSpec, where: Location) -> Encryption:
        public_key = self._path.parent / spec.public_key
        if not public_key.is_file():
            self._findings.fault((*where, "public_key"), "there is no such file", "Relative paths start at this file.")
        return Encryption(recipients=spec.recipient, public_key=public_key, extension=spec.extension)

    def _files(self, spec: LiveRampSpec, where: Location, traits: set[str]) -> tuple[PiiFile | DeviceFile, ...]:
        if not self._knows_traits():
            return ()
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
        places = (tuple(part for part in place if isinstance(part, str)) for place in self._findings.unread)
        return not any(place == named[: len(place)] for place in places for named in _TRAIT_NAMES)

    def _report(self, above: Location) -> liveramp_files.Report:
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

    def _check_filename(self, spec: LiveRampSpec, where: Location) -> None:
        names = placeholders_in(spec.filename, where, known=PLACEHOLDERS, findings=self._findings)
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


def _percent(share: str) -> int | None:
    return None if share == "off" else int(share.removesuffix("%"))


def _channel(spec: ChannelSpec) -> Channel | None:
    if spec.email is not None:
        return EmailChannel(conn_id=spec.email.conn_id, to=tuple(spec.email.to))
    if spec.slack is not None:
        return SlackChannel(conn_id=spec.slack.conn_id)
    return WebhookChannel(conn_id=spec.webhook.conn_id) if spec.webhook is not None else None
