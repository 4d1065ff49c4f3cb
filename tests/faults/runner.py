"""Drives one delivery through one fault as Airflow would, and judges it by what the receiver got."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from liveramp_provider.core.errors import DeliveryInDoubtError, LiveRampError, TransientError
from liveramp_provider.core.pipeline.deliver import deliver
from tests.core.pipeline import told as all_of
from tests.deliveries import Delivering, destination, sealed_file
from tests.faults.canary import files_below, hits, planted_csv
from tests.faults.outcomes import Got, Outcome, Told, judge

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from liveramp_provider.core.transports import Transport

#: One try, three retries.
TRIES = 4
CONTENT = planted_csv()


class Receiver(Protocol):
    """Where a case delivers to.

    :param path: The folder, as the audience file names it.
    :param home: What the receiver keeps; personal data belongs there.
    :param secrets: What nobody but the connection may know.
    :param takes_torsos: It takes files that are not finished; no sender can prevent that.
    :param choices: What the audience file says of it, apart from the usual.
    """

    path: str
    home: Path
    transport: Transport
    secrets: tuple[str, ...]
    takes_torsos: bool
    choices: dict[str, Any]

    @property
    def in_worker(self) -> Callable[[], AbstractContextManager[None]]:
        """What a worker in another process has to be told as well."""

    def collect(self) -> None:
        """Do what the receiver does by itself from time to time."""

    def copies(self) -> list[bytes]:
        """All files that the receiver got from us, one after the other."""

    def leftovers(self) -> list[str]:
        """What lies there under a name that it does not take."""


@dataclass
class Scene:
    """One delivery of planted people to one receiver.

    :param ways: The transports of the first tries; later ones use the right one.
    :param before_the_clear: What had become of it when the retries were over.
    :param somebody_is_at_it: A worker holds a connection open meanwhile.
    :param heard: All that was said: texts of errors and everything that they came from.
    """

    home: Path
    receiver: Receiver
    delivering: Delivering
    ways: list[Transport] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    before_the_clear: Outcome | None = None
    somebody_is_at_it: bool = False

    def attempt(self, *, holder: str = "dag/run 1/deliver") -> Told:
        """One try of the deliver task."""
        self.delivering.transport = self.ways.pop(0) if self.ways else self.receiver.transport
        said, text = tried(self.delivering, self.receiver.choices, holder=holder)
        self.heard.append(text)
        self.collect()
        return said

    def collect(self) -> None:
        """Let the receiver have its turn, unless it would wait for somebody who does not go."""
        if not self.somebody_is_at_it:
            self.receiver.collect()

    def got(self) -> Got:
        """What the receiver has by now."""
        return Got.of(self.receiver.copies(), self.delivering.file.path.read_bytes())

    def judged(self, said: Told) -> Outcome:
        """What has become of it, where the last try said this."""
        return judge(self.got(), said, torso_is_told=self.receiver.takes_torsos)


def tried(delivering: Delivering, choices: dict[str, Any], *, holder: str) -> tuple[Told, str]:
    """What one try said, as Airflow's retry policy understands it, and all that can be learned from its error."""
    try:
        deliver(
            delivering.file,
            destination(delivering.path, **choices),
            transport=delivering.transport,
            ledger=delivering.ledger,
            holder=holder,
        )
    except DeliveryInDoubtError as error:
        return Told.DOUBT, all_of(error)
    except TransientError as error:
        return Told.RETRY, all_of(error)
    except LiveRampError as error:
        return Told.STOP, all_of(error)
    except Exception as error:  # noqa: BLE001 - an error of no type is an outcome
        return Told.UNTYPED, all_of(error)
    return Told.GREEN, ""


def with_retries(scene: Scene) -> Told:
    """One try and three retries; then somebody clears the task, whatever it said, and it runs again."""
    said = until_it_ends(scene)
    scene.before_the_clear = scene.before_the_clear or scene.judged(said)
    return said if said is Told.UNTYPED else until_it_ends(scene)


def until_it_ends(scene: Scene) -> Told:
    """One try and its retries."""
    for _ in range(TRIES):
        said = scene.attempt()
        if said is not Told.RETRY:
            break
    return said


def nothing(scene: Scene) -> None:
    """No fault."""


def no_complaint(scene: Scene) -> str:
    """No complaint."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One delivery that meets with one fault.

    :param row: Number of the row in the fault table.
    :param name: What exactly goes wrong.
    :param way: How the file travels, and to what sort of receiver.
    :param promise: The outcomes that keep the promise.
    :param receive: Starts the receiver; its folder is given.
    :param inject: Prepares the fault before the first try.
    :param drive: Makes the tries; returns what the last one said.
    :param complain: What else was promised and does not hold; empty: nothing.
    """

    row: int
    name: str
    way: str
    promise: frozenset[Outcome]
    receive: Callable[[Path], AbstractContextManager[Receiver]]
    inject: Callable[[Scene], object] = nothing
    drive: Callable[[Scene], Told] = with_retries
    complain: Callable[[Scene], str] = no_complaint

    def __str__(self) -> str:
        return f"{self.row} {self.way}: {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a case.

    :param traces: Where planted people or credentials were found.
    :param complaint: What else was promised and does not hold.
    :param left: What lies at the receiver under a name that it does not take.
    """

    case: Case
    outcome: Outcome
    before_the_clear: Outcome | None
    torsos: int
    complaint: str
    traces: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return self.outcome in self.case.promise and not self.complaint


def run(case: Case) -> Seen:
    """Deliver planted people through the fault of `case`."""
    with tempfile.TemporaryDirectory(prefix="lr-fault-") as name, listening() as log:
        home = Path(name)
        with case.receive(home / "receiver") as receiver, temporary_files_in(home / "tmp"):
            sealed = home / "sealed"
            file = sealed_file(sealed, CONTENT)
            delivering = Delivering(file, home / "ledger" / "ledger.sqlite", receiver.path, receiver.transport)
            scene = Scene(home, receiver, delivering)
            case.inject(scene)
            said = case.drive(scene)
            searched = [
                ("log", log.getvalue().encode()),
                ("errors", "\n".join(scene.heard).encode()),
                *files_below(home, but=(receiver.home, sealed)),
            ]
            return Seen(
                case=case,
                outcome=scene.judged(said),
                before_the_clear=scene.before_the_clear,
                torsos=scene.got().torsos,
                complaint=case.complain(scene),
                traces=tuple(hits(searched, receiver.secrets)),
                left=tuple(receiver.leftovers()),
            )


@contextmanager
def listening() -> Iterator[io.StringIO]:
    """All that is logged meanwhile, at any level, and all that is printed."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(text), redirect_stderr(text):
            yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Whatever asks for a temporary file gets it there."""
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def without_pauses() -> Iterator[None]:
    """Tries follow each other at once."""
    from botocore.retries.standard import ExponentialBackoff

    from liveramp_provider.core.transports import s3

    pauses, delay = s3._PAUSES_S, ExponentialBackoff.delay_amount
    s3._PAUSES_S = {code: (0,) * len(seconds) for code, seconds in pauses.items()}
    ExponentialBackoff.delay_amount = lambda *_: 0
    try:
        yield
    finally:
        s3._PAUSES_S, ExponentialBackoff.delay_amount = pauses, delay
