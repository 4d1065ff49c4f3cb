"""One bad file for every rule of LiveRamp, delivered to a running box; and good files that come close to a limit."""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveramp_provider.testing import LiveRampAudience, LiveRampBox, ReceivedFile
from liveramp_provider.testing.envelope import name_problems
from liveramp_provider.testing.file_rules import read_file
from tests.testing.box_client import PII_HEADER, csv_of, people, upload

Deliver = Callable[..., ReceivedFile]
FOLDER = "/uploads/rules"
IDFA = "AEBE52E7-03EE-455A-B3C4-E572839662{:02X}"
AAID = "e4fe9bde-caa0-47b6-908d-ffba3fa184{:02x}"
ZERO = "00000000-0000-0000-0000-000000000000"
CANARY = "Quetzalcoatl"


@pytest.fixture(scope="module")
def deliver(tmp_path_factory: pytest.TempPathFactory, made_home: Path) -> Iterator[Deliver]:
    """Delivers one file to a fresh audience of one running box and returns what became of it."""
    home = tmp_path_factory.mktemp("rules") / "box"
    shutil.copytree(made_home, home)
    # Every file gets an audience of its own, so that no seed configuration gets in the way of the next one.
    audiences = [
        LiveRampAudience(name=f"{kind} {n}", folder=FOLDER, filename=f"{kind}_{n}_.*", kind=kind)
        for kind in ("known", "pseudonymous")
        for n in range(200)
    ]
    numbers = count()
    with LiveRampBox(home, audiences=audiences) as box:

        def send(
            content: bytes, kind: Literal["known", "pseudonymous"] = "known", name: str = "2026-11-01.csv"
        ) -> ReceivedFile:
            upload(box, f"{kind}_{next(numbers)}_{name}", content, folder=FOLDER)
            return box.files()[-1]

        yield send


def with_cell(column: str, cell: str, rows: int = 1) -> bytes:
    """A good file with one more column, in which the first `rows` members have `cell`."""
    header = ["CCID", "EMAIL1", column, "HIGH_VALUE"]
    return csv_of([[key, email, cell if n < rows else "", one] for n, (key, email, one) in enumerate(people())], header)


def devices(header: list[str], *columns: Callable[[int], str]) -> bytes:
    """A device file of thirty rows."""
    return csv_of([[*(column(n) for column in columns), "1"] for n in range(30)], [*header, "HIGH_VALUE"])


def hashed(number: int) -> str:
    """Something that looks like a SHA-1 digest."""
    return f"{number + 1:040x}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a" * 240 + ".csv", "at most 250"),
        ("größe.csv", "ASCII"),
        ("two words.csv", "forbidden space"),
        *((f"a{char}b.csv", "forbidden") for char in "!@#$%[]:{}?*\\`"),
        ("2026-11-01.txt", "end with .csv"),
        ("2026-11-01.gz", "end with .csv"),
        ("2026-11-01.csv.zip", "end with .csv"),
        ("2026-11-01.CSV", "end with .csv"),
    ],
)
def test_bad_file_name_is_rejected(deliver: Deliver, name: str, sentence: str) -> None:
    """A file whose name breaks LiveRamp's rules is rejected, and the sentence says which rule."""
    file = deliver(csv_of(people()), name=name)
    assert (file.status, len(file.problems)) == ("rejected", 1)
    assert sentence in file.problems[0]


@pytest.mark.parametrize("name", [".a.csv", "_a.csv", "a\n.csv", "-" * 247 + ".csv"])
def test_bad_file_names_that_never_arrive(name: str) -> None:
    """Names that pick-up ignores or that a folder cannot hold break the rules as well."""
    assert len(name_problems(name)) == 1


