"""A seeded sample warehouse in SQLite: invented customers with the dirt of real life.

For the demo and the tests. Same seed and day, same content; the customers stay, a few members come and go every day.
Nobody in it exists: e-mail domains are reserved, US numbers are 555-01xx and British ones 020 7946 0xxx.
"""

import hashlib
import sqlite3
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import accumulate
from math import ceil
from pathlib import Path
from random import Random
from typing import TypeVar

T = TypeVar("T")
Cell = str | float | None
# Writes a clean value the way somebody once typed it.
Style = Callable[[Random, str], str | None]

_TABLES = """
create table if not exists vip (customer_id text, snapshot_date text);
create table if not exists customers (
    customer_id text, snapshot_date text, email_address text, mobile text, first_name text, last_name text,
    address text, city text, state text, zip text, country text, tier text, ltv real);
create table if not exists devices (customer_id text, snapshot_date text, idfa text, gaid text);
"""
_MEMBER_SHARE = 0.5
_DAILY_CHURN = 0.001  # share of all customers that leaves each day; as many join
_DUPLICATE_SHARE = 0.004
_NULL_KEY_SHARE = 0.0005
_DEVICE_SHARE = 0.6
_SHARED_EMAIL_SHARE = 0.01
_SHARED_DEVICE_SHARE = 0.01
_ANONYMOUS_SHARE = 0.02  # customers of whom only the id is known
_NO_ADDRESS_SHARE = 0.3


def _as_given(_: Random, value: str) -> str:
    return value


def _pick(rng: Random, options: Sequence[T]) -> T:
    return options[int(rng.random() * len(options))]  # three times as fast as rng.choice


def _blank(rng: Random, _: str) -> str | None:
    return _pick(rng, (None, None, None, "", "null", "NULL", "N/A", "nan", "None", "undefined", "<nil>", " ", "\u00a0"))


def _padded(rng: Random, value: str) -> str:
    space = _pick(rng, (" ", "  ", "\t", "\u00a0", "\u2009"))
    return _pick(rng, (f"{space}{value}", f"{value}{space}", f"{space}{value} "))


def _mixed_case(rng: Random, value: str) -> str:
    return _pick(rng, (value.upper(), value.title(), value.swapcase()))


def _hashed(algorithm: str) -> Style:
    def style(rng: Random, value: str) -> str:
        digest = hashlib.new(algorithm, value.encode()).hexdigest()
        return _pick(rng, (digest, digest, digest.upper(), f" {digest}", f"{digest}\n"))

    return style


def _template(text: str) -> Style:
    """The value {v}, its parts as a phone number {a} {e} {l} or as an e-mail {local} {domain}, and a number {n}."""

    def style(rng: Random, value: str) -> str:
        local, _, domain = value.partition("@")
        parts = {"a": value[:3], "e": value[3:6], "l": value[6:], "local": local, "domain": domain}
        return text.format(v=value, n=rng.randrange(100, 1000), **parts)

    return style


def _mix(*groups: tuple[float, Sequence[Style | str]]) -> Style:
    """One style out of many: a group is as frequent as its weight, the styles in it are alike; text is a template."""
    weighted = [(weight / len(styles), style) for weight, styles in groups for style in styles]
    chosen = [_template(style) if isinstance(style, str) else style for _, style in weighted]
    limits = list(accumulate(weight for weight, _ in weighted))
    return lambda rng, value: chosen[bisect(limits, rng.random() * limits[-1])](rng, value)


