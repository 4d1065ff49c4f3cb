"""The examples of docs/sources.md and docs/traits.md are run as they stand on the page."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from liveramp_provider.core.audience_file import audience_from
from liveramp_provider.core.identifiers import as_text
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from tests.core.pipeline import workspace

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile

DOCS = Path(__file__).parents[1] / "docs"
DAY = date(2026, 11, 20)
_BLOCK = re.compile(r"^```(?P<kind>\w+)(?: (?P<name>\S+))?\n(?P<text>.*?)^```$(?P<after>.*?)(?=^```|\Z)", re.M | re.S)

#: What an audience has around the part that an example is about.
CONTACTS = {
    "files": {"path": "contacts.csv"},
    "key": "id",
    "as_of": {"valid_from": "since"},
    "select": {"email": "mail", "phone": "mobile"},
}
CONTACT_ROWS = """\
id,mail,mobile,since
a1,ann@example.com,5552345678,2020-01-01
b2,bob@example.com,,2020-01-01
"""
BASE: dict[str, Any] = {
    "audience": "shown",
    "name": "Shown in the docs",
    "schedule": {"cron": "0 0 * * *", "timezone": "America/New_York"},
    "membership": {"files": {"path": "vip/{snapshot_date}.csv"}, "key": "id"},
    "destinations": [
        {
            "id": "liveramp",
            "kind": "liveramp",
            "conn_id": "liveramp_default",
            "region": "us",
            "path": "/uploads/shown",
            "org": "3242",
            "compression": "none",
            "files": {"pii": {"columns": {"CCID": {"from": "member_id"}, "EMAIL1": {"from": "email"}}}},
        }
    ],
}


@dataclass(frozen=True)
class Example:
    """A fragment of an audience file, the text behind it, and all that the page showed before."""

    page: str
    number: int
    world: tuple[tuple[str, str, str], ...]
    fragment: dict[str, Any]
    after: str


def examples() -> Iterator[Example]:
    for page in ("sources.md", "traits.md"):
        world: list[tuple[str, str, str]] = []
        for number, block in enumerate(_BLOCK.finditer((DOCS / page).read_text(encoding="utf-8"))):
            if block["kind"] == "yaml":
                yield Example(page, number, tuple(world), yaml.safe_load(block["text"]), block["after"])
            else:
                world.append((block["kind"], block["name"] or "", block["text"]))


EXAMPLES = list(examples())


class Shown:
    """The world of an example, as files, tables and modules in a folder."""

    def __init__(self, folder: Path, example: Example) -> None:
        self._folder = folder
        self._database = folder / "warehouse.db"
        (folder / "contacts.csv").write_text(CONTACT_ROWS)
        for kind, name, text in example.world:
            if kind == "sql":
                with sqlite3.connect(self._database) as warehouse:
                    warehouse.executescript(text)
            elif name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
        if not any(name.startswith("vip/2026") for _, name, _ in example.world):
            (folder / "vip").mkdir(exist_ok=True)
            (folder / "vip" / "2026-11-20.csv").write_text("id\na1\nb2\n")
        self.audience = audience_from(_whole(example.fragment), file=folder / "audience.py")
        self.workspace = workspace(folder / "staging", database=self._database, threads=1)
        self.membership = extract(self.audience, DAY, workspace=self.workspace)
        self.profiles = enrich(self.audience, DAY, self.membership, workspace=self.workspace)

    def members(self) -> list[str]:
        return [row["member_id"] for row in self.rows("member_id")]

    def rows(self, *columns: str) -> list[dict[str, str]]:
        """The profiles, as files would write them."""
        with self.workspace.reader(self.audience, DAY) as reader:
            table = reader.engine.read_parquet(self.profiles.path)
            texts = table.select(**{column: as_text(table[column]) for column in columns})
            found = reader.engine.to_pyarrow(texts).to_pylist()
        return [{column: row[column] or "" for column in columns} for row in found]

    def file(self) -> SealedFile:
        (file,) = build(self.audience, self.audience.destinations[0], DAY, self.profiles, workspace=self.workspace)
        return file


def _whole(fragment: dict[str, Any]) -> dict[str, Any]:
    """An audience around the fragment; it has e-mails, because its file needs some."""
    traits = fragment.get("traits", [])
    has_email = any("email" in step.get("select", {}) for step in traits)
    return BASE | fragment | {"traits": traits if has_email else [CONTACTS, *traits]}


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{e.page}-{e.number}" for e in EXAMPLES])
def test_an_example_gives_what_the_page_says(tmp_path: Path, example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are those in the text below it, traits those in the table, and the file can be built."""
    monkeypatch.syspath_prepend(str(tmp_path))
    shown = Shown(tmp_path, example)
    if "traits" in example.fragment:
        header, *rows = table_below(example)
        assert shown.rows(*header) == [dict(zip(header, row, strict=True)) for row in rows]
    elif "membership" in example.fragment:
        told = example.after.partition("Members: ")[2].partition(". ")[0]
        assert shown.members() == re.findall(r"`([^`]+)`", told)
        assert shown.members()
    else:
        assert shown.file().waterfall["suppressed"] == 1
    assert shown.file().members > 0


def table_below(example: Example) -> list[list[str]]:
    lines = [line for line in example.after.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_there_are_examples_of_every_kind() -> None:
    """Each kind of source and of trait is shown and run at least once."""
    kinds = {
        key
        for example in EXAMPLES
        for part in example.fragment.values()
        for step in (part if isinstance(part, list) else [part])
        for key in step
    }
    assert {"sql", "files", "segment_events", "python", "computed", "predictive", "as_of", "max_per_member"} <= kinds
