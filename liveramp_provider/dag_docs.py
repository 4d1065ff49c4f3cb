"""What Airflow's pages say of an audience: of its DAG, and of each task.

All that comes from an audience file is written so that Markdown and HTML find nothing in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from liveramp_provider.core import errors
from liveramp_provider.core.audience import (
    ComputedTrait,
    FilesSource,
    PredictiveTraits,
    PythonSource,
    SegmentEventsSource,
    SqlSource,
    TraitSource,
)
from liveramp_provider.core.channels import EmailChannel, SlackChannel, WebhookChannel
from liveramp_provider.core.destination import DeviceFile, IdentifierColumn, SegmentColumn, TraitColumn
from liveramp_provider.core.progress import duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from liveramp_provider.core.audience import Audience, Membership, Source, Suppression, TraitStep
    from liveramp_provider.core.channels import Channel
    from liveramp_provider.core.destination import Column, DeliveryFile, Destination

#: What follows on which kind of error, in the order of a task's page.
_REACTIONS = {
    errors.ConfigError: "Fails at once; correct it, then clear the task:",
    errors.PermanentError: "Fails at once; a person has to look:",
    errors.TransientError: "Tried again by itself:",
}
_SOURCE_ERRORS = (
    errors.ConnectionConfigError,
    errors.SourceError,
    errors.StagingConfigError,
    errors.DataError,
    errors.SourceUnavailableError,
    errors.StagingError,
)


def audience_doc(audience: Audience) -> str:
    """Markdown: who, from where, where to, in which columns; when, and who is told."""
    blocks = [
        f"# {_text(audience.name)}",
        f"Delivered daily at {_time(audience)}, each run for the day before. Described in {_code(audience.path.name)}.",
        _notices(audience),
        *([f"**Owners** {_codes(audience.owners)}."] if audience.owners else []),
        f"**Members** by {_code(audience.membership.key)} from {_rows(audience.membership)}.",
    ]
    blocks += [f"**Traits** {_codes(step.names)} {_origin(step)}." for step in audience.traits]
    blocks += [_opt_outs(audience.suppression)] if audience.suppression else []
    for destination in audience.destinations:
        blocks += [f"## {_text(destination.id)}", _how_sent(destination)]
        blocks += [_columns(file) for file in destination.files]
    blocks += [
        "## To deliver another day",
        "Trigger with its date as *Partition Key* under *Advanced Options*, or backfill it: *Trigger → Backfill* with "
        "the first and the last day, or "
        f"{_code(f'airflow backfill create --dag-id {audience.id} --from-date YYYY-MM-DD --to-date YYYY-MM-DD')}. "
        "A day that was delivered is not sent again, unless a *Revision* is asked for on purpose.",
        *(f"> ⚠ {_text(warning)}" for warning in audience.warnings),
    ]
    return "\n\n".join(blocks)


def fault_doc(faults: str) -> str:
    """Markdown: what keeps the audience file from being used."""
    fence = _fence(faults, at_least=3)
    return (
        f"# This audience file cannot be used\n\n{fence}\n{faults}\n{fence}\n\n"
        "Correct the file; the DAG comes by itself."
    )


def preflight_doc(audience: Audience) -> str:
    """Markdown: what is checked at which destination."""
    return _task_doc(
        "Logs in to every destination and checks host key, folder and PGP key. Nothing is read and nothing is sent.",
        *(
            f"**{_text(there.id)}** {_code(there.path)} through {_code(there.conn_id)}, {_encryption(there)}."
            + (" Of a bucket it finds out whether there are credentials, and no more." if there.on_s3 else "")
            for there in audience.destinations
        ),
        again="It checks anew; nothing is kept.",
        expect=(
            errors.SnapshotDayError,
            errors.RefreshError,
            errors.RevisionError,
            errors.AcceptError,
            errors.SourceError,
            errors.StagingConfigError,
            errors.ConnectionConfigError,
            errors.HostKeyError,
            errors.CredentialsError,
            errors.RemoteFolderError,
            errors.EncryptionKeyError,
            errors.OutOfOrderError,
            errors.SchemaDriftError,
            errors.TransportError,
            errors.LedgerError,
        ),
    )


def extract_doc(audience: Audience) -> str:
    """Markdown: where the members come from."""
    membership = audience.membership
    return _task_doc(
        "Reads who is in the audience on the run's day, and seals the keys: unique and in order.",
        f"From {_rows(membership)}; the key is {_code(membership.key)}.",
        again="A day that is sealed is returned as it was, whatever the source says now.",
        expect=_SOURCE_ERRORS,
    )


def enrich_doc(audience: Audience) -> str:
    """Markdown: which traits come from where."""
    return _task_doc(
        "Joins to every member what is known of them on the run's day. Members whom no source knows stay, without "
        "traits; rows of people who are no members are left out.",
        *(block for step in audience.traits for block in _step(step)),
        again="What is sealed from the same members by the same audience file is returned as it was.",
        expect=_SOURCE_ERRORS,
    )


def build_doc(destination: Destination, suppression: Suppression | None = None) -> str:
    """Markdown: the files of a destination, their columns and limits, and who is left out.

    :param suppression: ``None``: nobody is.
    """
    return _task_doc(
        f"Makes the files for {_code(destination.id)} by {destination.receiver}'s rules"
        f"{_region(destination)}, and seals them: {destination.compression} compression, {_encryption(destination)}.",
        *([_opt_outs(suppression)] if suppression else []),
        *(_columns(file) for file in destination.files),
        *_limits(destination),
        *_since(destination),
        again="A file that is sealed from the same profiles is returned byte for byte; only what is missing is made."
        + (" Opt-outs are read anew; where they have changed, the file is made without them." if suppression else ""),
        expect=(
            *(_SOURCE_ERRORS if suppression else (errors.DataError,)),
            errors.EncryptionKeyError,
            errors.EncryptionError,
        ),
    )


def _limits(destination: Destination) -> list[str]:
    """What the receiver takes at most of a file; one sentence, because a receiver's files are held to the same."""
    limits = next((file.rules.limits for file in destination.files), None)
    if limits is None:
        return []
    return [
        f"Limits there: {limits.max_rows:,} rows, {limits.max_row_chars:,} characters a row, "
        f"{limits.max_segment_name_chars} characters a segment name, {limits.max_field_values:,} field values in all "
        "segment fields together."
    ]


