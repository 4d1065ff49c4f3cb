"""`liveramp preview`, as somebody types it before an audience goes out for the first time."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.home import Home
from liveramp_provider.core.ledger import Ledger
from liveramp_provider.core.workspace import Workspace
from liveramp_provider.testing.warehouse import make_warehouse
from tests.core.test_preview import built, deliver
from tests.test_architecture import WITHOUT_AIRFLOW
from tests.test_cli import EXAMPLE, NAMES, READABLE, ROOT, assert_one_line, liveramp, run, waterfalls

if TYPE_CHECKING:
    from typer.testing import Result

#: A choice of columns for the audience above.
COLUMNS = "pii: {columns: {CCID: {from: member_id}, EMAIL1: {from: email}, TIER: {from: tier}, VIP: {segment: 1}}}"

#: On a machine whose folders for temporary files cannot be written to.
AND_WHAT_WAS_LOADED = """
from liveramp_provider.cli import app
app(standalone_mode=False)
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.db"
    for day in (date(2026, 11, 19), date(2026, 11, 20)):
        make_warehouse(path, day=day, customers=500)
    return f"sqlite:///{path}"


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    path = tmp_path / "vip.yaml"
    path.write_text(READABLE)
    return path


def preview(audience: Path, warehouse: str, *options: str | Path, **environment: str) -> Result:
    words = ("preview", audience, "--date", "2026-11-20", "--connection", f"warehouse={warehouse}", *options)
    return liveramp(*words, environment={"AIRFLOW__LIVERAMP__HOME": "", **environment})


@pytest.mark.parametrize("columns", ["80", "120"])
def test_preview_shows_every_file_and_no_value(warehouse: str, tmp_path: Path, columns: str) -> None:
    """Names and waterfalls as a run prints them, and of the rows only their shape, in lines that fit the screen."""
    result = preview(EXAMPLE, warehouse, COLUMNS=columns)
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.stdout.splitlines()) <= int(columns)
    ran = run(EXAMPLE, tmp_path / "out", "--connection", f"warehouse={warehouse}").stdout
    assert waterfalls(result.stdout) == waterfalls(ran) != {}
    assert all(f"▸ {name}\n" in result.stdout for name in NAMES)
    assert "  to liveramp, /uploads/high_value_customers\n" in result.stdout
    for shape in ("X9999999", "9999999999", "hhhhhhhh… (64)", "HHHHHHHH-HHHH-HHHH-HHHH-HHHHHHHHHHHH"):
        assert shape in result.stdout
    database = sqlite3.connect(warehouse.removeprefix("sqlite:///"))
    values = {
        str(cell).strip().lower()
        for table in ("vip", "customers", "devices")
        for row in database.execute(f"select * from {table}")
        for cell in row
        if cell and len(str(cell)) > 5
    }
    assert len(values) > 1000
    assert {value for value in values - {"2026-11-19", "2026-11-20"} if value in result.output.lower()} == set()


def test_preview_shows_as_many_rows_as_asked(warehouse: str, readable: Path) -> None:
    """Five by itself, none with 0; and every column stands in one of the tables."""
    for options, rows in (((), 5), (("--rows", "2"), 2), (("--rows", "0"), 0)):
        shown = preview(readable, warehouse, *options).stdout
        assert len(re.findall(r"^\d  X9999999", shown, re.MULTILINE)) == rows
        assert bool(re.search(r"CCID +ZIP +EMAIL1 +VIP", shown)) == bool(rows)


def test_preview_says_which_file_would_not_be_sent(warehouse: str, readable: Path) -> None:
    """A file below the minimum is marked as a run marks it."""
    readable.write_text(READABLE.replace(':snapshot_date"}\n  key', ':snapshot_date limit 9"}\n  key'))
    result = preview(readable, warehouse)
    assert result.exit_code == 0
    assert re.search(r"  ! \d unique members, and a file needs 25: it would not be sent\n", result.stdout)


