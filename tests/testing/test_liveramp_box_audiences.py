"""Seed configuration, pause and queue, and what the update methods do to the members."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from liveramp_provider.testing import LiveRampBox
from liveramp_provider.testing.seed import filename_shape
from liveramp_provider.testing.values import UpdateMethod
from tests.testing.box_client import DEVICE, PII, csv_of, people, pii_name, sealed, upload
from tests.testing.conftest import NewBox

HEADER = ["CCID", "EMAIL1", "ZIP", "TIER", "HIGH_VALUE"]


def file_of(header: list[str], numbers: range = range(30)) -> bytes:
    """A good file with this header, in which every member has every segment."""
    cells = {"EMAIL1": "p{}@example.com", "PHONE1": "555000{:04}", "ZIP": "12345", "zip": "12345"}
    return csv_of([[f"M{n}", *(cells.get(label, "1").format(n) for label in header[1:])] for n in numbers], header)


def statuses(box: LiveRampBox) -> list[str]:
    """What became of the files, in order of arrival."""
    return [file.status for file in box.files()]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (["CCID", "EMAIL1", "ZIP", "TIER"], "column HIGH_VALUE is missing"),
        (["CCID", "EMAIL1", "TIER", "ZIP", "HIGH_VALUE"], "another order"),
        (["CCID", "EMAIL1", "zip", "TIER", "HIGH_VALUE"], "column ZIP is spelled zip now"),
        (["CUSTOMERID", "EMAIL1", "ZIP", "TIER", "HIGH_VALUE"], "audience key was CCID and is CUSTOMERID now"),
        (["CCID", "EMAIL1", "ZIP", "TIER", "HIGH_VALUE", "PHONE1"], "new identifier column PHONE1"),
        (["CCID", "EMAIL1", "ZIP", "NEW", "TIER", "HIGH_VALUE"], "new column NEW stands among the old ones"),
        (["CCID", "EMAIL1", "ZIP", "TIER", "LOW_VALUE"], "column HIGH_VALUE is missing"),
    ],
)
def test_other_header_is_paused(box: LiveRampBox, header: list[str], sentence: str) -> None:
    """A later file whose header differs from the first file's is paused, and the sentence says how it differs."""
    upload(box, pii_name(1), file_of(HEADER))
    upload(box, pii_name(2), file_of(header, range(100, 130)))
    assert statuses(box) == ["ingested", "paused"]
    (problem,) = box.files()[1].problems
    assert sentence in problem
    assert box.segments()[PII.name] == 30


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (pii_name(2, ".csv.gz.gpg"), lambda box, content: sealed(content, box.pgp_public_key), "file name"),
        ("3242_high_value-PII_20261102.csv", lambda box, content: content, "file name"),
        ("3242_high_value-PII_all_2026-11-02.csv", lambda box, content: content, "file name"),
        (pii_name(2), lambda box, content: content.replace(b",", b"|"), "the delimiter was ',' and is '|' now"),
    ],
)
def test_other_form_of_file_is_paused(
    box: LiveRampBox, name: str, change: Callable[[LiveRampBox, bytes], bytes], sentence: str
) -> None:
    """File-name shape and delimiter are frozen, too."""
    upload(box, pii_name(1), file_of(HEADER))
    upload(box, name, change(box, file_of(HEADER)))
    assert statuses(box) == ["ingested", "paused"]
    assert sentence in box.files()[1].problems[0]


def test_other_kind_or_folder_is_paused(new_box: NewBox) -> None:
    """An audience that is set up anew with another kind or folder does not silently take other files."""
    upload(new_box(), pii_name(1), file_of(HEADER))
    moved = replace(PII, folder="/uploads/moved", kind="pseudonymous")
    box = new_box(moved)
    devices = csv_of([[f"AEBE52E7-03EE-455A-B3C4-E572839662{n:02X}", "1"] for n in range(30)], ["IDFA", "HIGH_VALUE"])
    upload(box, pii_name(2), devices, folder=moved.folder)
    assert "identifiers were known and are pseudonymous now" in box.files()[1].problems[0]
    assert "the folder was /uploads/high_value and is /uploads/moved now" in box.files()[1].problems[1]


def test_new_segment_columns_at_the_end_are_accepted_and_stay(box: LiveRampBox) -> None:
    """Appended segment columns are ingested; from then on they belong to the configuration."""
    upload(box, pii_name(1), file_of(HEADER))
    upload(box, pii_name(2), file_of([*HEADER, "NEW"]))
    upload(box, pii_name(3), file_of(HEADER))
    assert statuses(box) == ["ingested", "ingested", "paused"]
    assert "column NEW is missing" in box.files()[2].problems[0]


