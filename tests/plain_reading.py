"""The rules read a second time, in plain Python: the oracle the real build is compared with, cell by cell.

Nothing here is fast and nothing is shared with the package. Every function follows one sentence of the rules, so that a
difference between this file and the build is a question about the rules, not about either code.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

WHITE_SPACE = " \t\n\v\f\r\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200C)))
CONTROL = "".join(map(chr, range(0x20))) + "\u007f\u0085\u2028\u2029"
BLANK_WORDS = ("", "null", "none", "nan", "n/a", "undefined", "<nil>")
HEX_LENGTH = {32: "md5", 40: "sha1", 64: "sha256"}
ADDRESS_TRAITS = ("first_name", "last_name", "address1", "address2", "city", "state", "zip", "country")
REASONS = (
    "email_format",
    "prehashed_without_column",
    "phone_format",
    "zip_format",
    "formula",
)  # in the order they are judged


@dataclass(frozen=True)
class Column:
    """One column of a file: a trait (perhaps hashed), or the same `segment` text in every row."""

    header: str
    trait: str | None = None
    hash: str | None = None
    segment: str | None = None
    formulas_allowed: bool = False


@dataclass(frozen=True)
class Reading:
    """What a file must hold, and where everybody who is not in it went."""

    header: list[str]
    rows: list[list[str]]
    waterfall: dict[str, int]
    blanked: dict[str, int]
    control_character: int
    members: int


@dataclass(frozen=True)
class Outcome:
    """What became of one raw value: nothing given, a value (perhaps hashed already), or a reason to refuse it."""

    value: str | None = None
    algorithm: str | None = None
    reason: str | None = None
    control: bool = False

    @property
    def given(self) -> bool:
        """Whether there was a value at all, usable or not."""
        return self.value is not None or self.reason is not None


MISSING = Outcome()


def canonical(value: object) -> str:
    """The text of a raw value; empty for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, Decimal):
        if value.is_finite() and value == value.to_integral_value():
            return str(int(value))
        digits = format(value, "f")
        return digits.rstrip("0") if "." in digits else digits
    return str(value)


def trimmed(value: object) -> str | None:
    """The text without white space at its ends, or None if that is a blank word."""
    text = canonical(value).strip(WHITE_SPACE)
    return None if text.lower() in BLANK_WORDS else text


def free_text(value: object) -> Outcome:
    """Names, addresses, member ids and segment fields: control characters become spaces, then the ends are trimmed."""
    raw = canonical(value)
    spaced = "".join(" " if character in CONTROL else character for character in raw)
    text = trimmed(spaced)
    if text is None:
        return MISSING
    start = len(spaced) - len(spaced.lstrip(WHITE_SPACE))
    inside = raw[start : start + len(text)]
    return Outcome(value=text, control=any(character in CONTROL for character in inside))


def prehashed(text: str) -> Outcome | None:
    """The digest somebody upstream made already, or None if the text is no digest."""
    if len(text) in HEX_LENGTH and re.fullmatch(r"[0-9A-Fa-f]+", text):
        return Outcome(value=text.lower(), algorithm=HEX_LENGTH[len(text)])
    return None


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run the text."""
    if text[:1] in ("=", "@"):
        return True
    return text[:1] in ("+", "-") and any(mark in text for mark in "(|!")


def email(value: object) -> Outcome:
    """An e-mail address without any white space, in lower case."""
    given = trimmed(value)
    if given is None:
        return MISSING
    if digest := prehashed(given):
        return digest
    # Character by character, so that a final capital sigma does not depend on its neighbours.
    text = "".join(character.lower()[0] for character in given if character not in WHITE_SPACE)
    if text.count("@") != 1 or len(text) > 254 or any(character in CONTROL for character in text):
        return Outcome(reason="email_format")
    local, domain = text.split("@")
    labels = domain.split(".")
    if local == "" or len(labels) < 2 or "" in labels:
        return Outcome(reason="email_format")
    return Outcome(value=text)


def phone(value: object, region: str = "us") -> Outcome:
    """A phone number: ten digits in the US; elsewhere eight to fifteen with an optional leading plus."""
    given = trimmed(value)
    if given is None:
        return MISSING
    if digest := prehashed(given):
        return digest
    number = re.split(r"extension|ext|x|#", given, maxsplit=1, flags=re.IGNORECASE)[0]
    if region != "us":
        text = "".join(character for character in number if character in "+0123456789")
        return Outcome(value=text) if re.fullmatch(r"\+?[0-9]{8,15}", text) else Outcome(reason="phone_format")
    digits = "".join(character for character in number if character in "0123456789")
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    if len(digits) == 10 and digits[0] in "23456789":
        return Outcome(value=digits)
    return Outcome(reason="phone_format")


def zip_code(value: object, region: str = "us") -> Outcome:
    """Five or nine digits in the US; elsewhere whatever was given, cleaned."""
    if region != "us":
        return free_text(value)
    given = trimmed(value)
    if given is None:
        return MISSING
    text = "".join(character for character in given if character not in WHITE_SPACE and character != "-")
    if len(text) in (5, 9) and all(character in "0123456789" for character in text):
        return Outcome(value=text)
    return Outcome(reason="zip_format")


def idfa(value: object, hash: str | None = None) -> Outcome:
    """Apple's advertising id, in upper case."""
    outcome = _device_id(value, hash)
    if outcome.value is None or outcome.algorithm is not None:
        return outcome
    return Outcome(value=outcome.value.upper())


