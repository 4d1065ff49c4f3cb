"""Whether a run sends what a guard refuses. Only a person asks for that, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.core.errors import AcceptError
from liveramp_provider.core.guards.acceptance import NOTHING_ACCEPTED, Acceptance, Guard
from liveramp_provider.refresh import MAX_WHY_CHARS, WITHOUT_A_PERSON, is_reason

if TYPE_CHECKING:
    from collections.abc import Mapping


def acceptance_of(context: Mapping[str, Any]) -> Acceptance:
    """What a task's run accepts, by the parameters ``accept`` and ``accept_why``.

    :raises AcceptError: A word is no guard's, there is no usable reason, or there is a reason for nothing.
    """
    params = context.get("params", {})
    words, why = params.get("accept") or [], str(params.get("accept_why") or "").strip()
    if context["dag_run"].run_type in WITHOUT_A_PERSON or not (words or why):
        return NOTHING_ACCEPTED
    if not isinstance(words, list | tuple) or not all(word in list(Guard) for word in words):
        raise AcceptError(f"accept is a list of {', '.join(Guard)}. Trigger again with those of them that you mean.")
    if not words:
        raise AcceptError(
            "accept_why gives a reason, but accept is empty. Say what is accepted, or leave the reason out."
        )
    if not is_reason(why):
        raise AcceptError(
            f"accept has {', '.join(words)}, but accept_why is no printable line of 1 to {MAX_WHY_CHARS} characters. "
            "Trigger again and say in it why it is to be sent all the same, such as: agreed with LiveRamp. No personal "
            "data."
        )
    return Acceptance(guards=frozenset(map(Guard, words)), why=why)