def test_longest_file_name_is_good() -> None:
    """250 characters are allowed, and endings for compression and encryption count among them."""
    assert name_problems("-" * 239 + ".csv.gz.gpg") == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf" + csv_of(people()), "byte order mark"),
        (csv_of(people()).decode().encode("utf-16"), "not UTF-8"),
        (
            csv_of([*people(), ["M9", "ren\u00e9@example.com", "1"]]).decode().encode("latin-1"),
            "not UTF-8, first on line 32",
        ),
        (csv_of(people()).replace(b"\n", b"\r\n"), "31 carriage returns"),
        (csv_of([*people(), ["M9", "a@b.c", "x\ry"]]), "carriage return"),
        (csv_of(people()).partition(b"\n")[2], "in column 2"),
        (csv_of([[hashed(n), "1"] for n in range(30)], [hashed(99), "1"]), "a value instead of a label in column 1, 2"),
        (csv_of([[CANARY, "x", "y"] for _ in range(30)], [CANARY, "Anna", "Lee"]), "is the header row missing"),
        (csv_of(people(), ["CCID", "EMAIL 1", "HIGH_VALUE"]), "in column 2"),
        (csv_of(people(), ["CCID", "EMAIL1_SHA-1", "HIGH_VALUE"]), "in column 2"),
        (csv_of(people(), ["CCID", "EMAIL1", "H" * 129]), "in column 3"),
        (csv_of(people(), ["CCID", "EMAIL1", ""]), "in column 3"),
        (csv_of(people(), ["CCID", "EMAIL1", "EMAIL1"]), "repeats an earlier one in column 3"),
        (csv_of([*people(), ["M9", "a@example.com"]]), "not 3 fields in 1 line, first on line 32"),
        (csv_of([*people(), ["M9", "a@example.com", "1", "1"]]), "not 3 fields in 1 line, first on line 32"),
        (csv_of(people()) + b"\n", "first on line 32"),
        (csv_of(people(), quoted=False) + b'M9,"a@example.com",1\n', "quotes in an unquoted file in 1 line"),
        (csv_of(people()) + b'"M9",a@example.com,"1"\n', "fields without quotes in a quoted file"),
        (csv_of(people()).replace(b'"', b"", 6) + b'"M9",a@example.com,"1"\n', "fields without quotes in a quoted"),
        (csv_of(people()).replace(b'"', b"", 6) + b"\n", "fields without quotes in a quoted file"),
        (csv_of(people()) + b'"M9","a"@"b","1"\n', "or a stray quote"),
        (csv_of(people()) + b'"M9","a@example.com","1\n', "odd number of quotes"),
        (csv_of([*people(), ["M9", "a@example.com", "two\nlines"]]), "line break inside a value, in 2 lines"),
        (csv_of([*people(), ["M9", "a@example.com", "two\u2028lines"]]), "control characters in 1 line"),
        (csv_of([*people(), ["M9", "a@example.com", "a\tb"]]), "control characters in 1 line"),
        (csv_of([*people(), ["M9", "a@example.com", "x" * 10_000]]), "more than 10,000 characters"),
    ],
)
def test_bad_csv_is_rejected(deliver: Deliver, content: bytes, sentence: str) -> None:
    """A file that is not plain, rectangular UTF-8 CSV with a header is rejected, and the sentence says where."""
    file = deliver(content)
    assert file.status == "rejected"
    assert sentence in " ".join(file.problems)


@pytest.mark.parametrize("delimiter", ",|\t;")
@pytest.mark.parametrize("quoted", [True, False])
def test_good_csv_in_every_dialect(deliver: Deliver, delimiter: str, quoted: bool) -> None:
    """Comma, pipe, tab and semicolon are good, with every field in quotes or none."""
    file = deliver(csv_of(people(), quoted=quoted).replace(b",", delimiter.encode()))
    assert (file.status, file.problems, file.rows, file.header) == ("ingested", (), 30, tuple(PII_HEADER))


def test_a_bare_header_over_quoted_values(deliver: Deliver) -> None:
    """Segment's files have one, nothing where a value is missing, and LiveRamp has taken them for years."""
    rows = csv_of([*people(), ["M9", "", "1"]]).replace(b'""', b"").replace(b'"', b"", 6)
    file = deliver(rows)
    assert (file.status, file.problems, file.rows, file.header) == ("ingested", (), 31, tuple(PII_HEADER))