# The weights of a column add up to 100, so they are percent.
_EMAIL = _mix(
    (62.0, [_as_given]),
    (13.0, [_mixed_case, _mixed_case, _padded]),
    (2.0, ["{local} @ {domain}", "{local}\u00a0@{domain}", "{local}@\t{domain}"]),
    (1.8, ["{local}.{domain}", "{local}@@{domain}", "{v}@example.org"]),
    (1.8, ["{local}@localhost", "{local}@.{domain}", "{v}."]),
    (0.4, ["@{domain}", "very" * 60 + "{v}"]),
    (4.0, [_hashed("md5"), _hashed("sha1"), _hashed("sha256"), _hashed("sha256")]),
    (15.0, [_blank]),
)
_PHONE = _mix(
    (38.0, [_as_given, "{a}-{e}-{l}", "({a}) {e}-{l}"]),
    (24.0, ["{a}.{e}.{l}", "+1{v}", "+1 ({a}) {e}-{l}", "+1-{a}-{e}-{l}", "1-{a}-{e}-{l}", "1{v}", "{a} {e} {l}"]),
    (4.2, ["{a}\u2009{e}\u2009{l}", _padded, "{a}-{e}-{l} x{n}", "{v} ext. {n}", "{v} Extension {n}", "{v} #{n}"]),
    (3.0, ["+44 20 7946 0{n}", "{e}-{l}", "{a}-{e}-CALL", "ask at the desk", "001{v}"]),
    (0.8, [_hashed("sha1"), _hashed("sha256")]),
    (30.0, [_blank]),
)
_NAME = _mix((93.0, [_as_given]), (4.0, [_mixed_case, _padded]), (3.0, [_blank]))
_STREET = _mix(
    (80.0, [_as_given]),
    (9.0, ["{v}, Apt {n}", '"The Oaks", {v}']),
    (5.0, ["{v}\nFloor {n}", "{v}\r\nFloor {n}", "{v}\tUnit {n}", "{v}\n"]),
    (6.0, [_padded, _blank]),
)
_ZIP = _mix(
    (72.0, [_as_given]),
    (12.0, ["{v}-0{n}", "{v}-0{n}", "{v}0{n}"]),
    (9.0, [lambda rng, value: str(int(value))]),  # a spreadsheet took the leading zero
    (3.0, ["{v}.0", "SW1A 1AA"]),
    (4.0, [_padded, _blank]),
)
_PLACE = _mix((92.0, [_as_given]), (4.0, [_padded, _mixed_case]), (4.0, [_blank]))
_COUNTRY = _mix((85.0, [_as_given]), (9.0, ["USA", "us", "GB"]), (6.0, [_blank]))
_TIER = _mix((90.0, [_as_given]), (3.0, [_padded]), (7.0, [_blank]))
_DEVICE = _mix(
    (80.0, [_as_given]),
    (9.0, [lambda rng, value: value.swapcase(), _padded]),
    (5.0, ["00000000-0000-0000-0000-000000000000"]),
    (1.6, [lambda rng, value: value.replace("-", ""), "{{{v}}}", "{v}0", "g{v}"]),
    (0.4, [_hashed("sha1")]),
    (4.0, [_blank]),
)

_FIRST_NAMES = (
    *("Ann", "Bob", "Carla", "Dev", "Elena", "Frank", "Grace", "Hassan", "Ivy", "Jack", "Mary Jane", "Anne-Marie"),
    *("José", "Zoë", "Søren", "Łukasz", "İpek", "Ngọc", "美咲", "伟", "محمد", "ليلى", "Юлия", "Σοφία", "Sunny 🌻"),
)
_LAST_NAMES = (
    *("Smith", "Jones", "Lee", "Garcia", "Brown", "Khan", "Patel", "O'Brien", "D\u2019Angelo", "Null-Hansen"),
    *("Müller", "Peña", "Çelik", "Øster", "山田", "王", "العلي", 'Stone "Rocky"', "King, Jr.", "van der Berg"),
)
_MAILBOXES = ("ann", "bob", "carla", "dev", "elena", "frank", "grace", "hassan", "ivy", "zoë")
_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "kiosk.example", "post.kiosk.example")
_STREETS = ("Elm St", "Oak Avenue", "Main St", "5th Ave", "Martin Luther King Jr Blvd", "Route 9 # 4", "Calle Peña")
_PLACES = (  # city, state, first three digits of the zip
    *(("Boston", "MA", "021"), ("Newark", "NJ", "071"), ("San Juan", "PR", "009"), ("Hartford", "CT", "061")),
    *(("New York", "NY", "100"), ("Atlanta", "GA", "303"), ("Chicago", "IL", "606"), ("Austin", "TX", "787")),
    *(("Denver", "CO", "802"), ("Cañon City", "CO", "812"), ("Coeur d'Alene", "ID", "838"), ("Seattle", "WA", "981")),
)
_NO_ADDRESS = (None, None, None, None)


