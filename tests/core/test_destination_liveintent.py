"""LiveIntent's files: one kind of identifier each, one value a line, each once; and what an audience file may say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import Suppression
from liveramp_provider.core.audience_file import audience_from, load_audience
from liveramp_provider.core.destination import DeliveryFile, DeviceFile, Hash, Identifier
from liveramp_provider.core.destinations.liveintent import RULES, EmailFile, LiveIntent
from liveramp_provider.core.errors import AudienceFileError
from tests.core.pipeline import audience, csv_of, parquet, people_file, run, workspace

EXAMPLE = Path(__file__).parents[2] / "examples" / "audiences" / "liveintent.yaml"
GOLDEN = Path(__file__).parent / "golden"
IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
GAID = "cdda802e-fb9c-47ad-9866-0794d394c912"


def email_file(algorithm: Hash | None = Hash.SHA256, traits: Sequence[str] = ("email",)) -> EmailFile:
    return EmailFile(
        slot="EMAIL_HASH", key_header="EMAIL_HASH", columns=(), rules=RULES, traits=tuple(traits), hash=algorithm
    )


def device_file(kind: Identifier, slot: str) -> DeviceFile:
    identifiers = ((str(kind), kind),)
    return DeviceFile(slot=slot, key_header=slot, columns=(), rules=RULES, identifiers=identifiers, hash=None)


def built(folder: Path, people: Mapping[str, Mapping[str, object]], *files: DeliveryFile) -> dict[str, Any]:
    """The sealed files of these people, by slot."""
    traits = {"email": "email", "email2": "email2", "idfa": "idfa", "gaid": "gaid"}
    source = people_file(folder / "people.parquet", people, list(traits))
    made = audience(members=source, traits=traits, traits_from=source, files=[])
    return run(replace(made, destinations=(liveintent(*files),)), workspace(folder / "staging"))


def liveintent(*files: DeliveryFile) -> LiveIntent:
    """An audience at LiveIntent that gets these files."""
    return LiveIntent(
        id="liveintent",
        conn_id="liveintent_default",
        path="liveintent://1/vip",
        filename="{audience}-{kind}_{date}",
        compression="none",
        encryption=None,
        files=files,
        min_members=25,
        max_shrink_percent=50,
        account_id=1,
        data_provider_id=2,
        audience_name="vip",
        action="add",
    )


PEOPLE: dict[str, dict[str, object]] = {
    "C1": {"email": " Ann@Example.com", "idfa": IDFA.lower(), "gaid": GAID.upper()},
    "C2": {"email": "ann@example.com", "email2": "bo@example.com"},
    "C3": {
        "email": hashlib.sha256(b"cy@example.com").hexdigest().upper(),
        "idfa": "00000000-0000-0000-0000-000000000000",
    },
    "C4": {"email": hashlib.md5(b"di@example.com").hexdigest(), "gaid": "no id"},
    "C5": {"email": "no address"},
    "C6": {},
    "C7": {"email": '"e, e"@example.com', "email2": "=e@example.com"},
}
FILES = (
    email_file(traits=("email", "email2")),
    device_file(Identifier.IDFA, "IDFA"),
    device_file(Identifier.GAID, "AAID"),
)


def test_golden_files(tmp_path: Path) -> None:
    """Every file is, byte for byte, what was agreed: no header, no quotes, one value a line, in order."""
    sealed = built(tmp_path, PEOPLE, *FILES)
    assert {slot: file.name for slot, file in sealed.items()} == {
        slot: f"vip-{slot}_2026-11-20.csv" for slot in ("EMAIL_HASH", "IDFA", "AAID")
    }
    for slot, file in sealed.items():
        assert csv_of(file) == (GOLDEN / f"liveintent_{slot.lower()}.csv").read_bytes()


def test_account_of_what_is_missing(tmp_path: Path) -> None:
    """Every given address is accounted for, and so is every member without one."""
    (sealed,) = built(tmp_path, PEOPLE, FILES[0]).values()
    assert sealed.waterfall == {
        "members": 7,
        "no_identifier": 1,
        "addresses": 8,
        "email_format": 1,
        "prehashed_without_column": 1,
        "formula": 0,
        "email_shared": 1,
        "rows": 5,
    }
    assert sealed.members == 4


@pytest.mark.parametrize("algorithm", [None, Hash.MD5, Hash.SHA1])
def test_other_hashes(algorithm: Hash | None, tmp_path: Path) -> None:
    """Addresses go by the hash that is asked for; in plain, none that would need quotes or that a spreadsheet runs."""
    (sealed,) = built(tmp_path, PEOPLE, email_file(algorithm, ("email", "email2"))).values()
    plain = ["ann@example.com", "bo@example.com"]
    odd = ['"e,e"@example.com', "=e@example.com"]
    digests = [hashlib.new(algorithm, value.encode()).hexdigest() for value in plain + odd] if algorithm else plain
    given_hashed = [hashlib.md5(b"di@example.com").hexdigest()] if algorithm is Hash.MD5 else []
    assert csv_of(sealed).decode().splitlines() == sorted(digests + given_hashed)


def test_who_has_opted_out_by_another_name(tmp_path: Path) -> None:
    """A trait that only the destination calls an e-mail is held against the opt-outs as any other."""
    people = {"A": {"contact": "ann@example.com"}, "B": {"contact": "bo@example.com"}}
    source = people_file(tmp_path / "people.parquet", people, ["contact"])
    opt_outs = parquet(tmp_path / "opt_outs.parquet", {"mail": ["ANN@example.com"]})
    made = audience(
        members=source,
        traits={"contact": "contact"},
        traits_from=source,
        files=[],
        suppression=Suppression(source=opt_outs, email="mail"),
    )
    there = liveintent(email_file(traits=("contact",)))
    (sealed,) = run(replace(made, destinations=(there,)), workspace(tmp_path / "staging")).values()
    assert csv_of(sealed).decode().splitlines() == [hashlib.sha256(b"bo@example.com").hexdigest()]


ADDRESSES = (
    st.sampled_from(
        ["a@b.co", " A@B.co ", "c@d.org", "x", "", "null", hashlib.sha256(b"c@d.org").hexdigest(), "d" * 32, 'q"@b.co']
    )
    | st.emails()
)


def plainly_read(people: Mapping[str, Mapping[str, object]]) -> set[str]:
    """What the file of SHA-256 holds, read without any of our rules."""
    found = set()
    for value in (one for person in people.values() for one in person.values()):
        text = str(value or "").strip()
        if re.fullmatch("[0-9a-fA-F]{64}", text):
            found.add(text.lower())
        elif re.fullmatch(r"[^@]+@[^@.]+(\.[^@.]+)+", text) and len(text) <= 254:
            found.add(hashlib.sha256(text.lower().encode()).hexdigest())
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(st.tuples(ADDRESSES, ADDRESSES), min_size=1, max_size=8))
def test_addresses(people: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever stands in two columns of addresses, the file holds what an independent reading holds, and adds up."""
    rows = {f"C{number}": {"email": one, "email2": two} for number, (one, two) in enumerate(people)}
    (sealed,) = built(tmp_path_factory.mktemp("people"), rows, email_file(traits=("email", "email2"))).values()
    lines = csv_of(sealed).decode().splitlines()
    assert lines == sorted(plainly_read(rows))
    assert sealed.rows == sealed.waterfall["rows"] == len(lines)


