"""The one definition of every rule on a value: normalise, validate, recognise a hash. Ibis expressions throughout.

Every rule is total: bad input becomes a reason code, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt

from liveramp_provider.core.destination import Detail, Form, Hash, Identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import ibis.expr.types as ir

    from liveramp_provider.core.destination import FileRules

#: What counts as white space: ASCII's, and the Unicode spaces that survive copy and paste.
WHITE_SPACE = (
    " \t\n\v\f\r\u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200C))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
)

#: Words that systems write for "nothing". Hashed, they would make everybody without a value the same person.
BLANK_WORDS = ("", "null", "none", "nan", "n/a", "undefined", "<nil>")

#: Longest e-mail address (RFC 5321, erratum 1690).
MAX_EMAIL_CHARS = 254

#: What a source writes where the answer is no; and so is any zero.
NO_WORDS = ("false", "f", "no", "n", "off")

_BLANK = f"(?i)^({'|'.join(BLANK_WORDS)})$"
_NO = rf"(?i)^({'|'.join(NO_WORDS)}|-?0+(\.0*)?)$"
_CONTROL = r"[\x00-\x1f\x7f\x{85}\x{2028}\x{2029}]"
_SPACE = f"[{WHITE_SPACE}]"
_OUTER_SPACE = f"^{_SPACE}+|{_SPACE}+$"
_EDGES = rf"^[\x00-\x1f\x7f\x{{85}}{WHITE_SPACE}]+|[\x00-\x1f\x7f\x{{85}}{WHITE_SPACE}]+$"
_HASHED = "^([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"
_EMAIL = r"^[^@\x00-\x1f\x7f\x{85}]+@[^@.\x00-\x1f\x7f\x{85}]+(\.[^@.\x00-\x1f\x7f\x{85}]+)+$"
_EXTENSION = r"(?is)(ext|x|#).*$"
_DEVICE = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_NO_DEVICE = "00000000-0000-0000-0000-000000000000"
#: How long a hash is.
HEX_DIGITS = {Hash.MD5: 32, Hash.SHA1: 40, Hash.SHA256: 64}
_WHOLE = dt.Decimal(38, 0)
# Digits after a country code: exactly known for North America, at least so many elsewhere.
_SHORTEST_NUMBER = {True: 10, False: 8}
# Where a zero belongs to the number and is dialled from abroad as well: Italy, Ivory Coast, Congo, San Marino.
_ZERO_STAYS = ("39", "225", "242", "378")
_ZERO_STAYS_ABROAD = rf"^[^0-9]*(\+|00)[^0-9]*({'|'.join(_ZERO_STAYS)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a column of raw text is read, in steps that build on each other; :func:`read` takes them.

    :param given: From the raw text to what was given; null where that is nothing.
    :param hashed: Pattern of a value that came hashed and stays as it is; ``None`` where hashes make no sense.
    :param normalised: From what was given to how the receiver wants it.
    :param fault: From the normalised value to the reason code why it cannot be used; else null.
    """

    given: Callable[[ir.StringValue], ir.StringValue]
    hashed: str | None
    normalised: Callable[[ir.StringValue], ir.StringValue]
    fault: Callable[[ir.StringValue], ir.StringValue]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]  # Ibis has no types
def sha1(value: str) -> str:  # type: ignore[empty-body]  # the engine has the body
    """SHA-1, lower-case hex; Ibis has none on DuckDB."""


def hashed(value: ir.StringValue, algorithm: Hash) -> ir.StringValue:
    """Lower-case hex digest of the UTF-8 bytes."""
    return sha1(value) if algorithm is Hash.SHA1 else value.hexdigest(algorithm.value)


def hash_of_length(digest: ir.StringValue, algorithm: Hash) -> ir.StringValue:
    """`digest` where it is of that algorithm, by its length; else null."""
    return (digest.length() == HEX_DIGITS[algorithm]).ifelse(digest, ibis.null(dt.string))


