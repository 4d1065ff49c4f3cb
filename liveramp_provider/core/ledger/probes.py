"""What a server lets us do in a folder, as it was tried last; never tried during a delivery."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from liveramp_provider.core.ledger.records import UtcDateTime, metadata

if TYPE_CHECKING:
    from liveramp_provider.core.ledger.ledger import Ledger

probes = sa.Table(
    "liveramp_probes",
    metadata,
    sa.Column("conn_id", sa.String(200), primary_key=True),
    sa.Column("folder", sa.String(250), primary_key=True),
    sa.Column("server", sa.String(300), nullable=False),
    sa.Column("renames", sa.Boolean, nullable=False),
    sa.Column("tells_sizes", sa.Boolean, nullable=False),
    sa.Column("removes", sa.Boolean, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found.

    :param server: Host and port.
    :param renames: Whether a file can be given another name; without that, only ``upload: direct`` works.
    :param tells_sizes: Whether the size of an open file is told: evidence ``E3``, else ``E4``.
    :param removes: Whether what broke off can be removed.
    """

    conn_id: str
    folder: str
    server: str
    renames: bool
    tells_sizes: bool
    removes: bool
    at: datetime


def note_probe(ledger: Ledger, probe: Probe) -> None:
    """Keep `probe` instead of what was found there before."""
    here = (probes.c.conn_id == probe.conn_id, probes.c.folder == probe.folder)
    with ledger.transaction() as connection:
        connection.execute(sa.delete(probes).where(*here))
        connection.execute(sa.insert(probes).values(asdict(probe)))


def probe_of(ledger: Ledger, *, conn_id: str, folder: str) -> Probe | None:
    """What was found last; ``None`` where nobody has tried."""
    here = (probes.c.conn_id == conn_id, probes.c.folder == folder)
    with ledger.transaction() as connection:
        row = connection.execute(sa.select(probes).where(*here)).mappings().first()
    return None if row is None else Probe(**row)