def _since(destination: Destination) -> list[str]:
    """Which files bring only what has changed."""
    slots = _codes(file.slot for file in destination.files if file.iterative)
    return [f"Once one was delivered in full, {slots} bring only what has changed since."] if slots else []


def deliver_doc(destination: Destination, slot: str) -> str:
    """Markdown: which file goes where."""
    way = (
        "in batches of messages"
        if destination.by_messages
        else f"as an upload that is named after {_code(destination.filename)}"
        if destination.by_api
        else f"created there whole, or not at all, under a name after {_code(destination.filename)}"
        if destination.on_s3
        else f"written directly under a name after {_code(destination.filename)}"
        if destination.upload == "direct"
        else f"first under a temporary name, then renamed after {_code(destination.filename)}"
    )
    by = f"{destination.receiver}'s API" if destination.by_api else "S3" if destination.on_s3 else "SFTP"
    by_sftp = by == "SFTP"
    return _task_doc(
        f"Sends the {slot} file by {by}, once: to {_code(destination.path)} through "
        f"{_code(destination.conn_id)}, {way}.",
        f"With fewer than {destination.min_members} unique members it is not sent, nor where it does not go with what "
        f"was delivered before: {_guards(destination)}. A run that is triggered with *Accept* sends it all the same.",
        again="What was delivered is not sent again: the earlier receipt is returned. What broke off is taken up from "
        "where the ledger says it stands.",
        expect=(
            errors.SmallAudienceError,
            errors.OutOfOrderError,
            errors.SchemaDriftError,
            errors.SuspiciousShrinkError,
            errors.SealBrokenError,
            errors.DeliveryInDoubtError,
            *((errors.ReceiverRefusedError,) if destination.by_api else ()),
            *((errors.HostKeyError,) if by_sftp else ()),
            errors.CredentialsError,
            errors.RemoteFolderError,
            errors.TransportError,
            *((errors.RemoteFullError,) if by_sftp else ()),
            errors.DeliveryBusyError,
            *((errors.StaleBaseError,) if any(file.iterative for file in destination.files) else ()),
            errors.LedgerError,
        ),
    )


def _guards(destination: Destination) -> str:
    share = destination.max_shrink_percent
    return ", ".join(
        [
            *([] if destination.update_method == "incremental" else ["a day before one that was delivered"]),
            "another header",
            *([] if share is None else [f"more than {share}% fewer members"]),
        ]
    )


def _task_doc(what: str, *details: str, again: str, expect: tuple[type[errors.LiveRampError], ...]) -> str:
    blocks = [what, *details, f"**When it runs again** (a retry, or *Clear*): {again}"]
    for kind, reaction in _REACTIONS.items():
        meanings = [f"- {_code(error.__name__)}: {_meaning(error)}" for error in expect if issubclass(error, kind)]
        if meanings:
            blocks += [f"**{reaction}**", "\n".join(meanings)]
    return "\n\n".join(blocks)


def _meaning(error: type[errors.LiveRampError]) -> str:
    """The first paragraph of its docstring."""
    return (error.__doc__ or "").partition("\n\n")[0]


def _time(audience: Audience) -> str:
    minute, hour = audience.schedule.cron.split()[:2]
    return f"{int(hour):02}:{int(minute):02} ({audience.schedule.timezone})"


def _notices(audience: Audience) -> str:
    if not audience.notify:
        return "Nobody is told when it is late or fails: the audience file has no `notify`."
    late = f"is not there {duration(audience.deliver_by.total_seconds())} later, " if audience.deliver_by else ""
    told = ", ".join(_channel(channel) for channel in audience.notify)
    return f"When it {late}fails or works again, a notice goes to: {told}."