def as_text(value: ir.Value) -> ir.StringValue:
    """A value of any type as text: whole numbers without ``.0``, decimals without trailing zeros."""
    if value.type().is_string():
        return value
    text = value.cast(dt.string)
    nothing = ibis.null(dt.string)
    if value.type().is_floating():
        # The engine writes whole numbers as "1.0" or "1e+16", minus zero as "-0.0", and tells two kinds of nan apart.
        text = value.isnan().ifelse("nan", text)
        digits = text.re_search(r"\.0$|e\+").ifelse(value.try_cast(_WHOLE).cast(dt.string), nothing)
        return digits.coalesce(text)
    if value.type().is_decimal():
        return text.re_replace(r"^(-?\d+)\.0*$", r"\1").re_replace(r"^(-?\d+\.\d*[1-9])0+$", r"\1")
    return text


def _unless_blank(text: ir.StringValue) -> ir.StringValue:
    return text.re_replace(_BLANK, "").nullif("")


def _trimmed(text: ir.StringValue) -> ir.StringValue:
    return _unless_blank(text.re_replace(_OUTER_SPACE, ""))


def clean(text: ir.StringValue) -> ir.StringValue:
    """Free text: control characters inside become spaces, outer white space goes, blank words are null."""
    return _unless_blank(text.re_replace(_EDGES, "").re_replace(_CONTROL, " "))


def is_yes(value: ir.Value) -> ir.BooleanValue:
    """Whether a flag of any type is set: it is not blank, no zero, and no word for no."""
    text = clean(as_text(value))
    return text.notnull() & ~text.re_search(_NO).fill_null(False)


def has_control_character(text: ir.StringValue) -> ir.BooleanValue:
    """Whether :func:`clean` replaces a character inside the text."""
    return text.re_replace(_EDGES, "").re_search(_CONTROL).fill_null(False) & clean(text).notnull()


