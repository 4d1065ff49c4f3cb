"""Columns of a file as an audience file names them."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from liveramp_provider.core.destination import FormulaPolicy, Hash, Identifier
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.choices import Choice, Kind
from liveramp_provider.core.schema.types import SegmentValue, TraitName

_COLUMN_CHOICE = Choice({"from": Kind(takes=("identifier", "hash", "formula")), "segment": Kind()})


class ColumnSpec(Spec):
    """A column of a file: a trait (`from`) or a fixed value in every row (`segment`)."""

    model_config = ConfigDict(json_schema_extra=_COLUMN_CHOICE.json_schema())

    from_: TraitName | None = Field(
        default=None, alias="from", description="Trait, or member_id for the key column.", examples=["email"]
    )
    identifier: Identifier | None = Field(
        default=None,
        strict=False,
        description="What the trait is, where neither its name nor the header says so.",
        examples=["email"],
    )
    hash: Hash | None = Field(
        default=None, strict=False, description="Send the hash instead of the value.", examples=["sha256"]
    )
    formula: FormulaPolicy | None = Field(
        default=None,
        description="What becomes of a value that a spreadsheet would run: blank (default), or allow it.",
        examples=["allow"],
    )
    segment: SegmentValue | None = Field(
        default=None, description="Fixed value that every row carries.", examples=["1"]
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ColumnSpec:
        if _COLUMN_CHOICE.made(self) is None:
            raise ValueError("needs exactly one of from (a trait) and segment (a fixed value)")
        if any(_COLUMN_CHOICE.misplaced(self)):
            raise ValueError("a segment is a fixed value: it has no hash, no identifier and no formula")
        return self
