"""Work in progress: private, gone with its worker whatever ends it, and never taken from one that lives."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import DataError
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging
from tests.core.pipeline import DAY, audience, people_file, workspace
from tests.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "canary@example.com"

#: A stage in the middle of its work: members by the million, sorted with little memory, so that the engine spills.
AT_WORK = """
import sys
from datetime import date
from pathlib import Path
import sqlalchemy
from liveramp_provider.core.engine import EngineSettings
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace
from tests.core.pipeline import audience, parquet

root = Path(sys.argv[1])
settings = EngineSettings(memory_limit="60MB", threads=1)
here = Workspace(staging=Staging(root), connect=sqlalchemy.create_engine, engine=settings)
made = audience(members=None, traits={}, traits_from=[], files=[])
with here.reader(made, date(2026, 11, 20)) as reader:
    (reader.scratch / "rows of membership.parquet").write_text("canary@example.com")
    reader.engine.raw_sql(
        "create table sorted as select 'canary' || i || '@example.com' as email "
        "from range(20_000_000) t(i) order by hash(i)"
    )
"""


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def stage_at_work(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of a stage, with rows in its scratch folder and spill files beside them."""
    repository = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    process = subprocess.Popen([sys.executable, "-c", AT_WORK, str(root)], cwd=repository, env=environment)
    try:
        spilled = root / ".scratch"
        wait_until(lambda: list(spilled.glob("*/spill/*")) or process.poll() is not None, "the engine to spill")
        assert process.poll() is None, "it ended by itself"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_stage_leaves_nothing_for_long(tmp_path: Path) -> None:
    """Rows and spill files of a stage that was killed are gone as soon as the next stage begins."""
    root = tmp_path / "staging"
    with stage_at_work(root) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = files_in(root)
        assert any(CANARY.encode() in path.read_bytes() for path in left)
        assert any(path.parent.name == "spill" for path in left)
        with Staging(root).scratch() as scratch:
            assert [path.parent for path in files_in(root)] == [scratch]
    assert files_in(root) == []


def test_a_killed_stage_is_swept_without_another_one(tmp_path: Path) -> None:
    """Sweeping removes what is left, says how much that was, and finds nothing the next time."""
    root = tmp_path / "staging"
    with stage_at_work(root) as process:
        process.kill()
        process.wait()
        assert [Staging(root).sweep(), Staging(root).sweep()] == [1, 0]
    assert list(root.iterdir()) == []


def test_a_living_stage_is_left_alone(tmp_path: Path) -> None:
    """Other stages, and sweeping, take nothing from a stage at work, however often they come."""
    root = tmp_path / "staging"
    with stage_at_work(root) as process:
        os.kill(process.pid, signal.SIGSTOP)  # so that what it has stays the same while it is compared
        before = files_in(root)
        assert Staging(root).sweep() == 0
        with Staging(root).scratch():
            pass
        assert files_in(root) == before


def test_the_own_scratch_is_left_alone(tmp_path: Path) -> None:
    """A worker that has several scratch folders loses none of them to the making of another."""
    here = Staging(tmp_path)
    with here.scratch() as outer:
        (outer / "rows").touch()
        with here.scratch() as inner:
            assert here.sweep() == 0
            assert inner.is_dir()
        assert (outer / "rows").is_file()


@pytest.mark.parametrize("failure", [DataError("stop"), KeyboardInterrupt(), SystemExit(1), MemoryError()])
def test_scratch_is_gone_after_failure(tmp_path: Path, failure: BaseException) -> None:
    """Whatever ends a run, its work in progress goes with it."""

    def work() -> None:
        with Staging(tmp_path).scratch() as scratch:
            (scratch / "rows.parquet").write_text(CANARY)
            raise failure

    with pytest.raises(type(failure)):
        work()
    assert list(tmp_path.iterdir()) == []


