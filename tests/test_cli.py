"""The ``liveramp`` command, as somebody types it who has no Airflow at hand."""

from __future__ import annotations

import csv
import gzip
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from liveramp_provider.cli import app
from liveramp_provider.testing.warehouse import make_warehouse
from tests.s3 import S3Server

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "dags" / "audiences" / "high_value_customers.yaml"
NAMES = [
    "3242_high_value_customers-D_2026-11-20.csv.gz.gpg",
    "3242_high_value_customers-PII_2026-11-20.csv.gz.gpg",
]

READABLE = """\
audience: vip
name: Very important
schedule: {cron: "0 0 * * *", timezone: America/New_York}
membership:
  sql: {conn_id: warehouse, query: "select customer_id from vip where snapshot_date = :snapshot_date"}
  key: customer_id
traits:
  - sql: {conn_id: warehouse, query: "select * from customers where snapshot_date = :snapshot_date"}
    key: customer_id
    select: {email: email_address, zip: zip}
destinations:
  - id: liveramp
    kind: liveramp
    conn_id: liveramp_default
    region: us
    path: /uploads/vip
    org: "3242"
    compression: none
    files: {pii: true}
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.db"
    make_warehouse(path, day=date(2026, 11, 20), customers=500)
    return f"sqlite:///{path}"


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    path = tmp_path / "vip.yaml"
    path.write_text(READABLE)
    return path


def liveramp(*arguments: str | Path, environment: dict[str, str] | None = None) -> Result:
    """Run the command in this process, 80 columns wide."""
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, words, env={"COLUMNS": "80", "TERM": "dumb", **(environment or {})})


def run(audience: Path, folder: Path, *options: str, day: str = "2026-11-20", **environment: str) -> Result:
    return liveramp("run", audience, "--date", day, "--to", folder, *options, environment=environment)


def assert_one_line(result: Result, sentence: str) -> None:
    """It failed with one clear line, and nothing else was said."""
    assert result.exit_code == 1
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    assert re.fullmatch(rf"✗ {sentence}\n", result.stderr), result.stderr
    assert "Traceback" not in result.output


def waterfalls(output: str) -> dict[str, list[tuple[str, int]]]:
    """What stands under each "from members to rows", up to the rows."""
    found: dict[str, list[tuple[str, int]]] = {}
    slot = ""
    for line in output.splitlines():
        if title := re.match(r"(\S+): from members to rows", line):
            slot = title[1]
            found[slot] = []
        elif slot and (step := re.fullmatch(r"\s*(.+?)\s+([\d,]+)\s*", line)):
            found[slot].append((step[1], int(step[2].replace(",", ""))))
            slot = "" if step[1] == "rows" else slot
    return found


# validate


def test_validate_says_what_goes_where() -> None:
    """A good file is one line: its id, its destinations and their files."""
    result = liveramp("validate", EXAMPLE)
    assert result.exit_code == 0
    assert result.output == "✓ high_value_customers.yaml: high_value_customers → liveramp (PII, D)\n"


def test_validate_shows_warnings_and_passes(readable: Path) -> None:
    """A warning is shown, and is no failure."""
    result = liveramp("validate", readable)
    assert result.exit_code == 0
    assert "  ! destinations[0]: files are not encrypted; anyone who gets one can read it\n" in result.stdout


def test_validate_lists_every_fault_of_every_file(readable: Path, tmp_path: Path) -> None:
    """One broken file fails the command, and neither hides the faults of another nor the good ones."""
    (tmp_path / "broken.yaml").write_text(
        READABLE.replace("region: us", "region: usa").replace("zip: zip", "Email: zip")
    )
    result = liveramp("validate", tmp_path / "broken.yaml", readable, tmp_path / "gone.yaml")
    assert result.exit_code == 1
    assert "✓ vip.yaml: vip → liveramp (PII)" in result.stdout
    assert result.stderr == (
        "✗ broken.yaml: 2 faults\n"
        "  line 10: traits[0].select.Email: the name is taken by the trait email of traits[0]. "
        "Capitals make no difference; choose another name.\n"
        "  line 15: destinations[0].region: must be one of us, au, eu, uk, fr. Did you mean us?\n"
        "✗ gone.yaml: 1 fault\n"
        "  the file cannot be read: No such file or directory.\n"
    )


def test_validate_takes_a_name_for_a_name(tmp_path: Path) -> None:
    """Brackets in a fault are text, not colours."""
    (tmp_path / "a.yaml").write_text(READABLE.replace("region: us", "region: us\n    '[red]x[/red]': 1"))
    assert "destinations[0]['[red]x[/red]']: unknown key." in liveramp("validate", tmp_path / "a.yaml").stderr


def test_the_installed_command_is_this_one(tmp_path: Path) -> None:
    """`liveramp` is on the path after installing, exits 1 on a broken file, and 2 where nothing was asked."""
    command = Path(sys.executable).parent / "liveramp"
    (tmp_path / "empty.yaml").touch()
    broken = subprocess.run([command, "validate", tmp_path / "empty.yaml"], capture_output=True, text=True)
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr == "✗ empty.yaml: 1 fault\n  the file is empty. Begin with audience: <id>.\n"
    assert subprocess.run([command, "validate"], capture_output=True).returncode == 2


# run


def test_run_puts_the_files_into_the_folder_without_airflow(warehouse: str, tmp_path: Path) -> None:
    """The delivery files and nothing else, private, with waterfalls that add up, where Airflow cannot be imported."""
    code = (
        "import sys\n"
        "class NoAirflow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] == 'airflow':\n"
        "            raise ImportError(f'{name} is not there')\n"
        "sys.meta_path.insert(0, NoAirflow())\n"
        "from liveramp_provider.cli import app\n"
        "app()\n"
    )
    words = ["run", EXAMPLE, "--date", "2026-11-20", "--to", "files", "--connection", f"warehouse={warehouse}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [*NAMES, "files"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.gpg")} == {0o600}
    assert all(name in done.stdout for name in NAMES)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80

    found = waterfalls(done.stdout)
    assert found.keys() == {"PII", "D"}
    (_, members), *lost, (_, rows) = found["PII"]
    assert members - sum(count for _, count in lost) == rows > 25
    assert {name for name, _ in lost} >= {"− have no identifier", "− name or address incomplete"}
    (_, same_members), (_, without), (ids, given), *lost, (_, rows) = found["D"]
    assert (same_members, ids) == (members, "device ids")
    assert 0 < without < members
    assert given - sum(count for _, count in lost) == rows > 25


def test_run_prints_what_the_file_holds(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """The counts on the screen are those of the file."""
    result = run(readable, tmp_path / "out", "--connection", f"warehouse={warehouse}")
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "3242_vip-PII_2026-11-20.csv"
    header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    assert header == ["CCID", "ZIP", "EMAIL1", "VIP"]
    assert dict(waterfalls(result.stdout)["PII"])["rows"] == len(rows)
    assert f"  {len(rows):,} rows of {len(rows):,} members, {path.stat().st_size:,} bytes\n" in result.stdout


def test_run_again_replaces_the_files(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """A second run gives the same bytes under the same name, and leaves other files alone."""
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("kept")
    contents = []
    for _ in range(2):
        assert run(readable, folder, "--connection", f"warehouse={warehouse}").exit_code == 0
        contents.append((folder / "3242_vip-PII_2026-11-20.csv").read_bytes())
    assert contents[0] == contents[1]
    assert sorted(path.name for path in folder.iterdir()) == ["3242_vip-PII_2026-11-20.csv", "mine.txt"]


def test_run_keeps_destinations_apart(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """Two destinations may use one file name, so each gets a folder of its own."""
    second = READABLE[READABLE.index("  - id:") :].replace("id: liveramp\n", "id: test\n", 1)
    readable.write_text(READABLE + second.replace("/uploads/vip", "/uploads/test"))
    assert run(readable, tmp_path / "out", "--connection", f"warehouse={warehouse}").exit_code == 0
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.csv"))
    assert found == ["liveramp/3242_vip-PII_2026-11-20.csv", "test/3242_vip-PII_2026-11-20.csv"]


def test_run_says_which_file_would_not_be_sent(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """A file below the minimum is built, and marked."""
    readable.write_text(READABLE.replace(':snapshot_date"}\n  key', ':snapshot_date limit 9"}\n  key'))
    result = run(readable, tmp_path / "out", "--connection", f"warehouse={warehouse}")
    assert result.exit_code == 0
    assert re.search(r"  ! \d unique members, and a file needs 25: it would not be sent\n", result.stdout)


def test_a_connection_may_stand_in_the_environment(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """URLs with passwords stay off the command line; signs that a shell forbids become underscores."""
    readable.write_text(READABLE.replace("conn_id: warehouse", "conn_id: my.ware-house"))
    result = run(readable, tmp_path / "out", LIVERAMP_CONN_MY_WARE_HOUSE=warehouse)
    assert result.exit_code == 0, result.output


ON_S3 = """\
audience: vip
name: Very important
schedule: {cron: "0 0 * * *", timezone: America/New_York}
membership:
  files: {path: "s3://BUCKET/vip/ds={snapshot_date}/*.jsonl.gz", conn_id: lake}
  key: id
