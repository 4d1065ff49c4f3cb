"""Whether a run sends a delivered day again, under a new name. Only a person asks for that, and says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from liveramp_provider.core.errors import RevisionError
from liveramp_provider.core.naming import MAX_REVISION
from liveramp_provider.refresh import MAX_WHY_CHARS, WITHOUT_A_PERSON, is_reason

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Which delivery of its day a run makes.

    :param number: 1 for the first, which needs no reason.
    """

    number: int = 1
    why: str = ""


def revision_of(context: Mapping[str, Any]) -> Revision:
    """The revision that a task's run delivers, by the parameters ``revision`` and ``revision_why``.

    :raises RevisionError: It is no number from 1 to 99, has no usable reason, or there is a reason for the first one.
    """
    params = context.get("params", {})
    number, why = params.get("revision", 1), str(params.get("revision_why") or "").strip()
    if context["dag_run"].run_type in WITHOUT_A_PERSON:
        return Revision()
    if type(number) is not int or not 1 <= number <= MAX_REVISION:
        raise RevisionError(f"revision is no number from 1 to {MAX_REVISION}. Trigger again with one, such as 2.")
    if number == 1 and why:
        raise RevisionError(
            "revision_why gives a reason, but revision is 1, the first delivery. Write 2, or leave the reason out."
        )
    if number > 1 and not is_reason(why):
        raise RevisionError(
            f"revision is {number}, but revision_why is no printable line of 1 to {MAX_WHY_CHARS} characters. Trigger "
            "again and say in it why the day is sent once more, such as: lost at LiveRamp. No personal data."
        )
    return Revision(number=number, why=why)
