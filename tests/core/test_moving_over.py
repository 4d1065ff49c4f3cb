"""Whoever comes from mParticle or Segment gets the files that LiveRamp knows from there.

The example audience files are read as they are, with a handful of people instead of a warehouse. What must come out was
written by hand from the public formats: mParticle's "LiveRamp Audience" page, and the file that Segment's "LiveRamp
Audiences" writes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.audience import TraitSource
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.destinations.liveramp import file_rules
from liveramp_provider.testing.file_rules import read_file
from liveramp_provider.testing.warehouse import make_warehouse
from tests.core.pipeline import DAY, csv_of, people_file, run, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destinations.liveramp import Delimiter

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
EMAIL_SHA256 = "ad474377422023fe13c6421afa7958559ee3ce1c5aa8395e92140cc09912c1be"

#: As mParticle has them: identities, attributes and device identities.
MPARTICLE = {
    "100": {
        "email": " MyName@LiveRamp.com ",
        "mobile_number": "+1 (555) 123-4567",
        "$Mobile": "(212) 555.0100",
        "$FirstName": "Ann",
        "$LastName": "Lee",
        "$City": "Boston",
        "$State": "MA",
        "$Zip": "02134",
        "$Country": "US",
        "tier": "gold",
        "idfa": IDFA.lower(),
    },
    "20": {
        "$FirstName": "Zoë",
        "$LastName": 'O"Hara',
        "$City": "Boston",
        "$State": "MA",
        "$Zip": "02134-1234",
        "$Country": "US",
        "gaid": "E4FE9BDE-CAA0-47B6-908D-FFBA3FA184F2",
    },
    "7": {"email": "null", "$Mobile": "555-123-4567", "idfa": IDFA},
    "9": {},
}
#: Of the values here, Segment's normalisation and ours make the same.
SEGMENT = {
    "100": {
        "email_address": " MyName@LiveRamp.com ",
        "mobile": "+1 (555) 123-4567",
        "first_name": "Ann",
        "last_name": "Lee",
        "zip": "02134",
        "tier": "gold",
    },
    "20": {"first_name": "Zoë", "last_name": 'O"Hara', "zip": "02134"},
    "7": {"mobile": "555-123-4567"},
    "é1": {"email_address": EMAIL_SHA256, "tier": "silver"},
}

#: What somebody at LiveRamp has set for Segment's file.
MAPPED_FOR_SEGMENT = {
    "email": "EMAIL1_SHA256",
    "phone_number": "PHONE1_SHA1",
    "first_name": "FIRSTNAME",
    "last_name": "LASTNAME",
}


def example(name: str) -> Audience:
    """The example audience file, sending files that can be read."""
    audience = load_audience(ROOT / "examples" / "audiences" / f"{name}.yaml")
    assert audience.warnings == ()
    (liveramp,) = audience.destinations
    return replace(audience, destinations=(replace(liveramp, encryption=None, compression="none"),))


def files_of(audience: Audience, people: Mapping[str, Mapping[str, str]], folder: Path) -> dict[str, SealedFile]:
    """What it sends of `people`, whose columns are those that its sources name."""
    columns = sorted({column for person in people.values() for column in person})
    source = people_file(folder / "people.parquet", people, columns)
    steps = [step for step in audience.traits if isinstance(step, TraitSource)]
    assert len(steps) == len(audience.traits)
    audience = replace(
        audience,
        membership=replace(audience.membership, source=source),
        traits=tuple(replace(step, source=source) for step in steps),
    )
    return run(audience, workspace(folder / "staging"))


def test_mparticles_two_files(tmp_path: Path) -> None:
    """Both data types with every column that mParticle offers, under the names that mParticle gives its files."""
    sealed = files_of(example("mparticle"), MPARTICLE, tmp_path)
    assert {slot: file.name for slot, file in sealed.items()} == {
        "D": "3242_high_value_customers-D_2026-11-21.csv",
        "PII": "3242_high_value_customers-PII_2026-11-21.csv",
    }
    assert csv_of(sealed["PII"]).decode() == (GOLDEN / "mparticle_pii.csv").read_text("utf-8")
    assert csv_of(sealed["D"]).decode() == (GOLDEN / "mparticle_device.csv").read_text("utf-8")


def test_segments_file(tmp_path: Path) -> None:
    """Byte by byte the file that Segment writes of them, but for the end of its last line."""
    (sealed,) = files_of(example("segment"), SEGMENT, tmp_path).values()
    assert sealed.name == "high_value_customers_PII_2026-11-20.csv"
    assert csv_of(sealed) == (GOLDEN / "segment.csv").read_bytes() + b"\n"


@pytest.mark.parametrize(("delimiter", "sign"), [("pipe", "|"), ("tab", "\t"), ("semicolon", ";")])
def test_segments_file_with_another_delimiter(delimiter: Delimiter, sign: str, tmp_path: Path) -> None:
    """It parts the fields and nothing else changes; what was sealed says which it is."""
    made = example("segment")
    (liveramp,) = made.destinations
    rules = file_rules("us", delimiter=delimiter, layout="segment")
    liveramp = replace(liveramp, files=tuple(replace(file, rules=rules) for file in liveramp.files))
    (sealed,) = files_of(replace(made, destinations=(liveramp,)), SEGMENT, tmp_path).values()
    assert csv_of(sealed).decode() == (GOLDEN / "segment.csv").read_text("utf-8").replace(",", sign) + "\n"
    assert sealed.delimiter == sign


@pytest.mark.parametrize("name", ["mparticle", "segment"])
def test_the_examples_run_on_the_sample_warehouse(name: str, tmp_path: Path) -> None:
    """Their queries are good, and LiveRamp takes the files: the ones like Segment's as it was told to read those."""
    make_warehouse(tmp_path / "warehouse.db", day=DAY, customers=200, seed=3)
    sealed = run(example(name), workspace(tmp_path / "staging", database=tmp_path / "warehouse.db"))
    for slot, file in sealed.items():
        reading = read_file(csv_of(file), kind="known" if slot == "PII" else "pseudonymous", mapping=MAPPED_FOR_SEGMENT)
        assert (reading.problems, reading.rows) == ((), file.rows)
