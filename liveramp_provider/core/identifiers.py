"""The one definition of every rule on a value: normalise, validate, recognise a hash. Ibis expressions throughout.

Rules and their sources: docs/rules.md. Every function is total: bad input becomes a reason code, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt

from liveramp_provider.core.audience import Hash, Identifier

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir

    from liveramp_provider.core.audience import Region

#: What counts as white space: ASCII's, and the Unicode spaces that survive copy and paste.
WHITE_SPACE = (
    " \t\n\v\f\r\u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200C))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
)

#: Words that systems write for "nothing". Hashed, they would make everybody without a value the same person.
BLANK_WORDS = ("", "null", "none", "nan", "n/a", "undefined", "<nil>")

#: Longest e-mail address (RFC 5321, erratum 1690).
MAX_EMAIL_CHARS = 254

_CONTROL = r"[\x00-\x1f\x7f\x{85}\x{2028}\x{2029}]"
_SPACE = f"[{WHITE_SPACE}]"
_OUTER_SPACE = f"^{_SPACE}+|{_SPACE}+$"
_EDGES = rf"^[\x00-\x1f\x7f\x{{85}}{WHITE_SPACE}]+|[\x00-\x1f\x7f\x{{85}}{WHITE_SPACE}]+$"
_HASHED = "^([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"
_EMAIL = r"^[^@\x00-\x1f\x7f\x{85}]+@[^@.\x00-\x1f\x7f\x{85}]+(\.[^@.\x00-\x1f\x7f\x{85}]+)+$"
_EXTENSION = r"(?is)(ext|x|#).*$"
_DEVICE = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_NO_DEVICE = "00000000-0000-0000-0000-000000000000"
_HEX_DIGITS = {Hash.MD5: 32, Hash.SHA1: 40, Hash.SHA256: 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a column of raw values says, as expressions.

    :param given: Whether there is a value at all.
    :param value: The normalised value; null when there is none, when it is invalid, or when it came hashed.
    :param digest: The value where it came hashed, lower-case hex; else null.
    :param fault: Reason code why a given value cannot be used; else null.
    """

    given: ir.BooleanValue
    value: ir.StringValue
    digest: ir.StringValue
    fault: ir.StringValue


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]  # Ibis has no types
def sha1(value: str) -> str:  # type: ignore[empty-body]  # the engine has the body
    """SHA-1, lower-case hex; Ibis has none on DuckDB."""


def hashed(value: ir.StringValue, algorithm: Hash) -> ir.StringValue:
    """Lower-case hex digest of the UTF-8 bytes."""
    return sha1(value) if algorithm is Hash.SHA1 else value.hexdigest(algorithm.value)


def hash_of_length(digest: ir.StringValue, algorithm: Hash) -> ir.StringValue:
    """`digest` where it is of that algorithm, by its length; else null."""
    return (digest.length() == _HEX_DIGITS[algorithm]).ifelse(digest, ibis.null(dt.string))


def as_text(value: ir.Value) -> ir.StringValue:
    """A value of any type as text: whole numbers without ``.0``, decimals without trailing zeros."""
    if value.type().is_string():
        return value
    text = value.cast(dt.string)
    if value.type().is_floating() or value.type().is_decimal():
        return text.re_replace(r"^(-?\d+)\.0*$", r"\1").re_replace(r"^(-?\d+\.\d*[1-9])0+$", r"\1")
    return text


def _unless_blank(text: ir.StringValue) -> ir.StringValue:
    return text.lower().isin(BLANK_WORDS).ifelse(ibis.null(dt.string), text)


def _trimmed(text: ir.StringValue) -> ir.StringValue:
    return _unless_blank(text.re_replace(_OUTER_SPACE, ""))


def clean(text: ir.StringValue) -> ir.StringValue:
    """Free text: control characters inside become spaces, outer white space goes, blank words are null."""
    return _unless_blank(text.re_replace(_EDGES, "").re_replace(_CONTROL, " "))


def has_control_character(text: ir.StringValue) -> ir.BooleanValue:
    """Whether :func:`clean` replaces a character inside the text."""
    return text.re_replace(_EDGES, "").re_search(_CONTROL).fill_null(False) & clean(text).notnull()


