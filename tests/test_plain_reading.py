"""The oracle against the published examples, the golden vectors and the traps other connectors fell into."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plain_reading import (
    Column,
    Outcome,
    canonical,
    csv_bytes,
    device,
    digest_of,
    email,
    free_text,
    gaid,
    idfa,
    phone,
    pii,
    read_members,
    zip_code,
)

IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
GAID = "e4fe9bde-caa0-47b6-908d-ffba3fa184f2"
ZERO = "00000000-0000-0000-0000-000000000000"
EMAIL_DIGESTS = {
    "md5": "e496f5db75b278b8583e60cb834cfb11",
    "sha1": "529a123cb5d93641ffa999c0e9b06aa4c40c3677",
    "sha256": "ad474377422023fe13c6421afa7958559ee3ce1c5aa8395e92140cc09912c1be",
}
CCID = Column("CCID", "member_id")
EMAIL1 = Column("EMAIL1", "email")
PHONE1 = Column("PHONE1", "phone")
ADDRESS = [
    Column("FIRSTNAME", "first_name"),
    Column("LASTNAME", "last_name"),
    Column("ADDRESS1", "address1"),
    Column("CITY", "city"),
    Column("STATE", "state"),
    Column("ZIP", "zip"),
    Column("COUNTRY", "country"),
]


@pytest.mark.parametrize(("algorithm", "digest"), EMAIL_DIGESTS.items())
def test_email_vector(algorithm: str, digest: str) -> None:
    """The published e-mail example hashes to the golden digest of every algorithm."""
    assert digest_of(email(" MyName@liveramp.com ").value or "", algorithm) == digest


@pytest.mark.parametrize(
    ("normalised", "digest"),
    [
        (phone("+1 (555) 123-4567").value, "b8e04c986aa87857dfb4d364371d1a4195abf1bb"),
        (idfa(IDFA.lower()).value, "a7fe134e3c8e805d2fb72151146ab7841f275c36"),
        (gaid(GAID.upper()).value, "1fb3a35d0771d39f1f9bbaeae6460fe476d75f96"),
    ],
)
def test_sha1_vectors(normalised: str | None, digest: str) -> None:
    """Phone, IDFA and GAID hash to their golden SHA-1 after normalising."""
    assert digest_of(normalised or "", "sha1") == digest


@pytest.mark.parametrize(
    "written",
    [
        "555.123.4567",
        "+1-555-123-4567",
        "+1 (555) 123-4567",
        "1-555-123-4567",
        "555\u2009123\u20094567",
        " 555 123 4567 x89",
        "555-123-4567 EXT. 89",
        "555-123-4567 Extension 89",
        "(555) 123-4567 #89",
        "15551234567",
    ],
)
def test_us_phone_styles(written: str) -> None:
    """A US number is the same ten digits however it was typed, and none of them is lost at a dot or hyphen."""
    assert phone(written) == Outcome(value="5551234567")


@pytest.mark.parametrize(
    "written",
    ["+44 20 7946 0958", "123-4567", "0551234567", "1551234567", "call me", "x5551234567", "25551234567", "٥٥٥١٢٣٤٥٦٧"],
)
def test_us_phone_refuses(written: str) -> None:
    """A number that is not ten digits starting with 2-9 is refused whole and never cut to fit."""
    assert phone(written) == Outcome(reason="phone_format")


@pytest.mark.parametrize(
    ("written", "outcome"),
    [
        ("+44 20 7946 0958 ext 3", Outcome(value="+442079460958")),
        ("020 7946 0958", Outcome(value="02079460958")),
        ("1234567", Outcome(reason="phone_format")),
        ("44+2079460958", Outcome(reason="phone_format")),
        ("+1234567890123456", Outcome(reason="phone_format")),
    ],
)
def test_phone_elsewhere(written: str, outcome: Outcome) -> None:
    """Outside the US a plus and eight to fifteen digits stay as they are."""
    assert phone(written, "eu") == outcome


@pytest.mark.parametrize(
    "word", [None, "", " \u00a0", "null", "None", "NaN", "N/A", "undefined", "<NIL>", " null\n", float("nan")]
)
def test_blank_words_are_missing(word: object) -> None:
    """A word that means nothing is a missing value for every identifier, so nobody shares the hash of "null"."""
    readers = (free_text, email, phone, zip_code, idfa, gaid)
    assert [reader(word).given for reader in readers] == [False] * len(readers)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (89.5, "89.5"),
        (True, "true"),
        (7, "7"),
        (Decimal("12.50"), "12.5"),
        (Decimal(100), "100"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.00"), "0"),
    ],
)
def test_canonical_text(value: object, text: str) -> None:
    """Numbers are written as people write them, never as `1.0`."""
    assert canonical(value) == text


@pytest.mark.parametrize(
    "written",
    [
        "ann.example.com",
        "ann@@example.com",
        "ann@b@example.com",
        "@example.com",
        "ann@example",
        "ann@example..com",
        "ann@.example.com",
        "ann@example.com.",
        "ann\u0085@example.com",
        "a" * 243 + "@example.com",
    ],
)
def test_email_refuses(written: str) -> None:
    """An address that cannot be one is refused with the one reason."""
    assert email(written) == Outcome(reason="email_format")


def test_email_length_limit_is_inclusive() -> None:
    """254 characters are still an address."""
    assert email("a" * 242 + "@example.com").value == "a" * 242 + "@example.com"


def test_email_sigma() -> None:
    """A capital sigma becomes the same letter at the end of a word as inside it."""
    assert email("\u03a3A\u03a3@EXAMPLE.COM").value == "\u03c3a\u03c3@example.com"


@given(local=st.text("abcXYZ019._+", min_size=1, max_size=20), gap=st.text(" \t\n\u00a0\u200b\ufeff", max_size=3))
def test_email_ignores_case_and_spaces(local: str, gap: str) -> None:
    """The same person reads alike however the address was typed."""
    assert email(f"{gap}{local.upper()}{gap}@Example.COM{gap}") == email(f"{local.lower()}@example.com")


@given(st.text())
def test_cleaning_is_stable(text: str) -> None:
    """A cleaned value is never changed by cleaning it again."""
    once = free_text(text)
    assert free_text(once.value) == Outcome(value=once.value)


@pytest.mark.parametrize(
    ("raw", "value", "control"),
    [
        ("12 Elm\nApt 4", "12 Elm Apt 4", True),
        ("12 Elm\n", "12 Elm", False),
        ("\u00a0\x00Elm", "Elm", False),
        ("\x00", None, False),
        ("a\u2028b", "a b", True),
    ],
)
def test_control_characters(raw: str, value: str | None, control: bool) -> None:
    """A control character inside a value becomes a space and is noticed; one at an end is only trimmed."""
    assert free_text(raw) == Outcome(value=value, control=control)


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (" 02134 ", Outcome(value="02134")),
        ("02134-1234", Outcome(value="021341234")),
        (2134, Outcome(reason="zip_format")),
        ("2134.0", Outcome(reason="zip_format")),
        ("SW1A 1AA", Outcome(reason="zip_format")),
    ],
)
def test_us_zip(raw: object, outcome: Outcome) -> None:
    """A US zip is five or nine digits; a lost zero is a reason and never repaired."""
    assert zip_code(raw) == outcome


def test_zip_elsewhere() -> None:
    """A foreign postcode is only cleaned."""
    assert zip_code(" SW1A 1AA", "eu") == Outcome(value="SW1A 1AA")


@pytest.mark.parametrize("read", [idfa, gaid])
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (ZERO, "device_zero"),
        (IDFA.replace("-", ""), "device_format"),
        ("{" + IDFA + "}", "device_format"),
        ("a" * 40, "device_format"),
    ],
)
def test_device_id_refuses(read: Callable[[object], Outcome], raw: str, reason: str) -> None:
    """Refused tracking and broken ids have each their own reason."""
    assert read(raw) == Outcome(reason=reason)


def test_members_are_unique_and_sorted_by_bytes() -> None:
    """Keys are cleaned, counted once, and ordered by UTF-8 bytes, where U+FFFD comes before an emoji."""
    assert read_members(["b", " b ", None, "null", 7, 7.0, "\U0001f600", "\ufffd", "B"]) == [
        "7",
        "B",
        "b",
        "\ufffd",
        "\U0001f600",
    ]


@pytest.mark.parametrize(("algorithm", "digest"), EMAIL_DIGESTS.items())
def test_prehashed_email_fills_its_own_column_only(algorithm: str, digest: str) -> None:
    """A digest from upstream goes, in lower case, to the column of its algorithm and is never hashed again."""
    columns = [CCID, EMAIL1, *(Column(f"EMAIL1_{name.upper()}", "email", name) for name in EMAIL_DIGESTS)]
    reading = pii(["a"], {"a": {"email": f" {digest.upper()} "}}, columns)
    assert reading.rows == [["a", "", *(digest if name == algorithm else "" for name in EMAIL_DIGESTS)]]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "no_identifier"),
        ({"tier": "gold", "email": "null"}, "no_identifier"),
        ({"email": "ann@example", "phone": "12", "zip": "1"}, "email_format"),
        ({"email": EMAIL_DIGESTS["md5"], "phone": "12"}, "prehashed_without_column"),
        ({"phone": "b8e04c986aa87857dfb4d364371d1a4195abf1bb"}, "prehashed_without_column"),
        ({"phone": "12", "zip": "1"}, "phone_format"),
        ({"first_name": "Ann", "last_name": "Lee", "zip": "1"}, "zip_format"),
        ({"first_name": "Ann", "zip": "02134"}, "address_incomplete"),
        ({"country": "US"}, "address_incomplete"),
        ({"first_name": "Ann", "last_name": "Lee", "zip": "02134"}, "rows"),
        ({"first_name": "Ann", "last_name": "Lee", "address1": "1 Elm", "city": "Boston", "state": "MA"}, "rows"),
        ({"email": "ann@example.com"}, "rows"),
        ({"phone": "5551234567"}, "rows"),
    ],
)
def test_pii_places_everybody_once(given: dict[str, object], place: str) -> None:
    """A member is a row, or falls in the first class that explains why not."""
    columns = [CCID, *ADDRESS, EMAIL1, PHONE1, Column("TIER", "tier")]
    waterfall = pii(["a"], {"a": given}, columns).waterfall
    assert {step for step, count in waterfall.items() if count} == {"members", place}


def test_pii_judges_only_columns_of_the_file() -> None:
    """An address cannot save a member when the file has no address columns."""
    traits = {"a": {"email": "bad", "first_name": "Ann", "last_name": "Lee", "zip": "02134"}}
    assert pii(["a"], traits, [CCID, EMAIL1]).waterfall["email_format"] == 1


def test_blanked_counts_once_per_trait() -> None:
    """A refused value of a kept row is counted once, however many columns its trait fills."""
    columns = [CCID, EMAIL1, Column("EMAIL1_MD5", "email", "md5"), PHONE1, Column("ZIP", "zip")]
    reading = pii(["a"], {"a": {"email": "bad", "phone": "5551234567", "zip": "1"}}, columns)
    assert reading.blanked == {
        "email_format": 1,
        "prehashed_without_column": 0,
        "phone_format": 0,
        "zip_format": 1,
        "formula": 0,
    }


def test_csv_bytes() -> None:
    """Every field is quoted, quotes are doubled, lines end with LF, and no newline is left inside a value."""
    columns = [CCID, EMAIL1, Column("ADDRESS1", "address1"), Column("HIGH_VALUE", segment="1")]
    traits = {"a": {"email": "ann@example.com", "address1": '"The Oaks",\n1 Elm'}, "ä": {"email": "bo@example.com"}}
    reading = pii(["ä", "a"], traits, columns)
    expected = (
        '"CCID","EMAIL1","ADDRESS1","HIGH_VALUE"\n'
        '"a","ann@example.com","""The Oaks"", 1 Elm","1"\n'
        '"ä","bo@example.com","","1"\n'
    )
    assert (csv_bytes(reading), reading.control_character) == (expected.encode(), 1)


