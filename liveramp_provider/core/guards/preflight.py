"""Everything that can be checked before a row is read: functions, keys, host keys, credentials, folders.

Nothing is sent.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.audience import PredictiveTraits, PythonSource, TraitSource
from liveramp_provider.core.errors import ConfigError, LiveRampError
from liveramp_provider.core.functions import frame_function, source_function
from liveramp_provider.core.progress import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.transports import Transport

log = logging.getLogger(__name__)

#: How long before its end a key is mentioned: to ask the receiver for the next one, and to compare fingerprints.
KEY_ENDS_SOON = timedelta(days=14)


def preflight(audience: Audience, *, transport: Callable[[Destination], Transport]) -> None:
    """Check the functions and every destination of `audience`, and report all that is wrong at once.

    :param transport: The way to a destination.
    :raises ConfigError: Something has to be corrected first; one error names all of it.
    :raises TransportError: A server does not answer; nothing else is wrong.
    """
    started = monotonic()
    errors: list[LiveRampError] = [*_function_errors(audience)]
    for destination in audience.destinations:
        for check in (_check_key, _check_door):
            try:
                check(destination, transport)
            except LiveRampError as error:
                errors.append(error)
    faults = [error for error in errors if isinstance(error, ConfigError)]
    if len(faults) > 1:
        raise ConfigError("\n".join(str(fault) for fault in faults))
    if errors:
        raise (faults or errors)[0]
    ready = ", ".join(destination.id for destination in audience.destinations)
    log.info(f"preflight: ready for {ready} ({duration(monotonic() - started)})")


def _function_errors(audience: Audience) -> Iterator[LiveRampError]:
    sources = [audience.membership.source, *(step.source for step in audience.traits if isinstance(step, TraitSource))]
    if audience.suppression is not None:
        sources.append(audience.suppression.source)
    checks: list[Callable[[], object]] = [
        *(partial(source_function, source) for source in sources if isinstance(source, PythonSource)),
        *(partial(frame_function, step.function) for step in audience.traits if isinstance(step, PredictiveTraits)),
    ]
    for check in checks:
        try:
            check()
        except LiveRampError as error:
            yield error


def _check_door(destination: Destination, transport: Callable[[Destination], Transport]) -> None:
    transport(destination).check(destination.path)


def _check_key(destination: Destination, _: Callable[[Destination], Transport]) -> None:
    from liveramp_provider.core.pgp import check_key

    if destination.encryption is not None:
        now = datetime.now(UTC)
        key = check_key(destination.encryption, now=now)
        until = f", valid until {key.expires:%Y-%m-%d}" if key.expires else ""
        log.info(f"preflight: {destination.id}: encrypts to subkey {key.subkey} of {key.primary}{until}")
        if key.expires is not None and key.expires - now <= KEY_ENDS_SOON:
            log.warning(
                f"preflight: {destination.id}: the key {key.primary} ends on {key.expires:%Y-%m-%d}, in "
                f"{(key.expires - now).days} days, and nothing can be sent then. Ask the receiver for the next one, "
                "and pin both in recipient."
            )
