"""Stand-in for an account at LiveIntent: the fake API, which reads what comes at once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from liveramp_provider.testing.liveintent import FakeLiveIntent
from liveramp_provider.testing.stand_ins.api import ApiStandIn
from liveramp_provider.testing.stand_ins.held import Held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liveramp_provider.core.destination import DeliveryFile, Destination
    from liveramp_provider.core.destinations.liveintent import LiveIntent


class LiveIntentStandIn(ApiStandIn[FakeLiveIntent]):
    """One account; it knows the actions that the audience file names.

    :raises ValueError: The connection leads to two accounts.
    """

    def __init__(self, home: Path, destinations: Sequence[LiveIntent]) -> None:
        accounts = {(there.account_id, there.data_provider_id) for there in destinations}
        if len(accounts) > 1:
            raise ValueError("this machine has one account at LiveIntent for each connection.")
        account_id, data_provider_id = accounts.pop()
        fake = FakeLiveIntent(
            actions={there.action for there in destinations},
            account_id=account_id,
            data_provider_id=data_provider_id,
            read_after=0,
            home=home,
        )
        super().__init__(fake)

    @property
    def greeting(self) -> str:
        """Where it is."""
        return f"A fake LiveIntent listens at {self.fake.url}"

    def arrivals(self) -> tuple[str, ...]:
        """What has come, a sentence each."""
        return tuple(f"LiveIntent got {upload.name}: {len(upload.lines):,} lines" for upload in self.fake.uploads)

    def held(self, destination: Destination, file: DeliveryFile, name: str) -> Held | None:
        """The upload of that name."""
        uploads = [upload for upload in self.fake.uploads if upload.name == name]
        if not uploads:
            return None
        newest = uploads[-1]
        audience = self.fake.account.audience(newest.audience)
        content = "".join(f"{line}\n" for line in newest.lines)
        words = f"{newest.status}: {len(newest.lines):,} of {newest.identifiers}"
        words += f", {newest.invalid:,} invalid" if newest.invalid else ""
        good = newest.status == "Finished" and not newest.invalid and newest.identifiers == file.slot
        return Held(
            times=len(uploads),
            sha256=hashlib.sha256(content.encode()).hexdigest(),
            rows=len(newest.lines),
            header=(),
            refusal="" if good else words,
            shown={"audience": audience.name, "identifiers": len(audience.members), "newest file": words},
        )
