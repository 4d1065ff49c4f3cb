"""The ledger by command, wherever it lies: in an installation's folder or behind a connection to PostgreSQL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.ledger import State
from liveramp_provider.testing.standalone import free_port
from tests.core.test_ledger import claimed
from tests.core.test_ledger_receipts import committed, let_the_audit_change
from tests.core.test_resolve import doubtful
from tests.deliveries import sealed_file
from tests.test_cli import assert_one_line, liveramp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ledgers import LedgerDatabase


def reached(database: LedgerDatabase) -> list[str]:
    """The options that lead to the ledger."""
    if database.dialect == "sqlite":
        return ["--home", str(database.place.parent)]
    return ["--ledger", "liveramp_ledger", "--connection", f"liveramp_ledger={database.place}"]


@pytest.fixture
def database(ledger_database: LedgerDatabase, tmp_path: Path) -> LedgerDatabase:
    """A ledger with one delivery made and one in doubt."""
    ledger = ledger_database.open()
    committed(ledger, sealed_file(tmp_path / "sealed"))
    doubtful(ledger, sealed_file(tmp_path / "sealed", slot="D"))
    return ledger_database


def test_list_and_resolve(database: LedgerDatabase) -> None:
    """What is listed as in doubt is closed by the id in the list; the grades that occur are explained."""
    result = liveramp("deliveries", *reached(database))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "  E3: size read back on the open file; close and rename acknowledged" in lines
    assert lines[-1].startswith("  ! 1 in doubt: ")
    (doubt,) = [line.split() for line in lines if "in_doubt" in line]
    closed = liveramp("resolve", doubt[-1], "--outcome", "delivered", "--why", "there since 05:12", *reached(database))
    assert closed.exit_code == 0, closed.output
    again = liveramp("deliveries", *reached(database), "--state", "committed").stdout
    assert [evidence for evidence in ("E3", "P") if re.search(rf"  {evidence}  ", again)] == ["E3", "P"]


def test_what_is_known_of_an_upload_is_no_evidence(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """Before a delivery is made, its line claims nothing."""
    claim = claimed(ledger_database.open(), sealed_file(tmp_path / "sealed"), State.UPLOADING)
    claim.advance(State.VERIFIED, evidence="E3")
    assert "E3" not in liveramp("deliveries", *reached(ledger_database)).stdout


def test_verify(database: LedgerDatabase) -> None:
    """The number of receipts and the digest of the last; the first one that somebody has changed is named."""
    good = liveramp("deliveries", *reached(database), "--verify")
    assert (good.exit_code, good.stderr) == (0, "")
    assert re.fullmatch(r"✓ receipts: 1, none changed; digest of the last: [0-9a-f]{64}\n", good.stdout)
    let_the_audit_change(database)
    database.sql("update liveramp_receipts set rows = 7")
    assert_one_line(liveramp("deliveries", *reached(database), "--verify"), "receipt 1 is not what was written: .*")
    database.sql("delete from liveramp_receipts")
    short = liveramp("deliveries", *reached(database), "--verify").stdout
    assert "✓ receipts: 0, none changed\n  ! deliveries without a receipt: 1. " in short


def test_a_place_without_a_ledger_gets_none(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """Neither listing nor closing makes a table or a file where there is no ledger."""
    for command in (["deliveries"], ["resolve", "0" * 12, "--outcome", "delivered", "--why", "x"]):
        assert_one_line(liveramp(*command, *reached(ledger_database)), r".*(has no ledger|cannot be read).*")
    assert list(tmp_path.iterdir()) == []
    if ledger_database.dialect == "postgresql":
        engine = sa.create_engine(ledger_database.url, poolclass=sa.NullPool)
        assert sa.inspect(engine).get_table_names() == []


def test_by_the_environment(database: LedgerDatabase, tmp_path: Path) -> None:
    """Where Airflow's own settings are at hand, no option is needed; the connection counts more than the folder."""
    environment = {
        "AIRFLOW__LIVERAMP__LEDGER_CONN_ID": "crm-ledger",
        "LIVERAMP_CONN_CRM_LEDGER": database.url,
        "AIRFLOW__LIVERAMP__HOME": str(tmp_path / "empty"),
    }
    assert "in_doubt" in liveramp("deliveries", environment=environment).stdout


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    """One line says which, without the password."""
    url = f"postgresql+psycopg2://ann:hunter2@127.0.0.1:{free_port()}/ledger"
    for command in (["deliveries"], ["resolve", "0" * 12, "--outcome", "delivered", "--why", "x"]):
        result = liveramp(*command, "--ledger", "far", environment={"LIVERAMP_CONN_FAR": url})
        assert_one_line(
            result, r"the ledger postgresql\+psycopg2://127.0.0.1:\d+/ledger cannot be read \(.*refused\)\."
        )
        assert "hunter2" not in result.output


def test_nothing_said_where_the_ledger_is() -> None:
    """Without a folder and a connection the command names both."""
    result = liveramp("deliveries", environment={"AIRFLOW__LIVERAMP__HOME": ""})
    assert result.exit_code == 2
    assert "--home" in result.stderr
    assert "--ledger" in result.stderr