def gaid(value: object, hash: str | None = None) -> Outcome:
    """Google's advertising id, in lower case."""
    outcome = _device_id(value, hash)
    if outcome.value is None or outcome.algorithm is not None:
        return outcome
    return Outcome(value=outcome.value.lower())


def _device_id(value: object, hash: str | None) -> Outcome:
    given = trimmed(value)
    if given is None:
        return MISSING
    if hash == "sha1" and (digest := prehashed(given)) and digest.algorithm == "sha1":
        return digest
    if not re.fullmatch(r"[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}", given):
        return Outcome(reason="device_format")
    if set(given) == {"0", "-"}:
        return Outcome(reason="device_zero")
    return Outcome(value=given)


def digest_of(text: str, algorithm: str) -> str:
    """Lower-case hex of the text's UTF-8 bytes."""
    return hashlib.new(algorithm, text.encode("utf-8")).hexdigest()


def read_members(keys: Iterable[object]) -> list[str]:
    """The member ids behind raw keys: cleaned, each once, missing ones dropped, in the order of their UTF-8 bytes."""
    ids = {outcome.value for outcome in map(free_text, keys) if outcome.value is not None}
    return sorted(ids, key=lambda member: member.encode("utf-8"))


def _is_email(trait: str) -> bool:
    return re.fullmatch(r"email[0-9]*", trait) is not None


def _is_phone(trait: str) -> bool:
    return re.fullmatch(r"phone[0-9]*", trait) is not None


def _is_identifier(trait: str) -> bool:
    return _is_email(trait) or _is_phone(trait) or trait in ADDRESS_TRAITS


def _read_trait(trait: str, value: object, region: str) -> Outcome:
    if _is_email(trait):
        return email(value)
    if _is_phone(trait):
        return phone(value, region)
    if trait == "zip":
        return zip_code(value, region)
    return free_text(value)


def _cell(column: Column, member: str, outcomes: Mapping[str, Outcome]) -> str:
    if column.segment is not None:
        return column.segment
    if column.trait is None:
        raise ValueError(f"column {column.header} has neither a trait nor a segment")
    if column.trait == "member_id":
        return member
    outcome = outcomes[column.trait]
    if outcome.value is None or _is_left_out(column, outcome):
        return ""
    if outcome.algorithm == column.hash:  # plain into plain, a digest into the column of its own algorithm
        return outcome.value
    if outcome.algorithm is None and column.hash is not None:
        return digest_of(outcome.value, column.hash)
    return ""


def _is_left_out(column: Column, outcome: Outcome) -> bool:
    """Whether the cell would be a formula that nobody has allowed."""
    plain = outcome.value is not None and outcome.algorithm is None and column.hash is None
    return plain and not column.formulas_allowed and is_formula(str(outcome.value))


def _without_formulas(trait: str, outcome: Outcome, columns: Sequence[Column]) -> Outcome:
    """An identifier that would be a formula in some column is of no use in any."""
    if any(column.trait == trait and _is_left_out(column, outcome) for column in columns):
        return Outcome(reason="formula", control=outcome.control)
    return outcome


def _control_cells(columns: Sequence[Column], outcomes: Mapping[str, Outcome]) -> int:
    return sum(outcomes.get(column.trait or "", MISSING).control for column in columns)


def _matchable(filled: set[str]) -> bool:
    if any(_is_email(trait) or _is_phone(trait) for trait in filled):
        return True
    named = {"first_name", "last_name"} <= filled
    placed = "zip" in filled or {"address1", "city", "state"} <= filled
    return named and placed


