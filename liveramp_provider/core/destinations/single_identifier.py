"""Files of one kind of identifier: which traits hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from liveramp_provider.core.destinations.liveramp import identifier_of_trait
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.types import TraitName, switch

if TYPE_CHECKING:
    from collections.abc import Collection

    from liveramp_provider.core.destination import Identifier
    from liveramp_provider.core.destinations.common import Report


class DeviceIdFileSpec(Spec):
    """A file of device ids of one kind."""

    traits: list[TraitName] = Field(
        default_factory=list,
        description="Traits that hold the ids; default: those named like the file (aaid: gaid).",
        examples=[["idfa"]],
    )


#: ``true`` for a file of the usual traits.
DeviceIdFile = Annotated[
    DeviceIdFileSpec | None, BeforeValidator(switch, json_schema_input_type=DeviceIdFileSpec | bool | None)
]


def traits_of_kind(written: list[str], kind: Identifier, *, known: Collection[str], report: Report) -> tuple[str, ...]:
    """The traits that hold identifiers of `kind`: those that are named, else those that are called so."""
    traits = written or [trait for trait in known if identifier_of_trait(trait) is kind]
    if not traits:
        report((), f"no trait is called {kind}", "Select one under traits, or name one here under traits.")
    for index, trait in enumerate(traits):
        if trait not in known:
            listed = ", ".join(sorted(known)) or "none"
            report(("traits", index), f"no source gives a trait {trait}", f"Known traits: {listed}.")
        elif trait in traits[:index]:
            report(("traits", index), f"{trait} stands twice", "Leave it out here.")
    return tuple(dict.fromkeys(traits))
