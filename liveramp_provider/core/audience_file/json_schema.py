"""The JSON Schema of the audience file, for editors that complete and check while somebody writes.

It sees what one key may hold. What needs more to look at (does the trait exist, does the query name the day) stays
with :func:`~liveramp_provider.core.audience_file.load_audience`; whatever that takes, the schema takes too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic.json_schema import GenerateJsonSchema

from liveramp_provider.core.audience_file.schema import AudienceSpec

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue
    from pydantic_core import CoreSchema, core_schema


def audience_schema() -> str:
    """JSON Schema, draft 2020-12, as text with a line break at the end."""
    schema = AudienceSpec.model_json_schema(schema_generator=_ForEditors)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _ForEditors(GenerateJsonSchema):
    """Pydantic's schema, without what it says of Python, and strict about keys."""

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        names = {"$schema": self.schema_dialect, "$id": "urn:liveramp-provider:audience-file", "title": "Audience file"}
        return names | super().generate(schema, mode)

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return {key: value for key, value in super().model_schema(schema).items() if key != "title"}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        # Without this, a key that does not fit the pattern would be any key.
        return super().dict_schema(schema) | {"additionalProperties": False}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        with_default = super().default_schema(schema)
        # Editors write a default into the file; null would only be noise there.
        return {key: value for key, value in with_default.items() if (key, value) != ("default", None)}
