"""Every rule on a value: the engine's reading against the plain one, on text that was made to hit the rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liveramp_provider.core import identifiers
from liveramp_provider.core.destination import Hash, Identifier
from liveramp_provider.core.destinations.liveramp import REGIONS
from tests import plain_reading
from tests.plain_reading import CONTROL, WHITE_SPACE, Outcome

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.identifiers import Rule

IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
GAID = "e4fe9bde-caa0-47b6-908d-ffba3fa184f2"

marks = st.text(WHITE_SPACE + CONTROL, max_size=2)


def cased(word: str) -> tuple[str, ...]:
    return (word, word.upper(), word.title(), word.swapcase())


words = st.sampled_from([spelling for word in plain_reading.BLANK_WORDS for spelling in cased(word)])
digests = st.builds(
    lambda digits, length: (digits * 65)[:length],
    st.text("0123456789abcdefABCDEF", min_size=1, max_size=8),
    st.sampled_from((31, 32, 33, 39, 40, 41, 63, 64, 65)),
)
noise = st.text(WHITE_SPACE + CONTROL + "0159aAbfFxXeEtTnN@@..+-#()/<>'\"_ΣσςéÉẞß🌻٥\uff15\u212a\u017f", max_size=24)
# Unassigned letters and the dotted capital I are lower-cased by one library and not by the other.
unicode_text = st.text(st.characters(exclude_categories=("Cs", "Cn"), exclude_characters="\u0130"), max_size=12)
label = st.text("abzAZ019-é\u0085 \u200b", min_size=1, max_size=4)
emails = st.one_of(
    st.builds(
        "{}@{}".format,
        st.text("aZ0.+_ \t'Σ", max_size=6),
        st.lists(st.one_of(label, st.just("")), max_size=4).map(".".join),
    ),
    st.integers(250, 258).map(lambda length: "a" * (length - 12) + "@example.com"),
    st.builds("{}@{}".format, unicode_text, unicode_text.map("{}.com".format)),
)
number = st.text("2023456789", min_size=6, max_size=12) | st.text("0123456789", min_size=6, max_size=17)
phones = st.builds(
    lambda prefix, digits, gap, suffix: prefix + gap.join((digits[:3], digits[3:6], digits[6:])) + suffix,
    st.sampled_from(("", "", "+1", "1", "+1 ", "001", "+44 ", "+", "++", "(")),
    number,
    st.sampled_from(("", "-", ".", " ", "\u2009", ") ")),
    st.sampled_from(("", "", " x", "X12", " ext. 5", "EXTENSION 12", "#7", "+", " call", "x1x2")),
)
zips = st.builds(
    "{}{}{}".format,
    st.text("0129", min_size=3, max_size=6),
    st.sampled_from(("", "-", " ", "--")),
    st.text("0129\uff15", max_size=4),
)
devices = st.one_of(
    st.just("00000000-0000-0000-0000-000000000000"),
    st.just("00000000000000000000000000000000"),
    st.uuids().map(str),
    st.uuids().map(lambda id_: str(id_).upper()),
    st.uuids().map(lambda id_: str(id_).title()),
    st.uuids().map(lambda id_: f"{{{id_}}}"),
    st.uuids().map(lambda id_: id_.hex),
)


def values(*special: st.SearchStrategy[str]) -> st.SearchStrategy[list[str | None]]:
    """Many values at once, because one query answers for all of them."""
    core = st.one_of(words, digests, noise, *special)
    return st.lists(st.none() | st.builds("{}{}{}".format, marks, core, marks), min_size=1, max_size=50)


@pytest.fixture(scope="module")
def engine() -> Iterator[Backend]:
    backend = ibis.duckdb.connect(threads=1)
    yield backend
    backend.disconnect()


class Asked:
    """A query compiled once, and what it says of any values."""

    def __init__(self, engine: Backend, kind: str, ask: Callable[[ir.Table], ir.Table]) -> None:
        self._engine, self._kind = engine, ibis.dtype(kind).to_pyarrow()
        query = ask(ibis.table({"number": "int64", "raw": kind}, name="asked"))
        self._sql = str(ibis.to_sql(query.order_by("number"), dialect="duckdb"))

    def __call__(self, given: Sequence[object]) -> list[dict[str, object]]:
        self._engine.con.register("asked", pa.table({"number": range(len(given)), "raw": pa.array(given, self._kind)}))
        return self._engine.con.sql(self._sql).to_arrow_table().drop(["number"]).to_pylist()


def column(ask: Callable[[ir.Value], ir.Value]) -> Callable[[ir.Table], ir.Table]:
    """A query for one expression over the raw values."""
    return lambda table: table.select("number", answer=ask(table.raw))


def asked(engine: Backend, rule: Rule) -> Callable[[Sequence[str | None]], list[Outcome]]:
    """The rule's outcomes, in the plain reading's words."""
    ask = Asked(engine, "string", lambda table: identifiers.read(table, {"raw": rule}))

    def outcomes(given: Sequence[str | None]) -> list[Outcome]:
        found = []
        for row in ask(given):
            value, digest, fault = (row[f"{part} of raw"] for part in ("value", "digest", "fault"))
            assert [value, digest, fault].count(None) == (2 if row["given raw"] is not None else 3)
            algorithm = plain_reading.HEX_LENGTH[len(digest)] if digest else None
            found.append(Outcome(value=value or digest, algorithm=algorithm, reason=fault))
        return found

    return outcomes


def without_control(outcome: Outcome) -> Outcome:
    return Outcome(value=outcome.value, algorithm=outcome.algorithm, reason=outcome.reason)


RULES = {
    "email": (identifiers.EMAIL, plain_reading.email, values(emails, unicode_text)),
    "us_phone": (identifiers.US_PHONE, plain_reading.phone, values(phones)),
    "international_phone": (identifiers.INTERNATIONAL_PHONE, lambda v: plain_reading.phone(v, "eu"), values(phones)),
    "us_zip": (identifiers.US_ZIP, plain_reading.zip_code, values(zips)),
    "free_text": (identifiers.FREE_TEXT, plain_reading.free_text, values(unicode_text)),
}


@pytest.mark.parametrize("name", RULES)
def test_rule_is_the_plain_reading(engine: Backend, name: str) -> None:
    """Whatever the text, the engine finds the value, the hash or the reason that the rules in plain words find."""
    rule, plain, texts = RULES[name]
    outcomes = asked(engine, rule)

    @settings(max_examples=20)
    @given(texts)
    def check(given: list[str | None]) -> None:
        assert outcomes(given) == [without_control(plain(text)) for text in given]

    check()


EDGES = [
    *(f"{'a' * length}@example.com" for length in (241, 242, 243)),
    *(digit + "551234567" for digit in "0129"),
    *("1" + digit + "551234567" for digit in "0129"),
    *("+" + "1" * length for length in (7, 8, 15, 16)),
    *("12345678"[:length] + "-" + "9" * rest for length, rest in ((5, 0), (5, 4), (5, 3), (4, 0), (4, 5))),
    *(letter * length for letter in "aFg" for length in (31, 32, 33, 40, 64)),
    *("x" + IDFA, IDFA + "0", IDFA.title(), GAID.upper(), GAID.replace("-", ""), GAID.replace("e4", "g4")),
    *("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"),
    *("a@b", "a@b.c", "a@b.c.", "a@.c", "@b.c", "a@b@c.d", "a b@c. d", "A@B.C", "a\x00@b.c", "a\u0085@b.c", "Σ@Σ.COM"),
    *("5551234567x", "5551234567ex", "555123x4567", "#5551234567", "5551234567EXT9", "٥٥٥١٢٣٤٥٦٧"),
]


@pytest.mark.parametrize("name", RULES)
def test_edges(engine: Backend, name: str) -> None:
    """On both sides of every edge that a rule has, the engine and the plain reading agree."""
    rule, plain, _ = RULES[name]
    assert asked(engine, rule)(EDGES) == [without_control(plain(text)) for text in EDGES]


@pytest.mark.parametrize("hash", [None, "sha1"])
@pytest.mark.parametrize("kind", [Identifier.IDFA, Identifier.GAID])
def test_device_edges(engine: Backend, kind: Identifier, hash: str | None) -> None:
    """The same for device ids, in plain and in hashed files."""
    plain = plain_reading.idfa if kind is Identifier.IDFA else plain_reading.gaid
    outcomes = asked(engine, identifiers.device_rule(kind, hashed_file=hash is not None))
    assert outcomes(EDGES) == [plain(text, hash) for text in EDGES]


@pytest.mark.parametrize("hash", [None, "sha1"])
@pytest.mark.parametrize("kind", [Identifier.IDFA, Identifier.GAID])
def test_device_rule_is_the_plain_reading(engine: Backend, kind: Identifier, hash: str | None) -> None:
    """A device id is upper case for Apple and lower case for Google, and a hash only where the file is hashed."""
    outcomes = asked(engine, identifiers.device_rule(kind, hashed_file=hash is not None))
    plain = plain_reading.idfa if kind is Identifier.IDFA else plain_reading.gaid

    @settings(max_examples=15)
    @given(values(devices))
    def check(given: list[str | None]) -> None:
        assert outcomes(given) == [plain(text, hash) for text in given]

    check()


def test_control_characters_are_noticed(engine: Backend) -> None:
    """A control character counts when it was inside the value, and not when it was trimmed off with the spaces."""
    ask = Asked(engine, "string", column(identifiers.has_control_character))

    @settings(max_examples=20)
    @given(values(unicode_text))
    def check(given: list[str | None]) -> None:
        assert [row["answer"] for row in ask(given)] == [plain_reading.free_text(text).control for text in given]

    check()


def test_white_space_and_control_characters_are_as_written_in_the_rules(engine: Backend) -> None:
    """Of all characters that exist, exactly the listed ones are trimmed off a free text."""
    ask = Asked(engine, "string", column(identifiers.clean))
    characters = [chr(code) for code in (*range(0x11000), *range(0xE0000, 0xE0200)) if not 0xD800 <= code <= 0xDFFF]
    trimmed = {character for character, row in zip(characters, ask(characters), strict=True) if row["answer"] is None}
    assert trimmed == set(WHITE_SPACE) | set(CONTROL)


def test_of_all_characters_an_email_loses_only_white_space(engine: Backend) -> None:
    """Inside an address exactly the listed white space is removed, and exactly control characters and @ refuse it."""
    outcomes = asked(engine, identifiers.EMAIL)
    characters = [chr(code) for code in range(0x11000) if not 0xD800 <= code <= 0xDFFF]
    found = dict(zip(characters, outcomes([f"a{character}b@c.d" for character in characters]), strict=True))
    removed = {character for character, outcome in found.items() if outcome.value == "ab@c.d"}
    refused = {character for character, outcome in found.items() if outcome.reason}
    assert removed == set(WHITE_SPACE)
    assert refused == (set(CONTROL) - set(WHITE_SPACE)) | {"@"}


@settings(max_examples=20)
@given(
    st.lists(
        st.one_of(
            st.floats(width=64), st.integers(-(10**30), 10**30).map(float), st.sampled_from((1.0, -0.0, 1e16, 0.1))
        ),
        max_size=50,
    )
)
@example([math.copysign(math.nan, -1)])
def test_floats_as_text(engine: Backend, given: list[float]) -> None:
    """A float is written as people write it: whole numbers as digits, the rest as short as it is exact."""
    ask = Asked(engine, "float64", column(identifiers.as_text))
    # From 1e38 on the engine keeps the exponent; nobody's trait is that large.
    numbers = [value for value in given if not 1e38 <= abs(value) < math.inf]
    assert [row["answer"] for row in ask(numbers)] == [plain_reading.canonical(value) for value in numbers]


@settings(max_examples=20)
@given(
    st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20), max_size=50
    )
)
def test_decimals_as_text(engine: Backend, given: list[Decimal]) -> None:
    """A decimal has no trailing zeros, whatever its column's scale."""
    ask = Asked(engine, "decimal(38, 9)", column(identifiers.as_text))
    assert [row["answer"] for row in ask(given)] == [plain_reading.canonical(value) for value in given]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int64", -7), ("int8", 0), ("boolean", True), ("boolean", False), ("float32", 2.5), ("date", None)],
)
def test_other_types_as_text(engine: Backend, kind: str, value: object) -> None:
    """Whole numbers are digits, truth is true or false, and nothing is nothing."""
    text = Asked(engine, kind, column(identifiers.as_text))([value])[0]["answer"]
    assert (text or "") == plain_reading.canonical(value)