def _channel(channel: Channel) -> str:
    match channel:
        case EmailChannel():
            return f"{_codes(channel.to)} by e-mail through {_code(channel.conn_id)}"
        case SlackChannel():
            return f"Slack through {_code(channel.conn_id)}"
        case WebhookChannel():
            return f"a webhook through {_code(channel.conn_id)}"


def _source(source: Source) -> str:
    match source:
        case SqlSource():
            return f"a query through {_code(source.conn_id)}"
        case FilesSource():
            return f"{source.format} files {_code(source.path)}"
        case SegmentEventsSource():
            audience = f" of the audience {_code(source.audience_key)}" if source.audience_key else ""
            return f"Segment's events{audience} in {_code(source.path)}"
        case PythonSource():
            return f"the function {_code(source.function)}"


def _rows(rows: Membership | TraitSource) -> str:
    """The source, and which of its rows count."""
    source, as_of = _source(rows.source), rows.as_of
    if as_of is None:
        return source
    until = f" until {_code(as_of.valid_to)}" if as_of.valid_to else ""
    return f"{source}, of which the rows count that held on the day (from {_code(as_of.valid_from)}{until})"


def _origin(step: TraitStep) -> str:
    match step:
        case TraitSource():
            return f"by {_code(step.key)} from {_rows(step)}"
        case ComputedTrait():
            return f"computed as {_code(step.expression)}"
        case PredictiveTraits():
            return f"given by the function {_code(step.function)} for {_codes(step.inputs)}"


def _step(step: TraitStep) -> list[str]:
    """What a step of enrichment takes, and a table of what it gives."""
    match step:
        case TraitSource():
            blocks = [f"From {_rows(step)}, by {_code(step.key)}:", _selected(step)]
            if step.max_per_member > 1 or step.keep != "all":
                order = f" in order of {_code(step.order_by)}" if step.order_by else ""
                more = "more are an error" if step.keep == "all" else f"of more the {step.keep} are kept"
                blocks.append(f"Up to {step.max_per_member} values a member{order}; {more}.")
            return blocks
        case ComputedTrait():
            return [f"{_code(step.name)} is computed: {_code(step.expression)}"]
        case PredictiveTraits():
            return [f"The function {_code(step.function)} gives, for {_codes(step.inputs)}:", _selected(step)]


def _selected(step: TraitSource | PredictiveTraits) -> str:
    return _table(("trait", "column"), [(_code(trait.name), _code(trait.column)) for trait in step.traits])


def _opt_outs(suppression: Suppression) -> str:
    columns = _codes(column for column in (suppression.key, suppression.email, suppression.phone) if column)
    age = (
        f" A list of more than {duration(suppression.max_age.total_seconds())} stops the run."
        if suppression.max_age
        else ""
    )
    return (
        f"**Opt-outs** by {columns} from {_source(suppression.source)}, as they are when the files are "
        f"made: people on that list are in no file, whatever its day.{age}"
    )


def _how_sent(destination: Destination) -> str:
    return (
        f"{_code(destination.path)} through {_code(destination.conn_id)}{_region(destination, ', ')}, "
        f"{destination.update_method}, {destination.compression} compression, {_encryption(destination)}. "
        f"A file with fewer than {destination.min_members} members is not sent."
    )


def _region(destination: Destination, before: str = " for ") -> str:
    return f"{before}region {destination.region}" if destination.regional else ""


def _encryption(destination: Destination) -> str:
    if destination.encryption is None:
        return "not encrypted"
    return f"PGP to {' or '.join(map(_code, destination.encryption.recipients))}"


def _columns(file: DeliveryFile) -> str:
    rows = [
        *([(_code(file.key_header), _first_column(file))] if file.key_header else []),
        *((_code(c.header), _content(c)) for c in file.columns),
    ]
    return f"**{file.slot}**\n\n{_table(('column', 'content'), rows)}"


def _first_column(file: DeliveryFile) -> str:
    if isinstance(file, DeviceFile):
        hashed = f", {file.hash}" if file.hash else ""
        return f"device id: {_codes(trait for trait, _ in file.identifiers)}{hashed}"
    return "audience key"


def _content(column: Column) -> str:
    match column:
        case SegmentColumn():
            return f"{_code(column.value)} in every row"
        case IdentifierColumn():
            return f"{_code(column.trait)}, {column.hash or 'normalised'}"
        case TraitColumn():
            return _code(column.trait)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    # A bar ends a cell even inside code.
    cells = [header, ("---",) * len(header), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _text(written: str) -> str:
    """As it stands: punctuation with a backslash has no meaning in Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(written.split()))


def _codes(written: Iterable[str]) -> str:
    return ", ".join(map(_code, written))


def _code(written: str) -> str:
    """As it stands, in the type of code."""
    line = " ".join(written.split())
    fence = _fence(line, at_least=1)
    # Spaces keep a backtick at an end apart from the fence; Markdown takes one off each side.
    room = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{room}{line}{room}{fence}"


def _fence(written: str, *, at_least: int) -> str:
    """More backticks than stand side by side in the text."""
    return "`" * max(at_least, 1 + max((len(run) for run in re.findall("`+", written)), default=0))
