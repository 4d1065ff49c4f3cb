"""What kinds of destinations that get files share: their keys, and how these become a destination."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import Field

from liveramp_provider.core.destination import Compression, Encryption, OnDoubt, Upload
from liveramp_provider.core.naming import MAX_NAME_CHARS, PLACEHOLDERS, placeholders
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.types import ConnId, Id, KmsKeyId, LocalPath, Recipients, RemoteFolder, Shrink

if TYPE_CHECKING:
    from pathlib import Path

#: Fewer people than this are never sent: LiveRamp takes no smaller file, and a smaller one is about single persons.
MIN_MEMBERS = 25
#: By how much a file's members may fall from one day to the next, where the audience file says nothing: our own choice.
MAX_SHRINK_PERCENT = 50

_ENCRYPTION = {"recipient": "86C66858DDC8AC1151F86A1AC0FADA3667413471", "public_key": "keys/liveramp.asc"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class EncryptionSpec(Spec):
    """PGP encryption to a pinned key."""

    recipient: Recipients = Field(
        description="Full 40-digit fingerprint of the receiver's primary key; during a rotation, a list of two.",
        examples=[_ENCRYPTION["recipient"]],
    )
    public_key: LocalPath = Field(
        description="The receiver's public key; a relative path starts at the audience file.",
        examples=[_ENCRYPTION["public_key"]],
    )
    extension: Literal["gpg", "pgp"] = Field(
        default="gpg", description="Ending of an encrypted file.", examples=["gpg"]
    )


class GuardsSpec(Spec):
    """What stops a file before it is sent."""

    min_members: Annotated[int, Field(ge=MIN_MEMBERS)] = Field(
        default=MIN_MEMBERS,
        description="Fewest unique members of a file; fewer than 25 are never sent.",
        examples=[MIN_MEMBERS],
    )
    max_shrink: Shrink = Field(
        default=f"{MAX_SHRINK_PERCENT}%",
        description="By how much a file may have fewer members than that of the day before; off: by any number.",
        examples=[f"{MAX_SHRINK_PERCENT}%"],
    )


class FileDestinationSpec(Spec):
    """The keys of every receiver of files."""

    id: Id = Field(description="Stable name; part of every delivery's identity.", examples=["liveramp"])
    conn_id: ConnId = Field(
        description="Airflow connection with endpoint and credentials; of type aws for a path on S3.",
        examples=["liveramp_default"],
    )
    path: RemoteFolder = Field(
        description="Folder at the receiver, which must exist, or s3://bucket/prefix.",
        examples=["/uploads/high_value_customers"],
    )
    kms_key_id: KmsKeyId | None = Field(
        default=None,
        description="KMS key that encrypts on S3; without it, the bucket decides.",
        examples=["alias/liveramp-drop"],
    )
    upload: Upload = Field(
        default="rename",
        description="How a file gets its name by SFTP: by a rename, or, where the receiver allows none, directly.",
        examples=["rename"],
    )
    on_doubt: OnDoubt | None = Field(
        default=None,
        description="With upload: direct, when a file may have arrived: stop for a person (default), or resend it.",
        examples=["stop"],
    )
    compression: Compression = Field(default="gzip", description="Compress before encrypting.", examples=["gzip"])
    encryption: EncryptionSpec | None = Field(
        default=None, description="PGP; without it, files can be read by anyone who gets one.", examples=[_ENCRYPTION]
    )
    guards: GuardsSpec = Field(
        default=GuardsSpec(),
        description="What stops a file before it is sent.",
        examples=[{"min_members": MIN_MEMBERS}],
    )


class Report(Protocol):
    """Takes one finding: keys that lead to it below the destination, what is wrong, and a hint."""

    def __call__(self, at: tuple[str | int, ...], message: str, hint: str = "", *, warning: bool = False) -> None:
        """Note one fault, or with `warning` something that works but will disappoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a kind of destination knows of the audience file that it stands in.

    :param audience: Id of the audience.
    :param destination: Id of the destination.
    :param timezone: In which the audience's days end.
    :param name: What people call it.
    :param path: The audience file; relative paths start beside it.
    :param traits: Names of all traits; ``None`` where some could not be read, and nobody can say what is missing.
    :param report: Takes what is wrong.
    """

    audience: str
    destination: str
    name: str
    timezone: str
    path: Path
    traits: tuple[str, ...] | None
    report: Report

    def at(self, *above: str | int) -> Report:
        """The same, for what lies below these keys."""

        def report(at: tuple[str | int, ...], message: str, hint: str = "", *, warning: bool = False) -> None:
            self.report((*above, *at), message, hint, warning=warning)

        return report


def file_destination(spec: FileDestinationSpec, reading: Reading) -> dict[str, Any]:
    """The shared arguments of a :class:`~liveramp_provider.core.destination.Destination`, and all faults of theirs."""
    if spec.kms_key_id is not None and not spec.path.startswith("s3://"):
        reading.report(("kms_key_id",), "is for a path that begins with s3://", "Leave it out.")
    _check_upload(spec, reading.report)
    if spec.encryption is None:
        reading.report((), "files are not encrypted; anyone who gets one can read it", warning=True)
    return {
        "id": spec.id,
        "conn_id": spec.conn_id,
        "path": spec.path,
        "compression": spec.compression,
        "encryption": _encryption(spec.encryption, reading) if spec.encryption else None,
        "min_members": spec.guards.min_members,
        "max_shrink_percent": shrink_percent(spec.guards),
        "kms_key_id": spec.kms_key_id or "",
        "upload": spec.upload,
        "on_doubt": spec.on_doubt or "stop",
    }


def shrink_percent(guards: GuardsSpec) -> int | None:
    """How many members fewer than the day before are taken; ``None``: any number."""
    return None if guards.max_shrink == "off" else int(guards.max_shrink.removesuffix("%"))


def _check_upload(spec: FileDestinationSpec, report: Report) -> None:
    if spec.upload == "direct" and spec.path.startswith("s3://"):
        report(("upload",), "is for SFTP; S3 creates objects whole", "Leave it out.")
    if spec.upload == "direct" and spec.encryption is None and spec.compression == "none":
        report(
            ("upload",),
            "may show the receiver half a file, which would be read as a whole one",
            "Add encryption, or compression: gzip.",
        )
    if spec.on_doubt is not None and spec.upload != "direct":
        report(("on_doubt",), "is for upload: direct", "Leave it out.")


def _encryption(spec: EncryptionSpec, reading: Reading) -> Encryption:
    public_key = reading.path.parent / spec.public_key
    if not public_key.is_file():
        reading.report(("encryption", "public_key"), "there is no such file", "Relative paths start at this file.")
    return Encryption(recipients=spec.recipient, public_key=public_key, extension=spec.extension)


def check_filename(template: str, reading: Reading, *, org: str, longest_kind: str) -> None:
    """Report what would make file names of `template` collide, or no names of files.

    :param org: Empty for receivers that know no organisations.
    :param longest_kind: The longest of the file slots that ``{kind}`` stands for.
    """
    report = reading.at("filename")
    try:
        names = set(placeholders(template))
    except ValueError as error:
        report((), f"its braces cannot be read: {error}")
        return
    known = [name for name in PLACEHOLDERS if org or name != "org"]
    for name in sorted(names - set(known)):
        listed = ", ".join(f"{{{one}}}" for one in known)
        report((), f"unknown placeholder {{{name}}}", f"Known: {listed}.")
    if not {"date", "upload_date"} & names:
        report((), "has no date, so tomorrow's file would overwrite today's", "Add {date}.")
    if "kind" not in names:
        report((), "has no {kind}, so two files would share one name", "Add {kind}.")
    if names - set(known):
        return
    example = template.format(
        org=org, audience=reading.audience, kind=longest_kind, date="2026-01-01", upload_date="2026-01-02"
    )
    if not _PLAIN_NAME.fullmatch(example):
        report((), "puts braces into the name", "Names are of letters, digits, '_', '.', '-'.")
    if example[0] in "._-":
        report((), f"names begin with {example[0]!r}", "Receivers ignore such files.")
    if len(example) + len(".csv") > MAX_NAME_CHARS:
        report((), f"may grow to {len(example) + 4} characters; {MAX_NAME_CHARS} are taken")