def test_preview_cannot_send(warehouse: str, tmp_path: Path) -> None:
    """Without Airflow, gpg or a connection to LiveRamp; what sends and what encrypts is not even loaded."""
    (tmp_path / "home").mkdir()
    Ledger.in_file(tmp_path / "home" / "ledger.sqlite")
    words = ["preview", EXAMPLE, "--date", "2026-11-20", "--connection", f"warehouse={warehouse}", "--home", "home"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_AIRFLOW + AND_WHAT_WAS_LOADED, *words],
        cwd=tmp_path,
        env={"COLUMNS": "80", "PYTHONPATH": str(ROOT), "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *shown, loaded = done.stdout.splitlines()
    assert any(line.startswith("PII: what is new") for line in shown)
    senders = ("liveramp_provider.core.transports", "liveramp_provider.core.pipeline.deliver", "asyncssh", "paramiko")
    encrypters = ("liveramp_provider.core.pgp", "liveramp_provider.core.gpg", "gnupg")
    assert [name for name in loaded.split() if name.startswith((*senders, *encrypters))] == []
    assert "liveramp_provider.core.preview" in loaded.split()


@pytest.mark.parametrize("column", ["email_address", "mail"])
def test_preview_leaves_nothing_behind(warehouse: str, readable: Path, tmp_path: Path, column: str) -> None:
    """What it worked with is gone afterwards, also when a source fails half-way."""
    readable.write_text(READABLE.replace("email_address", column))
    scratch = tmp_path / "scratch"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from liveramp_provider.cli import app; app()",
            "preview",
            readable,
            "--date",
            "2026-11-20",
        ],
        env={"XDG_CACHE_HOME": str(scratch), "LIVERAMP_CONN_WAREHOUSE": warehouse, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (0 if column == "email_address" else 1), done.stderr
    assert "Membership: from rows read to members" in done.stdout
    assert list((scratch / "liveramp").iterdir()) == []


def test_preview_compares_with_the_installation(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """With the folder as an option or from Airflow's environment; without it, a line says how."""
    home = Home(tmp_path / "home")
    Ledger.in_file(home.ledger)
    assert "with --home FOLDER" in preview(readable, warehouse).stdout
    for result in (
        preview(readable, warehouse, "--home", home.folder),
        preview(readable, warehouse, AIRFLOW__LIVERAMP__HOME=str(home.folder)),
    ):
        assert "--home FOLDER" not in result.stdout
        assert re.search(r"PII: what is new *\nlast delivery +none of an earlier day", result.stdout)


def test_preview_shows_what_is_new(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """Against a delivered day: rows, members, columns, delimiter; and that the day itself went out already."""
    home, audience = Home(tmp_path / "home"), load_audience(readable)
    here = Workspace(staging=home.staging, connect=lambda _: sa.create_engine(warehouse))
    for day in (date(2026, 11, 19), date(2026, 11, 20)):
        deliver(home, built(audience, day, here))
    unchanged = preview(readable, warehouse, "--home", home.folder).stdout
    changed = READABLE.replace("zip: zip", "zip: zip, tier: tier").replace("pii: true", COLUMNS)
    readable.write_text(changed.replace("region: us", "region: us\n    delimiter: pipe"))
    shown = preview(readable, warehouse, "--home", home.folder).stdout
    told = shown[shown.index("PII: what is new") :]
    assert re.search(r"this day +was delivered at \S+ \S+ UTC: a run would send nothing", told)
    assert re.search(r"last delivery +2026-11-19, at \S+ \S+ UTC", told)
    assert re.search(r"rows +\d+ → \d+ \([+-]\d+\)", told)
    assert re.search(r"membership +\d+ entered, \d+ left, \d+ the same", told)
    assert re.search(r"columns +new: TIER; gone: ZIP", told)
    assert re.search(r"delimiter +comma → pipe", told)
    assert not re.search(r"^delimiter", unchanged, re.MULTILINE)


def test_preview_compares_with_a_ledger_behind_a_connection(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """What the ledger says is compared, and what only staged files could tell is not guessed."""
    home, audience = Home(tmp_path / "home"), load_audience(readable)
    here = Workspace(staging=home.staging, connect=lambda _: sa.create_engine(warehouse))
    deliver(home, built(audience, date(2026, 11, 19), here))
    options = ["--ledger", "far", "--connection", f"far=sqlite:///{home.ledger}"]
    alone = preview(readable, warehouse, *options).stdout
    assert re.search(r"rows +\d+ → \d+ \([+-]\d+\)", alone)
    assert len(re.findall(r"(membership|columns) +those of 2026-11-19 are not staged here", alone)) == 2
    with_files = preview(readable, warehouse, *options, "--home", str(home.folder)).stdout
    assert re.search(r"membership +\d+ entered", with_files)


def test_preview_with_a_wrong_home_makes_no_ledger(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """A slip in the folder is said, the rest is shown, and nothing is made there."""
    (tmp_path / "wrong").mkdir()
    for folder in (tmp_path / "wrong", tmp_path / "gone"):
        result = preview(readable, warehouse, "--home", folder)
        assert result.exit_code == 0
        assert f"no delivery to compare with: {folder} has no ledger.sqlite. Correct --home" in result.stdout
        assert "what is new" not in result.stdout
    assert list((tmp_path / "wrong").iterdir()) == []
    assert not (tmp_path / "gone").exists()


def test_preview_names_a_scratch_folder_that_cannot_be(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """A full or forbidden cache folder is one line, with the way out."""
    taken = tmp_path / "taken"
    taken.touch()
    result = preview(readable, warehouse, XDG_CACHE_HOME=str(taken))
    assert_one_line(result, f"XDG_CACHE_HOME {taken}/liveramp: Not a directory. Name another folder\\.")
