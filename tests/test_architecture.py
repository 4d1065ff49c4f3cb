"""The rules that hold the design up: who may import whom, what parsing loads, how large a piece may grow."""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "liveramp_provider"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEST_MODULES = sorted((ROOT / "tests").rglob("*.py"))

#: What may not be loaded where every DAG file is parsed every half minute.
HEAVY = {"alembic", "asyncssh", "boto3", "duckdb", "gnupg", "ibis", "pandas", "paramiko"}

#: Makes any import of Airflow fail, as on a machine that has none.
WITHOUT_AIRFLOW = """
import sys

class NoAirflow:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "airflow":
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, NoAirflow())
"""


def python(code: str, *arguments: str, home: Path) -> str:
    """What `code` prints in a Python of its own, with an empty Airflow home."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**environment, "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_import_contracts_hold() -> None:
    """Core imports no Airflow, no verb imports another, transports and sources know no destination."""
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


def test_core_imports_where_there_is_no_airflow(tmp_path: Path) -> None:
    """Every module of the core, and the command line, imports on a machine without Airflow."""
    core = [path for path in MODULES if path.is_relative_to(PACKAGE / "core")]
    assert len(core) > 20
    paths = [*core, PACKAGE / "cli.py", PACKAGE / "report.py"]
    names = [named(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths]
    code = (
        WITHOUT_AIRFLOW + f"import importlib\nfor name in {names!r}: importlib.import_module(name)\nprint('imported')"
    )
    assert python(code, home=tmp_path) == "imported\n"


AUDIENCE = """\
audience: vip
name: Very important
schedule: {cron: "0 0 * * *", timezone: America/New_York}
membership:
  files: {path: "vip-{snapshot_date}.csv"}
  key: id
traits:
  - files: {path: "customers-{snapshot_date}.parquet"}
    key: id
    select: {email: mail, idfa: idfa, tier: tier}
destinations:
  - id: liveramp
    kind: liveramp
    conn_id: liveramp_default
    region: us
    path: /uploads/vip
    org: "3242"
    compression: none
    files:
      pii: {columns: {CCID: {from: member_id}, EMAIL1: {from: email}, TIER: {from: tier}}}
      device: true
"""

BUILD = """
import json
from datetime import date
from pathlib import Path
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace

audience, day = load_audience(sys.argv[1]), date(2026, 11, 20)
workspace = Workspace(staging=Staging(Path(sys.argv[2])), connect=lambda conn_id: 1 / 0)
profiles = enrich(audience, day, extract(audience, day, workspace=workspace), workspace=workspace)
files = build(audience, audience.destination("liveramp"), day, profiles, workspace=workspace)
print(json.dumps({file.name: file.path.read_text() for file in files}))
"""


def test_core_builds_files_where_there_is_no_airflow(tmp_path: Path) -> None:
    """From a CSV and a Parquet file to both delivery files, byte for byte, without Airflow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    idfa = "AEBE52E7-03EE-455A-B3C4-E57283966239"
    (tmp_path / "vip.yaml").write_text(AUDIENCE)
    with (tmp_path / "vip-2026-11-20.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id"], ["007"], ["b"], ["a"], ["a"]])
    customers = {
        "id": ["a", "b", "007", "stranger"],
        "mail": [" Ann@Example.COM", "null", "c@example.com", "d@example.com"],
        "idfa": [idfa.lower(), None, idfa, None],
        "tier": ['the "best"', "x", None, "x"],
    }
    pq.write_table(pa.table(customers), tmp_path / "customers-2026-11-20.parquet")
    told = python(WITHOUT_AIRFLOW + BUILD, str(tmp_path / "vip.yaml"), str(tmp_path / "staging"), home=tmp_path)
    assert json.loads(told) == {
        "3242_vip-PII_2026-11-20.csv": (
            '"CCID","EMAIL1","TIER"\n"007","c@example.com",""\n"a","ann@example.com","the ""best"""\n'
        ),
        "3242_vip-D_2026-11-20.csv": f'"MOBILEID","VIP"\n"{idfa}","1"\n',
    }


def test_parsing_the_dags_loads_nothing_heavy(tmp_path: Path) -> None:
    """Beyond what Airflow loads itself, the DAG folder brings no engine, no cloud, no SSH and no PGP."""
    code = (
        "import json, runpy, sys, airflow.sdk\n"
        "before = set(sys.modules)\n"
        f"dags = runpy.run_path({str(ROOT / 'dags' / 'liveramp.py')!r})\n"
        "print(json.dumps([list(before), list(set(sys.modules) - before), 'high_value_customers' in dags]))"
    )
    before, parsing, found = json.loads(python(code, home=tmp_path).splitlines()[-1])
    assert found
    assert "liveramp_provider.core.audience_file" in parsing
    assert HEAVY & {name.partition(".")[0] for name in parsing} == set()
    assert HEAVY & set(before) == set(), "loaded by Airflow itself, so this test would not see it"


@pytest.mark.parametrize(("paths", "most"), [(MODULES, 400), (TEST_MODULES, 500)], ids=["package", "tests"])
def test_modules_fit_a_head(paths: list[Path], most: int) -> None:
    """A module has one idea: 400 lines are too many for one, and tests come in tables."""
    sizes = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: lines for name, lines in sizes.items() if lines > most} == {}


def test_functions_fit_a_screen() -> None:
    """No function has more than 50 lines, its docstring included."""
    long = [
        f"{named(path)}:{node.lineno} {node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for path in [*MODULES, *TEST_MODULES]
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > 50
    ]
    assert long == []


def _undocumented(node: ast.Module | ast.ClassDef, name: str) -> Iterator[str]:
    """`node` and what is public in it, where there is no docstring."""
    if ast.get_docstring(node) is None:
        yield name
    for inner in node.body:
        if isinstance(inner, ast.ClassDef) and not inner.name.startswith("_"):
            yield from _undocumented(inner, f"{name}.{inner.name}")
        function = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_")
        if function and ast.get_docstring(inner) is None:
            yield f"{name}.{inner.name}"


def test_everything_public_has_a_docstring() -> None:
    """Whoever reads a module, a class or a function is told what it gives."""
    assert [name for path in MODULES for name in _undocumented(tree(path), named(path))] == []


def test_every_test_states_its_promise() -> None:
    """A test begins with the sentence that it proves."""
    tests = ((path, node) for path in TEST_MODULES for node in functions(path) if node.name.startswith("test_"))
    assert [f"{named(path)}:{node.lineno} {node.name}" for path, node in tests if ast.get_docstring(node) is None] == []


def test_nothing_prints() -> None:
    """Modules log or return; only the commands have a console to write to."""
    consoles = {PACKAGE / "cli.py", *(PACKAGE / "testing" / name for name in ("demo.py", "up.py"))}
    found = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                writes = called in ("print", "pprint", "pprint.pprint", "sys.stdout.write", "sys.stderr.write")
                if writes or (called.endswith("Console") and path not in consoles):
                    found.append(f"{named(path)}:{node.lineno} {called}")
    assert found == []
