"""What follows a main file: every fact of a control file, and which of several staged files was sent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.artifacts import SealedFile, SuppressionList
from liveramp_provider.core.errors import SealBrokenError
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.core.parts import control_file, following, parts_of, sealed_of
from tests.core.pipeline import workspace
from tests.core.test_destination_audience_manager import audience_manager, segment_files
from tests.core.test_ledger import claimed
from tests.deliveries import DAY, sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Delivery
    from liveramp_provider.core.workspace import Workspace

NAME = "ftp_1234_20914_Acme_full_1795219200000.sync.gz"
THERE = audience_manager(*segment_files({"vip": "1"}), control_file=True)


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "staging")


def sealed(here: Workspace, content: bytes, *, slot: str = "20914", made_of: str = "", **changes: Any) -> SealedFile:
    """A file of the audience, staged as its build task does it; `made_of` parts files of equal bytes."""
    place = here.staging.place(
        audience_id="vip", day=DAY, stage=f"build-audience_manager-{slot}", inputs=[content.hex(), made_of]
    )
    facts = {"audience": "vip", "destination": "audience_manager", "slot": slot, "name": NAME, **changes}
    with here.staging.scratch() as scratch:
        return place.seal(scratch, sealed_file(scratch / NAME, content, **facts))


def delivery_of(file: SealedFile, home: Path) -> Delivery:
    """What the ledger has of it once it is delivered."""
    return claimed(Ledger.in_file(home / "ledger.sqlite"), file, State.COMMITTED).delivery


def opted_out(sha256: str) -> SuppressionList:
    return SuppressionList(
        source="people",
        read_at=datetime(2026, 11, 20, tzinfo=UTC),
        updated_at="",
        keys=1,
        emails=0,
        phones=0,
        sha256=sha256,
    )


@pytest.mark.parametrize(("base", "sync"), [("", "full"), ("0" * 64, "iter")])
def test_a_control_file(base: str, sync: str, here: Workspace) -> None:
    """It goes after all that it tells of, has nothing of a person, and is sealed once, where the day's files are."""
    changes = {"base": base, "snapshot": "1" * 64, "revision": 2, "waterfall": {"members": 30}, "blanked": {"zip": 3}}
    main = sealed(here, b"first", parts=("2" * 64,), **changes)
    parts = [main, sealed(here, b"second", slot="20914_2", rows=7)]
    control = control_file(THERE, parts, workspace=here)
    assert control is not None
    content = control.path.read_bytes()
    assert [file["FileLineCount"] for file in json.loads(content)["Files"]] == [30, 7]
    digest = hashlib.sha256(content).hexdigest()
    assert control == replace(
        main,
        path=control.path,
        slot="20914_info",
        name=f"ftp_1234_20914_Acme_{sync}_1795219200001.info",
        rows=0,
        csv_bytes=len(content),
        csv_sha256=digest,
        size_bytes=len(content),
        sha256=digest,
        recipient="",
        waterfall={},
        blanked={},
        parts=(),
        after=("20914", "20914_2"),
        base="",
        snapshot="",
    )
    (folder,) = (here.staging.root / "vip" / str(DAY)).glob("build-audience_manager-20914_info-*")
    assert control.path == folder / control.name
    made_at = control.path.stat().st_mtime_ns
    assert control_file(THERE, parts, workspace=here) == control
    assert control.path.stat().st_mtime_ns == made_at
    assert control_file(replace(THERE, control_file=False), parts, workspace=here) is None


def test_which_file_was_delivered(here: Workspace, tmp_path: Path) -> None:
    """The one of those bytes and opt-outs; where two of them differ in what follows, nobody can say."""
    one = sealed(here, b"first", suppression=opted_out("3" * 64), parts=("2" * 64,))
    delivery = delivery_of(one, tmp_path)
    found = sealed_of(delivery, here.staging)
    assert found is not None
    key, known = found
    assert (here.staging.root / key, known.parts) == (one.path.parent, one.parts)
    sealed(here, b"first", made_of="other opt-outs", suppression=opted_out("4" * 64), snapshot="1" * 64)
    sealed(here, b"first", made_of="no opt-outs", snapshot="1" * 64)
    sealed(here, b"other", suppression=opted_out("3" * 64), snapshot="1" * 64)
    sealed(here, b"first", made_of="the same", suppression=opted_out("3" * 64), parts=("2" * 64,))
    assert sealed_of(delivery, here.staging) is not None
    sealed(here, b"first", made_of="another part", suppression=opted_out("3" * 64), parts=("5" * 64,))
    assert sealed_of(delivery, here.staging) is None
    assert sealed_of(replace(delivery, sha256="6" * 64), here.staging) is None


def test_without_opt_outs(here: Workspace, tmp_path: Path) -> None:
    """An audience without a list of opt-outs has files, too."""
    assert sealed_of(delivery_of(sealed(here, b"first"), tmp_path), here.staging) is not None


def test_what_follows(here: Workspace, tmp_path: Path) -> None:
    """The parts of what its receiver has, in their order, then the control file; nothing where one file is all."""
    rest = [sealed(here, content, slot=f"20914_{number}") for number, content in enumerate((b"second", b"third"), 2)]
    main = sealed(here, b"first", parts=tuple(part.sha256 for part in rest))
    delivery = delivery_of(main, tmp_path)
    newer = sealed(here, b"other")
    control = control_file(THERE, [main, *rest], workspace=here)
    assert list(following(newer, delivery, THERE, workspace=here)) == [*rest, control]
    assert list(following(main, delivery, replace(THERE, control_file=False), workspace=here)) == []
    assert parts_of(main, here.staging) == [main, *rest]
    rest[1].path.unlink()
    way_out = (
        "is not staged any more, and what is left of the day cannot be sent without it. "
        "If nothing of it was delivered, clear its build task; else send the day again as a revision."
    )
    with pytest.raises(SealBrokenError) as gone:
        parts_of(main, here.staging)
    assert str(gone.value) == f"{NAME}: 20914_3 {way_out}"
    with pytest.raises(SealBrokenError) as gone:
        list(following(newer, replace(delivery, sha256="6" * 64), THERE, workspace=here))
    assert str(gone.value) == f"{NAME}: 20914 {way_out}"
