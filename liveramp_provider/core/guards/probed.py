"""Whether a server was found to let us deliver in the way that the audience file asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.errors import RemoteFolderError
from liveramp_provider.core.ledger import probe_of

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.ledger import Ledger


def check_probed(audience: Audience, *, ledger: Ledger) -> None:
    """Nothing, unless the last ``liveramp doctor`` found that a destination's files could never get their names.

    Where nobody has tried, the delivery will tell.

    :raises RemoteFolderError: Nothing can be renamed there, and ``upload`` is ``rename``.
    """
    refused = [words for there in audience.destinations if (words := _refusal(there, ledger))]
    if refused:
        raise RemoteFolderError("\n".join(refused))


def _refusal(destination: Destination, ledger: Ledger) -> str:
    if destination.on_s3 or destination.upload == "direct":
        return ""
    probe = probe_of(ledger, conn_id=destination.conn_id, folder=destination.path)
    if probe is None or probe.renames:
        return ""
    return (
        f"{destination.id}: on {probe.at:%F}, liveramp doctor found that {probe.server} lets nothing be renamed in "
        f"{destination.path}. Ask {destination.receiver} to allow it and run liveramp doctor again; where that cannot "
        "be, agree on `upload: direct`, which promises less."
    )
