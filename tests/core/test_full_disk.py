"""A worker whose own disk is full, read-only or out of inodes seals nothing that is not whole, and leaves no scraps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.canary import PEOPLE

ROOT = Path(__file__).parents[2]
SMALL = (
    "size=4k",
    "size=8k",
    "size=16k",
    "size=32k",
    "ro",
    *(f"nr_inodes={inodes}" for inodes in (2, 5, 8, 10, 14, 16)),
)

#: For every kind of disk: tries on it, tells what became of it, makes room, and tries again.
TWICE = """
import json, subprocess, sys
from pathlib import Path
from tests.core.pipeline import audience, email_column, parquet, people_file, pii_file, run, workspace
from tests.faults.canary import PEOPLE

here = Path(sys.argv[1])
disk = here / "disk"
disk.mkdir()
members = parquet(here / "members.parquet", {"customer_id": [person.key for person in PEOPLE]})
emails = {person.key: {"email": person.email} for person in PEOPLE}
one = audience(
    members=members,
    traits={"email": "email"},
    traits_from=people_file(here / "people.parquet", emails, ["email"]),
    files=[pii_file(email_column())],
    compression="gzip",
)
expected = run(one, workspace(here / "staging"))["PII"]
told = {}
for options in sys.argv[2:]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    try:
        run(one, workspace(disk / "staging"))
        failed = ""
    except Exception as error:
        failed = str(error)
    left = [str(path.relative_to(disk)) for path in disk.rglob("*") if path.is_file()]
    subprocess.run(["mount", "-o", "remount,rw,size=20m,nr_inodes=1000", disk], check=True)
    sealed = run(one, workspace(disk / "staging"))["PII"]
    same = (sealed.rows, sealed.csv_sha256) == (expected.rows, expected.csv_sha256)
    told[options] = {"failed": failed, "left": left, "same": same}
    subprocess.run(["umount", disk], check=True)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of two tries on each small disk: file systems of memory, mounted where nobody else sees them."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    command = [*alone, sys.executable, "-c", TWICE, tmp_path_factory.mktemp("disks"), *SMALL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("options", SMALL)
def test_a_disk_that_is_full_in_the_middle(options: str, disks: dict[str, dict[str, Any]]) -> None:
    """What fails leaves whole stages or nothing; with room, the same staging gives the same CSV; no value is told."""
    told = disks[options]
    assert told["failed"]
    assert [person.key for person in PEOPLE if person.key in told["failed"] or person.email in told["failed"]] == []
    stages: dict[Path, set[str]] = {}
    for path in map(Path, told["left"]):
        stages.setdefault(path.parent, set()).add(path.name)
    assert [stage for stage, names in stages.items() if len(names) < 2 or "manifest.json" not in names] == []
    assert told["same"]