def test_files_queue_behind_a_paused_one_until_it_is_mapped(box: LiveRampBox) -> None:
    """While a file is paused nothing of its audience is ingested; mapping it releases all of them in order."""
    other = [*HEADER[:-1], "OTHER"]
    upload(box, pii_name(1), file_of(HEADER, range(30)))
    upload(box, pii_name(2), file_of(other, range(100, 130)))
    upload(box, pii_name(3), file_of(other, range(200, 230)))
    upload(box, pii_name(4), file_of(HEADER, range(300, 330)))
    assert statuses(box) == ["ingested", "paused", "queued", "queued"]
    assert box.segments()[PII.name] == 30
    assert [file.status for file in box.map_paused(PII.name)] == ["ingested", "ingested", "paused"]
    assert statuses(box) == ["ingested", "ingested", "ingested", "paused"]
    assert box.segments()[PII.name] == 90
    assert [file.status for file in box.map_paused(PII.name)] == ["ingested"]
    upload(box, pii_name(5), file_of(HEADER))
    assert statuses(box) == ["ingested"] * 5
    with pytest.raises(ValueError, match="paused"):
        box.map_paused(PII.name)


def test_audiences_do_not_wait_for_each_other(box: LiveRampBox) -> None:
    """A paused PII file does not hold the device files."""
    upload(box, pii_name(1), file_of(HEADER))
    upload(box, pii_name(2), file_of(HEADER[:-1]))
    devices = csv_of([[f"AEBE52E7-03EE-455A-B3C4-E572839662{n:02X}", "1"] for n in range(30)], ["IDFA", "HIGH_VALUE"])
    upload(box, "3242_high_value-D_2026-11-02.csv", devices)
    assert statuses(box) == ["ingested", "paused", "ingested"]
    assert box.segments() == {PII.name: 30, DEVICE.name: 30}


def test_rejected_file_freezes_and_pauses_nothing(box: LiveRampBox) -> None:
    """A broken file is refused for itself; the next good one is the first file of its audience."""
    upload(box, pii_name(1), file_of(HEADER, range(3)))
    upload(box, pii_name(2), file_of(HEADER[:-1]))
    upload(box, pii_name(3), b"")
    upload(box, pii_name(4), file_of(HEADER[:-1]))
    assert statuses(box) == ["rejected", "ingested", "rejected", "ingested"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("a_2026-11-01.csv.gz", "a_<YYYY-MM-DD>.csv.gz"),
        ("a_2026-11-01_r2.csv.gz", "a_<YYYY-MM-DD>.csv.gz"),
        ("a_2026-11-01-part-0001.csv.gz", "a_<YYYY-MM-DD>.csv.gz"),
        ("a_2026-11-01_file-part-1.csv.gz", "a_<YYYY-MM-DD>.csv.gz"),
        ("a_20261101.csv", "a_<YYYYMMDD>.csv"),
        ("12345678_a_2026-11-01-part-1_r2.csv", "12345678_a_<YYYY-MM-DD>.csv"),
        ("a_2026-11-01_extra.csv", "a_<YYYY-MM-DD>_extra.csv"),
        ("a.csv", "a.csv"),
    ],
)
def test_shape_of_a_file_name(name: str, shape: str) -> None:
    """Day, revision and part number may change from file to file; nothing else may."""
    assert filename_shape(name) == shape


def segment_file(members: dict[str, str], header: list[str]) -> bytes:
    """A file of 30 fillers and `members`, whose segment fields are written as one character each ('-' is blank)."""
    rows = {f"F{n:02}": "1" * len(header) for n in range(30)} | members
    cells = [[key, f"{key.lower()}@example.com", *fields.replace("-", " ")] for key, fields in rows.items()]
    return csv_of([[cell.strip() for cell in row] for row in cells], ["CCID", "EMAIL1", *header])


def interesting(box: LiveRampBox) -> set[str]:
    """The members that are no fillers."""
    return {key for key in box.members(PII.name) if not key.startswith("F")}


@pytest.mark.parametrize(
    ("method", "after_second", "after_third"),
    [
        ("incremental", {"left", "stays", "new", "blank"}, {"left", "stays", "new", "blank", "only_b"}),
        ("segment_refresh", {"stays", "new"}, {"stays", "new", "only_b"}),
        ("full_refresh", {"stays", "new"}, {"stays", "only_b"}),
    ],
)
def test_update_methods(new_box: NewBox, method: UpdateMethod, after_second: set[str], after_third: set[str]) -> None:
    """Incremental keeps leavers, a segment refresh drops them from its fields, a full refresh from everything."""
    box = new_box(replace(PII, update_method=method))
    upload(box, pii_name(1), segment_file({"left": "1", "stays": "1", "blank": "1"}, ["A"]))
    assert interesting(box) == {"left", "stays", "blank"}
    upload(box, pii_name(2), segment_file({"stays": "1", "new": "1", "blank": "-"}, ["A"]))
    assert interesting(box) == after_second
    third = {"stays": "-1", "only_b": "-1"} | ({"new": "1-"} if method == "segment_refresh" else {})
    upload(box, pii_name(3), segment_file(third, ["A", "B"]))
    assert interesting(box) == after_third
    assert statuses(box) == ["ingested"] * 3