@pytest.mark.parametrize("name", RULES)
def test_blank_words_are_nothing(engine: Backend, name: str) -> None:
    """A word for nothing is no value of any kind, so that it is never hashed."""
    words = ["null", "None", "NaN", "n/a", "UNDEFINED", "<nil>", "", " \u00a0", None]
    assert asked(engine, RULES[name][0])(words) == [Outcome()] * len(words)


def sha1(engine: Backend, rule: Rule, given: str) -> str:
    return digests_of(engine, rule, given)["sha1"]


def digests_of(engine: Backend, rule: Rule, given: str) -> dict[str, str]:
    def ask(table: ir.Table) -> ir.Table:
        value = identifiers.read(table, {"raw": rule})["value of raw"]
        return value.as_table().select(**{hash.value: identifiers.hashed(value, hash) for hash in Hash}, number=1)

    return Asked(engine, "string", ask)([given])[0]


def test_golden_email(engine: Backend) -> None:
    """LiveRamp's example address has the digests that everybody else computes."""
    assert digests_of(engine, identifiers.EMAIL, " MyName@liveramp.com ") == {
        "md5": "e496f5db75b278b8583e60cb834cfb11",
        "sha1": "529a123cb5d93641ffa999c0e9b06aa4c40c3677",
        "sha256": "ad474377422023fe13c6421afa7958559ee3ce1c5aa8395e92140cc09912c1be",
    }


