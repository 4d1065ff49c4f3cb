"""What LiveIntent's audience API accepts: which identifiers, how they are written, and what it must be told.

Source of the facts: LiveIntent's API guide (audiences.liveintent.com/api-guide). Where it is silent, nothing is
guessed: the values of ``action`` are not published, so the audience file has to say which one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from liveramp_provider.core.destination import (
    DeliveryFile,
    Destination,
    Detail,
    FileRules,
    Form,
    Hash,
    Identifier,
    Layout,
)

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.rows import Rows

#: The API's ``identifierType`` of the file of e-mail addresses, hashed or not.
EMAIL_HASH = "EMAIL_HASH"
#: The API's ``identifierType`` of each kind of device id.
DEVICE_TYPE = {Identifier.IDFA: "IDFA", Identifier.GAID: "AAID"}

#: One value a line, without header and quotes. Limits are not published.
RULES = FileRules(
    forms={Identifier.EMAIL: Form.EMAIL},
    matched_by=tuple((identifier,) for identifier in (Identifier.EMAIL, *DEVICE_TYPE)),
    limits=None,
    layout=Layout(quoting="none", header=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveIntent(Destination):
    """A custom audience in a LiveIntent account.

    :param audience_name: Of the audience at LiveIntent, in snake case.
    :param action: What an upload does to the audience, in LiveIntent's word.
    :param notification_email: Whom LiveIntent writes to about an upload; empty: nobody.
    """

    receiver: ClassVar[str] = "LiveIntent"
    by_api: ClassVar[bool] = True

    account_id: int
    data_provider_id: int
    audience_name: str
    action: str
    notification_email: str = ""

    @property
    def look_at(self) -> str:
        """A page of LiveIntent's."""
        return "the audience's uploads at LiveIntent"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailFile(DeliveryFile):
    """The file of e-mail addresses: one line an address, each once, in byte order.

    :param traits: What holds the addresses.
    :param hash: ``None``: as they are, in lower case.
    """

    traits: tuple[str, ...]
    hash: Hash | None

    @property
    def matching(self) -> tuple[tuple[str, Identifier | Detail], ...]:
        """The traits that hold addresses."""
        return tuple((trait, Identifier.EMAIL) for trait in self.traits)

    def rows(self, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """One an address."""
        from liveramp_provider.core.destinations.liveintent.rows import email_rows

        return email_rows(self, profiles, engine=engine, scratch=scratch)
