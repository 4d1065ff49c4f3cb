"""A worker in a process of its own, whose clock may be wrong: extract, enrich, build, deliver.

``python -m tests.integration.clock_worker HOME DAY CONNECTION HOLDER``; prints the receipt's name and day.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

from liveramp_provider.core.ledger import Ledger
from liveramp_provider.core.pipeline.deliver import deliver
from liveramp_provider.core.transports.sftp import SftpEndpoint, SftpTransport
from tests.core.pipeline import audience, email_column, people_file, pii_file, run, workspace


def main(home: Path, day: date, connection: dict[str, str], holder: str) -> None:
    """One day of an audience of 30."""
    people = {f"C{number:03}": {"email": f"person{number}@example.com"} for number in range(30)}
    source = people_file(home / "people.parquet", people, ["email"])
    vip = audience(
        members=source,
        traits={"email": "email"},
        traits_from=source,
        files=[pii_file(email_column())],
        compression="gzip",
    )
    file = run(vip, workspace(home / "staging"), day)["PII"]
    endpoint = SftpEndpoint(
        host=connection["host"],
        port=int(connection["port"]),
        username=connection["login"],
        password=connection["password"],
        private_key="",
        passphrase="",
        host_keys=(connection["host_key"],),
        known_hosts="",
    )
    receipt = deliver(
        file,
        replace(vip.destinations[0], path=connection["folder"]),
        transport=SftpTransport(endpoint),
        ledger=Ledger.in_file(home / "ledger" / "ledger.sqlite"),
        holder=holder,
    )
    print(receipt.name, receipt.day, receipt.sent_now)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4])
