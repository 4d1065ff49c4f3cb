"""What a spreadsheet would run does not stand in a file, unless its column allows it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.destination import Hash
from tests.core.pipeline import (
    audience,
    csv_of,
    device_files,
    email_column,
    people_file,
    phone_column,
    pii_file,
    run,
    trait_column,
    workspace,
)
from tests.plain_reading import is_formula

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.destination import DeliveryFile

#: One of each kind that spreadsheets run, and what looks like one and is none.
RUN = ("=1+1", "=HYPERLINK(A1)", "@SUM(1+1)", "-2+3+cmd|' /C calc'!A0", "+A1(2)", "\t=1+1", " =1")
NOT_RUN = ("+44 20 7946 0958", "-5", "-0.5", "-Kx3Zz_a", "a=1", "1+1", "'=1")
DEVICE = "aebe52e7-03ee-455a-b3c4-{:012}"
TRAITS = ("email", "phone", "tier", "idfa", "gaid")


def built(folder: Path, people: dict[str, dict[str, str]], *files: DeliveryFile) -> dict[str, SealedFile]:
    source = people_file(folder / "people.parquet", people, TRAITS)
    made = audience(members=source, traits={t: t for t in TRAITS}, traits_from=source, files=files)
    return run(made, workspace(folder / "staging"))


def cells(sealed: SealedFile) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_of(sealed).decode())))[1:]


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    """Whatever stands in a segment field, an e-mail or the key, a file has no cell that a spreadsheet would run."""
    tiers = {
        f"m{number:02}": {"email": f"{number}@x.co", "tier": tier, "idfa": DEVICE.format(number)}
        for number, tier in enumerate((*RUN, *NOT_RUN))
    }
    mails = {"n1": {"email": "=1+1@x.co"}, "n2": {"email": "=1+1@x.co", "phone": "5551234567"}}
    keys = {"=k": {"email": "k@x.co"}, "-Kx3": {"email": "key@x.co"}}
    pii, device = (
        pii_file(email_column(), phone_column(), trait_column("tier")),
        device_files(trait_column("tier"))[0],
    )
    files = built(tmp_path, {**tiers, **mails, **keys}, pii, device)
    written = {slot: cells(sealed) for slot, sealed in files.items()}
    assert [cell for rows in written.values() for row in rows for cell in row if is_formula(cell)] == []
    assert {row[-1] for row in written["PII"]} == {row[-1] for row in written["D"]} == {"", *NOT_RUN}
    # Who can be matched otherwise stays, and everybody is accounted for.
    assert ["n2", "", "5551234567", ""] in written["PII"]
    assert ["-Kx3", "key@x.co", "", ""] in written["PII"]
    assert (files["PII"].waterfall["formula"], files["PII"].waterfall["key_formula"]) == (1, 1)
    assert (files["PII"].blanked["formula"], files["D"].blanked["formula"]) == (len(RUN) + 1, len(RUN))


def test_a_hash_is_no_formula(tmp_path: Path) -> None:
    """An odd address is hashed as any other where the file has no plain column for it."""
    files = built(tmp_path, {"a": {"email": "=1+1@x.co"}}, pii_file(email_column(Hash.SHA256)))
    assert [len(row[1]) for row in cells(files["PII"])] == [64]


def test_a_column_that_allows_them(tmp_path: Path) -> None:
    """Keys, e-mails and segment fields are sent as they are where their column says so."""
    allowed = pii_file(replace(email_column(), formula="allow"), replace(trait_column("tier"), formula="allow"))
    people = {"=k": {"email": "=1+1@x.co", "tier": "@SUM(1)", "idfa": DEVICE.format(1)}}
    device = device_files(replace(trait_column("tier"), formula="allow"))[0]
    files = built(tmp_path, people, replace(allowed, key_formula="allow"), device)
    assert cells(files["PII"]) == [["=k", "=1+1@x.co", "@SUM(1)"]]
    assert [row[-1] for row in cells(files["D"])] == ["@SUM(1)"]


@pytest.mark.parametrize("text", RUN)
def test_what_a_spreadsheet_would_run(text: str) -> None:
    """The plain reading, which the build is compared with, knows each kind."""
    assert is_formula(text.strip())


@pytest.mark.parametrize("text", NOT_RUN)
def test_what_a_spreadsheet_would_not_run(text: str) -> None:
    """Phones, numbers and keys are no formulas."""
    assert not is_formula(text)