def test_golden_phone(engine: Backend) -> None:
    """LiveRamp's example number has the SHA-1 that everybody else computes."""
    assert sha1(engine, identifiers.US_PHONE, "+1 (555) 123-4567") == "b8e04c986aa87857dfb4d364371d1a4195abf1bb"


@pytest.mark.parametrize(
    ("kind", "given", "digest"),
    [
        (Identifier.IDFA, IDFA.lower(), "a7fe134e3c8e805d2fb72151146ab7841f275c36"),
        (Identifier.GAID, GAID.upper(), "1fb3a35d0771d39f1f9bbaeae6460fe476d75f96"),
    ],
)
def test_golden_devices(engine: Backend, kind: Identifier, given: str, digest: str) -> None:
    """The example device ids are hashed in the case that LiveRamp asks for."""
    assert sha1(engine, identifiers.device_rule(kind, hashed_file=True), given) == digest


@settings(max_examples=20)
@given(st.lists(unicode_text, max_size=40))
def test_hashes_are_of_utf8(engine: Backend, given: list[str]) -> None:
    """A digest is of the value's UTF-8 bytes, in lower case."""
    ask = Asked(
        engine,
        "string",
        lambda table: table.select("number", **{hash.value: identifiers.hashed(table.raw, hash) for hash in Hash}),
    )
    assert ask(given) == [{hash.value: plain_reading.digest_of(text, hash.value) for hash in Hash} for text in given]


@pytest.mark.parametrize(
    ("region", "phone", "postcode"),
    [("us", "5551234567", None), ("au", "+15551234567", "SW1A 1AA"), ("uk", "+15551234567", "SW1A 1AA")],
)
def test_region_decides_phones_and_postcodes(engine: Backend, region: str, phone: str, postcode: str | None) -> None:
    """Only the US cuts a number to ten digits and insists on a ZIP."""
    read = {
        kind: asked(engine, identifiers.rule_of(kind, REGIONS[region].files))
        for kind in (Identifier.PHONE, Identifier.ZIP)
    }
    assert read[Identifier.PHONE](["+1 555 123-4567"])[0].value == phone
    assert read[Identifier.ZIP](["SW1A 1AA"])[0].value == postcode