def test_a_label_is_read_as_liveramp_was_told() -> None:
    """A column of digests under a plain label is good once somebody has mapped it, and then nothing else is."""
    digests = csv_of([[key, hashlib.sha256(email.encode()).hexdigest(), one] for key, email, one in people()])
    assert "EMAIL1: not an address" in " ".join(read_file(digests, kind="known").problems)
    mapping = {"EMAIL1": "EMAIL1_SHA256"}
    assert read_file(digests, kind="known", mapping=mapping).problems == ()
    assert read_file(csv_of(people()), kind="known", mapping=mapping).problems != ()


def test_doubled_quotes_and_delimiters_inside_values_are_good(deliver: Deliver) -> None:
    """RFC 4180 quoting satisfies LiveRamp."""
    cells = ['say ""hi""', "a,b", '""', '"",""', "x" * 100]
    file = deliver(csv_of([[key, email, cells[n % 5]] for n, (key, email, _) in enumerate(people())]))
    assert (file.status, file.problems) == ("ingested", ())


def test_rows_need_not_end_with_a_line_feed(deliver: Deliver) -> None:
    """RFC 4180 leaves the last line end open."""
    assert deliver(csv_of(people()).removesuffix(b"\n")).rows == 30


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (csv_of(people(range(24))), "24 unique audience keys"),
        (csv_of(people(range(20)) * 2), "20 unique audience keys"),
        (
            csv_of([*people(), ["", "a@example.com", "1"], [" ", "b@example.com", "1"]]),
            "CCID: no audience key in 2 cells",
        ),
        (
            csv_of([[*row, *["1"] * 500] for row in people()], [*PII_HEADER, *(f"S{n}" for n in range(500))]),
            "501 segment fields",
        ),
        (
            csv_of([[key, email, f"v{key}"] for key, email, _ in people(range(5001))]),
            "5,001 distinct field=value pairs",
        ),
        (
            csv_of([[*row, f"{n:0149}"] for n, row in enumerate(people())], [*PII_HEADER, "S"]),
            "more than 150 characters in 30",
        ),
    ],
)
def test_broken_limit_is_rejected(deliver: Deliver, content: bytes, sentence: str) -> None:
    """Every limit that a small file can break is enforced on unique keys, fields, pairs and names."""
    file = deliver(content)
    assert (file.status, len(file.problems)) == ("rejected", 1)
    assert sentence in file.problems[0]


@pytest.mark.parametrize(
    "content",
    [
        csv_of(people(range(25))),
        csv_of([*people(range(25)), *people(range(25))]),
        csv_of([[*row, *["1"] * 499] for row in people()], [*PII_HEADER, *(f"S{n}" for n in range(499))]),
        csv_of([[key, email, f"v{key}"] for key, email, _ in people(range(5000))]),
        csv_of([[*row, f"{n:0148}"] for n, row in enumerate(people())], [*PII_HEADER, "S"]),
        csv_of([[key, email, "x" * 128] for key, email, _ in people()], ["CCID", "EMAIL1", "H" * 21]),
    ],
)
def test_file_at_its_limits_is_ingested(deliver: Deliver, content: bytes) -> None:
    """25 keys (repeated or not), 500 fields, 5,000 pairs and 150 characters are still good."""
    assert deliver(content).problems == ()


