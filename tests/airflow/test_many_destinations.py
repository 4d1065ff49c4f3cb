"""One audience, several destinations: read once, and what fails at one of them holds no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import asyncssh
import pytest

from liveramp_provider.testing.sftp import FaultySftp
from tests.airflow.test_runs import DEVICE, PII, expired_key
from tests.servers import public_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liveramp_provider.testing import LiveRampBox
    from tests.airflow.conftest import Installation

#: Another LiveRamp account, which gets the PII file only.
OTHER = """
  - id: other
    kind: liveramp
    conn_id: other
    region: us
    path: /uploads/drop
    org: "77"
    files: {pii: true}
"""


@pytest.fixture
def other(installation: Installation, box: LiveRampBox, tmp_path: Path) -> Iterator[FaultySftp]:
    """The server of the other account, and an audience file that sends to both."""
    text = installation.audience_file.read_text()
    installation.audience_file.write_text(f"{text.rstrip()}\n{OTHER}")
    with FaultySftp(tmp_path / "other") as server:
        connect(installation, server)
        yield server


def connect(installation: Installation, server: FaultySftp, *, host_key: str = "") -> None:
    login = {"host": server.host, "port": server.port, "login": server.username, "password": server.password}
    extra = {"host_key": host_key or server.host_key}
    installation.connect("other", json.dumps({"conn_type": "liveramp", **login, "extra": extra}))


def wrong_host_key(installation: Installation, other: FaultySftp) -> None:
    connect(installation, other, host_key=public_text(asyncssh.generate_private_key("ssh-ed25519")))


def missing_folder(installation: Installation, other: FaultySftp) -> None:
    installation.edit("path: /uploads/drop", "path: /uploads/nowhere")


def expired_pgp_key(installation: Installation, other: FaultySftp) -> None:
    armour, fingerprint = expired_key()
    (installation.audience_file.parent / "keys" / "other.asc").write_text(armour)
    key = f"{{recipient: {fingerprint}, public_key: keys/other.asc}}"
    installation.edit('org: "77"', f'org: "77"\n    encryption: {key}')


@pytest.mark.parametrize("spoil", [wrong_host_key, missing_folder, expired_pgp_key])
def test_a_broken_destination_holds_no_other(
    installation: Installation,
    box: LiveRampBox,
    other: FaultySftp,
    spoil: Callable[[Installation, FaultySftp], None],
) -> None:
    """Its own first task fails and nothing is made for it; the other's files arrive. Mended, only its own are sent."""
    good = installation.audience_file.read_text()
    spoil(installation, other)

    broken = installation.run()

    assert broken.state == "failed"
    failed = {task for task, state in broken.tasks.items() if state != "success"}
    assert failed == {"preflight.other", "other.build", "other.deliver_PII"}
    assert {file.name for file in box.files()} == {PII, DEVICE}
    assert not list(installation.staging.glob("*/*/build-other-*"))
    assert other.taken == ()

    installation.audience_file.write_text(good)
    connect(installation, other)
    mended = installation.run()

    assert set(mended.tasks.values()) == {"success"}
    # Members and traits are read once, and the first destination's files are those of the first run.
    stages = [stage.name.rpartition("-")[0] for stage in installation.staging.glob("*/*/*")]
    begun = ["begun"] * 3
    assert sorted(stages) == [*begun, "build-liveramp-D", "build-liveramp-PII", "build-other-PII", "enrich", "extract"]
    assert [name for name, _ in other.taken] == ["77_high_value_customers-PII_2026-11-20.csv.gz"]
    assert len(box.files()) == 2
    assert installation.leaks() == []


def test_nobody_is_ready(installation: Installation, box: LiveRampBox, other: FaultySftp) -> None:
    """Where no destination can be delivered to, nothing is read."""
    wrong_host_key(installation, other)
    installation.edit("/uploads/high_value_customers", "/uploads/nowhere")

    run = installation.run()

    assert {task for task, state in run.tasks.items() if state == "failed"} == {"preflight.liveramp", "preflight.other"}
    assert run.tasks["extract"] == "upstream_failed"
    assert not list(installation.staging.glob("*/*/extract-*"))
