"""What LiveRamp accepts: headers, identifiers, hashes and limits.

Sources of the facts: LiveRamp's pages "Formatting File Data", "Formatting Identifiers", "Hashing Identifiers" and
"File Limits"; where those are silent, docs/rules.md says what we chose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from liveramp_provider.core.destination import Destination, FileRules, Form, Hash, Identifier, Layout, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liveramp_provider.core.destination import Detail, Region

Delimiter = Literal["comma", "pipe", "tab", "semicolon"]
#: Whose files they look like: those that LiveRamp recommends, or those of Segment's destination "LiveRamp Audiences".
LayoutName = Literal["liveramp", "segment"]

MAX_BYTES = 50 * 10**9
MAX_SEGMENT_FIELDS = 500
MAX_FIELD_VALUES = 5_000
MAX_SEGMENT_NAME_CHARS = 150

MEMBER_ID = "member_id"

#: The hashes LiveRamp matches; every other identifier goes in plain.
MATCHED_HASHES = {
    Identifier.EMAIL: {Hash.MD5, Hash.SHA1, Hash.SHA256},
    Identifier.PHONE: {Hash.SHA1},
}
DEVICES = {Identifier.IDFA, Identifier.GAID}
#: What a person may have several of: ``phone2`` is a phone too. ``zip4`` is no ZIP code, but part of one.
_SEVERAL = {Identifier.EMAIL, Identifier.PHONE, *DEVICES}
DEVICE_SLOT = {Identifier.IDFA: "D-IDFA", Identifier.GAID: "D-AAID"}


_NAME = (Identifier.FIRST_NAME, Identifier.LAST_NAME)
#: LiveRamp matches an e-mail, a phone, or a name with a ZIP or a whole address.
MATCHED_BY = (
    (Identifier.EMAIL,),
    (Identifier.PHONE,),
    (*_NAME, Identifier.ZIP),
    (*_NAME, Identifier.ADDRESS1, Identifier.CITY, Identifier.STATE),
)


class LiveRamp(Destination):
    """A LiveRamp account's folder."""

    __slots__ = ()

    receiver = "LiveRamp"
    regional = True

    @property
    def look_at(self) -> str:
        """A page of LiveRamp's."""
        return "LiveRamp's Files page"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRules:
    """What differs between LiveRamp's regions."""

    key_header: str
    headers: Mapping[str, str]
    hashed_phones: bool
    files: FileRules


_US_HEADERS = {
    "first_name": "FIRSTNAME",
    "last_name": "LASTNAME",
    "address1": "ADDRESS1",
    "address2": "ADDRESS2",
    "city": "CITY",
    "state": "STATE",
    "zip": "ZIP",
    "country": "COUNTRY",
    "email": "EMAIL1",
    "email2": "EMAIL2",
    "email3": "EMAIL3",
    "phone": "PHONE1",
    "phone2": "PHONE2",
}
_EU_HEADERS = {
    **_US_HEADERS,
    "city": "TOWN",
    "state": "COUNTY",
    "zip": "POSTCODE",
    "phone": "MOBILE1",
    "phone2": "MOBILE2",
}
_US_FORMS: Mapping[Identifier | Detail, Form] = {
    Identifier.EMAIL: Form.EMAIL,
    Identifier.PHONE: Form.US_PHONE,
    Identifier.ZIP: Form.US_ZIP,
}
_OTHER_FORMS: Mapping[Identifier | Detail, Form] = {
    Identifier.EMAIL: Form.EMAIL,
    Identifier.PHONE: Form.INTERNATIONAL_PHONE,
}


def _files(region: Region, *, max_rows: int = 500_000_000, max_row_chars: int = 1_000) -> FileRules:
    limits = Limits(
        max_rows=max_rows,
        max_row_chars=max_row_chars,
        max_bytes=MAX_BYTES,
        max_field_values=MAX_FIELD_VALUES,
        max_segment_name_chars=MAX_SEGMENT_NAME_CHARS,
        where=f"in region {region}",
    )
    return FileRules(forms=_US_FORMS if region == "us" else _OTHER_FORMS, matched_by=MATCHED_BY, limits=limits)


