"""Staging: sealed once, private, complete or not there, and nothing readable left beside it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from liveramp_provider.core import artifacts, file_rows, staging
from liveramp_provider.core.audience import Audience, SqlSource
from liveramp_provider.core.destination import Encryption
from liveramp_provider.core.errors import DataError, EncryptionKeyError, SourceError
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace
from tests.core.pipeline import DAY, audience, email_column, parquet, people_file, pii_file, run, workspace

EXAMPLE_KEY = Path(__file__).parents[2] / "dags" / "audiences" / "keys" / "liveramp.asc"
ENCRYPTION = Encryption(
    recipients=("86C66858DDC8AC1151F86A1AC0FADA3667413471",), public_key=EXAMPLE_KEY, extension="gpg"
)
CANARY = "canary@example.com"


def people(folder: Path, count: int = 3, **changes: object) -> Audience:
    """An audience of that many people in one Parquet file."""
    source = people_file(
        folder / "p.parquet", {f"{n:04}": {"email": f"a{n}@example.com"} for n in range(count)}, ["email"]
    )
    parts = {"members": source, "traits": {"email": "email"}, "traits_from": source} | changes
    return audience(**parts, files=[pii_file(email_column())])


def left_over(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_sealed_once_and_sent_again_as_it_is(tmp_path: Path) -> None:
    """A second run finds what the first sealed and returns the same bytes, whatever the source says by then."""
    made, here = people(tmp_path, encryption=ENCRYPTION), workspace(tmp_path / "staging")
    first = run(made, here)["PII"]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in left_over(tmp_path / "staging")}
    (tmp_path / "p.parquet").unlink()
    assert run(made, here)["PII"] == first
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in left_over(tmp_path / "staging")} == before


def test_a_manifest_tells_all(tmp_path: Path) -> None:
    """A sealed folder is enough to know its artefact again, also after the staging folder has moved."""
    sealed = run(people(tmp_path), workspace(tmp_path / "staging"))["PII"]
    here = Staging(tmp_path / "staging")
    assert here.load(artifacts.SealedFile, here.address(sealed)) == sealed
    here.root.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / sealed.path.relative_to(here.root)
    there = Staging(tmp_path / "moved")
    assert there.load(artifacts.SealedFile, str(moved.parent)) == replace(sealed, path=moved)


def test_other_inputs_have_another_place(tmp_path: Path) -> None:
    """What depends on anything else is sealed anew beside the old, and overwrites nothing."""
    made, here = people(tmp_path), workspace(tmp_path / "staging")
    first = run(made, here)["PII"]
    other = replace(made, destinations=(replace(made.destinations[0], org="9999"),))
    second = run(other, here)["PII"]
    assert second.path != first.path
    assert first.path.read_bytes() == second.path.read_bytes()


def test_newer_rules_make_everything_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sealed under older rules is not found by newer ones, at any stage."""
    made, here = people(tmp_path), workspace(tmp_path / "staging")
    run(made, here)
    before = len(left_over(tmp_path / "staging"))
    monkeypatch.setattr(staging, "RULES_VERSION", staging.RULES_VERSION + 1)
    run(made, here)
    assert len(left_over(tmp_path / "staging")) == 2 * before


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_private(tmp_path: Path, mask: int) -> None:
    """Whatever the worker's umask, folders are their owner's alone and so are files, while at work and afterwards."""
    seen = {}
    root = tmp_path / "staging"

    def look(conn_id: str) -> sa.Engine:
        seen.update({path: path.stat().st_mode for path in root.rglob("*")})
        return sa.create_engine("sqlite://")

    query = "select '1' as customer_id where :snapshot_date > ''"
    source = SqlSource(conn_id="warehouse", query=query, current=False)
    before = os.umask(mask)
    try:
        run(people(tmp_path, members=source), Workspace(staging=Staging(root), connect=look))
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode for path in (root, *root.rglob("*"))} | seen
    assert {stat.S_IMODE(mode) for path, mode in modes.items() if stat.S_ISREG(mode)} == {0o600}
    assert {stat.S_IMODE(mode) for path, mode in modes.items() if stat.S_ISDIR(mode)} == {0o700}


def test_sealing_makes_private(tmp_path: Path) -> None:
    """A file that was written open to others is closed before it gets its place."""
    here = Staging(tmp_path)
    with here.scratch() as scratch:
        file = scratch / "membership.parquet"
        file.touch()
        file.chmod(0o644)
        made = artifacts.Membership(
            path=file, sha256="", rows_read=0, blank_keys=0, repeated_keys=0, members=0, sources=()
        )
        sealed = here.place(audience_id="vip", day=DAY, stage="extract", inputs=1).seal(scratch, made)
    assert stat.S_IMODE(sealed.path.stat().st_mode) == 0o600


def test_scratch_is_gone_after_success(tmp_path: Path) -> None:
    """A finished run leaves sealed files and their manifests, and nothing else."""
    run(people(tmp_path), workspace(tmp_path / "staging"))
    names = sorted(path.name for path in left_over(tmp_path / "staging"))
    csv = "3242_vip-PII_2026-11-20.csv"
    assert names == [csv, "manifest.json", "manifest.json", "manifest.json", "membership.parquet", "profiles.parquet"]
    assert [path.name for path in (tmp_path / "staging").iterdir()] == ["vip"]