traits:
  - files: {path: "s3://BUCKET/customers-{snapshot_date}.csv", conn_id: lake}
    key: id
    select: {email: mail}
destinations:
  - {id: liveramp, kind: liveramp, conn_id: liveramp_default, region: us, path: /uploads/vip, org: "3242",
     compression: none, files: {pii: true}}
"""


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """An audience file whose sources lie on S3, and the environment that leads there."""
    with S3Server() as server:
        bucket, client = server.bucket(), server.client()
        client.put_object(
            Bucket=bucket, Key="vip/ds=2026-11-20/1.jsonl.gz", Body=gzip.compress(b'{"id": "007"}\n{"id": 8}\n')
        )
        client.put_object(Bucket=bucket, Key="customers-2026-11-20.csv", Body="id,mail\n007,Ann@Example.com\n")
        path = tmp_path / "vip.yaml"
        path.write_text(ON_S3.replace("BUCKET", bucket))
        yield path, server.environment


def test_run_reads_s3(lake: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """Files on S3 are found by AWS's own settings, in a preview as well, and no copy of them stays."""
    audience, environment = lake
    shown = liveramp("preview", audience, "--date", "2026-11-20", environment=environment)
    assert waterfalls(shown.stdout)["PII"][-1] == ("rows", 1)
    result = run(audience, tmp_path / "out", **environment)
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "out").iterdir()
    assert path.read_text() == '"CCID","EMAIL1","VIP"\n"007","ann@example.com","1"\n'