def test_segment_refresh_keeps_who_holds_another_field(new_box: NewBox) -> None:
    """Somebody who left one segment of two is still a member."""
    box = new_box(replace(PII, update_method="segment_refresh"))
    upload(box, pii_name(1), segment_file({"both": "11", "one": "1-"}, ["A", "B"]))
    upload(box, pii_name(2), segment_file({"both": "-1", "one": "--"}, ["A", "B"]))
    assert interesting(box) == {"both"}


@pytest.mark.parametrize(("method", "members"), [("segment_refresh", {"only_b"}), ("full_refresh", set())])
def test_refresh_of_some_fields(new_box: NewBox, method: UpdateMethod, members: set[str]) -> None:
    """A segment refresh leaves fields alone that its file does not have; a full refresh does not."""
    box = new_box(replace(PII, update_method=method))
    upload(box, pii_name(1), segment_file({"only_a": "1-", "only_b": "-1"}, ["A", "B"]))
    upload(box, pii_name(2), segment_file({}, ["A"]))
    box.map_paused(PII.name)
    assert interesting(box) == members


def test_newest_row_of_a_key_wins(new_box: NewBox) -> None:
    """A key that comes twice is no fault, and its last row counts."""
    box = new_box(replace(PII, update_method="full_refresh"))
    content = segment_file({"out": "1", "in": "-"}, ["A"]) + b'"out","out@example.com",""\n"in","in@example.com","1"\n'
    upload(box, pii_name(1), content)
    assert (statuses(box), interesting(box)) == (["ingested"], {"in"})
    assert (box.files()[0].rows, box.files()[0].unique_keys) == (34, 32)


def test_file_without_segment_columns_makes_members(new_box: NewBox) -> None:
    """When a file has identifiers only, being in it is the segment."""
    box = new_box(replace(PII, update_method="full_refresh"))
    upload(box, pii_name(1), csv_of([row[:2] for row in people(range(30))], ["CCID", "EMAIL1"]))
    upload(box, pii_name(2), csv_of([row[:2] for row in people(range(10, 40))], ["CCID", "EMAIL1"]))
    assert box.members(PII.name) == {f"M{n:04}" for n in range(10, 40)}


def test_older_day_under_full_refresh_rolls_back(new_box: NewBox) -> None:
    """LiveRamp does not read dates: an old file that arrives late replaces the newer audience."""
    box = new_box(replace(PII, update_method="full_refresh"))
    upload(box, pii_name(9), file_of(HEADER, range(50)))
    upload(box, pii_name(1), file_of(HEADER, range(30)))
    assert box.segments()[PII.name] == 30


def test_members_of_an_unknown_audience(box: LiveRampBox) -> None:
    """A misspelled audience is an error and not an empty audience."""
    with pytest.raises(KeyError):
        box.members("misspelled")


def test_member_keys_are_not_readable_in_the_state(box: LiveRampBox) -> None:
    """Of an encrypted file, nothing is left in the box's home that a search for its values would find."""
    rows = [[f"canary-{n}", f"canary-{n}@example.com", "1"] for n in range(30)]
    upload(box, pii_name(1, ".csv.gz.gpg"), sealed(csv_of(rows), box.pgp_public_key))
    assert statuses(box) == ["ingested"]
    home = box.uploads.parent.parent
    assert [path for path in home.rglob("*") if path.is_file() and b"canary" in path.read_bytes()] == []


def test_twenty_thousand_rows_are_read_quickly(box: LiveRampBox) -> None:
    """A day of a middling audience takes a moment: the bound is wide, so that only a slow algorithm breaks it."""
    content = csv_of([[*row, f"tier {n % 9}"] for n, row in enumerate(people(range(20_000)))],
                     ["CCID", "EMAIL1", "HIGH_VALUE", "TIER"])  # fmt: skip
    began = time.monotonic()
    upload(box, pii_name(1, ".csv.gz.gpg"), sealed(content, box.pgp_public_key))
    assert time.monotonic() - began < 10
    assert box.segments()[PII.name] == 20_000
