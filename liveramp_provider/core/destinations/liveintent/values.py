"""A LiveIntent destination from its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.destination import DeliveryFile, DeviceFile, Hash, Identifier
from liveramp_provider.core.destinations.common import check_filename, shrink_percent
from liveramp_provider.core.destinations.liveintent import DEVICE_TYPE, EMAIL_HASH, RULES, EmailFile, LiveIntent
from liveramp_provider.core.destinations.single_identifier import traits_of_kind
from liveramp_provider.core.snake_case import snake_case

if TYPE_CHECKING:
    from liveramp_provider.core.destinations.common import Reading
    from liveramp_provider.core.destinations.liveintent.spec import LiveIntentSpec


def destination_of(spec: LiveIntentSpec, reading: Reading) -> LiveIntent:
    """The destination that `spec` describes; all that is wrong with it is reported."""
    check_filename(spec.filename, reading, org="", longest_kind=EMAIL_HASH)
    name = spec.audience_name or snake_case(reading.name)
    if name != snake_case(name) or not name:
        reading.report(
            ("audience_name",), "must be in snake_case", f"Write {snake_case(name)}." if snake_case(name) else ""
        )
    return LiveIntent(
        id=spec.id,
        conn_id=spec.conn_id,
        path=f"liveintent://{spec.account_id}/{name}",
        filename=spec.filename,
        compression="none",
        encryption=None,
        files=_files(spec, reading),
        min_members=spec.guards.min_members,
        max_shrink_percent=shrink_percent(spec.guards),
        on_doubt=spec.on_doubt,
        account_id=spec.account_id,
        data_provider_id=spec.data_provider_id,
        audience_name=name,
        action=spec.action,
        notification_email=spec.notification_email or "",
    )


def _files(spec: LiveIntentSpec, reading: Reading) -> tuple[DeliveryFile, ...]:
    if reading.traits is None:
        return ()
    files: list[DeliveryFile] = []
    if (email := spec.files.email) is not None:
        report = reading.at("files", "email")
        traits = traits_of_kind(email.traits, Identifier.EMAIL, known=reading.traits, report=report)
        algorithm = None if email.hash == "none" else Hash(email.hash)
        files.append(
            EmailFile(slot=EMAIL_HASH, key_header=EMAIL_HASH, columns=(), rules=RULES, traits=traits, hash=algorithm)
        )
    for kind, wanted in ((Identifier.IDFA, spec.files.idfa), (Identifier.GAID, spec.files.aaid)):
        if wanted is not None:
            slot = DEVICE_TYPE[kind]
            report = reading.at("files", slot.lower())
            traits = traits_of_kind(wanted.traits, kind, known=reading.traits, report=report)
            identifiers = tuple((trait, kind) for trait in traits)
            files.append(
                DeviceFile(slot=slot, key_header=slot, columns=(), rules=RULES, identifiers=identifiers, hash=None)
            )
    return tuple(files)
