"""A file that waits between build and deliver is sent without whoever has opted out meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.audience import FilesSource, Suppression
from liveramp_provider.core.errors import DataError, SealBrokenError
from liveramp_provider.core.pipeline.build import rebuild
from tests.core.pipeline import DAY, SEGMENT, audience, csv_of, email_column, people_file, pii_file, run, workspace

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile

PEOPLE = {f"C{number}": {"email": f"p{number}@example.com"} for number in range(3)}


class Waiting:
    """Three people's file, sealed and not yet delivered, and the list that it was made with."""

    def __init__(self, folder: Path, *, listed: bool = True) -> None:
        self._list = folder / "opt_outs.csv"
        self.workspace = workspace(folder / "staging")
        source = people_file(folder / "people.parquet", PEOPLE, ["email"])
        suppression = Suppression(
            source=FilesSource(path=str(self._list), format="csv", current=True), key="id", allow_empty=False
        )
        self.audience = audience(
            members=source,
            traits={"email": "email"},
            traits_from=source,
            files=[pii_file(email_column(), SEGMENT)],
            suppression=suppression if listed else None,
        )
        self.opt_out("C0")
        self.sealed = run(self.audience, self.workspace)["PII"]

    def opt_out(self, *keys: str) -> None:
        self._list.write_text("\n".join(["id", *keys]) + "\n")

    def rebuilt(self) -> SealedFile:
        return rebuild(self.audience, self.audience.destinations[0], self.sealed, workspace=self.workspace)


def keys_of(file: SealedFile) -> list[str]:
    return [line.partition(",")[0].strip('"') for line in csv_of(file).decode().splitlines()[1:]]


def test_the_same_list_leaves_the_sealed_bytes(tmp_path: Path) -> None:
    """Where nobody has opted out since, the very file that was sealed is sent."""
    waiting = Waiting(tmp_path)
    inode = waiting.sealed.path.stat().st_ino
    assert waiting.rebuilt() == waiting.sealed
    assert waiting.sealed.path.stat().st_ino == inode


def test_who_opted_out_since_is_not_sent(tmp_path: Path) -> None:
    """A changed list makes the file anew, of the same people's profiles and under the same name."""
    waiting = Waiting(tmp_path)
    waiting.opt_out("C0", "C1")
    rebuilt = waiting.rebuilt()
    assert keys_of(waiting.sealed) == ["C1", "C2"]
    assert keys_of(rebuilt) == ["C2"]
    assert (rebuilt.name, rebuilt.made_from) == (waiting.sealed.name, waiting.sealed.made_from)
    assert waiting.rebuilt() == rebuilt


def test_who_came_back_is_sent(tmp_path: Path) -> None:
    """A list that became shorter counts as well: it is always the list of now."""
    waiting = Waiting(tmp_path)
    waiting.opt_out("C9")
    assert keys_of(waiting.rebuilt()) == ["C0", "C1", "C2"]


def test_without_a_list_nothing_is_read(tmp_path: Path) -> None:
    """An audience that has no suppression list sends what was sealed."""
    waiting = Waiting(tmp_path, listed=False)
    assert waiting.rebuilt() == waiting.sealed


def test_a_list_that_broke_meanwhile_stops_the_delivery(tmp_path: Path) -> None:
    """An empty list is not believed here either."""
    waiting = Waiting(tmp_path)
    waiting.opt_out()
    with pytest.raises(DataError, match="the list is empty"):
        waiting.rebuilt()


def test_what_cannot_be_made_anew_is_not_sent(tmp_path: Path) -> None:
    """Where the profiles are gone and somebody has opted out, the error says from where to clear."""
    waiting = Waiting(tmp_path)
    for folder in (tmp_path / "staging" / "vip" / DAY.isoformat()).glob("enrich-*"):
        shutil.rmtree(folder)
    assert waiting.rebuilt() == waiting.sealed
    waiting.opt_out("C0", "C1")
    with pytest.raises(SealBrokenError, match=r"it was not sent\. Clear the run from its extract task on"):
        waiting.rebuilt()
