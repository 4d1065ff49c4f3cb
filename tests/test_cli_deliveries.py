"""`liveramp deliveries` and `liveramp resolve`, as somebody types them who is called because of a delivery in doubt."""

from __future__ import annotations

import getpass
import re
import sqlite3
import stat
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import DeliveryInDoubtError
from liveramp_provider.core.home import Home
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.core.pipeline.deliver import deliver
from tests.core.test_ledger import claimed
from tests.deliveries import NAME, destination, listing, sealed_file, way_to
from tests.servers import OpenSshServer
from tests.test_cli import assert_one_line, liveramp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

    from liveramp_provider.core.artifacts import Receipt

CONTENT = b"sealed bytes"


@dataclass
class Doubt:
    """An installation with a delivery in doubt, and the server it goes to."""

    home: Home
    server: OpenSshServer
    sealed: Path

    def deliver(self) -> Receipt:
        """What the deliver task does when it is cleared."""
        return deliver(
            sealed_file(self.sealed, CONTENT),
            destination(self.server.root),
            transport=way_to(self.server),
            ledger=Ledger.in_file(self.home.ledger),
            holder="cleared",
        )

    def resolve(self, outcome: str, *options: str, why: str = "looked at the Files page") -> Result:
        """Close it by the id that the list shows."""
        (line,) = listed(self.home.folder)
        words = ("resolve", line[-1], "--outcome", outcome, "--why", why)
        return liveramp(*words, "--home", self.home.folder, *options)


@pytest.fixture
def doubt(tmp_path: Path) -> Iterator[Doubt]:
    """A verified upload vanished before its rename."""
    home = Home(tmp_path / "home")
    with OpenSshServer(tmp_path / "server") as server:
        claim = Ledger.in_file(home.ledger).claim(
            sealed_file(tmp_path / "sealed", CONTENT), folder=str(server.root), holder="cleared"
        )
        claim.advance(State.UPLOADING, temp_path=f"{server.root}/.upload.tmp")
        claim.advance(State.VERIFIED)
        doubt = Doubt(home, server, tmp_path / "sealed")
        with pytest.raises(DeliveryInDoubtError, match=rf"liveramp resolve {claim.delivery.short_id}\."):
            doubt.deliver()
        yield doubt


def deliveries(home: Path, *options: str, **environment: str) -> Result:
    return liveramp("deliveries", "--home", home, *options, environment=environment)


def listed(home: Path, *options: str) -> list[list[str]]:
    """The cells of every listed line."""
    result = deliveries(home, *options)
    assert result.exit_code == 0, result.output
    return [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines() if re.match(r"\d{4}-", line)]


def recorded(home: Path, tmp_path: Path) -> None:
    """Three days of one audience and one of another, in several states."""
    ledger = Ledger.in_file(Home(home).ledger)
    for audience, day, state in (
        ("high_value", 19, State.COMMITTED),
        ("high_value", 21, State.UPLOADING),
        ("high_value", 20, State.INTENT),
        ("low_value", 20, State.COMMITTED),
    ):
        facts = {"audience": audience, "day": date(2026, 11, day), "name": f"3242_{audience}-PII_2026-11-{day}.csv"}
        claim = claimed(ledger, sealed_file(tmp_path / "sealed", rows=12345, **facts), state)
        if state is State.INTENT:
            claim.doubt("nobody can know")


# deliveries


@pytest.mark.parametrize("columns", ["40", "80", "250"])
def test_list(tmp_path: Path, columns: str) -> None:
    """Newest day first, every line whole however narrow the screen, and the one in doubt marked and counted."""
    recorded(tmp_path, tmp_path)
    result = deliveries(tmp_path, COLUMNS=columns)
    assert result.exit_code == 0
    heading, *lines, way_out = result.stdout.splitlines()
    assert " ".join(heading.split()) == "day destination slot name state rows members bytes evidence UTC id"
    assert [line.split()[0][-2:] for line in lines] == ["21", "20", "20", "19"]
    shape = (
        r"2026-11-20  liveramp     PII   3242_high_value-PII_2026-11-20.csv  ! in_doubt  12,345       30     12"
        r" +2026-\d\d-\d\d \d\d:\d\d  [0-9a-f]{12} *"
    )
    assert [bool(re.fullmatch(shape, line)) for line in lines] == [False, True, False, False], result.stdout
    assert way_out.startswith("  ! 1 in doubt: look at the receiver's list of files")


def test_filters(tmp_path: Path) -> None:
    """By audience, by day, by state and by all of them."""
    recorded(tmp_path, tmp_path)
    names = {
        options: [line[3].removeprefix("3242_").removesuffix(".csv") for line in listed(tmp_path, *options)]
        for options in (
            ("--audience", "low_value"),
            ("--day", "2026-11-20"),
            ("--state", "committed"),
            ("--state", "committed", "--audience", "high_value", "--day", "2026-11-19"),
        )
    }
    assert list(names.values()) == [
        ["low_value-PII_2026-11-20"],
        ["high_value-PII_2026-11-20", "low_value-PII_2026-11-20"],
        ["low_value-PII_2026-11-20", "high_value-PII_2026-11-19"],
        ["high_value-PII_2026-11-19"],
    ]