def is_formula(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a spreadsheet would run it: it begins with ``=`` or ``@``, or with a sign and calls something.

    Source: CWE-1236. A sign alone does not make one: ``+44 20 7946 0958`` is a phone, ``-5`` a number, ``-Kx3`` a key.
    """
    return text.re_search(r"^([=@]|[+-].*[(|!])").fill_null(False)


def _same(text: ir.StringValue) -> ir.StringValue:
    return text


def _unless(valid: Callable[[ir.StringValue], ir.BooleanValue], reason: str) -> Callable[..., ir.StringValue]:
    return lambda text: valid(text).ifelse(ibis.null(dt.string), ibis.literal(reason))


#: Lower case, no white space; one ``@``, a dot in the domain, no empty part, at most 254 characters.
EMAIL = Rule(
    given=_trimmed,
    hashed=_HASHED,
    normalised=lambda text: text.re_replace(_SPACE, "").lower(),
    fault=_unless(lambda text: text.re_search(_EMAIL) & (text.length() <= MAX_EMAIL_CHARS), "email_format"),
)

#: Ten digits, the first 2–9: extension, country code and punctuation dropped.
US_PHONE = Rule(
    given=_trimmed,
    hashed=_HASHED,
    normalised=lambda text: (
        text.re_replace(_EXTENSION, "").re_replace("[^0-9]", "").re_replace("^1([0-9]{10})$", r"\1")
    ),
    fault=_unless(lambda text: text.re_search("^[2-9][0-9]{9}$"), "phone_format"),
)

#: A leading ``+`` and 8–15 digits: extension and punctuation dropped.
INTERNATIONAL_PHONE = Rule(
    given=_trimmed,
    hashed=_HASHED,
    normalised=lambda text: text.re_replace(_EXTENSION, "").re_replace("[^0-9+]", ""),
    fault=_unless(lambda text: text.re_search(r"^\+?[0-9]{8,15}$"), "phone_format"),
)

#: Five or nine digits as text, leading zeros kept, no hyphen.
US_ZIP = Rule(
    given=_trimmed,
    hashed=None,
    normalised=lambda text: text.re_replace(f"{_SPACE}|-", ""),
    fault=_unless(lambda text: text.re_search("^([0-9]{5}|[0-9]{9})$"), "zip_format"),
)

#: Names, addresses and segment fields: sent as they are, on one line.
FREE_TEXT = Rule(given=clean, hashed=None, normalised=_same, fault=lambda _: ibis.null(dt.string))


def device_rule(kind: Identifier, *, hashed_file: bool) -> Rule:
    """IDFA in upper case, GAID in lower case; all zeros means that tracking was refused.

    :param hashed_file: The file carries SHA-1: a value that is one already is taken as it is.
    """
    return Rule(
        given=_trimmed,
        hashed="^[0-9a-fA-F]{40}$" if hashed_file else None,
        normalised=lambda text: text.upper() if kind is Identifier.IDFA else text.lower(),
        fault=lambda text: ibis.cases(
            (text == _NO_DEVICE, "device_zero"), (~text.re_search(_DEVICE), "device_format"), else_=ibis.null(dt.string)
        ),
    )


#: As :data:`EMAIL`; in Google's own domains, dots and what follows a ``+`` do not count. Source: Google.
GMAIL = replace(
    EMAIL,
    normalised=lambda text: _google_address(EMAIL.normalised(text)),
)

#: Lower case, no punctuation and no digits; words stay apart. Source: Meta, customer list formatting.
LOWER_NAME = Rule(
    given=clean,
    hashed=_HASHED,
    normalised=lambda text: text.lower().re_replace(r"[^\p{L} ]", "").re_replace(" +", " ").strip(),
    fault=_unless(lambda text: text != "", "name_format"),
)

#: Lower case, as it is written otherwise. Source: Google, Customer Match.
LOWER_TEXT = replace(FREE_TEXT, hashed=_HASHED, normalised=lambda text: text.lower())

#: Lower case, letters only. Source: Meta, customer list formatting (city).
LETTERS = Rule(
    given=clean,
    hashed=_HASHED,
    normalised=lambda text: text.lower().re_replace(r"[^\p{L}]", ""),
    fault=_unless(lambda text: text != "", "name_format"),
)

#: Two small letters: a state of the US, or a country by ISO 3166.
TWO_LETTERS = Rule(
    given=_trimmed,
    hashed=_HASHED,
    normalised=lambda text: text.lower(),
    fault=_unless(lambda text: text.re_search("^[a-z]{2}$"), "code_format"),
)

#: The first five digits of a ZIP code.
ZIP_FIRST_FIVE = replace(
    US_ZIP, hashed=_HASHED, normalised=lambda text: US_ZIP.normalised(text).re_replace("^([0-9]{5})[0-9]{4}$", r"\1")
)

#: ``m`` or ``f``.
GENDER = Rule(
    given=_trimmed,
    hashed=_HASHED,
    normalised=lambda text: text.lower().re_replace("^(m)ale$|^(f)emale$", r"\1\2"),
    fault=_unless(lambda text: text.re_search("^[mf]$"), "gender_format"),
)


def _google_address(address: ir.StringValue) -> ir.StringValue:
    local = address.re_replace("@.*$", "").re_replace(r"\+.*$", "").replace(".", "")
    domain = address.re_replace("^[^@]*", "")
    return address.re_search("@(gmail|googlemail)[.]com$").ifelse(local + domain, address)


def _number(digits: int, *, pattern: str) -> Rule:
    """A whole number with leading zeros, of which `pattern` says which there are."""
    return Rule(
        given=_trimmed,
        hashed=_HASHED,
        normalised=lambda text: text.re_search(f"^[0-9]{{1,{digits}}}$").ifelse(text.lpad(digits, "0"), text),
        fault=_unless(lambda text: text.re_search(pattern), "birth_format"),
    )


def phone_rule(country_code: str, *, plus: bool) -> Rule:
    """A phone number with its country code: from a ``+`` or ``00`` on, or else `country_code` put before it.

    :param country_code: Of numbers that say none. A ``0`` before a national number goes, and so does ``(0)``, unless
        it belongs to that country's numbers.
    :param plus: Whether the number is written with a plus sign (E.164).
    """

    def normalised(text: ir.StringValue) -> ir.StringValue:
        number = text.re_replace(_EXTENSION, "")
        number = number.re_search(_ZERO_STAYS_ABROAD).ifelse(number, number.re_replace(r"\( *0 *\)", ""))
        digits = number.re_replace("[^0-9]", "")
        abroad = number.re_search(r"^[^0-9]*\+") | digits.startswith("00")
        whole = digits.re_replace("^0+", "")
        has_code = whole.re_search(f"^{country_code}[0-9]{{{_SHORTEST_NUMBER[country_code == '1']},}}$")
        national = digits if country_code in _ZERO_STAYS else whole
        whole = (abroad | has_code).ifelse(whole, ibis.literal(country_code) + national)
        return (ibis.literal("+") + whole) if plus else whole

    fault = _unless(lambda text: text.re_search(r"^\+?(1[2-9][0-9]{9}|[2-9][0-9]{7,14})$"), "phone_format")
    return Rule(given=_trimmed, hashed=_HASHED, normalised=normalised, fault=fault)


_RULES = {
    Form.EMAIL: EMAIL,
    Form.US_PHONE: US_PHONE,
    Form.INTERNATIONAL_PHONE: INTERNATIONAL_PHONE,
    Form.US_ZIP: US_ZIP,
    Form.FREE_TEXT: FREE_TEXT,
    Form.GMAIL: GMAIL,
    Form.LOWER_NAME: LOWER_NAME,
    Form.LOWER_TEXT: LOWER_TEXT,
    Form.LETTERS: LETTERS,
    Form.TWO_LETTERS: TWO_LETTERS,
    Form.ZIP_FIRST_FIVE: ZIP_FIRST_FIVE,
    Form.LOWER_DEVICE: device_rule(Identifier.GAID, hashed_file=False),
    Form.GENDER: GENDER,
    Form.YEAR: _number(4, pattern="^(19|20)[0-9]{2}$"),
    Form.MONTH: _number(2, pattern="^(0[1-9]|1[0-2])$"),
    Form.DAY: _number(2, pattern="^(0[1-9]|[12][0-9]|3[01])$"),
}


def rule_of(identifier: Identifier | Detail, rules: FileRules) -> Rule:
    """The rule for an identifier in a file, by the form its receiver wants."""
    form = rules.forms.get(identifier, Form.FREE_TEXT)
    if form in (Form.PHONE_DIGITS, Form.E164):
        return phone_rule(rules.country_code, plus=form is Form.E164)
    return _RULES[form]


# No trait can be called like these columns: a trait's name has no space.
def given_of(trait: str) -> str:
    """Column of what was given; null where there is no value at all."""
    return f"given {trait}"


def value_of(trait: str) -> str:
    """Column of the normalised value; null when there is none, when it is invalid, or when it came hashed."""
    return f"value of {trait}"


def digest_of(trait: str) -> str:
    """Column of a value that came hashed, lower-case hex; else null."""
    return f"digest of {trait}"


def fault_of(trait: str) -> str:
    """Column of the reason code why a given value cannot be used; else null."""
    return f"fault of {trait}"


def read(table: ir.Table, rules: Mapping[str, Rule]) -> ir.Table:
    """`table` and four more columns for every trait of `rules`: what was given, and what to make of it.

    Each step is a layer of its own, so that the engine works it out once and not wherever it is used.
    """
    nothing = ibis.null(dt.string)

    def layer(name: Callable[[str], str], step: Callable[[str, Rule], ir.Value]) -> ir.Table:
        return table.mutate(**{name(trait): step(trait, rule) for trait, rule in rules.items()})

    table = layer(given_of, lambda trait, rule: rule.given(as_text(table[trait])))
    table = layer(
        digest_of,
        lambda trait, rule: (
            nothing if rule.hashed is None else table[given_of(trait)].re_extract(rule.hashed, 0).nullif("").lower()
        ),
    )
    table = layer(
        value_of,
        lambda trait, rule: table[digest_of(trait)].isnull().ifelse(rule.normalised(table[given_of(trait)]), nothing),
    )
    table = layer(
        fault_of,
        lambda trait, rule: table[value_of(trait)].isnull().ifelse(nothing, rule.fault(table[value_of(trait)])),
    )
    return layer(value_of, lambda trait, _: table[fault_of(trait)].isnull().ifelse(table[value_of(trait)], nothing))
