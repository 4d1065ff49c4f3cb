"""`make demo` with any audience file: everybody who receives it is there, and takes what is sent."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.ledger import Ledger, delivery_id_of
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.deliver import deliver
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.hooks.transports import transport_to
from liveramp_provider.testing.installation import Installation
from liveramp_provider.testing.stand_ins import NobodyStandsInError, StandIns, mismatches
from liveramp_provider.testing.stand_ins.files import SftpStandIn
from liveramp_provider.testing.warehouse import make_warehouse
from tests.core.pipeline import workspace

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import Destination

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "audiences").glob("*.yaml"))
DAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.db"
    make_warehouse(path, day=DAY, customers=500, seed=11)
    return path


def installed(audience: Path, home: Path) -> Installation:
    return Installation(home, load_audience(audience), ROOT / "dags")


def pinned(demo: Installation) -> Audience:
    """The audience that Airflow finds in the DAGs folder of the demo."""
    dag = runpy.run_path(str(demo.own_dags / "liveramp.py"))["dag"]
    found: Audience = dag.get_task("extract").audience
    return found


def sent(
    demo: Installation, receivers: StandIns, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Destination, SealedFile]]:
    """Every file of the audience, delivered through the connections that the demo gives Airflow."""
    for name, value in receivers.environment().items():
        monkeypatch.setenv(name, value)
    audience, here = pinned(demo), workspace(demo.home / "liveramp", database=warehouse)
    profiles = enrich(audience, DAY, extract(audience, DAY, workspace=here), workspace=here)
    files = [
        (there, sealed)
        for there in audience.destinations
        for sealed in build(audience, there, DAY, profiles, workspace=here)
    ]
    for there, sealed in files:
        deliver(sealed, there, transport=transport_to(there), ledger=ledger_of(demo), holder="demo")
    return files


def ledger_of(demo: Installation) -> Ledger:
    return Ledger.in_file(demo.home / "ledger.sqlite")


def problems(demo: Installation, receivers: StandIns, files: list[tuple[Destination, SealedFile]]) -> list[str]:
    """What the report would say."""
    found = []
    for there, sealed in files:
        (file,) = (file for file in there.files if file.slot == sealed.slot)
        delivery = ledger_of(demo).find(delivery_id_of(sealed))
        assert delivery is not None
        held = receivers.of(there).held(there, file, delivery.name)
        found += mismatches(sealed, delivery, held, receiver=there.receiver)
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_receivers_of_an_example_take_its_files(
    path: Path, warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file opens with the receiver's own key and reads as it was built; a restart forgets nothing."""
    demo = installed(path, tmp_path / "demo")
    with demo.receivers() as receivers:
        files = sent(demo, receivers, warehouse, monkeypatch)
        assert problems(demo, receivers, files) == []
        arrivals = receivers.arrivals()
        assert len(arrivals) == len(files)
    with demo.receivers() as receivers:
        assert receivers.arrivals() == arrivals
        assert problems(demo, receivers, files) == []


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """The example of many destinations, changed."""
    text = (ROOT / "examples" / "audiences" / "many_destinations.yaml").read_text()
    assert old in text
    path = tmp_path / "edited.yaml"
    path.write_text(text.replace(old, new))
    return path


def test_a_bucket_takes_files(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination on S3 is a bucket of that name, beside the SFTP servers of the others."""
    demo = installed(edited(tmp_path, "path: /uploads/google", "path: s3://drop/google"), tmp_path / "demo")
    with demo.receivers() as receivers:
        files = sent(demo, receivers, warehouse, monkeypatch)
        assert problems(demo, receivers, files) == []
    assert [sentence for sentence in receivers.arrivals() if sentence.startswith("s3://drop got google/")]


def test_what_differs_is_said(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes, other counts, and a file that never came: each is a sentence with the name of the file."""
    demo = installed(ROOT / "examples" / "audiences" / "many_destinations.yaml", tmp_path / "demo")
    with demo.receivers() as receivers:
        pii, device, facebook, google = sent(demo, receivers, warehouse, monkeypatch)
        fewer = (facebook[0], replace(facebook[1], rows=facebook[1].rows - 1))
        assert f"Facebook counts {facebook[1].rows} rows, not {fewer[1].rows}" in problems(demo, receivers, [fewer])[0]
        elsewhere = (replace(google[0], path="/uploads/other"), google[1])
        assert problems(demo, receivers, [elsewhere]) == [f"{google[1].name}: Google Ads never got it"]
        box = receivers.of(pii[0])
        assert isinstance(box, SftpStandIn)
        again = box.box.uploads / "everywhere" / pii[1].name
        again.write_bytes(device[1].path.read_bytes())
    with demo.receivers() as receivers:
        said = "\n".join(problems(demo, receivers, [pii]))
    assert "LiveRamp says rejected" in said
    assert "LiveRamp got it 2 times" in said
    assert "LiveRamp has other bytes" in said


# What cannot be run.


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "path: /uploads/google",
            "path: /drop/google",
            "/drop/google: the SFTP server of this machine has folders below",
        ),
        (
            "conn_id: google_drop\n    path: /uploads/google",
            "conn_id: facebook_drop\n    path: s3://drop/google",
            "connection facebook_drop: it leads to SFTP and to S3",
        ),
    ],
)
def test_receivers_that_this_machine_cannot_play(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Where a receiver cannot be played, that is said before anything starts."""
    with pytest.raises(NobodyStandsInError, match=re.escape(words)):
        StandIns(tmp_path, load_audience(edited(tmp_path, old, new)))


def demo_of(audience: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """`make demo AUDIENCE=…` as a person runs it."""
    module = "liveramp_provider.testing.demo"
    return subprocess.run(
        [sys.executable, "-m", module, "--date", DAY.isoformat(), "--audience", audience, "--home", home],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file or directory"), ("audience: 7\nname: vip\n", "destinations")],
)
def test_a_file_with_faults(content: str | None, words: str, tmp_path: Path) -> None:
    """A path that leads nowhere and a file with faults end with what `liveramp validate` says, and nothing is made."""
    path = tmp_path / "vip.yaml"
    if content is not None:
        path.write_text(content)
    done = demo_of(path, tmp_path / "home")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("✗ vip.yaml: ")
    assert words in done.stdout
    assert not (tmp_path / "home").exists()


def test_a_demo_of_an_example(tmp_path: Path) -> None:
    """One day of an audience at LiveIntent goes through Airflow, and is waited for until it is read."""
    done = demo_of(ROOT / "examples" / "audiences" / "liveintent.yaml", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Delivered to LiveIntent" in done.stdout
    assert len(re.findall(r"deliver: LiveIntent has read", done.stdout)) == 3
    assert len(re.findall(r"high_value_customers +[\d,]+ +Finished", done.stdout)) == 3