@pytest.mark.parametrize(
    ("column", "cell", "sentence"),
    [
        ("EMAIL2", "Person@example.com", "upper-case letters"),
        ("EMAIL2", "per son@example.com", "white space"),
        ("EMAIL2", "person@example.com\u200b", "white space"),
        ("EMAIL2", "person.example.com", "exactly one @"),
        ("EMAIL2", "a@b@example.com", "exactly one @"),
        ("EMAIL2", "@example.com", "exactly one @"),
        ("EMAIL2", "null", "exactly one @"),
        ("EMAIL1_MD5", "a" * 40, "not 32 lower-case hex digits"),
        ("EMAIL1_MD5", "A" * 32, "not 32 lower-case hex digits"),
        ("EMAIL1_SHA1", "a" * 39, "not 40 lower-case hex digits"),
        ("EMAIL1_SHA256", "0x" + "a" * 62, "not 64 lower-case hex digits"),
        ("EMAIL1_SHA256", "g" * 64, "not 64 lower-case hex digits"),
        ("SHA256EMAIL1", "a" * 63, "not 64 lower-case hex digits"),
        ("EMAIL1_MD5", "d41d8cd98f00b204e9800998ecf8427e", "the hash of a blank word"),
        ("EMAIL1_MD5", "37a6259cc0c1dae299a7866489dff0bd", "the hash of a blank word"),
        ("PHONE1", "15551234567", "not 10 digits"),
        ("PHONE1", "1555123456", "not 10 digits"),
        ("PHONE1", "555-123-4567", "not 10 digits"),
        ("PHONE1", "٥٥٥١٢٣٤٥٦٧", "not 10 digits"),
        ("PHONE1", "b8e04c986aa87857dfb4d364371d1a4195abf1bb", "not 10 digits"),
        ("PHONE1_SHA1", "5551234567", "not 40 lower-case hex digits"),
        ("LANDLINE1", "020 7946 0958", "not 8 to 15 digits"),
        ("ZIP", "1234", "not 5 or 9 digits"),
        ("ZIP", "12345-6789", "not 5 or 9 digits"),
        ("ZIP4", "123", "not 4 digits"),
        *(
            ("FIRSTNAME", word, "a word for a missing value")
            for word in ("null", "NULL", "NaN", "<nil>", "NaT", " None ")
        ),
        ("LOYALTY_TIER", "nan", "a word for a missing value"),
        ("email2", "Person@example.com", "upper-case letters"),
    ],
)
def test_bad_cell_is_rejected(deliver: Deliver, column: str, cell: str, sentence: str) -> None:
    """A cell that could never match is rejected with its column, count and line, and is not itself repeated."""
    file = deliver(with_cell(column, cell, rows=2))
    assert file.status == "rejected"
    assert len(file.problems) == 1
    assert re.fullmatch(rf"{column}: .*{re.escape(sentence)}.* in 2 cells, first on line 2\.", file.problems[0])
    assert cell not in file.problems[0].split() or cell in sentence


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("EMAIL2", "rené+x@example.com"),
        ("EMAIL1_MD5", "e496f5db75b278b8583e60cb834cfb11"),
        ("EMAIL1_SHA1", "529a123cb5d93641ffa999c0e9b06aa4c40c3677"),
        ("EMAIL1_SHA256", "ad474377422023fe13c6421afa7958559ee3ce1c5aa8395e92140cc09912c1be"),
        ("PHONE1", "5551234567"),
        ("PHONE1_SHA1", "b8e04c986aa87857dfb4d364371d1a4195abf1bb"),
        ("MOBILE1", "+447911123456"),
        ("ZIP", "01234"),
        ("ZIP", "012345678"),
        ("FIRSTNAME", "Nat"),
        ("LASTNAME", "Nullmann"),
        ("ZIP", ""),
        ("LOYALTY_TIER", "1.5"),
    ],
)
def test_good_cell_is_ingested(deliver: Deliver, column: str, cell: str) -> None:
    """LiveRamp's published hashes, and values that look odd but are right, are good."""
    assert deliver(with_cell(column, cell)).problems == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (devices(["MOBILEID", "EMAIL1"], IDFA.format, lambda n: "a@example.com"), "known and pseudonymous"),
        (csv_of(people()), "file holds known identifiers"),
        (devices(["IDFA", "AAID"], hashed, lambda n: hashed(n + 100)), "hashed IDFA and hashed AAID"),
        (devices(["IDFA_SHA1", "GAID"], hashed, lambda n: hashed(n + 100)), "hashed IDFA and hashed AAID"),
        (devices(["MOBILEID"], hashed), "cannot be told apart"),
        (devices(["IDFA"], lambda n: hashed(n) if n else IDFA.format(n)), "plain and hashed device ids share"),
        (devices(["IDFA"], lambda n: IDFA.format(n).lower()), "IDFA: not a device id in upper case"),
        (devices(["AAID"], lambda n: AAID.format(n).upper()), "AAID: not a device id in lower case"),
        (devices(["MOBILEID"], lambda n: IDFA.format(n).replace("-", "")), "MOBILEID: not a device id"),
        (devices(["MOBILEID"], lambda n: IDFA.format(n).replace("A", "a")), "MOBILEID: not a device id in one case"),
        (devices(["IDFA_SHA1"], IDFA.format), "not 40 lower-case hex digits"),
        (devices(["IDFA"], lambda n: hashed(n + 2**159).upper()), "IDFA: not a device id"),
        (devices(["MOBILEID"], lambda n: IDFA.format(n) if n else ZERO), "all-zero device id in 1 cell"),
    ],
)
def test_bad_device_file_is_rejected(deliver: Deliver, content: bytes, sentence: str) -> None:
    """Device files hold device ids only, in their own casing, of one form, and nobody who refused tracking."""
    file = deliver(content, "pseudonymous")
    assert file.status == "rejected"
    assert sentence in " ".join(file.problems)