# The audience file.


def document() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(EXAMPLE.read_text())  # type: ignore[no-any-return]


def test_example() -> None:
    """The example is the audience it says, under its name in snake case."""
    (destination,) = load_audience(EXAMPLE).destinations
    assert isinstance(destination, LiveIntent)
    assert (destination.audience_name, destination.path) == (
        "high_value_customers",
        "liveintent://12345/high_value_customers",
    )
    assert [file.slot for file in destination.files] == ["EMAIL_HASH", "IDFA", "AAID"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"action": None}, "destinations[0].action"),
        ({"account_id": None}, "destinations[0].account_id"),
        ({"data_provider_id": None}, "destinations[0].data_provider_id"),
        ({"account_id": 0}, "destinations[0].account_id"),
        ({"audience_name": "High value"}, "Write high_value"),
        ({"audience_name": "高"}, "must be in snake_case"),
        ({"files": {}}, "needs at least one file: email, idfa or aaid"),
        ({"files": {"email": {"traits": ["mail"]}}}, "no source gives a trait mail"),
        ({"files": {"email": {"traits": ["email", "email"]}}}, "email stands twice"),
        ({"filename": "{audience}_{date}"}, "has no {kind}"),
        ({"notification_email": "nobody"}, "an e-mail address"),
        ({"compression": "gzip"}, "unknown key"),
    ],
)
def test_faults(changes: dict[str, Any], words: str) -> None:
    """What LiveIntent does not publish must be written, and a slip is said with its place."""
    written = document()
    written["destinations"][0] |= changes
    written["destinations"][0] = {k: v for k, v in written["destinations"][0].items() if v is not None}
    with pytest.raises(AudienceFileError) as error:
        audience_from(written, file=EXAMPLE)
    assert words in str(error.value)


def test_no_trait_of_that_kind() -> None:
    """A file of ids that no trait holds is a fault, not an empty file."""
    written = document()
    written["traits"] = written["traits"][:1]
    with pytest.raises(AudienceFileError, match="no trait is called idfa"):
        audience_from(written, file=EXAMPLE)
