"""What the faulty SFTP server can be told to do wrong."""

import sys
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

#: The operations that the server counts, by their names in asyncssh.
Call = Literal["open", "write", "fstat", "close", "stat", "lstat", "scandir", "rename", "posix_rename", "remove"]

#: As often as it is met.
ALWAYS = sys.maxsize


class Fault(StrEnum):
    """One thing that goes wrong with a session; `at` is a number of bytes unless it says otherwise."""

    DROP_AT = "hangs up when byte `at` of a file has arrived"
    FAIL_WRITE = "says failure to the `at`-th write of a file, and stores nothing of it"
    QUOTA = "has room for `at` bytes of a file, and says failure to every write beyond"
    SHORT = "keeps `at` bytes of a file, and says that it keeps all"
    FAIL_CLOSE = "loses the second half of a file when it is closed, and says failure"
    LOSE_CLOSE_REPLY = "closes a file, and hangs up without a word"
    RENAME_REFUSED = "permission denied, for every kind of rename"
    RENAME_FAILS = "says failure to every kind of rename"
    DROP_BEFORE_RENAME = "hangs up instead of a rename"
    DROP_AFTER_RENAME = "renames, and hangs up without a word"
    LOSE_OPEN = "does not open, and says that a connection is lost, as a gateway does that lost its own"
    STALL_OPEN = "does not open, and says nothing, while the connection stays alive"
    STALL_WRITE = "says nothing any more when byte `at` of a file has arrived"
    STALL_FSTAT = "says nothing when it is asked for the size of an open file"
    STALL_CLOSE = "does not close, and says nothing"
    STALL_RENAME = "does not rename, and says nothing"
    STALL_AFTER_RENAME = "renames, and says nothing"
    SLOW = "takes `at` bytes a second"
    BACKWARD = "answers what comes at the same time from the last to the first, once a file is written"
    STAT_DENIED = "permission denied, for every look at a path"
    FSTAT_DENIED = "permission denied, for every look at an open file"
    NO_SIZE = "tells no sizes"
    NO_POSIX_RENAME = "does not know the rename that replaces"
    NO_PLAIN_RENAME = "permission denied, for the rename that does not replace"
    NO_REMOVE = "permission denied, for every removal"
    TAKES_ALL = "takes a file away when it is closed, whatever its name"

    @property
    def times(self) -> int:
        """How many sessions meet with it unless somebody says so: one, or all where a server is simply like that."""
        return ALWAYS if self in _NATURE else 1


_NATURE = {
    Fault.BACKWARD,
    Fault.STAT_DENIED,
    Fault.FSTAT_DENIED,
    Fault.NO_SIZE,
    Fault.NO_POSIX_RENAME,
    Fault.NO_PLAIN_RENAME,
    Fault.NO_REMOVE,
    Fault.TAKES_ALL,
}
_BOTH: tuple[Call, ...] = ("rename", "posix_rename")

#: The operations that meet with each fault.
MET_BY: dict[Fault, tuple[Call, ...]] = {
    Fault.DROP_AT: ("write",),
    Fault.FAIL_WRITE: ("write",),
    Fault.QUOTA: ("write",),
    Fault.SHORT: ("write",),
    Fault.FAIL_CLOSE: ("close",),
    Fault.LOSE_CLOSE_REPLY: ("close",),
    Fault.RENAME_REFUSED: _BOTH,
    Fault.RENAME_FAILS: _BOTH,
    Fault.DROP_BEFORE_RENAME: _BOTH,
    Fault.DROP_AFTER_RENAME: _BOTH,
    Fault.LOSE_OPEN: ("open",),
    Fault.STALL_OPEN: ("open",),
    Fault.STALL_WRITE: ("write",),
    Fault.STALL_FSTAT: ("fstat",),
    Fault.STALL_CLOSE: ("close",),
    Fault.STALL_RENAME: _BOTH,
    Fault.STALL_AFTER_RENAME: _BOTH,
    Fault.SLOW: ("write",),
    Fault.BACKWARD: ("write",),
    Fault.STAT_DENIED: ("stat", "lstat", "scandir"),
    Fault.FSTAT_DENIED: ("fstat",),
    Fault.NO_SIZE: ("fstat", "stat", "lstat"),
    Fault.NO_POSIX_RENAME: ("posix_rename",),
    Fault.NO_PLAIN_RENAME: ("rename",),
    Fault.NO_REMOVE: ("remove",),
    Fault.TAKES_ALL: ("close",),
}


@dataclass(slots=True)
class Planned:
    """A fault to come.

    :param left: How many sessions will meet with it.
    """

    fault: Fault
    at: int
    left: int


@dataclass(slots=True)
class Faults:
    """The faults to come, in the order in which they were asked for."""

    _planned: list[Planned] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, fault: Fault, *, times: int, at: int) -> None:
        """Let the next `times` sessions that come to it meet with `fault`."""
        with self._lock:
            self._planned.append(Planned(fault, at, times))

    def meet(self, fault: Fault) -> int | None:
        """Where the fault lies that a session meets now; ``None`` where none is planned."""
        with self._lock:
            for planned in self._planned:
                if planned.fault is fault and planned.left:
                    planned.left -= 1
                    return planned.at
        return None


@dataclass(slots=True)
class OneSession:
    """The faults of one session: what it has met stays until its end."""

    faults: Faults
    _met: dict[Fault, int] = field(default_factory=dict)

    def of(self, call: Call) -> dict[Fault, int]:
        """The faults that `call` meets with, and where each lies."""
        for fault, calls in MET_BY.items():
            if call in calls and fault not in self._met and (at := self.faults.meet(fault)) is not None:
                self._met[fault] = at
        return {fault: at for fault, at in self._met.items() if call in MET_BY[fault]}