@pytest.mark.parametrize(
    "content",
    [
        devices(["MOBILEID"], lambda n: (IDFA if n % 2 else AAID).format(n)),
        devices(["IDFA"], hashed),
        devices(["AAID"], hashed),
        devices(["IDFA", "AAID"], IDFA.format, lambda n: AAID.format(n) if n % 3 else ""),
    ],
)
def test_good_device_file_is_ingested(deliver: Deliver, content: bytes) -> None:
    """Joined plain ids, one hashed kind, and both plain kinds are good."""
    assert deliver(content, "pseudonymous").problems == ()


def test_device_file_for_a_known_audience_is_rejected(deliver: Deliver) -> None:
    """An audience takes its own kind of identifiers only."""
    file = deliver(devices(["MOBILEID"], IDFA.format))
    assert file.problems == ("Identifiers: the file holds pseudonymous identifiers, but its audience known ones.",)


def test_header_of_a_file_without_header_is_not_kept(deliver: Deliver) -> None:
    """When the first line is a member's row, nothing of it is remembered or repeated."""
    for first in ([CANARY, "Anna", "Lee"], [CANARY, f"{CANARY.lower()}@example.com", "1"], [CANARY, CANARY, "1"]):
        file = deliver(csv_of([[CANARY, "b", "c"]] * 30, first))
        assert (file.status, file.header) == ("rejected", ())
        assert CANARY.lower() not in " ".join(file.problems).lower()


def test_all_problems_are_told_at_once(deliver: Deliver) -> None:
    """A file with several faults is rejected once, with a sentence for each."""
    rows = [["M1", "A@example.com", "null"], ["M2", "b@example.com"]]
    assert deliver(b"\xef\xbb\xbf" + csv_of(rows)).problems == (
        "Encoding: the file starts with a byte order mark.",
        "EMAIL1: upper-case letters in 1 cell, first on line 2.",
        "HIGH_VALUE: a word for a missing value in 1 cell, first on line 2.",
        "Rows: not 3 fields in 1 line, first on line 3.",
        "Rows: 1 unique audience keys; LiveRamp needs at least 25.",
    )


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(content: bytes) -> None:
    """Whatever arrives is read or rejected; it never breaks the box."""
    assert read_file(content, kind="known").problems


@given(st.text(st.characters(codec="utf-8"), max_size=60).filter(lambda text: len(text.strip()) > 4))
def test_no_sentence_repeats_a_value(value: str) -> None:
    """No value of a row, however odd, shows in a problem."""
    content = csv_of([[f"{value}", f"{value}@", value]], PII_HEADER)
    fixed = " ".join(read_file(csv_of([["?", "?@", "?"]], PII_HEADER), kind="known").problems)
    told = " ".join(read_file(content, kind="known").problems)
    assert value in fixed or value not in told
