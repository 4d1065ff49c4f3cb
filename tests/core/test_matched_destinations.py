"""Facebook Custom Audiences and Google Ads remarketing lists: which traits, in which form, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience_file import audience_from
from liveramp_provider.core.destination import Detail, FileRules, Form, Identifier
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.core.identifiers import digest_of, read, rule_of, value_of
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.preview import preview_files
from liveramp_provider.report import sample_tables
from tests import plain_matching
from tests.core.pipeline import DAY, csv_of, people_file, workspace
from tests.core.test_identifiers import emails, noise, phones, zips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ibis.backends.duckdb import Backend

TRAITS = ("email", "phone", "first_name", "last_name", "city", "state", "zip", "country", "gender", "year", "month")
PERSON = {
    "email": " Jane.Doe+news@GMail.com ",
    "phone": "(555) 123-4567",
    "first_name": "Mary-Ann",
    "last_name": "O'Neil",
    "city": "New York",
    "state": "NY",
    "zip": "10001-1234",
    "country": "US",
    "gender": "Female",
    "year": "1980",
    "month": "3",
    "idfa": "aebe52e7-03ee-455a-b3c4-e57283966239",
}
FACEBOOK = {
    "id": "facebook",
    "kind": "facebook",
    "conn_id": "drop",
    "path": "/facebook",
    "country_code": "1",
    "compression": "none",
    "traits": {
        "email": "email",
        "phone": "phone",
        "advertising_id": "idfa",
        "first_name": "first_name",
        "last_name": "last_name",
        "gender": "gender",
        "birth_year": "year",
        "birth_month": "month",
        "city": "city",
        "state": "state",
        "postal_code": "zip",
        "country": "country",
    },
}
GOOGLE = {
    "id": "google",
    "kind": "google",
    "conn_id": "drop",
    "path": "/google",
    "country_code": "1",
    "compression": "none",
    "traits": {
        "email": "email",
        "phone": "phone",
        "first_name": "first_name",
        "last_name": "last_name",
        "country": "country",
        "zip": "zip",
    },
}
LIVERAMP = {
    "id": "liveramp",
    "kind": "liveramp",
    "conn_id": "drop",
    "region": "us",
    "path": "/liveramp",
    "org": "3242",
    "compression": "none",
    "files": {
        "pii": {"columns": {"CCID": {"from": "member_id"}, "PHONE1": {"from": "phone"}}},
        "device": {"identifiers": ["idfa"]},
    },
}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def written(*destinations: dict[str, Any], traits: tuple[str, ...] = (*TRAITS, "idfa")) -> dict[str, Any]:
    """An audience of one person's traits with these destinations."""
    source = {"files": {"path": "people-{snapshot_date}.parquet"}, "key": "customer_id"}
    return {
        "audience": "vip",
        "name": "VIPs",
        "schedule": {"cron": "0 0 * * *", "timezone": "UTC"},
        "membership": source,
        "traits": [source | {"select": {trait: trait for trait in traits}}],
        "destinations": list(destinations),
    }


def files(folder: Path, people: dict[str, dict[str, object]], *destinations: dict[str, Any]) -> dict[str, list[str]]:
    """The lines of every file, by destination and slot."""
    people_file(folder / f"people-{DAY}.parquet", people, (*TRAITS, "idfa"))
    made = audience_from(written(*destinations), file=folder / "vip.py")
    here = workspace(folder / "staging")
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    return {
        f"{there.id} {sealed.slot}": csv_of(sealed).decode().splitlines()
        for there in made.destinations
        for sealed in build(made, there, DAY, profiles, workspace=here)
    }


def test_facebook_file(tmp_path: Path) -> None:
    """Each field under its header in its own form, hashed but for the mobile id; the audience key is not in it."""
    (header, row) = files(tmp_path, {"1": dict(PERSON)}, FACEBOOK)["facebook PII"]
    assert header == ",".join(
        f'"{name}"'
        for name in ("EMAIL", "PHONE", "MADID", "FN", "LN", "GEN", "DOBY", "DOBM", "CT", "ST", "ZIP", "COUNTRY")
    )
    plain = [
        "jane.doe+news@gmail.com",
        "15551234567",
        "maryann",
        "oneil",
        "f",
        "1980",
        "03",
        "newyork",
        "ny",
        "10001",
        "us",
    ]
    cells = [sha256(text) for text in plain]
    cells.insert(2, "aebe52e7-03ee-455a-b3c4-e57283966239")
    assert row == ",".join(f'"{cell}"' for cell in cells)


def test_google_file(tmp_path: Path) -> None:
    """Google's headers in its order; country and ZIP as they are."""
    (header, row) = files(tmp_path, {"1": dict(PERSON)}, GOOGLE)["google PII"]
    assert header == '"Email","Phone","First Name","Last Name","Country","Zip"'
    hashes = [sha256(text) for text in ("janedoe@gmail.com", "+15551234567", "mary-ann", "o'neil")]
    assert row == ",".join(f'"{cell}"' for cell in [*hashes, "US", "10001-1234"])


