"""The sample warehouse is repeatable, and holds every kind of dirt it promises."""

import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from liveramp_provider.testing.warehouse import make_warehouse
from tests.plain_reading import Column, Reading, device, email, phone, pii, read_members

MONDAY = date(2026, 11, 2)
TUESDAY = date(2026, 11, 3)
Row = tuple[object, ...]

PII_COLUMNS = [
    Column("CCID", "member_id"),
    Column("FIRSTNAME", "first_name"),
    Column("LASTNAME", "last_name"),
    Column("ADDRESS1", "address1"),
    Column("CITY", "city"),
    Column("STATE", "state"),
    Column("ZIP", "zip"),
    Column("EMAIL1", "email"),
    Column("EMAIL1_SHA256", "email", "sha256"),
    Column("PHONE1", "phone"),
]
TRAIT_COLUMNS = "first_name, last_name, address as address1, city, state, zip, email_address as email, mobile as phone"


def rows(path: Path, query: str) -> list[Row]:
    """Everything the query returns."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def content(path: Path, day: date) -> list[list[Row]]:
    """All rows of a day, table by table."""
    return [
        rows(path, f"select * from {table} where snapshot_date = '{day}'") for table in ("vip", "customers", "devices")
    ]


def traits(path: Path, query: str) -> dict[str, dict[str, object]]:
    """The rows of the query by their first column."""
    with closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description]
        return {row[0]: dict(zip(names, row, strict=True)) for row in cursor}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warehouse") / "shop.db"
    make_warehouse(path, day=MONDAY)
    return path


@pytest.fixture(scope="module")
def members(warehouse: Path) -> list[str]:
    return read_members(row[0] for row in rows(warehouse, "select customer_id from vip"))


@pytest.fixture(scope="module")
def pii_reading(warehouse: Path, members: list[str]) -> Reading:
    return pii(members, traits(warehouse, f"select customer_id, {TRAIT_COLUMNS} from customers"), PII_COLUMNS)


@pytest.fixture(scope="module")
def device_reading(warehouse: Path, members: list[str]) -> Reading:
    return device(members, traits(warehouse, "select customer_id, idfa, gaid from devices"), ["idfa", "gaid"], [])["D"]


def test_same_seed_and_day_give_the_same_content(tmp_path: Path) -> None:
    """Two warehouses of one seed are equal, whatever days were written before."""
    make_warehouse(tmp_path / "one.db", day=MONDAY, customers=500)
    make_warehouse(tmp_path / "one.db", day=TUESDAY, customers=500)
    make_warehouse(tmp_path / "two.db", day=TUESDAY, customers=500)
    assert content(tmp_path / "one.db", TUESDAY) == content(tmp_path / "two.db", TUESDAY)


def test_another_seed_makes_other_people(tmp_path: Path) -> None:
    """The seed decides about members, customers and devices."""
    make_warehouse(tmp_path / "one.db", day=MONDAY, customers=500)
    make_warehouse(tmp_path / "two.db", day=MONDAY, customers=500, seed=2)
    pairs = zip(content(tmp_path / "one.db", MONDAY), content(tmp_path / "two.db", MONDAY), strict=True)
    assert [one == two for one, two in pairs] == [False, False, False]


def test_a_day_is_written_once(tmp_path: Path) -> None:
    """A second call for a day changes nothing, not even with other arguments."""
    make_warehouse(tmp_path / "one.db", day=MONDAY, customers=500)
    before = content(tmp_path / "one.db", MONDAY)
    make_warehouse(tmp_path / "one.db", day=MONDAY, customers=600, seed=2)
    assert content(tmp_path / "one.db", MONDAY) == before


def test_next_day_a_few_leave_and_join(warehouse: Path, members: list[str], tmp_path: Path) -> None:
    """From one day to the next between 0.05% and 1% of the members leave, and as many join."""
    make_warehouse(tmp_path / "next.db", day=TUESDAY)
    tomorrow = set(read_members(row[0] for row in rows(tmp_path / "next.db", "select customer_id from vip")))
    left, joined = set(members) - tomorrow, tomorrow - set(members)
    assert all(0.0005 < len(moved) / len(members) < 0.01 for moved in (left, joined))


def test_next_day_the_customers_are_the_same(tmp_path: Path) -> None:
    """Customers and devices differ between two days in nothing but the day."""
    make_warehouse(tmp_path / "one.db", day=MONDAY, customers=500)
    make_warehouse(tmp_path / "one.db", day=TUESDAY, customers=500)
    days = [
        [[(row[0], *row[2:]) for row in table] for table in content(tmp_path / "one.db", day)[1:]]
        for day in (MONDAY, TUESDAY)
    ]
    assert days[0] == days[1]


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The file is private even where a readable one was waiting."""
    (tmp_path / "open.db").touch(mode=0o644)
    make_warehouse(tmp_path / "open.db", day=MONDAY, customers=10)
    assert (tmp_path / "open.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("customers", [0, 1, 2, 30])
def test_small_warehouses(tmp_path: Path, customers: int) -> None:
    """There is one row a customer, down to none."""
    make_warehouse(tmp_path / "small.db", day=MONDAY, customers=customers)
    assert len(content(tmp_path / "small.db", MONDAY)[1]) == customers


def test_membership_is_dirty(warehouse: Path) -> None:
    """About half of the customers are members; a few dozen rows come twice and a few have no key."""
    keys = Counter(row[0] for row in rows(warehouse, "select customer_id from vip"))
    without_key = keys.pop(None)
    repeated = sum(count - 1 for count in keys.values())
    assert 9_000 < len(keys) < 11_000
    assert 24 <= repeated <= 60
    assert 3 <= without_key <= 20


@pytest.mark.parametrize("table", ["customers", "devices"])
def test_one_row_a_customer(warehouse: Path, table: str) -> None:
    """Only the membership has duplicate rows."""
    assert rows(warehouse, f"select count(*) - count(distinct customer_id) from {table}") == [(0,)]


HEX = re.compile(r"[0-9a-fA-F]+")
DIRT: dict[str, tuple[str, Callable[[str], object]]] = {
    "mixed case": ("email_address", lambda text: "@" in text and text != text.lower()),
    "padded e-mail": ("email_address", lambda text: "@" in text and text != text.strip()),
    "space inside": ("email_address", lambda text: re.search(r"\S [@\w]", text)),
    "no-break space": ("email_address", lambda text: "\u00a0@" in text),
    "no @": ("email_address", lambda text: re.fullmatch(r"[^@]+\.example.*", text)),
    "two @": ("email_address", lambda text: text.count("@") == 2),
    "no dot": ("email_address", lambda text: text.endswith("@localhost")),
    "empty label": ("email_address", lambda text: "@." in text or text.endswith(".")),
    "empty local part": ("email_address", lambda text: text.startswith("@")),
    "overlong": ("email_address", lambda text: len(text) > 254),
    "md5": ("email_address", lambda text: HEX.fullmatch(text) and len(text) == 32),
    "sha1": ("email_address", lambda text: HEX.fullmatch(text) and len(text) == 40),
    "sha256": ("email_address", lambda text: HEX.fullmatch(text) and len(text) == 64),
    "upper-case digest": ("email_address", lambda text: len(text) > 30 and HEX.fullmatch(text) and text.isupper()),
    "padded digest": ("email_address", lambda text: len(text) == 65 and HEX.fullmatch(text.strip())),
    "null as a word": ("mobile", lambda text: text == "null"),
    "N/A as a word": ("email_address", lambda text: text == "N/A"),
    "nan as a word": ("mobile", lambda text: text == "nan"),
    "empty": ("email_address", lambda text: text == ""),
    "extension x": ("mobile", lambda text: " x" in text),
    "extension ext.": ("mobile", lambda text: " ext." in text),
    "extension #": ("mobile", lambda text: " #" in text),
    "thin space": ("mobile", lambda text: text.count("\u2009") == 2),
    "foreign number": ("mobile", lambda text: text.startswith("+44")),
    "too short": ("mobile", lambda text: re.fullmatch(r"\d{3}-\d{4}", text)),
    "letters": ("mobile", lambda text: text.endswith("CALL")),
    "pre-hashed phone": ("mobile", lambda text: re.fullmatch(r"[0-9a-f]{40}", text)),
    "lost leading zero": ("zip", lambda text: re.fullmatch(r"\d{3,4}", text)),
    "ZIP+4": ("zip", lambda text: re.fullmatch(r"\d{5}-\d{4}", text)),
    "foreign postcode": ("zip", lambda text: text == "SW1A 1AA"),
    "diacritics": ("last_name", lambda text: text == "Müller"),
    "Chinese": ("last_name", lambda text: text == "王"),
    "Arabic": ("first_name", lambda text: text == "محمد"),
    "emoji": ("first_name", lambda text: "\N{SUNFLOWER}" in text),
    "quoted name": ("last_name", lambda text: '"' in text),
    "comma in a name": ("last_name", lambda text: "," in text),
    "quoted address": ("address", lambda text: '"' in text),
    "newline": ("address", lambda text: "\nFloor" in text),
    "tab": ("address", lambda text: "\tUnit" in text),
    "padded city": ("city", lambda text: text != text.strip()),
}


@pytest.mark.parametrize(("column", "is_dirty"), DIRT.values(), ids=DIRT.keys())
def test_every_kind_of_dirt(warehouse: Path, column: str, is_dirty: Callable[[str], object]) -> None:
    """Each kind of dirt is there at least three times and in at most one value of five."""
    found = rows(warehouse, f"select {column} from customers where {column} is not null")
    dirty = sum(bool(is_dirty(str(row[0]))) for row in found)
    assert 3 <= dirty <= len(found) / 5


@pytest.mark.parametrize("column", ["email_address", "mobile", "first_name", "zip", "tier", "ltv"])
def test_real_nulls(warehouse: Path, column: str) -> None:
    """Every column also has real NULLs."""
    assert rows(warehouse, f"select count(*) > 20 from customers where {column} is null") == [(1,)]


def test_phones_come_in_many_styles(warehouse: Path) -> None:
    """Numbers that can be read are written in ten styles or more."""
    written = [str(row[0]) for row in rows(warehouse, "select mobile from customers where mobile is not null")]
    styles = {re.sub(r"\d", "9", text.strip()) for text in written if phone(text).reason is None}
    assert len(styles) >= 10


def test_phones_are_mostly_unique(warehouse: Path) -> None:
    """Nine phone numbers of ten belong to one customer."""
    numbers = [phone(row[0]) for row in rows(warehouse, "select mobile from customers")]
    read = [outcome.value for outcome in numbers if outcome.value and not outcome.algorithm]
    assert len(set(read)) > 0.9 * len(read)


def test_some_customers_share_an_email(warehouse: Path) -> None:
    """There are couples with one e-mail address."""
    owners = Counter(email(row[0]).value for row in rows(warehouse, "select email_address from customers"))
    assert sum(count > 1 for value, count in owners.items() if value) > 50


def test_nobody_is_real(warehouse: Path) -> None:
    """Every address that can be read is in a reserved domain, every US number in the fictional exchange."""
    found = rows(warehouse, "select email_address, mobile from customers")
    emails = [outcome.value for outcome in (email(row[0]) for row in found) if outcome.value and not outcome.algorithm]
    phones = [outcome.value for outcome in (phone(row[1]) for row in found) if outcome.value and not outcome.algorithm]
    assert all(re.search(r"[@.](example\.(com|org|net)|[a-z]+\.example)$", value) for value in emails)
    assert all(value[3:8] == "55501" for value in phones)


def test_every_class_of_the_pii_waterfall_occurs(pii_reading: Reading) -> None:
    """Members fall out of the file for every reason there is, and most stay; formulas are no dirt of real life."""
    assert {reason for reason, count in pii_reading.waterfall.items() if not count} == {"key_formula", "formula"}
    assert 0.7 < pii_reading.waterfall["rows"] / pii_reading.waterfall["members"] < 0.97


def test_every_blanked_reason_occurs(pii_reading: Reading) -> None:
    """Kept rows, too, have values that had to be left blank, and control characters."""
    assert {reason for reason, count in pii_reading.blanked.items() if not count} == {"formula"}
    assert pii_reading.control_character > 0


def test_every_class_of_the_device_waterfall_occurs(device_reading: Reading) -> None:
    """Device ids fall out of the file for every reason there is, and most stay."""
    assert min(device_reading.waterfall.values()) > 0
    assert 0.7 < device_reading.waterfall["rows"] / device_reading.waterfall["device_ids"] < 0.97


def test_device_ids_come_in_both_cases(warehouse: Path) -> None:
    """Some ids have the case of the other kind, and some were hashed upstream."""
    written = [str(row[0]) for row in rows(warehouse, "select idfa from devices where idfa is not null")]
    assert min(sum(text.isupper() for text in written), sum(text.islower() for text in written)) > 100
    assert sum(re.fullmatch(r"[0-9a-f]{40}", text) is not None for text in written) >= 3
