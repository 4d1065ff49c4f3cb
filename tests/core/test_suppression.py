"""Who has opted out is in no file, whatever the day of the file, and a list that cannot be trusted stops the run."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import Audience, FilesSource, Source, SqlSource, Suppression
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import (
    AudienceFileError,
    DataError,
    LiveRampError,
    SourceError,
    SourceUnavailableError,
)
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.preview import FilePreview, preview_files
from liveramp_provider.dag_docs import audience_doc, build_doc
from liveramp_provider.report import adds_up, waterfall_table
from tests.core.pipeline import (
    SEGMENT,
    audience,
    csv_of,
    device_files,
    email_column,
    parquet,
    people_file,
    pii_file,
    run,
    workspace,
)
from tests.core.test_audience_file import changed, write

if TYPE_CHECKING:
    from liveramp_provider.core.workspace import Workspace

LAST_MONTH = date(2026, 10, 20)
PEOPLE = {
    f"C{n:04}": {"email": f"p{n}@example.com", "idfa": f"{n:08X}-AAAA-4AAA-8AAA-AAAAAAAAAAAA"} for n in range(1, 31)
}
#: Somebody who could not be sent anyway, so that the reasons have to be told apart.
PEOPLE["C0031"] = {"email": "no address"}
OPT_OUT_QUERY = "select customer_id from opt_outs"


def opt_outs(folder: Path, keys: Sequence[object], *, allow_empty: bool = False) -> Suppression:
    """A list of these keys as it is now; a second one takes the place of the first."""
    path = folder / "opt_outs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["id"], *([key] for key in keys)])
    return listed_in(FilesSource(path=str(path), format="csv", current=True), allow_empty=allow_empty)


def listed_in(source: Source, *, key: str = "id", allow_empty: bool = False) -> Suppression:
    return Suppression(source=source, key=key, allow_empty=allow_empty)


def people(folder: Path, suppression: Suppression | None) -> Audience:
    """31 members with an e-mail and, all but one, a device."""
    source = people_file(folder / "people.parquet", PEOPLE, ["email", "idfa"])
    gaid = parquet(
        folder / "gaid.parquet", {"customer_id": ["C0001"], "gaid": ["cdda802e-fb9c-47ad-9866-0794d394c912"]}
    )
    return audience(
        members=source,
        traits={},
        traits_from=[(source, {"email": "email", "idfa": "idfa"}), (gaid, {"gaid": "gaid"})],
        files=[pii_file(email_column(), SEGMENT), *device_files(SEGMENT)],
        suppression=suppression,
    )


def sent(folder: Path, audience: Audience, here: Workspace | None = None) -> dict[str, list[str]]:
    """The first column of every file of last month."""
    files = run(audience, here or workspace(folder / "staging"), LAST_MONTH)
    return {slot: [row[0] for row in rows_of(csv_of(file))] for slot, file in files.items()}


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(content.decode().splitlines()))[1:]


def previewed(audience: Audience, here: Workspace) -> dict[str, FilePreview]:
    profiles = enrich(audience, LAST_MONTH, extract(audience, LAST_MONTH, workspace=here), workspace=here)
    files = preview_files(audience, audience.destinations[0], LAST_MONTH, profiles, sample_rows=1, workspace=here)
    return {file.slot: file for file in files}


def sealed_folders(folder: Path) -> list[str]:
    return sorted(path.name.rpartition("-")[0] for path in (folder / "staging").glob("vip/*/*"))


# Who is left out.


def test_who_opted_out_today_is_not_in_a_file_of_last_month(tmp_path: Path) -> None:
    """The snapshot stays as it was, and the files made from it now are without them: e-mail and all devices."""
    here = workspace(tmp_path / "staging")
    before = sent(tmp_path, people(tmp_path, opt_outs(tmp_path, ["elsewhere"])), here)
    now = people(tmp_path, opt_outs(tmp_path, ["C0001", "C0007"]))
    after = sent(tmp_path, now, here)
    assert set(before["PII"]) - set(after["PII"]) == {"C0001", "C0007"}
    devices = {PEOPLE[key]["idfa"] for key in ("C0001", "C0007")} | {"cdda802e-fb9c-47ad-9866-0794d394c912"}
    assert set(before["D"]) - set(after["D"]) == devices
    assert extract(now, LAST_MONTH, workspace=here).members == len(PEOPLE)


def test_without_a_list_nobody_is_left_out(tmp_path: Path) -> None:
    """An audience that has no suppression list gives the file and account that it always gave."""
    files = run(people(tmp_path, None), workspace(tmp_path / "staging"), LAST_MONTH)
    assert files["PII"].rows == len(PEOPLE) - 1
    assert "suppressed" not in files["PII"].waterfall
    assert files["PII"].suppression is None


@pytest.mark.parametrize("key", [" C0007", "C0007\u00a0", "\tC0007\n", "\ufeffC0007 "], ids=ascii)
def test_a_key_is_the_same_however_it_is_spelled(tmp_path: Path, key: str) -> None:
    """White space around a key on the list lets nobody slip through."""
    assert "C0007" not in sent(tmp_path, people(tmp_path, opt_outs(tmp_path, [key])))["PII"]


def test_a_number_on_the_list_is_the_text_in_the_membership(tmp_path: Path) -> None:
    """A source that keeps keys as numbers with a fraction of zero means the same people."""
    members = parquet(
        tmp_path / "m.parquet", {"customer_id": ["1", "2", "3"], "email": ["a@b.com", "b@b.com", "c@b.com"]}
    )
    numbers = parquet(tmp_path / "o.parquet", {"id": [2.0, None]})
    made = audience(
        members=members,
        traits={"email": "email"},
        traits_from=members,
        files=[pii_file(email_column())],
        suppression=listed_in(replace(numbers, current=True)),
    )
    assert sent(tmp_path, made)["PII"] == ["1", "3"]


def test_the_rest_of_a_large_audience_stays_in_order(tmp_path: Path) -> None:
    """Of more members than one thread works on at a time, those who stay are sent in order of the key."""
    keys = [f"C{number:07}" for number in range(400_000)]
    members = parquet(tmp_path / "m.parquet", {"customer_id": keys, "email": [f"{key}@example.com" for key in keys]})
    made = audience(
        members=members,
        traits={"email": "email"},
        traits_from=members,
        files=[pii_file(email_column())],
        suppression=listed_in(replace(parquet(tmp_path / "o.parquet", {"id": keys[::10]}), current=True)),
    )
    kept = sent(tmp_path, made, workspace(tmp_path / "staging", threads=4))["PII"]
    assert kept == [key for number, key in enumerate(keys) if number % 10]


def test_other_capitals_are_another_person(tmp_path: Path) -> None:
    """Keys are compared byte by byte, as everywhere."""
    assert "C0007" in sent(tmp_path, people(tmp_path, opt_outs(tmp_path, ["c0007"])))["PII"]


# Counts.


def test_the_waterfall_adds_up(tmp_path: Path) -> None:
    """Members − suppressed − the reasons = rows; who is suppressed is counted there and nowhere else."""
    suppression = opt_outs(tmp_path, ["C0001", "C0007", "C0031", "elsewhere"])
    files = run(people(tmp_path, suppression), workspace(tmp_path / "staging"), LAST_MONTH)
    person, device = files["PII"].waterfall, files["D"].waterfall
    assert list(person)[:2] == list(device)[:2] == ["members", "suppressed"]
    assert {step: count for step, count in person.items() if count} == {"members": 31, "suppressed": 3, "rows": 28}
    assert {step: count for step, count in device.items() if count} == {
        "members": 31, "suppressed": 3, "device_ids": 28, "rows": 28,
    }  # fmt: skip
    assert adds_up(person)
    assert adds_up(device)
    assert (files["PII"].members, files["D"].members) == (28, 28)
    assert "  − have opted out" in list(waterfall_table(files["PII"]).columns[0].cells)


def test_the_manifest_says_which_list_it_was(tmp_path: Path) -> None:
    """Source, moment and number of keys, each counted once; of the keys themselves only a digest."""
    started = datetime.now(UTC)
    suppression = opt_outs(tmp_path, ["C0007", "C0001", " C0007 ", "", "null", "elsewhere"])
    file = run(people(tmp_path, suppression), workspace(tmp_path / "staging"), LAST_MONTH)["PII"]
    record = file.suppression
    assert record is not None
    assert (record.source, record.keys) == (str(tmp_path / "opt_outs.csv"), 3)
    assert started <= record.read_at <= datetime.now(UTC)
    assert "C0007" not in (file.path.parent / "manifest.json").read_text()


def test_the_list_is_not_kept(tmp_path: Path) -> None:
    """When the files are sealed, nothing in the staging folder has the key of a person who is only on the list."""
    sent(tmp_path, people(tmp_path, opt_outs(tmp_path, ["only-on-the-list"])))
    kept = [path for path in (tmp_path / "staging").rglob("*") if path.is_file()]
    assert len(kept) == 8
    assert [path for path in kept if b"only-on-the-list" in path.read_bytes()] == []


def test_a_preview_leaves_out_whom_a_build_leaves_out(tmp_path: Path) -> None:
    """Counts before a delivery are those of the delivery."""
    made, here = people(tmp_path, opt_outs(tmp_path, ["C0001", "C0007"])), workspace(tmp_path / "staging")
    shown, files = previewed(made, here), run(made, here, LAST_MONTH)
    for slot, file in files.items():
        assert (shown[slot].waterfall, shown[slot].members) == (file.waterfall, file.members)
    assert shown["PII"].waterfall["suppressed"] == 2


# A list that changes.


def test_a_changed_list_makes_the_file_anew(tmp_path: Path) -> None:
    """A file that was sealed before somebody opted out is not the one that is sent."""
    here = workspace(tmp_path / "staging")
    first = run(people(tmp_path, opt_outs(tmp_path, ["C0001"])), here, LAST_MONTH)
    second = run(people(tmp_path, opt_outs(tmp_path, ["C0001", "C0007"])), here, LAST_MONTH)
    for slot, file in first.items():
        assert second[slot].path != file.path
        assert second[slot].rows == file.rows - 1


def test_the_same_list_keeps_the_sealed_bytes(tmp_path: Path) -> None:
    """Order, repetition and spelling of the keys make no other list, and the file is the sealed one."""
    here = workspace(tmp_path / "staging")
    first = run(people(tmp_path, opt_outs(tmp_path, ["C0001", "C0007"])), here, LAST_MONTH)
    written = {file.path: file.path.stat().st_mtime_ns for file in first.values()}
    again = run(people(tmp_path, opt_outs(tmp_path, ["C0007 ", "C0001", "", "C0007"])), here, LAST_MONTH)
    assert again == first
    assert {file.path: file.path.stat().st_mtime_ns for file in again.values()} == written


def test_keys_are_told_apart(tmp_path: Path) -> None:
    """Two keys are not the list of the one they make when written side by side."""
    here = workspace(tmp_path / "staging")
    first = run(people(tmp_path, opt_outs(tmp_path, ["C0001", "x"])), here, LAST_MONTH)
    second = run(people(tmp_path, opt_outs(tmp_path, ["C0001x"])), here, LAST_MONTH)
    assert second["PII"].path != first["PII"].path
    assert second["PII"].rows == first["PII"].rows + 1


# A list that cannot be trusted.


@pytest.mark.parametrize("stage", [run, previewed], ids=["build", "preview"])
def test_an_empty_list_stops_the_run(tmp_path: Path, stage: object) -> None:
    """That nobody has opted out is not believed unless the audience file says that it may be so."""
    made, here = people(tmp_path, opt_outs(tmp_path, [])), workspace(tmp_path / "staging")
    with pytest.raises(DataError, match=r"suppression: the list is empty; nothing was sealed\. .*`allow_empty: true`"):
        run(made, here, LAST_MONTH) if stage is run else previewed(made, here)
    assert sealed_folders(tmp_path) == ["enrich", "extract"]


def test_an_empty_list_that_is_allowed_takes_out_nobody(tmp_path: Path) -> None:
    """With `allow_empty: true` the files are made, and say that nobody was on the list."""
    suppression = opt_outs(tmp_path, [], allow_empty=True)
    file = run(people(tmp_path, suppression), workspace(tmp_path / "staging"), LAST_MONTH)["PII"]
    assert (file.waterfall["suppressed"], file.suppression and file.suppression.keys) == (0, 0)


@pytest.mark.parametrize("allow_empty", [False, True])
def test_rows_without_any_key_are_no_empty_list(tmp_path: Path, allow_empty: bool) -> None:
    """A list whose keys are all blank is a broken one, whatever is allowed."""
    made = people(tmp_path, opt_outs(tmp_path, ["", " ", "null"], allow_empty=allow_empty))
    with pytest.raises(DataError, match="suppression: none of the 3 rows has a value in id; nothing was sealed"):
        sent(tmp_path, made)
    assert sealed_folders(tmp_path) == ["enrich", "extract"]


def sql(query: str) -> Suppression:
    return listed_in(SqlSource(conn_id="warehouse", query=query, current=True), key="customer_id", allow_empty=True)


@pytest.mark.parametrize(
    ("suppression", "error", "message"),
    [
        (listed_in(FilesSource(path="/nowhere/o.csv", format="csv", current=True)), SourceError, "no file matches"),
        (sql("select id from opt_outs"), SourceError, "suppression: no column customer_id"),
        (sql("select customer_id from gone"), SourceError, "refused the query"),
    ],
    ids=["no file", "no column", "no table"],
)  # fmt: skip
def test_a_broken_source_stops_the_run(
    tmp_path: Path, suppression: Suppression, error: type[LiveRampError], message: str
) -> None:
    """Without the list nothing is sealed or returned, though an earlier file lies ready and a list may be empty."""
    database = tmp_path / "warehouse.db"
    with sqlite3.connect(database) as connection:
        connection.execute("create table opt_outs (id text)")
    here = workspace(tmp_path / "staging", database=database)
    sent(tmp_path, people(tmp_path, opt_outs(tmp_path, ["C0001"])), here)
    before = sealed_folders(tmp_path)
    with pytest.raises(error, match=message):
        sent(tmp_path, people(tmp_path, suppression), here)
    assert sealed_folders(tmp_path) == before


def test_a_warehouse_that_is_away_is_tried_again(tmp_path: Path) -> None:
    """A source that cannot be reached is a matter of waiting, and nothing is sealed meanwhile."""
    away = sa.create_engine(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(SourceUnavailableError, match="suppression: warehouse failed"):
        sent(tmp_path, people(tmp_path, sql(OPT_OUT_QUERY)), workspace(tmp_path / "staging", database=away))
    assert sealed_folders(tmp_path) == ["enrich", "extract"]


# The audience file.


def written(folder: Path, suppression: str) -> Audience:
    return load_audience(write(folder, changed(("owners: [", f"suppression: {suppression}\nowners: ["))))


def test_the_audience_file_says_where_opt_outs_come_from(tmp_path: Path) -> None:
    """A query or files, a key, and whether the list may be empty."""
    assert written(tmp_path, "{sql: {conn_id: w, query: select id from o}, key: id}").suppression == Suppression(
        source=SqlSource(conn_id="w", query="select id from o", current=True), key="id", allow_empty=False
    )
    assert written(tmp_path, "{files: {path: o.csv}, key: id, allow_empty: true}").suppression == Suppression(
        source=FilesSource(path=str(tmp_path / "o.csv"), format="csv", current=True), key="id", allow_empty=True
    )


@pytest.mark.parametrize(
    ("suppression", "told"),
    [
        ("", "suppression: has no value. Name its source; without `suppression` nobody is left out."),
        (
            "{sql: {conn_id: w, query: 'select id from o where day = :snapshot_date'}, key: id}",
            "suppression.sql.query: names :snapshot_date, but opt-outs are always those of now. "
            "Read all who have opted out, whatever the day.",
        ),
        (
            "{sql: {conn_id: w, query: 'select id from o where x = :day'}, key: id}",
            "suppression.sql.query: the query needs :day, but only :audience is given. Write a literal colon as \\:.",
        ),
        (
            "{files: {path: 'o/{snapshot_date}.csv'}, key: id}",
            "suppression.files.path: unknown placeholder {snapshot_date}. The path is the same whatever the day: "
            "opt-outs are always those of now.",
        ),
        (
            "{files: {path: o.txt}, key: id}",
            "suppression.files.path: is of unknown format. It must end in .parquet, .csv, .csv.gz, .jsonl, .jsonl.gz.",
        ),
    ],
    ids=["nothing", "a day in the query", "a parameter", "a day in the path", "a format"],
)
def test_a_slip_is_told(tmp_path: Path, suppression: str, told: str) -> None:
    """What would read another list than today's, or none, is a fault with its line and a way out."""
    with pytest.raises(AudienceFileError) as caught:
        written(tmp_path, suppression)
    assert [str(fault) for fault in caught.value.faults] == [f"line 4: {told}"]


def test_the_pages_say_where_opt_outs_come_from(tmp_path: Path) -> None:
    """Both the DAG's page and the build task's name the source and which moment counts; without a list neither does."""
    for suppression, named in ((sql(OPT_OUT_QUERY), True), (None, False)):
        made = people(tmp_path, suppression)
        for page in (audience_doc(made), build_doc(made.destinations[0], suppression)):
            line = "**Opt-outs** by `customer_id` from a query through `warehouse`, as they are when the files are made"
            assert (line in page) is named
        assert ("SourceUnavailableError" in page) is named