def make_warehouse(path: Path, *, day: date, customers: int = 20_000, seed: int = 1) -> None:
    """Add the snapshot of `day` to the warehouse at `path`; a day already there is left alone.

    The file is made if it is missing and is readable by its owner only. A snapshot is written whole or not at all.

    :param path: The SQLite file; its folder must exist.
    :param customers: How many customers there are; about half of them are members.
    :param seed: Another seed makes other people.
    """
    path.touch(mode=0o600)
    path.chmod(0o600)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_TABLES)
        snapshot = day.isoformat()
        connection.execute("begin immediate")
        if connection.execute("select 1 from customers where snapshot_date = ? limit 1", (snapshot,)).fetchone():
            return
        add = connection.executemany
        add("insert into vip values (?, ?)", ((key, snapshot) for key in _member_keys(day, customers, seed)))
        add(
            "insert into customers values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _customers(snapshot, customers, seed),
        )
        add("insert into devices values (?, ?, ?, ?)", _devices(snapshot, customers, seed))


def _customer_id(number: int) -> str:
    return f"C{number:07}"


def _member_keys(day: date, customers: int, seed: int) -> list[str | None]:
    """The membership of a day in no order, with a few rows twice and a few without a key."""
    habits = Random(f"members {seed}")
    # Everybody walks round a circle, half of which is membership: each day a few step over either border.
    walked = day.toordinal() * _DAILY_CHURN
    ids = [_customer_id(n) for n in range(customers) if (habits.random() + walked) % 1 < _MEMBER_SHARE]
    today = Random(f"members {seed} {day}")
    repeated = today.sample(ids, k=ceil(len(ids) * _DUPLICATE_SHARE))
    keys = [*ids, *repeated, *[None] * ceil(len(ids) * _NULL_KEY_SHARE)]
    today.shuffle(keys)
    return keys


def _customers(snapshot: str, customers: int, seed: int) -> Iterator[tuple[Cell, ...]]:
    rng = Random(f"customers {seed}")
    email = ""
    for number in range(customers):
        if not email or rng.random() >= _SHARED_EMAIL_SHARE:  # otherwise the one of the customer before
            email = f"{_pick(rng, _MAILBOXES)}.{number}@{_pick(rng, _DOMAINS)}"
        tier = _TIER(rng, _pick(rng, ("bronze", "silver", "gold", "platinum", "Gold, lifetime")))
        worth = _pick(rng, (None, float(rng.randrange(5_000)), round(rng.random() * 5_000, 2)))
        person = (None,) * 9 if rng.random() < _ANONYMOUS_SHARE else _person(rng, email, number)
        yield (_customer_id(number), snapshot, *person, tier, worth)


def _person(rng: Random, email: str, number: int) -> tuple[str | None, ...]:
    # 7919 is prime, so the first 80,000 customers all have different numbers.
    area, line = divmod(number * 7919 % 80_000, 100)
    return (
        _EMAIL(rng, email),
        _PHONE(rng, f"{area + 200}55501{line:02}"),
        _NAME(rng, _pick(rng, _FIRST_NAMES)),
        _NAME(rng, _pick(rng, _LAST_NAMES)),
        *(_NO_ADDRESS if rng.random() < _NO_ADDRESS_SHARE else _address(rng)),
        _COUNTRY(rng, "US"),
    )


def _address(rng: Random) -> tuple[str | None, ...]:
    city, state, region = _pick(rng, _PLACES)
    street = _STREET(rng, f"{rng.randrange(1, 2000)} {_pick(rng, _STREETS)}")
    code = _ZIP(rng, f"{region}{rng.randrange(100):02}")
    return (street, _PLACE(rng, city), _PLACE(rng, state), code)


def _devices(snapshot: str, customers: int, seed: int) -> Iterator[tuple[str | None, ...]]:
    rng = Random(f"devices {seed}")
    idfa, gaid = "", ""
    for number in range(customers):
        if rng.random() >= _DEVICE_SHARE:
            continue
        if not idfa or rng.random() >= _SHARED_DEVICE_SHARE:  # otherwise the ones of the customer before
            idfa, gaid = _device_id(rng).upper(), _device_id(rng)
        owned = rng.random()
        yield (
            _customer_id(number),
            snapshot,
            _DEVICE(rng, idfa) if owned < 0.6 else None,
            _DEVICE(rng, gaid) if owned > 0.4 else None,
        )


def _device_id(rng: Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