REGIONS: Mapping[Region, RegionRules] = {
    "us": RegionRules(
        key_header="CCID", headers=_US_HEADERS, hashed_phones=True, files=_files("us", max_row_chars=10_000)
    ),
    "au": RegionRules(
        key_header="CCID", headers=_US_HEADERS, hashed_phones=True, files=_files("au", max_row_chars=10_000)
    ),
    "eu": RegionRules(key_header="CustomerID", headers=_EU_HEADERS, hashed_phones=False, files=_files("eu")),
    "uk": RegionRules(
        key_header="CustomerID", headers=_EU_HEADERS, hashed_phones=False, files=_files("uk", max_rows=100_000_000)
    ),
    "fr": RegionRules(
        key_header="CustomerID", headers=_EU_HEADERS, hashed_phones=False, files=_files("fr", max_rows=30_000_000)
    ),
}

#: What the key's column is called in Segment's files.
SEGMENT_KEY_HEADER = "audience_key"

_DELIMITERS: Mapping[Delimiter, Literal[",", "|", "\t", ";"]] = {
    "comma": ",",
    "pipe": "|",
    "tab": "\t",
    "semicolon": ";",
}


def file_rules(region: Region, *, delimiter: Delimiter, layout: LayoutName) -> FileRules:
    """What LiveRamp wants of the files of a destination; Segment quotes no header."""
    written = Layout(delimiter=_DELIMITERS[delimiter], quoting="values" if layout == "segment" else "all")
    return replace(REGIONS[region].files, layout=written)


_HEADER = re.compile(
    r"(?P<prefix>MD5|SHA1|SHA256)?(?P<name>EMAIL|PHONE|MOBILE|LANDLINE|FIRSTNAME|LASTNAME|CITY|TOWN|STATE|COUNTY|ZIP"
    r"|POSTCODE|COUNTRY|ADDRESS(?=1)|ADDRESS2(?!\d))[1-3]?(_(?P<suffix>MD5|SHA-?1|SHA-?256))?",
    re.IGNORECASE,  # a small letter does not make another column of it
)
_HEADER_IDENTIFIER = {
    "EMAIL": Identifier.EMAIL,
    "PHONE": Identifier.PHONE,
    "MOBILE": Identifier.PHONE,
    "LANDLINE": Identifier.PHONE,
    "FIRSTNAME": Identifier.FIRST_NAME,
    "LASTNAME": Identifier.LAST_NAME,
    "ADDRESS": Identifier.ADDRESS1,
    "ADDRESS2": Identifier.ADDRESS2,
    "CITY": Identifier.CITY,
    "TOWN": Identifier.CITY,
    "STATE": Identifier.STATE,
    "COUNTY": Identifier.STATE,
    "ZIP": Identifier.ZIP,
    "POSTCODE": Identifier.ZIP,
    "COUNTRY": Identifier.COUNTRY,
}


def identifier_of_trait(trait: str) -> Identifier | None:
    """The identifier a trait is by its name: ``email``, ``email2`` … are e-mails, ``tier`` is none."""
    name = trait.lower()
    if name not in set(Identifier):
        name = name.rstrip("0123456789")
        if name not in _SEVERAL:
            return None
    return Identifier(name)


def identifier_of_header(header: str) -> tuple[Identifier | None, Hash | None]:
    """The identifier and hash that LiveRamp's recommended header stands for: ``EMAIL1_SHA256`` is a hashed e-mail."""
    match = _HEADER.fullmatch(header)
    if match is None:
        return None, None
    algorithm = (match["suffix"] or match["prefix"] or "").replace("-", "").lower()
    return _HEADER_IDENTIFIER[match["name"].upper()], Hash(algorithm) if algorithm else None