def _reading(
    given: ir.StringValue, *, normalised: ir.StringValue, valid: ir.BooleanValue, reason: str, hashable: bool
) -> Reading:
    """Put a rule together: a hash stays one, a valid value is normalised, the rest gets the reason."""
    nothing = ibis.null(dt.string)
    is_hash = given.re_search(_HASHED) if hashable else ibis.literal(False)
    return Reading(
        given=given.notnull(),
        value=(given.notnull() & ~is_hash & valid).ifelse(normalised, nothing),
        digest=is_hash.ifelse(given.lower(), nothing),
        fault=(given.notnull() & ~is_hash & ~valid).ifelse(ibis.literal(reason), nothing),
    )


def email(text: ir.StringValue) -> Reading:
    """Lower case, no white space; one ``@``, a dot in the domain, no empty part, at most 254 characters."""
    given = _trimmed(text)
    address = given.re_replace(_SPACE, "").lower()
    valid = address.re_search(_EMAIL) & (address.length() <= MAX_EMAIL_CHARS)
    return _reading(given, normalised=address, valid=valid, reason="email_format", hashable=True)


def us_phone(text: ir.StringValue) -> Reading:
    """Ten digits, the first 2–9: extension, country code and punctuation dropped."""
    given = _trimmed(text)
    digits = given.re_replace(_EXTENSION, "").re_replace("[^0-9]", "").re_replace("^1([0-9]{10})$", r"\1")
    valid = digits.re_search("^[2-9][0-9]{9}$")
    return _reading(given, normalised=digits, valid=valid, reason="phone_format", hashable=True)


def international_phone(text: ir.StringValue) -> Reading:
    """A leading ``+`` and 8–15 digits: extension and punctuation dropped."""
    given = _trimmed(text)
    digits = given.re_replace(_EXTENSION, "").re_replace("[^0-9+]", "")
    valid = digits.re_search(r"^\+?[0-9]{8,15}$")
    return _reading(given, normalised=digits, valid=valid, reason="phone_format", hashable=True)


def us_zip(text: ir.StringValue) -> Reading:
    """Five or nine digits as text, leading zeros kept, no hyphen."""
    given = _trimmed(text)
    digits = given.re_replace(f"{_SPACE}|-", "")
    valid = digits.re_search("^([0-9]{5}|[0-9]{9})$")
    return _reading(given, normalised=digits, valid=valid, reason="zip_format", hashable=False)


def free_text(text: ir.StringValue) -> Reading:
    """Names, addresses and segment fields: sent as they are, on one line."""
    cleaned = clean(text)
    return _reading(cleaned, normalised=cleaned, valid=ibis.literal(True), reason="", hashable=False)


def device_id(text: ir.StringValue, kind: Identifier, *, hashed_file: bool) -> Reading:
    """IDFA in upper case, GAID in lower case; all zeros means that tracking was refused.

    :param hashed_file: The file carries SHA-1: a value that is one already is taken as it is.
    """
    nothing = ibis.null(dt.string)
    given = _trimmed(text)
    is_hash = given.re_search("^[0-9a-fA-F]{40}$") if hashed_file else ibis.literal(False)
    is_id = given.re_search(_DEVICE)
    is_zero = given == _NO_DEVICE
    normalised = given.upper() if kind is Identifier.IDFA else given.lower()
    return Reading(
        given=given.notnull(),
        value=(is_id & ~is_zero).ifelse(normalised, nothing),
        digest=is_hash.ifelse(given.lower(), nothing),
        fault=ibis.cases(
            (is_zero, ibis.literal("device_zero")),
            (given.notnull() & ~is_id & ~is_hash, ibis.literal("device_format")),
            else_=nothing,
        ),
    )


def reader(identifier: Identifier, region: Region) -> Callable[[ir.StringValue], Reading]:
    """The rule for a known identifier in a LiveRamp region."""
    if identifier is Identifier.EMAIL:
        return email
    if identifier is Identifier.PHONE:
        return us_phone if region == "us" else international_phone
    if identifier is Identifier.ZIP and region == "us":
        return us_zip
    return free_text
