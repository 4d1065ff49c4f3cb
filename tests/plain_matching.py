"""The rules of Facebook and Google read a second time, in plain Python: nothing here is shared with the package."""

from __future__ import annotations

import re

from tests.plain_reading import email, free_text, prehashed, trimmed


def google_email(raw: str) -> str | None:
    """Of Google's own domains, dots and what follows a plus sign mean nothing."""
    address = email(raw).value
    if address is None or "@" not in address:
        return address
    local, domain = address.split("@")
    if domain in ("gmail.com", "googlemail.com"):
        local = local.split("+")[0].replace(".", "")
    return f"{local}@{domain}"


def digits_in(text: str) -> str:
    """ASCII digits, in their order."""
    return "".join(character for character in text if character in "0123456789")


def keeps_zero(number: str) -> bool:
    """Whether the country of this number has zeros that belong to it."""
    return number.startswith(("39", "225", "242", "378"))


def phone(raw: str, country_code: str, *, plus: bool) -> str | None:
    """Digits with the country code, which is put before a number that says none."""
    given = trimmed(raw)
    if given is None:
        return None
    if digest := prehashed(given):
        return digest.value
    number = re.split("ext|x|#", given, maxsplit=1, flags=re.IGNORECASE)[0]
    digits = digits_in(number)
    before = re.split("[0-9]", number, maxsplit=1)[0]
    if not (("+" in before or digits.startswith("00")) and keeps_zero(digits.lstrip("0"))):
        number = re.sub(r"\( *0 *\)", "", number)
        digits = digits_in(number)
        before = re.split("[0-9]", number, maxsplit=1)[0]
    national = digits.lstrip("0")
    rest = national[len(country_code) :] if national.startswith(country_code) else ""
    says_it = "+" in before or digits.startswith("00") or len(rest) >= (10 if country_code == "1" else 8)
    whole = national if says_it else country_code + (digits if keeps_zero(country_code) else national)
    long_enough = 8 <= len(whole) <= 15 if whole[:1] != "1" else len(whole) == 11 and whole[1] in "23456789"
    if not long_enough or whole[0] == "0":
        return None
    return f"+{whole}" if plus else whole


def gender(raw: str) -> str | None:
    """M or f."""
    return {"m": "m", "male": "m", "f": "f", "female": "f"}.get((trimmed(raw) or "").lower())


def number(raw: str, *, digits: int, smallest: int, largest: int) -> str | None:
    """A number with leading zeros."""
    given = trimmed(raw) or ""
    if not re.fullmatch(f"[0-9]{{1,{digits}}}", given) or not smallest <= int(given) <= largest:
        return None
    return f"{int(given):0{digits}}"


def two_letters(raw: str) -> str | None:
    """A code of two small letters."""
    given = (trimmed(raw) or "").lower()
    return given if re.fullmatch("[a-z]{2}", given) else None


def first_five(raw: str) -> str | None:
    """The first five digits of a ZIP code of five or nine."""
    given = re.sub(r"[\s-]", "", trimmed(raw) or "")
    return given[:5] if re.fullmatch("[0-9]{5}|[0-9]{9}", given) else None


def letters(raw: str, *, between: str) -> str | None:
    """Small letters of a cleaned text, whose control characters are spaces; of those in the middle, `between` stays."""
    # Character by character, as for e-mails: a final capital sigma does not depend on its neighbours.
    kept = "".join(character.lower()[0] for character in free_text(raw).value or "")
    words = "".join(c if c.isalpha() else " " if c == " " else "" for c in kept).split()
    return between.join(words) or None