def test_an_interrupted_stage_seals_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a stage leaves no file, and the next run starts anew."""
    interrupted = []

    def connect(conn_id: str) -> sa.Engine:
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return sa.create_engine("sqlite://")

    source = SqlSource(conn_id="w", query="select '1' as customer_id where :snapshot_date > ''", current=False)
    made = people(tmp_path, members=source)
    here = Workspace(staging=Staging(tmp_path / "staging"), connect=connect)
    with pytest.raises(KeyboardInterrupt):
        extract(made, DAY, workspace=here)
    assert left_over(tmp_path / "staging") == []
    assert extract(made, DAY, workspace=here).members == 1


def test_two_workers_seal_the_same(tmp_path: Path) -> None:
    """When another worker is faster, its artefact is taken and the slower one's is dropped."""
    faster = []

    def connect(conn_id: str) -> sa.Engine:
        # The first worker has found nothing sealed and is about to read; now the second does all of the work.
        if not faster:
            faster.append(None)
            faster.append(extract(made, DAY, workspace=here))
        return sa.create_engine("sqlite://")

    source = SqlSource(conn_id="w", query="select random() as customer_id where :snapshot_date > ''", current=False)
    made = people(tmp_path, members=source)
    here = Workspace(staging=Staging(tmp_path / "staging"), connect=connect)
    slower = extract(made, DAY, workspace=here)
    assert slower == faster[1]
    assert [path.name for path in left_over(tmp_path / "staging")].count("membership.parquet") == 1
    assert staging.digest_of(slower.path) == slower.sha256


def test_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    """Something else under the sealed name is neither overwritten nor taken for an artefact."""
    made, here = people(tmp_path), workspace(tmp_path / "staging")
    place = extract(made, DAY, workspace=here).path.parent
    (place / "manifest.json").unlink()
    with pytest.raises(OSError, match="not empty"):
        extract(made, DAY, workspace=here)
    assert [path.name for path in left_over(tmp_path / "staging")] == ["membership.parquet"]


def unsorted(made: Audience, here: Workspace, rows: int) -> artifacts.Profiles:
    """Profiles whose last key is out of order, so that the CSV breaks off at its end."""
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    keys = [f"{n:04}" for n in range(1, rows)] + ["0000"]
    profiles.path.unlink()
    parquet(profiles.path, {"member_id": keys, "email": [CANARY] * rows})
    return profiles


@pytest.mark.parametrize("encryption", [None, ENCRYPTION])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_file_that_breaks_off_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encryption: Encryption | None, compression: str
) -> None:
    """When rows fail half-way, also while gpg is reading them, no torso is sealed and the rows' own error is raised."""
    monkeypatch.setattr(file_rows, "_BATCH_ROWS", 2_048)
    made = people(tmp_path, encryption=encryption, compression=compression)
    here = workspace(tmp_path / "staging", threads=1)
    profiles = unsorted(made, here, rows=20_000)
    with pytest.raises(DataError, match="CCID: keys are not unique and in order"):
        build(made, made.destinations[0], DAY, profiles, workspace=here)
    assert [path.name for path in left_over(tmp_path / "staging") if "PII" in path.name or "rows" in path.name] == []


def test_an_unusable_key_seals_nothing(tmp_path: Path) -> None:
    """Without the pinned key there is no file, least of all a readable one."""
    pinned = replace(ENCRYPTION, recipients=("0" * 40,))
    with pytest.raises(EncryptionKeyError):
        run(people(tmp_path, encryption=pinned), workspace(tmp_path / "staging"))
    assert [path for path in left_over(tmp_path / "staging") if "csv" in path.name] == []


def test_no_readable_delivery_file_with_encryption(tmp_path: Path) -> None:
    """With a key pinned, neither what is sealed nor anything made on the way is a readable delivery file."""
    made, here = people(tmp_path, count=1, encryption=ENCRYPTION), workspace(tmp_path / "staging")
    sealed = run(made, here)["PII"]
    assert sealed.name.endswith(".csv.gpg")
    assert b"a0@example.com" not in sealed.path.read_bytes()
    assert (sealed.recipient,) == ENCRYPTION.recipients


def test_a_torn_profile_is_not_built(tmp_path: Path) -> None:
    """A damaged artefact of an earlier stage stops the build, and quotes nobody."""
    made, here = people(tmp_path, count=2_000), workspace(tmp_path / "staging")
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    profiles.path.write_bytes(profiles.path.read_bytes()[:500])
    with pytest.raises(SourceError, match="cannot read a file") as caught:
        build(made, made.destinations[0], DAY, profiles, workspace=here)
    assert "example.com" not in str(caught.value)


_WHERE_A_FILE_IS_SEALED = """
import sys
from datetime import date
from pathlib import Path
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.staging import Staging
for path in sys.argv[1:]:
    for there in load_audience(path).destinations:
        for file in there.files:
            print(Staging(Path("s")).place(audience_id="a", day=date(2026, 1, 1), stage="build", inputs=file).key)
"""


def test_every_process_finds_what_another_has_sealed() -> None:
    """Where a file is sealed does not depend on how a process happens to hash text."""
    repository = Path(__file__).parents[2]
    files = [*repository.glob("dags/audiences/*.yaml"), *repository.glob("examples/audiences/*.yaml")]
    places = {
        subprocess.run(
            [sys.executable, "-c", _WHERE_A_FILE_IS_SEALED, *files],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    (keys,) = places
    assert len(keys.splitlines()) > len(files)
