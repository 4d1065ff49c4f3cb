"""What Facebook Custom Audiences accept: which traits, under which header, in which form, hashed or not.

Source of the facts: Meta's page on formatting customer lists, and Segment's on its destination, which allows these
traits and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.destination import Destination, Detail, Form, Hash, Identifier
from liveramp_provider.core.destinations.matched_columns import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = (Identifier.FIRST_NAME, Identifier.LAST_NAME)

FIELDS: Mapping[str, Field] = {
    "email": Field("EMAIL", Identifier.EMAIL, Form.EMAIL, Hash.SHA256),
    "phone": Field("PHONE", Identifier.PHONE, Form.PHONE_DIGITS, Hash.SHA256),
    "advertising_id": Field("MADID", Identifier.GAID, Form.LOWER_DEVICE, None),
    "first_name": Field("FN", Identifier.FIRST_NAME, Form.LOWER_NAME, Hash.SHA256),
    "last_name": Field("LN", Identifier.LAST_NAME, Form.LOWER_NAME, Hash.SHA256),
    "gender": Field("GEN", Detail.GENDER, Form.GENDER, Hash.SHA256),
    "birth_year": Field("DOBY", Detail.BIRTH_YEAR, Form.YEAR, Hash.SHA256),
    "birth_month": Field("DOBM", Detail.BIRTH_MONTH, Form.MONTH, Hash.SHA256),
    "birthday": Field("DOBD", Detail.BIRTHDAY, Form.DAY, Hash.SHA256),
    "city": Field("CT", Identifier.CITY, Form.LETTERS, Hash.SHA256),
    "state": Field("ST", Identifier.STATE, Form.TWO_LETTERS, Hash.SHA256),
    "postal_code": Field("ZIP", Identifier.ZIP, Form.ZIP_FIRST_FIVE, Hash.SHA256),
    "country": Field("COUNTRY", Identifier.COUNTRY, Form.TWO_LETTERS, Hash.SHA256),
}

#: What is enough to look for a person by; our own choice, since Facebook matches by as much as it gets.
MATCHED_BY = (
    (Identifier.EMAIL,),
    (Identifier.PHONE,),
    (Identifier.GAID,),
    (*_NAME, Identifier.ZIP),
    (*_NAME, Identifier.CITY, Identifier.STATE),
)


class Facebook(Destination):
    """A folder from which Facebook Custom Audiences are filled."""

    __slots__ = ()

    receiver = "Facebook"