DEVICES: dict[str, dict[str, object]] = {
    "a": {"idfa": IDFA.lower(), "gaid": GAID, "tier": "gold"},
    "b": {"idfa": IDFA, "gaid": ZERO, "tier": "silver"},
    "c": {"idfa": "broken", "gaid": IDFA.lower()},
    "d": {"idfa": None},
}


def test_device_file_joined() -> None:
    """One row per device id in the order of the ids; the smallest member keeps a shared one, of either kind."""
    reading = device(list("abcd"), DEVICES, ["gaid", "idfa"], [Column("TIER", "tier")])["D"]
    assert (reading.header, reading.rows, reading.members) == (
        ["MOBILEID", "TIER"],
        [[IDFA, "gold"], [GAID, "gold"]],
        1,
    )


def test_device_waterfall() -> None:
    """Every device id given is a row or has one reason."""
    assert device(list("abcd"), DEVICES, ["idfa", "gaid"], [])["D"].waterfall == {
        "members": 4,
        "no_identifier": 1,
        "device_ids": 6,
        "device_format": 1,
        "device_zero": 1,
        "device_shared": 2,
        "rows": 2,
    }


def test_device_files_split_when_hashed() -> None:
    """Hashed IDFA and AAID never share a file, and each file is judged alone."""
    readings = device(list("abcd"), DEVICES, ["idfa", "gaid"], [Column("HIGH_VALUE", segment="1")], hash="sha1")
    assert {
        slot: (reading.header[0], reading.waterfall["no_identifier"], len(reading.rows))
        for slot, reading in readings.items()
    } == {
        "D-IDFA": ("IDFA", 1, 1),
        "D-AAID": ("AAID", 1, 2),
    }


def test_hashed_device_id_is_kept() -> None:
    """A SHA-1 from upstream is lower-cased and never hashed again."""
    digest = "a7fe134e3c8e805d2fb72151146ab7841f275c36"
    reading = device(["a"], {"a": {"idfa": digest.upper()}}, ["idfa"], [], hash="sha1")["D-IDFA"]
    assert reading.rows == [[digest]]
