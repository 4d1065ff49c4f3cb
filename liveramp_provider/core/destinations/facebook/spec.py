"""The keys of Facebook Custom Audiences."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liveramp_provider.core.destinations.matched_columns import MatchedSpec
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.types import TraitName


class FacebookTraitsSpec(Spec):
    """Which trait goes into which field; Facebook takes these and no others."""

    email: TraitName | None = Field(default=None, description="E-mail address.", examples=["email"])
    phone: TraitName | None = Field(default=None, description="Phone number.", examples=["phone"])
    advertising_id: TraitName | None = Field(
        default=None, description="Mobile advertising id, of either kind.", examples=["gaid"]
    )
    first_name: TraitName | None = Field(default=None, description="First name.", examples=["first_name"])
    last_name: TraitName | None = Field(default=None, description="Last name.", examples=["last_name"])
    gender: TraitName | None = Field(default=None, description="m or f, male or female.", examples=["gender"])
    birth_year: TraitName | None = Field(
        default=None, description="Year of birth, four digits.", examples=["birth_year"]
    )
    birth_month: TraitName | None = Field(default=None, description="Month of birth.", examples=["birth_month"])
    birthday: TraitName | None = Field(default=None, description="Day of the month of birth.", examples=["birthday"])
    city: TraitName | None = Field(default=None, description="City.", examples=["city"])
    state: TraitName | None = Field(default=None, description="State of the US, two letters.", examples=["state"])
    postal_code: TraitName | None = Field(
        default=None, description="ZIP code; its first five digits count.", examples=["zip"]
    )
    country: TraitName | None = Field(
        default=None, description="Country, two letters by ISO 3166.", examples=["country"]
    )


class FacebookSpec(MatchedSpec):
    """Facebook Custom Audiences, filled from a folder."""

    kind: Literal["facebook"] = Field(description="What kind of receiver it is.", examples=["facebook"])
    traits: FacebookTraitsSpec = Field(
        description="Field at Facebook: our trait.", examples=[{"email": "email", "phone": "phone"}]
    )
