"""Whether a run reads a day again that is sealed already. Only a person asks for that, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.core.errors import RefreshError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_WHY_CHARS = 200

# Nobody is there to give a reason; what stands in the DAG's parameters is for those who trigger it.
WITHOUT_A_PERSON = frozenset({"scheduled", "asset_triggered"})


def refresh_of(context: Mapping[str, Any]) -> str:
    """Why the run is to read its day once more, and which run it is; empty: it is not.

    The run belongs to it, so that a retry or a clear of the same run does not read a third time, and another run that
    gives the same reason does read again.

    :raises RefreshError: ``refresh`` is on without a usable reason, or there is a reason and ``refresh`` is off.
    """
    params = context.get("params", {})
    wanted, why = bool(params.get("refresh")), str(params.get("refresh_why") or "").strip()
    if context["dag_run"].run_type in WITHOUT_A_PERSON or not (wanted or why):
        return ""
    if not wanted:
        raise RefreshError(
            "refresh_why gives a reason, but refresh is off. Switch refresh on, or leave the reason out."
        )
    if not is_reason(why):
        raise RefreshError(
            f"refresh is on, but refresh_why is no printable line of 1 to {MAX_WHY_CHARS} characters. Trigger again "
            "and say in it why the day is to be read once more, such as: late rows arrived. No personal data."
        )
    return f"{why} ({context['run_id']})"


def is_reason(why: str) -> bool:
    """Whether `why` can be kept: one printable line that is not too long."""
    return bool(why) and why.isprintable() and len(why) <= MAX_WHY_CHARS