def test_folders_of_dead_workers_in_any_shape(tmp_path: Path) -> None:
    """With or without a lock file, deep or empty: what no living worker holds goes; what is no folder stays."""
    scratches = tmp_path / ".scratch"
    for name, files in {"a": [], "b": [".lock"], "c": ["rows"], "d": [".lock", "spill/x/y"]}.items():
        (scratches / name).mkdir(parents=True)
        for file in files:
            (scratches / name / file).parent.mkdir(parents=True, exist_ok=True)
            (scratches / name / file).write_text(CANARY)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").touch()
    (scratches / "link").symlink_to(elsewhere)
    (scratches / "d" / "link").symlink_to(elsewhere)
    (scratches / "file").touch()
    assert Staging(tmp_path).sweep() == 4
    assert sorted(path.name for path in scratches.iterdir()) == ["file", "link"]
    assert (elsewhere / "mine.txt").is_file()


def test_beginning_and_sweeping_at_the_same_time(tmp_path: Path) -> None:
    """While many workers begin and end, and others sweep, nobody's folder vanishes under it and none is left."""
    over, wrong = threading.Event(), []

    def begin(number: int) -> None:
        for _ in range(60):
            with Staging(tmp_path).scratch() as scratch:
                (scratch / "rows").write_text(str(number))
                if (scratch / "rows").read_text() != str(number):
                    wrong.append(number)

    def sweep() -> None:
        while not over.is_set():
            Staging(tmp_path).sweep()

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(begin, range(4)))
    finally:
        over.set()
        for sweeper in sweepers:
            sweeper.join()
    assert wrong == []
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("sweeper", ["is removing it", "has removed it"])
def test_a_folder_swept_before_its_lock_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweeper: str) -> None:
    """A worker whose folder looks abandoned, because it is just being made, makes another."""
    make, lost = Path.mkdir, []

    def make_and_lose(folder: Path, *arguments: object, **options: object) -> None:
        make(folder, *arguments, **options)
        if folder.parent.name == ".scratch" and not lost:
            lost.append(folder)
            if sweeper == "has removed it":
                assert Staging(tmp_path).sweep() == 1
            else:
                lost.append((folder / ".lock").open("w"))
                fcntl.flock(lost[1], fcntl.LOCK_EX)

    monkeypatch.setattr(Path, "mkdir", make_and_lose)
    with Staging(tmp_path).scratch() as scratch:
        assert scratch != lost[0]
        assert Staging(tmp_path).sweep() == 0
        assert scratch.is_dir()


def test_two_sweepers_share_the_work(tmp_path: Path) -> None:
    """Of many who sweep at once, each folder is removed by one, and nobody fails."""
    for number in range(40):
        folder = tmp_path / ".scratch" / f"{number}"
        folder.mkdir(parents=True)
        (folder / "rows").touch()
    barrier = threading.Barrier(4)

    def sweep(_: int) -> int:
        barrier.wait()
        return Staging(tmp_path).sweep()

    with ThreadPoolExecutor(4) as pool:
        swept = sum(pool.map(sweep, range(4)))
    assert swept >= 40
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_judged_stays(tmp_path: Path) -> None:
    """A folder whose lock may not be opened, as another user's, does not keep anybody from working."""
    folder = tmp_path / ".scratch" / "theirs"
    (folder / ".lock").mkdir(parents=True)  # root, too, may not open it
    assert Staging(tmp_path).sweep() == 0
    with Staging(tmp_path).scratch() as scratch:
        assert scratch.is_dir()
    assert folder.is_dir()


def test_the_lock_is_private_and_beside_the_work(tmp_path: Path) -> None:
    """A scratch folder is its user's alone, with the lock file in it."""
    before = os.umask(0)
    try:
        with Staging(tmp_path).scratch() as scratch:
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (scratch, *scratch.iterdir())}
    finally:
        os.umask(before)
    assert modes == {scratch.name: 0o700, ".lock": 0o600}


def test_a_stage_goes_on_beside_what_a_killed_one_left(tmp_path: Path) -> None:
    """After a worker was killed the same stage seals as if nothing had been."""
    source = people_file(tmp_path / "people.parquet", {"1": {}, "2": {}}, [])
    made = audience(members=source, traits={}, traits_from=[], files=[])
    here = workspace(tmp_path / "staging")
    with stage_at_work(here.staging.root) as process:
        process.kill()
        process.wait()
        assert extract(made, DAY, workspace=here).members == 2
    assert sorted(path.name for path in files_in(here.staging.root)) == ["manifest.json", "membership.parquet"]
