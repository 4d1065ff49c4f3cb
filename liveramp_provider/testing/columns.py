"""What a column holds, judged by its label, and whether its cells look as LiveRamp wants them."""

import hashlib
import re
from collections.abc import Callable
from typing import Literal

Role = Literal["known", "pseudonymous", "segment"]
Check = Callable[[str], str | None]

_HEX_CHARS = {"MD5": 32, "SHA1": 40, "SHA256": 64}
_CONTACT = re.compile(r"(EMAIL|PHONE|MOBILE|LANDLINE)\d?(?:_(MD5|SHA1|SHA256))?")
_EU_HASH = re.compile(r"(MD5|SHA1|SHA256)EMAIL\d?")
_POSTAL = frozenset(
    "FIRSTNAME LASTNAME ADDRESS1 ADDRESS2 CITY TOWN COUNTY STATE ZIP ZIP4 POSTCODE COUNTRY".split()  # noqa: SIM905 - one line
)
_DEVICE = re.compile(r"(IDFA|AAID|GAID|MOBILEID)(?:_SHA1)?")

# Everything that counts as white space or as a control character anywhere in the world's exports.
_WHITE_SPACE = re.compile("[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff]")
_BLANK_WORDS = frozenset({"null", "none", "nan", "n/a", "undefined", "<nil>"})
# Somebody whose e-mail was missing in the warehouse must not share one "identity" with everybody else like that.
_HASHES_OF_NOTHING = frozenset(
    hashlib.new(algorithm.lower(), word.encode(), usedforsecurity=False).hexdigest()
    for algorithm in _HEX_CHARS
    for word in ("", *_BLANK_WORDS)
)


def role_of(label: str) -> Role:
    """Return what a column is for. LiveRamp matches labels in any case, so this does, too."""
    label = label.upper()
    if _DEVICE.fullmatch(label):
        return "pseudonymous"
    if label in _POSTAL or _CONTACT.fullmatch(label) or _EU_HASH.fullmatch(label):
        return "known"
    return "segment"


def check_for(label: str) -> Check:
    """Return the check for the cells of column `label`: None for a good cell, else what is wrong, without the value."""
    label = label.upper()
    if label.startswith(("IDFA", "AAID", "GAID", "MOBILEID")) and (device := _DEVICE.fullmatch(label)):
        return _device_check(device[1], hashed=label.endswith("_SHA1"))
    if contact := _CONTACT.fullmatch(label):
        if contact[2]:
            return _hash_check(_HEX_CHARS[contact[2]])
        return {"EMAIL": _email, "PHONE": _us_phone}.get(contact[1], _eu_phone)
    if hashed := _EU_HASH.fullmatch(label):
        return _hash_check(_HEX_CHARS[hashed[1]])
    return {"ZIP": _zip, "ZIP4": _zip4}.get(label, text)


def text(cell: str) -> str | None:
    """Refuse the words that programs write where a value is missing."""
    word = cell.strip()
    # "Nat" is a first name, "NaT" is pandas' missing date.
    return "a word for a missing value" if word == "NaT" or word.lower() in _BLANK_WORDS else None


def _email(cell: str) -> str | None:
    if any(char != char.lower() for char in cell):
        return "upper-case letters"
    if _WHITE_SPACE.search(cell):
        return "white space"
    name, at, domain = cell.partition("@")
    if not (name and at and domain) or "@" in domain:
        return "not an address with exactly one @"
    return None


def _matching(pattern: str, fault: str) -> Check:
    accepts = re.compile(pattern, re.ASCII).fullmatch
    return lambda cell: None if accepts(cell) else fault


_us_phone = _matching(r"[2-9][0-9]{9}", "not 10 digits that start with 2-9")
_eu_phone = _matching(r"\+?[0-9]{8,15}", "not 8 to 15 digits")
_zip = _matching(r"[0-9]{5}([0-9]{4})?", "not 5 or 9 digits")
_zip4 = _matching(r"[0-9]{4}", "not 4 digits")


def _hash_check(hex_chars: int) -> Check:
    is_hash = _matching(f"[0-9a-f]{{{hex_chars}}}", f"not {hex_chars} lower-case hex digits")
    return lambda cell: "the hash of a blank word" if cell in _HASHES_OF_NOTHING else is_hash(cell)


HASHED_DEVICE = re.compile(r"[0-9a-f]{40}", re.ASCII)


def _device_check(label: str, *, hashed: bool) -> Check:
    is_hash = _hash_check(_HEX_CHARS["SHA1"])
    upper, lower = (f"[0-9{hexes}]{{8}}-([0-9{hexes}]{{4}}-){{3}}[0-9{hexes}]{{12}}" for hexes in ("A-F", "a-f"))
    pattern = {"IDFA": upper, "MOBILEID": f"{upper}|{lower}"}.get(label, lower)
    casing = {"IDFA": "upper", "MOBILEID": "one"}.get(label, "lower")
    is_plain = _matching(pattern, f"not a device id in {casing} case with hyphens")

    def check(cell: str) -> str | None:
        if not cell.strip("0-"):
            return "the all-zero device id"
        return is_hash(cell) if hashed or HASHED_DEVICE.fullmatch(cell) else is_plain(cell)

    return check