def test_functions_lie_where_the_command_is_typed(tmp_path: Path) -> None:
    """An audience file may name a function of a module beside it, and no module there takes a library's place."""
    (tmp_path / "our_people.py").write_text(
        "import pandas as pd\n"
        "def vips(snapshot_date):\n"
        "    yield pd.DataFrame({'id': ['1'], 'mail': [f'{snapshot_date}@example.com']})\n"
    )
    (tmp_path / "duckdb.py").write_text("raise SystemExit('not this one')")
    source = 'python: {function: "our_people:vips"}'
    audience = re.sub(r"files: \{path.*\}", source, ON_S3)
    (tmp_path / "vip.yaml").write_text(audience)
    command = [Path(sys.executable).parent / "liveramp", "run", "vip.yaml", "--date", "2026-11-20", "--to", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").iterdir()
    assert '"1","2026-11-20@example.com"' in path.read_text()


def test_a_killed_run_is_swept_by_the_next(tmp_path: Path) -> None:
    """Nothing runs after kill -9; what it had read lies there until the next run into that folder."""
    (tmp_path / "our_people.py").write_text(
        "import os, signal\n"
        "import pandas as pd\n"
        "def vips(snapshot_date):\n"
        "    yield pd.DataFrame({'id': ['1'], 'mail': ['ann@example.com']})\n"
        "    if os.environ.get('KILLED'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    source = 'python: {function: "our_people:vips"}'
    (tmp_path / "vip.yaml").write_text(re.sub(r"files: \{path.*\}", source, ON_S3))
    command = [Path(sys.executable).parent / "liveramp", "run", "vip.yaml", "--date", "2026-11-20", "--to", "out"]
    killed = subprocess.run(command, cwd=tmp_path, env={**os.environ, "KILLED": "1"}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".scratch"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".csv"]


# run, when something is wrong


@pytest.mark.parametrize("day", ["2026-13-01", "2026-02-30", "20261120", "2026-W47-5", "yesterday", "", "2026-11-2"])
def test_a_day_that_is_none_is_one_line(readable: Path, tmp_path: Path, day: str) -> None:
    """Only YYYY-MM-DD is a day."""
    result = run(readable, tmp_path / "out", day=day)
    assert_one_line(result, "--date is not a day of the form YYYY-MM-DD, such as 2026-11-20.")


def test_a_missing_connection_is_one_line(readable: Path, tmp_path: Path) -> None:
    """It says how to give one, in both ways."""
    result = run(readable, tmp_path / "out", "--connection", "warehose=sqlite://")
    assert_one_line(
        result, r"nothing says where warehouse is\. Add --connection warehouse=URL, or set LIVERAMP_CONN_WAREHOUSE; .*"
    )


@pytest.mark.parametrize(
    "url",
    ["warehouse.db", "nosuchdb://host/db", "postgresql://crm:hunter2@host:port/db", "sqlite:/warehouse.db", "://", "oracle+nodriver://x"],
)  # fmt: skip
def test_a_url_that_is_none_is_one_line(readable: Path, tmp_path: Path, url: str) -> None:
    """Neither a traceback nor the URL, which may hold a password."""
    result = run(readable, tmp_path / "out", "--connection", f"warehouse={url}")
    assert_one_line(result, r"the URL of warehouse cannot be used\. It must be one of SQLAlchemy's, with its driver .*")


@pytest.mark.parametrize("option", ["warehouse", "=sqlite://", "warehouse=", ""])
def test_a_connection_without_a_url_is_one_line(readable: Path, tmp_path: Path, option: str) -> None:
    """`--connection` takes ID=URL."""
    assert_one_line(run(readable, tmp_path / "out", "--connection", option), r"--connection takes ID=URL, such as .*")


def test_a_day_that_is_not_on_s3_is_one_line(lake: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """It lists the days that there are."""
    audience, environment = lake
    result = run(audience, tmp_path / "out", day="2026-11-21", **environment)
    assert_one_line(
        result, r"membership: no file matches s3://.*\. The days there are: 2026-11-20\. Check the path, .*"
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"AWS_ENDPOINT_URL_S3": "lake.example.com"}, r"lake cannot be used for S3\. Correct AWS_ENDPOINT_URL_S3 .*"),
        ({"AWS_PROFILE": "nobody"}, r"membership: s3://.*: lake cannot be used for S3 \(ProfileNotFound\)\. .*"),
    ],
)
def test_settings_that_lead_nowhere_are_one_line(
    lake: tuple[Path, dict[str, str]], tmp_path: Path, settings: dict[str, str], sentence: str
) -> None:
    """What is wrong with AWS's settings is said as clearly."""
    audience, environment = lake
    assert_one_line(run(audience, tmp_path / "out", **environment | settings), sentence)