def test_nothing_to_list(tmp_path: Path) -> None:
    """Where there is nothing, one line says so."""
    recorded(tmp_path, tmp_path)
    result = deliveries(tmp_path, "--audience", "unknown")
    assert (result.exit_code, result.stdout) == (
        0,
        f"  · no such delivery is recorded in {tmp_path}/ledger.sqlite.\n",
    )


def test_the_list_is_only_read(tmp_path: Path) -> None:
    """A ledger that may not be written to is listed; not a byte of it changes, and nothing comes to lie beside it."""
    recorded(tmp_path, tmp_path)
    ledger = Home(tmp_path).ledger
    before = listing(tmp_path)
    ledger.chmod(stat.S_IRUSR)
    assert len(listed(tmp_path)) == 4
    assert listing(tmp_path) == before


@pytest.mark.parametrize("command", [("deliveries",), ("resolve", "0" * 12, "--outcome", "delivered", "--why", "x")])
def test_wrong_home(command: tuple[str, ...], tmp_path: Path) -> None:
    """Neither command makes a ledger where there is none; the option is named."""
    result = liveramp(*command, environment={"AIRFLOW__LIVERAMP__HOME": str(tmp_path / "slip")})
    assert_one_line(result, rf"{tmp_path}/slip has no ledger\.sqlite\. Correct --home.*")
    assert list(tmp_path.iterdir()) == []
    missing = liveramp(*command, environment={"AIRFLOW__LIVERAMP__HOME": ""})
    assert missing.exit_code == 2
    assert "--home" in missing.stderr


def test_wrong_day(tmp_path: Path) -> None:
    """A day that is none is one line."""
    recorded(tmp_path, tmp_path)
    assert_one_line(deliveries(tmp_path, "--day", "yesterday"), "--day is not a day of the form YYYY-MM-DD.*")


def test_ledger_that_is_none(tmp_path: Path) -> None:
    """Something else under the ledger's name is one line."""
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, but longer than a header" * 100)
    assert_one_line(deliveries(tmp_path), r"the ledger .* cannot be read \(file is not a database\)\.")


# resolve


def test_delivered_is_never_sent_again(doubt: Doubt) -> None:
    """After `delivered` the cleared task finds the delivery done and sends nothing."""
    result = doubt.resolve("delivered")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(rf"✓ {NAME} \([0-9a-f]{{12}}\): recorded as delivered; it is not sent again\.\n", result.stdout)
    connections = doubt.server.log.count("Connection from")
    receipt = doubt.deliver()
    assert (receipt.sent_now, receipt.evidence) == (False, "P")
    assert listing(doubt.server.root) == {}
    assert doubt.server.log.count("Connection from") == connections == 1
    assert [line[4] for line in listed(doubt.home.folder)] == ["committed"]


def test_not_delivered_is_sent_once(doubt: Doubt) -> None:
    """After `not-delivered` the command sends nothing; the cleared task removes the leftover and sends once."""
    leftover = {".upload.tmp": b"half of it"}
    (doubt.server.root / ".upload.tmp").write_bytes(leftover[".upload.tmp"])
    result = doubt.resolve("not-delivered")
    assert result.exit_code == 0, result.output
    assert "not delivered; clear its deliver task, and it is sent." in result.stdout
    assert listing(doubt.server.root) == leftover
    assert [doubt.deliver().sent_now for _ in range(3)] == [True, False, False]
    assert listing(doubt.server.root) == {NAME: CONTENT}
    assert [(line[4], line[8]) for line in listed(doubt.home.folder)] == [("committed", "E3")]


def test_the_user_is_written_down(doubt: Doubt) -> None:
    """The audit has who typed the command, what they saw and why."""
    doubt.resolve("delivered", why="there since 05:12")
    with sqlite3.connect(doubt.home.ledger) as database:
        lines = database.execute("select outcome, why, who from liveramp_resolutions").fetchall()
    database.close()
    assert lines == [("delivered", "there since 05:12", getpass.getuser())]


def test_refusals_are_one_line(doubt: Doubt) -> None:
    """A second resolution, an empty reason and an unknown id are one line each; an outcome beyond the two is a typo."""
    assert_one_line(doubt.resolve("delivered", why=" "), "--why is no printable line.*")
    assert doubt.resolve("maybe").exit_code == 2
    assert doubt.resolve("delivered").exit_code == 0
    again = doubt.resolve("not-delivered")
    assert_one_line(again, rf"{NAME} of 2026-11-20 \([0-9a-f]{{12}}\) is committed, not in_doubt: .*")
    unknown = ("resolve", "0" * 12, "--outcome", "delivered", "--why", "x", "--home", doubt.home.folder)
    assert_one_line(liveramp(*unknown), "no delivery's id begins with '0+'.*")
