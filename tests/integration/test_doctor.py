"""What a server lets us do, tried with real servers, and what preflight makes of it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.doctor import examine
from liveramp_provider.core.errors import RemoteFolderError
from liveramp_provider.core.guards.probed import check_probed
from liveramp_provider.core.ledger import Probe, note_probe
from liveramp_provider.testing.sftp import FaultySftp
from liveramp_provider.testing.sftp.faults import Fault
from tests.deliveries import QUICK, destination, listing, way_to
from tests.integration.test_preflight import audience
from tests.servers import OpenSshServer

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.doctor import Finding
    from liveramp_provider.core.ledger import Ledger


def findings(there: Destination, server: OpenSshServer | FaultySftp) -> list[Finding]:
    return list(examine(there, lambda _: way_to(server)))


def probe_in(found: list[Finding]) -> Probe:
    (probe,) = (one.probe for one in found if one.probe is not None)
    return probe


def test_a_server_that_allows_everything(server: OpenSshServer, folder: Path, ledger: Ledger) -> None:
    """Every finding is good, the best evidence is promised, nothing is left, and preflight goes on."""
    there = destination(folder)
    found = findings(there, server)
    assert [one.good for one in found] == [True] * 4
    assert "evidence E3" in found[-1].words
    probe = probe_in(found)
    assert (probe.renames, probe.tells_sizes, probe.removes) == (True, True, True)
    assert (probe.server, listing(folder)) == (f"{server.host}:{server.port}", {})
    note_probe(ledger, probe)
    check_probed(audience(there), ledger=ledger)


def test_a_server_that_renames_nothing(tmp_path: Path, ledger: Ledger) -> None:
    """It is found out before a delivery, preflight refuses until it has changed, and a direct upload is let through."""
    with OpenSshServer(tmp_path / "server", sftp_options=("-P", "rename,posix-rename")) as server:
        there = destination(server.root)
        check_probed(audience(there), ledger=ledger)  # nobody has tried yet
        found = findings(there, server)
        assert [one.words for one in found if not one.good] == [
            f"lets us write in {server.root}, but lets nothing be renamed. "
            "Ask LiveRamp to allow it, or agree on `upload: direct`, which promises less"
        ]
        assert not any("evidence" in one.words for one in found)
        assert listing(server.root) == {}
        note_probe(ledger, probe_in(found))
        with pytest.raises(RemoteFolderError, match=r"liveramp: on .*lets nothing be renamed in .*`upload: direct`"):
            check_probed(audience(there), ledger=ledger)
        direct = replace(there, upload="direct")
        check_probed(audience(direct), ledger=ledger)
        again = findings(direct, server)
        assert all(one.good for one in again)
        assert "evidence E5" in again[-1].words
    note_probe(ledger, replace(probe_in(found), renames=True))
    check_probed(audience(there), ledger=ledger)


def test_all_that_preflight_refuses(ledger: Ledger) -> None:
    """Every destination at which nothing can be renamed is named at once, each with the way out."""
    there = [destination(f"/drop/{name}", id=name, conn_id=name) for name in ("first", "second")]
    for one in there:
        facts = {"conn_id": one.conn_id, "folder": one.path, "server": "sftp.example:22"}
        can = {"renames": False, "tells_sizes": True, "removes": True}
        note_probe(ledger, Probe(**facts, **can, at=datetime(2026, 11, 20, tzinfo=UTC)))
    with pytest.raises(RemoteFolderError) as refused:
        check_probed(audience(*there), ledger=ledger)
    assert str(refused.value).split("\n") == [
        f"{name}: on 2026-11-20, liveramp doctor found that sftp.example:22 lets nothing be renamed in /drop/{name}. "
        "Ask LiveRamp to allow it and run liveramp doctor again; where that cannot be, agree on `upload: direct`, "
        "which promises less."
        for name in ("first", "second")
    ]


def test_a_server_that_says_failure_to_a_rename(tmp_path: Path) -> None:
    """It renames nothing, whatever word it has for that."""
    with FaultySftp(tmp_path / "faulty") as server:
        server.misbehave(Fault.RENAME_FAILS)
        probe = probe_in(findings(destination(server.folder), server))
        assert (probe.renames, probe.removes, listing(server.drop)) == (False, True, {})


def test_another_folder_is_another_matter(server: OpenSshServer, folder: Path, ledger: Ledger) -> None:
    """What was found in one folder says nothing of another."""
    probe = probe_in(findings(destination(folder), server))
    note_probe(ledger, replace(probe, renames=False))
    check_probed(audience(destination(f"{folder}/other")), ledger=ledger)
    with pytest.raises(RemoteFolderError):
        check_probed(audience(destination(folder)), ledger=ledger)


def test_a_folder_that_may_only_be_read(tmp_path: Path) -> None:
    """Nothing can be written there, which is a fault, and nothing more is tried."""
    with OpenSshServer(tmp_path / "server", sftp_options=("-R",)) as server:
        found = findings(destination(server.root), server)
    assert [one.good for one in found] == [True, True, False]
    assert f"does not let us write in {server.root}" in found[-1].words


@pytest.mark.parametrize("untold", [Fault.NO_SIZE, Fault.FSTAT_DENIED])
def test_what_cannot_be_removed_is_named(untold: Fault, tmp_path: Path) -> None:
    """A server that takes files and gives none back is told by the name of what is left there."""
    with FaultySftp(tmp_path / "faulty") as server:
        server.misbehave(Fault.NO_REMOVE)
        server.misbehave(untold)
        found = findings(destination(server.folder), server)
        probe = probe_in(found)
        assert (probe.renames, probe.tells_sizes, probe.removes) == (True, False, False)
        assert "evidence E4" in found[-2].words
        (left,) = listing(server.drop)
        assert f"{server.folder}/{left} is left there" in found[-1].words


def test_who_cannot_log_in_tries_nothing(server: OpenSshServer, folder: Path) -> None:
    """The first thing that is wrong is told, and nothing is tried behind it."""
    found = list(examine(destination(folder), lambda _: way_to(server, port=1)))
    assert [one.good for one in found] == [True, False]


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_RENAME, Fault.LOSE_CLOSE_REPLY, Fault.DROP_AT])
def test_what_a_broken_line_leaves_is_named(fault: Fault, tmp_path: Path) -> None:
    """Where the line breaks, what may lie at the server is named, whichever of its names it has by then."""
    with FaultySftp(tmp_path / "faulty") as server:
        server.misbehave(fault)
        found = findings(destination(server.folder), server)
        assert not found[-1].good
        assert all(one.probe is None for one in found)
        (left,) = listing(server.drop)
        assert f"{server.folder}/{left}" in found[-1].words


def test_the_words_of_a_broken_line(tmp_path: Path) -> None:
    """They say what happened, what to do, and both names under which the file may lie."""
    name = r"/uploads/drop/\.[0-9a-f]{32}\.tmp"
    with FaultySftp(tmp_path / "faulty") as server:
        server.misbehave(Fault.DROP_AFTER_RENAME)
        found = findings(destination(server.folder), server)
        where = f"{server.host}:{server.port}"
        way_out = rf"Run liveramp doctor again; a file of a few bytes may be left there as {name} or {name}\.$"
        assert re.match(rf"{where}: ConnectionLost: Connection lost\. {way_out}", found[-1].words)
        server.misbehave(Fault.STALL_CLOSE)
        quick = replace(way_to(server), deadlines=QUICK)
        stalled = list(examine(destination(server.folder), lambda _: quick))[-1].words
        assert re.match(rf"{where} said nothing for 1 seconds\. A task tries it again\. {way_out}", stalled)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """What a server that stores no more has made of the file is removed, and nothing is said to be left."""
    with FaultySftp(tmp_path / "faulty") as server:
        server.misbehave(Fault.QUOTA)
        found = findings(destination(server.folder), server)
        assert not found[-1].good
        assert "left" not in found[-1].words
        assert listing(server.drop) == {}


def test_a_server_that_takes_every_name(tmp_path: Path) -> None:
    """Where temporary files are taken away, that is said, and not that the folder is missing or that files are left."""
    with FaultySftp(tmp_path / "faulty") as server:
        server.misbehave(Fault.TAKES_ALL)
        found = findings(destination(server.folder), server)
        assert [one.good for one in found] == [True, True, False]
        assert "takes a file away before it is renamed" in found[-1].words
        assert all(one.probe is None for one in found)