def test_a_slip_in_a_sqlite_path_makes_no_database(readable: Path, tmp_path: Path) -> None:
    """SQLite would create the file and find no table in it."""
    result = run(readable, tmp_path / "out", "--connection", f"warehouse=sqlite:///{tmp_path}/slip.db")
    assert_one_line(result, rf"warehouse: there is no SQLite file {tmp_path}/slip\.db\. Correct the URL\.")
    assert not (tmp_path / "slip.db").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("from vip where", "from nowhere where", r"membership: .*warehouse.*\."),
        ("from vip where", "from vip here", r"membership: .*warehouse.*\."),
        (
            "  key: customer_id\ntraits",
            "  key: id\ntraits",
            r"membership: no column id\. The source has: customer_id\..*",
        ),
        ("select: {email: email_address", "select: {email: mail", r"traits source 1: no column mail\. .*"),
    ],
)
def test_a_query_that_fails_is_one_line(
    warehouse: str, readable: Path, tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """It says which source and connection, quotes no value, and leaves nothing behind."""
    readable.write_text(READABLE.replace(old, new, 1))
    result = run(readable, tmp_path / "out", "--connection", f"warehouse={warehouse}")
    assert_one_line(result, sentence)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_broken_promise_is_one_line_without_values(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """Two rows for a member are counted, not shown."""
    customers = "select * from customers where snapshot_date = :snapshot_date"
    readable.write_text(READABLE.replace(customers, f"{customers} union all select * from customers"))
    result = run(readable, tmp_path / "out", "--connection", f"warehouse={warehouse}")
    assert_one_line(result, r"traits source 1: 240 members have more than one row by customer_id; .*")
    assert not re.search(r"C\d{7}|@", result.output)


def test_a_folder_that_cannot_be_is_one_line(warehouse: str, readable: Path, tmp_path: Path) -> None:
    """A file where the folder should be is named."""
    result = run(readable, readable, "--connection", f"warehouse={warehouse}")
    assert_one_line(result, rf"--to {readable}: File exists\. Name another folder\.")


def test_a_broken_audience_file_makes_no_folder(tmp_path: Path) -> None:
    """Faults come before anything is touched."""
    (tmp_path / "a.yaml").write_text("audience: x\n")
    result = run(tmp_path / "a.yaml", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("✗ a.yaml: 4 faults\n  line 1: destinations: is missing.")
    assert not (tmp_path / "out").exists()