def pii(
    members: list[str], traits: Mapping[str, Mapping[str, object]], columns: Sequence[Column], region: str = "us"
) -> Reading:
    """The file of known people: one row per member whom this file's own columns can identify.

    :param traits: Member id (cleaned) to trait name to raw value; absent is missing.
    """
    unique = read_members(members)
    waterfall = dict.fromkeys(("members", "key_formula", "no_identifier", *REASONS, "address_incomplete", "rows"), 0)
    key_column = next((column for column in columns if column.trait == "member_id"), Column("", "member_id"))
    blanked = dict.fromkeys(REASONS, 0)
    used = {column.trait for column in columns if column.trait is not None} - {"member_id"}
    rows = []
    control = 0
    for member in unique:
        outcomes = {trait: _read_trait(trait, traits.get(member, {}).get(trait), region) for trait in used}
        formulas = sum(
            not _is_identifier(str(c.trait)) and c.trait in outcomes and _is_left_out(c, outcomes[c.trait])
            for c in columns
        )
        outcomes |= {t: _without_formulas(t, o, columns) for t, o in outcomes.items() if _is_identifier(t)}
        identifiers = {trait: outcome for trait, outcome in outcomes.items() if _is_identifier(trait)}
        cells = [_cell(column, member, outcomes) for column in columns]
        filled = {column.trait for column, cell in zip(columns, cells, strict=True) if column.trait and cell != ""}
        refused = [_refusal(trait, outcome, columns) for trait, outcome in identifiers.items()]
        if is_formula(member) and not key_column.formulas_allowed:
            waterfall["key_formula"] += 1
        elif _matchable(filled):
            blanked["formula"] += formulas
            rows.append(cells)
            control += _control_cells(columns, outcomes)
            for reason in REASONS:
                blanked[reason] += refused.count(reason)
        elif not any(outcome.given for outcome in identifiers.values()):
            waterfall["no_identifier"] += 1
        else:
            waterfall[next((reason for reason in REASONS if reason in refused), "address_incomplete")] += 1
    waterfall["members"] = len(unique)
    waterfall["rows"] = len(rows)
    return Reading([column.header for column in columns], rows, waterfall, blanked, control, members=len(rows))


def _refusal(trait: str, outcome: Outcome, columns: Sequence[Column]) -> str | None:
    """Why the file must leave the trait blank although a value was given."""
    if outcome.algorithm is not None and not any(
        column.trait == trait and column.hash == outcome.algorithm for column in columns
    ):
        return "prehashed_without_column"
    return outcome.reason


def device(
    members: list[str],
    traits: Mapping[str, Mapping[str, object]],
    identifiers: Sequence[str],
    columns: Sequence[Column],
    hash: str | None = None,
) -> dict[str, Reading]:
    """The file of device ids under "D", or one file per kind under "D-IDFA" and "D-AAID" when they are hashed."""
    # The kinds are read in one fixed order, so the file does not depend on the order of the configuration.
    kinds = [kind for kind in ("idfa", "gaid") if kind in identifiers]
    if hash is None:
        return {"D": _device_file("MOBILEID", members, traits, kinds, columns, None)}
    labels = {"idfa": "IDFA", "gaid": "AAID"}
    return {f"D-{labels[kind]}": _device_file(labels[kind], members, traits, [kind], columns, hash) for kind in kinds}


def _device_file(
    label: str,
    members: list[str],
    traits: Mapping[str, Mapping[str, object]],
    kinds: Sequence[str],
    columns: Sequence[Column],
    hash: str | None,
) -> Reading:
    unique = read_members(members)
    steps = ("members", "no_identifier", "device_ids", "device_format", "device_zero", "device_shared", "rows")
    waterfall = dict.fromkeys(steps, 0)
    owner: dict[str, str] = {}  # the id as written without regard to case, so an id given as both kinds is one id
    rows: list[list[str]] = []
    control = formulas = 0
    for member in unique:  # smallest first, so the first to show an id owns it
        raw = traits.get(member, {})
        candidates = [(idfa if kind == "idfa" else gaid)(raw.get(kind), hash) for kind in kinds]
        candidates = [candidate for candidate in candidates if candidate.given]
        waterfall["no_identifier"] += candidates == []
        waterfall["device_ids"] += len(candidates)
        for candidate in candidates:
            if candidate.value is None:
                waterfall[str(candidate.reason)] += 1
                continue
            written = _cell(Column(label, label, hash), member, {label: candidate})
            if written.lower() in owner:
                waterfall["device_shared"] += 1
            else:
                owner[written.lower()] = member
                fields = {column.trait: free_text(raw.get(column.trait)) for column in columns if column.trait}
                rows.append([written, *(_cell(column, member, fields) for column in columns)])
                control += _control_cells(columns, fields)
                formulas += sum(_is_left_out(c, fields[c.trait]) for c in columns if c.trait)
    rows.sort(key=lambda row: row[0].encode("utf-8"))
    waterfall["members"] = len(unique)
    waterfall["rows"] = len(rows)
    header = [label, *(column.header for column in columns)]
    return Reading(header, rows, waterfall, {"formula": formulas}, control, members=len(set(owner.values())))


def csv_bytes(reading: Reading) -> bytes:
    """The file before compression: every field quoted, quotes doubled, commas, LF after every line, UTF-8."""
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in [reading.header, *reading.rows]]
    return "".join(",".join(row) + "\n" for row in quoted).encode("utf-8")
