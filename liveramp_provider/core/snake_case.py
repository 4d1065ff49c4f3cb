"""An audience's name as receivers of events and APIs write it."""

from __future__ import annotations

import re
import unicodedata


def snake_case(name: str) -> str:
    """Lower-case ASCII words joined by ``_``: accents go, whatever else is no letter or digit parts words.

    Segment names an audience's key like this. Applied twice it changes nothing more.

    >>> snake_case("High-Value Customers (US)"), snake_case("Café 24h")
    ('high_value_customers_us', 'cafe_24h')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return "_".join(re.findall("[a-z0-9]+", plain.lower()))
