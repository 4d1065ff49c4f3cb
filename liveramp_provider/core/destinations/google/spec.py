"""The keys of Google Ads remarketing lists."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liveramp_provider.core.destinations.matched_columns import MatchedSpec
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.types import TraitName


class GoogleTraitsSpec(Spec):
    """Which trait goes into which field; Google takes these and no others."""

    email: TraitName = Field(description="E-mail address.", examples=["email"])
    phone: TraitName | None = Field(default=None, description="Phone number.", examples=["phone"])
    first_name: TraitName | None = Field(default=None, description="First name.", examples=["first_name"])
    last_name: TraitName | None = Field(default=None, description="Last name.", examples=["last_name"])
    country: TraitName | None = Field(
        default=None, description="Country, two letters by ISO 3166; not hashed.", examples=["country"]
    )
    zip: TraitName | None = Field(default=None, description="Postal code; not hashed.", examples=["zip"])


class GoogleSpec(MatchedSpec):
    """Google Ads remarketing lists, filled from a folder."""

    kind: Literal["google"] = Field(description="What kind of receiver it is.", examples=["google"])
    traits: GoogleTraitsSpec = Field(
        description="Field at Google: our trait.", examples=[{"email": "email", "phone": "phone"}]
    )