def test_one_person_at_three_receivers(tmp_path: Path) -> None:
    """One phone in three forms, one mobile id in two cases, in one run: normalising is the receiver's matter."""
    plain = {**PERSON, "phone": "+1 555.123.4567"}
    made = files(tmp_path, {"1": dict(plain)}, LIVERAMP, FACEBOOK, GOOGLE)
    assert made["liveramp PII"][1] == '"1","5551234567"'
    assert f'"{sha256("15551234567")}"' in made["facebook PII"][1]
    assert f'"{sha256("+15551234567")}"' in made["google PII"][1]
    assert made["liveramp D"][1].startswith('"AEBE52E7-03EE-455A-B3C4-E57283966239"')
    assert '"aebe52e7-03ee-455a-b3c4-e57283966239"' in made["facebook PII"][1]


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    """A bad value is left blank and counted by its reason; who has nothing else has no row."""
    bad = {"email": "no address", "phone": "12", "gender": "x", "year": "80", "state": "New York", "idfa": "0" * 32}
    people_file(tmp_path / f"people-{DAY}.parquet", {"1": bad, "2": bad | {"email": "a@b.co"}}, (*TRAITS, "idfa"))
    made = audience_from(written(FACEBOOK), file=tmp_path / "vip.py")
    here = workspace(tmp_path / "staging")
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    (sealed,) = build(made, made.destinations[0], DAY, profiles, workspace=here)
    assert sealed.rows == 1
    assert sealed.waterfall["email_format"] == 1
    counted = {reason: count for reason, count in sealed.blanked.items() if count}
    assert counted == {"phone_format": 1, "gender_format": 1, "birth_format": 1, "code_format": 1, "device_format": 1}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"traits": {}}, "destinations[0].traits: maps no trait."),
        ({"traits": {"email": "mail"}}, "destinations[0].traits.email: no source gives a trait mail."),
        (
            {"traits": {"email": "vip"}},
            "destinations[0].traits.email: vip is the audience's own key, which is no trait.",
        ),
        ({"traits": {"email": "email", "loyalty": "year"}}, "destinations[0].traits.loyalty: unknown key."),
        ({"traits": {"phone": "phone"}, "country_code": None}, "destinations[0].country_code: "),
        ({"traits": {"gender": "gender"}}, "destinations[0].traits: nothing here is enough to match a person by."),
        ({"traits": {"email": "email", "city": "email"}}, "the trait email is mapped twice."),
        ({"filename": "{org}-{kind}-{date}"}, "destinations[0].filename: unknown placeholder {org}."),
        ({"country_code": "+1"}, "destinations[0].country_code: must be a country code"),
    ],
)
def test_what_facebook_does_not_take(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    """Each violation is told when the audience file is read."""
    with pytest.raises(AudienceFileError) as caught:
        audience_from(written({k: v for k, v in (FACEBOOK | change).items() if v is not None}), file=tmp_path / "v.py")
    assert fault in str(caught.value)


def test_the_audiences_own_key_is_no_trait_even_where_a_source_has_it(tmp_path: Path) -> None:
    """A trait of the audience's name would tell the membership twice, or otherwise than it is."""
    with pytest.raises(AudienceFileError, match="vip is the audience's own key"):
        audience_from(written(FACEBOOK | {"traits": {"email": "vip"}}, traits=("vip", "phone")), file=tmp_path / "v.py")


def test_google_needs_an_email(tmp_path: Path) -> None:
    """Without it, the audience file is refused; all faults are told at once."""
    without = GOOGLE | {"traits": {"phone": "tel", "birthday": "year"}}
    with pytest.raises(AudienceFileError) as caught:
        audience_from(written(without), file=tmp_path / "vip.py")
    told = str(caught.value)
    assert "destinations[0].traits.email: is missing." in told
    assert "destinations[0].traits.birthday: unknown key." in told
    assert "destinations[0].traits.phone: no source gives a trait tel." in told


@pytest.fixture(scope="module")
def engine() -> Iterator[Backend]:
    backend = ibis.duckdb.connect(threads=1)
    yield backend
    backend.disconnect()


def normalised(engine: Backend, form: Form, values: list[str], country_code: str = "1") -> list[str | None]:
    """What the package makes of raw values."""
    rules = FileRules(forms={Identifier.EMAIL: form}, matched_by=(), limits=None, country_code=country_code)
    raw = ibis.memtable(pa.table({"n": range(len(values)), "x": pa.array(values, pa.string())}))
    table = read(raw, {"x": rule_of(Identifier.EMAIL, rules)})
    result = table.select("n", out=table[value_of("x")].coalesce(table[digest_of("x")])).order_by("n")
    out: list[str | None] = engine.to_pyarrow(result)["out"].to_pylist()
    return out


NAMES = st.one_of(st.sampled_from(("Mary-Ann", "O'Neil", " Zoë ", "van  der Berg", "Łukasz", "null", "李")), noise)
NUMBERS = st.one_of(st.integers(-5, 3000).map(str), st.sampled_from((" 03", "1.0", "٣", "", "2026")))
RULES: list[tuple[Form, st.SearchStrategy[str], Callable[[str], str | None]]] = [
    (
        Form.GMAIL,
        st.one_of(emails, st.sampled_from(("a.b+c@gmail.com", "A.B@GoogleMail.com"))),
        plain_matching.google_email,
    ),
    (Form.PHONE_DIGITS, st.one_of(phones, noise), lambda raw: plain_matching.phone(raw, "1", plus=False)),
    (Form.E164, st.one_of(phones, noise), lambda raw: plain_matching.phone(raw, "1", plus=True)),
    (Form.GENDER, st.sampled_from(("m", "F", "Male", " female ", "x", "male female", "")), plain_matching.gender),
    (Form.MONTH, NUMBERS, lambda raw: plain_matching.number(raw, digits=2, smallest=1, largest=12)),
    (Form.DAY, NUMBERS, lambda raw: plain_matching.number(raw, digits=2, smallest=1, largest=31)),
    (Form.YEAR, NUMBERS, lambda raw: plain_matching.number(raw, digits=4, smallest=1900, largest=2099)),
    (Form.TWO_LETTERS, st.one_of(st.sampled_from(("NY", "us ", "New York")), noise), plain_matching.two_letters),
    (Form.ZIP_FIRST_FIVE, zips, plain_matching.first_five),
    (Form.LOWER_NAME, NAMES, lambda raw: plain_matching.letters(raw, between=" ")),
    (Form.LETTERS, NAMES, lambda raw: plain_matching.letters(raw, between="")),
]


@pytest.mark.parametrize(
    ("form", "raw", "plain"), RULES, ids=lambda value: str(value) if isinstance(value, Form) else ""
)
def test_each_form_as_in_plain_words(
    engine: Backend, form: Form, raw: st.SearchStrategy[str], plain: Callable[[str], str | None]
) -> None:
    """Whatever is given, the package and the plain reading make the same of it."""

    @settings(max_examples=12)
    @given(st.lists(raw, min_size=1, max_size=30))
    def agree(values: list[str]) -> None:
        assert normalised(engine, form, values) == [plain(value) for value in values]

    agree()


@pytest.mark.parametrize(
    ("raw", "country_code", "e164"),
    [
        ("(555) 123-4567", "1", "+15551234567"),
        ("1 555 123 4567 ext. 9", "1", "+15551234567"),
        ("+44 20 7946 0958", "1", "+442079460958"),
        ("020 7946 0958", "44", "+442079460958"),
        ("0044 20 7946 0958", "1", "+442079460958"),
        ("442079460958", "44", "+442079460958"),
        ("+44 (0)20 7946 0958", "1", "+442079460958"),
        ("(0)20 7946 0958", "44", "+442079460958"),
        ("06 6982 1234", "39", "+390669821234"),
        ("+39 (0)6 6982 1234", "1", "+390669821234"),
        ("0039 06 6982 1234", "1", "+390669821234"),
        ("12", "1", None),
    ],
)
def test_country_codes(engine: Backend, raw: str, country_code: str, e164: str | None) -> None:
    """A number that says its country keeps it, whichever is configured; another gets the configured one."""
    assert normalised(engine, Form.E164, [raw], country_code) == [e164]


@pytest.mark.parametrize(
    ("raw", "name", "letters"),
    [
        ("Mary-Ann", "maryann", "maryann"),
        ("van  der Berg", "van der berg", "vanderberg"),
        ("ZOË 2", "zoë", "zoë"),
        ("7", None, None),
    ],
)
def test_names(engine: Backend, raw: str, name: str | None, letters: str | None) -> None:
    """Small letters without punctuation and digits; a city without spaces, too."""
    assert normalised(engine, Form.LOWER_NAME, [raw]) == [name]
    assert normalised(engine, Form.LETTERS, [raw]) == [letters]


def test_details_identify_nobody() -> None:
    """Gender and birth are no identifiers of LiveRamp's: a trait of that name is a segment field there, as before."""
    from liveramp_provider.core.destinations.liveramp import identifier_of_trait

    assert [identifier_of_trait(detail) for detail in Detail] == [None] * len(Detail)


def test_a_preview_has_a_cell_for_every_header(tmp_path: Path) -> None:
    """A file without a key column is shown without one: its rows fit its headers."""
    people_file(tmp_path / f"people-{DAY}.parquet", {"1": dict(PERSON)}, (*TRAITS, "idfa"))
    made = audience_from(written(FACEBOOK), file=tmp_path / "vip.py")
    here = workspace(tmp_path / "staging")
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    (shown,) = preview_files(made, made.destinations[0], DAY, profiles, sample_rows=1, workspace=here)
    assert [len(row) for row in shown.sample] == [len(shown.header)]
    assert list(sample_tables(shown, width=200))
