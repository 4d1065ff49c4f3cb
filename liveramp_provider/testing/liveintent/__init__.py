"""A fake LiveIntent: its audience API as the API guide has it, which can be told to misbehave.

.. code-block:: python

    with FakeLiveIntent(actions=["add"]) as liveintent:
        liveintent.misbehave(LiveIntentFault.LOST_ANSWER, call="Put")
        ...  # deliver through liveintent.connection_json()
        assert [upload.name for upload in liveintent.uploads] == ["vip-EMAIL_HASH_2026-11-20.csv"]

It is strict where LiveIntent says something: the token, the numbers of account and data provider, one kind of
identifier a file, one value a line, no quotes; a signed address is for one file. Names of audiences need not be unique,
so that a client that makes a second one is found out. An upload goes from Pending by Running to Finished or Error, one
step each time the uploads are listed, or as fast as it is told. The list tells no names of uploads, unless it is made
to.
"""

import json
import secrets
from collections.abc import Iterable
from pathlib import Path

from liveramp_provider.testing.liveintent.account import Account, Audience, UploadedFile
from liveramp_provider.testing.liveintent.faults import Call, LiveIntentFault
from liveramp_provider.testing.liveintent.server import Handler
from liveramp_provider.testing.private_files import private_folder
from liveramp_provider.testing.serving import Served

__all__ = ["FakeLiveIntent", "LiveIntentFault", "UploadedFile"]


class FakeLiveIntent(Served[Call, LiveIntentFault]):
    """One account behind an HTTP server on 127.0.0.1; a context manager, which serves inside the block."""

    known_as = "the fake LiveIntent"
    handler = Handler

    def __init__(
        self,
        *,
        actions: Iterable[str],
        account_id: int = 12345,
        data_provider_id: int = 678,
        tells_names: bool = False,
        read_after: int = 2,
        home: Path | None = None,
    ) -> None:
        """Make the account; it does not serve yet.

        :param actions: What the API takes as ``action``.
        :param tells_names: Whether the list of uploads has their names; the published form of it has not.
        :param read_after: How often the list shows an upload unread.
        :param home: Folder that keeps audiences and uploads over restarts, and needs the care that the files need;
            made if it is missing, mode 0700. Without it, nothing is kept.
        """
        super().__init__()
        self.account = Account(
            account_id=account_id,
            data_provider_id=data_provider_id,
            actions=actions,
            tells_names=tells_names,
            read_after=read_after,
            kept_in=private_folder(home) / "account.json" if home else None,
        )
        self.token = secrets.token_urlsafe(24)

    @property
    def audiences(self) -> tuple[Audience, ...]:
        """Every audience, the oldest first."""
        return tuple(self.account.audiences)

    @property
    def uploads(self) -> tuple[UploadedFile, ...]:
        """Every file that came, the oldest first."""
        return tuple(self.account.uploads)

    def misbehave(self, fault: LiveIntentFault, times: int = 1, *, call: Call) -> None:
        """Let the next `times` requests of kind `call` meet with `fault`, after those planned before."""
        self.faults.plan(fault, times=times, call=call)

    def connection_json(self) -> str:
        """Return an Airflow connection of type ``liveintent`` as JSON. It contains the token.

        :raises RuntimeError: The server does not run.
        """
        return json.dumps({"conn_type": "liveintent", "host": self.url, "password": self.token})
