"""What Google Ads takes for remarketing lists: which traits, under which header, in which form, hashed or not.

Source of the facts: Google's pages on Customer Match data files, and Segment's on its destination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.destination import Destination, Form, Hash, Identifier
from liveramp_provider.core.destinations.matched_columns import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS: Mapping[str, Field] = {
    "email": Field("Email", Identifier.EMAIL, Form.GMAIL, Hash.SHA256),
    "phone": Field("Phone", Identifier.PHONE, Form.E164, Hash.SHA256),
    "first_name": Field("First Name", Identifier.FIRST_NAME, Form.LOWER_TEXT, Hash.SHA256),
    "last_name": Field("Last Name", Identifier.LAST_NAME, Form.LOWER_TEXT, Hash.SHA256),
    "country": Field("Country", Identifier.COUNTRY, Form.FREE_TEXT, None),
    "zip": Field("Zip", Identifier.ZIP, Form.FREE_TEXT, None),
}

#: A row needs an e-mail, a phone, or a whole address as Google asks for it.
MATCHED_BY = (
    (Identifier.EMAIL,),
    (Identifier.PHONE,),
    (Identifier.FIRST_NAME, Identifier.LAST_NAME, Identifier.COUNTRY, Identifier.ZIP),
)


class Google(Destination):
    """A folder from which Google Ads remarketing lists are filled."""

    __slots__ = ()

    receiver = "Google Ads"
