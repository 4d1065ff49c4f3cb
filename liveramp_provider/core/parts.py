"""What follows the main file of a delivery: its other parts, and what tells the receiver that they are all there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import SealedFile
from liveramp_provider.core.errors import SealBrokenError
from liveramp_provider.core.naming import inner_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from liveramp_provider.core.artifacts import ControlFile
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.ledger import Delivery
    from liveramp_provider.core.staging import Staging
    from liveramp_provider.core.workspace import Workspace


def following(
    main: SealedFile, delivery: Delivery, destination: Destination, *, workspace: Workspace
) -> Iterator[SealedFile]:
    """What has to be delivered after `main`, in that order.

    :param delivery: Of the main file. Where its receiver has another one than `main`, that counts: parts never mix.
    :raises SealBrokenError: It was delivered, and what follows it is not staged any more.
    """
    if not destination.in_several_files:
        return
    found = sealed_of(delivery, workspace.staging)
    if found is None:
        raise _gone(main, main.slot)
    key, _ = found
    parts = parts_of(workspace.staging.load(SealedFile, f"{workspace.staging.store.address}/{key}"), workspace.staging)
    yield from parts[1:]
    control = control_file(destination, parts, workspace=workspace)
    if control is not None:
        yield control


def sealed_of(delivery: Delivery, staging: Staging) -> tuple[str, SealedFile] | None:
    """Key and manifest of the file that `delivery` brought; ``None`` where it is not staged, or several may be it.

    Files of equal bytes may differ in what follows them, and in what their receiver knows afterwards.
    """
    stage = f"build-{delivery.destination}-{delivery.slot}"
    known = staging.known(SealedFile, audience_id=delivery.audience, day=delivery.day, stage=stage)
    found = [(key, sealed) for key, sealed in known if _is_of(sealed, delivery)]
    return found[0] if len({(sealed.parts, sealed.snapshot) for _, sealed in found}) == 1 else None


def _is_of(sealed: SealedFile, delivery: Delivery) -> bool:
    left_out = sealed.suppression.sha256 if sealed.suppression else ""
    return (sealed.sha256, left_out) == (delivery.sha256, delivery.suppression_sha256)


def parts_of(main: SealedFile, staging: Staging) -> list[SealedFile]:
    """The file with all its parts, the main one first.

    :raises SealBrokenError: One is not staged any more.
    """
    rest = enumerate(main.parts, 2)
    return [main, *(_sealed(main, f"{main.slot}_{number}", sha256, staging) for number, sha256 in rest)]


def _sealed(main: SealedFile, slot: str, sha256: str, staging: Staging) -> SealedFile:
    stage = f"build-{main.destination}-{slot}"
    found = staging.find(SealedFile, sha256, audience_id=main.audience, day=main.day, stage=stage)
    if found is None:
        raise _gone(main, slot)
    return found


def _gone(main: SealedFile, slot: str) -> SealBrokenError:
    return SealBrokenError(
        f"{main.name}: {slot} is not staged any more, and what is left of the day cannot be sent without it. "
        "If nothing of it was delivered, clear its build task; else send the day again as a revision."
    )


def control_file(
    destination: Destination, delivered: Sequence[SealedFile], *, workspace: Workspace
) -> SealedFile | None:
    """What tells the receiver that `delivered`, the parts of one file, are there; ``None`` where it expects nothing.

    The same files give the same bytes. It can be delivered when every one of them is.

    :param delivered: The very files that the receiver has, the main one first.
    """
    main = delivered[0]
    name = inner_name(
        destination,
        audience_id=main.audience,
        slot=main.slot,
        day=main.day,
        revision=main.revision,
        sync="iter" if main.base else "full",
    )
    control = destination.control_of(delivered, name=name)
    if control is None:
        return None
    return _sealed_control(main, control, after=tuple(file.slot for file in delivered), workspace=workspace)


def _sealed_control(
    main: SealedFile, control: ControlFile, *, after: tuple[str, ...], workspace: Workspace
) -> SealedFile:
    slot, stage = f"{main.slot}_info", f"build-{main.destination}-{main.slot}_info"
    size_bytes, digest = len(control.content), hashlib.sha256(control.content).hexdigest()
    inputs = {"name": control.name, "content": digest}
    place = workspace.staging.place(audience_id=main.audience, day=main.day, stage=stage, inputs=inputs)
    sealed = place.sealed(SealedFile)
    if sealed is not None:
        return sealed
    with workspace.staging.scratch() as scratch:
        path = scratch / control.name
        path.write_bytes(control.content)
        made = replace(
            main,
            path=path,
            slot=slot,
            name=control.name,
            rows=0,
            csv_bytes=size_bytes,
            csv_sha256=digest,
            size_bytes=size_bytes,
            sha256=digest,
            recipient="",
            waterfall={},
            blanked={},
            parts=(),
            after=after,
            base="",
            snapshot="",
        )
        return place.seal(scratch, made)
