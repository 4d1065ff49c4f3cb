"""Files in the form of Audience Manager's, read by their published form alone, and whose devices they should hold.

Nothing here is of the package: a receiver's reading, and an independent one of who is in which segment.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

#: What a receiver knows: each device with the segments that it is in.
State = dict[str, set[str]]

_NAME = re.compile(
    r"(?P<sync_type>[A-Za-z0-9]+)_(?P<did>\d+)_(?P<dpid>20914|20915)_(?P<client>[A-Za-z0-9_-]+)_(?P<sync>full|iter)"
    r"_(?P<timestamp>\d{13})(?P<split>\d{3,}|-\d+)?\.sync(?P<gz>\.gz)?"
)
_ID = {
    "20914": re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),
    "20915": re.compile(r"[0-9A-F]{8}-([0-9A-F]{4}-){3}[0-9A-F]{12}"),
}
_NO_DEVICE = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A file as its receiver reads it: each device with what it is in, and what it has left."""

    dpid: str
    sync: str
    timestamp: int
    part: int
    rows: dict[str, tuple[set[str], set[str]]]


def read(name: str, content: bytes, *, separator: str = " ") -> Read:
    """The file; whatever is not of the form is an error."""
    found = _NAME.fullmatch(name)
    assert found is not None, "not a name of that form"
    if found["gz"]:
        content = gzip.decompress(content)
    rows: dict[str, tuple[set[str], set[str]]] = {}
    for device, segments, removed in _rows(content.decode("ascii"), separator):
        assert _ID[found["dpid"]].fullmatch(device), "not an id of that kind"
        assert device not in rows, "a device twice"
        assert segments or removed, "a row of nothing"
        assert not segments & removed, "in and out at once"
        assert not (removed and found["sync"] == "full"), "removed from a full file"
        rows[device] = (segments, removed)
    return Read(
        dpid=found["dpid"],
        sync=found["sync"],
        timestamp=int(found["timestamp"]),
        part=int((found["split"] or "0").lstrip("-")),
        rows=rows,
    )


def _rows(text: str, separator: str) -> Iterator[tuple[str, set[str], set[str]]]:
    assert not text or text.endswith("\n"), "the last line has no end"
    for line in text.split("\n")[:-1]:
        device, segments, removed = line.split(separator)
        yield device, _listed(segments), _listed(removed)


def _listed(field: str) -> set[str]:
    listed = field.split(",") if field else []
    assert all(listed), "a gap in a list of segments"
    assert len(set(listed)) == len(listed), "a segment twice"
    return set(listed)


def check_control(name: str, content: bytes, files: Mapping[str, bytes]) -> None:
    """A control file says of the files of its name, all of them and no other, what they are.

    :param files: What came before it: name, bytes.
    """
    root = name.removesuffix(".info")
    assert root != name, "not the name of a control file"
    said = json.loads(content)
    batch = [one for one in files if re.fullmatch(re.escape(root) + r"(\d{3,}|-\d+)?\.sync(\.gz)?", one)]
    assert [entry["FileName"] for entry in said["Files"]] == batch, "other files than those that came"
    lines = []
    for number, (one, entry) in enumerate(zip(batch, said["Files"], strict=True), 1):
        plain = gzip.decompress(files[one]) if one.endswith(".gz") else files[one]
        lines.append(plain.count(b"\n"))
        assert entry == {
            "FileByteSize": len(files[one]),
            "FileLineCount": lines[-1],
            "FileName": one,
            "FileSequenceNumber": number,
            "md5": hashlib.md5(files[one]).hexdigest(),
        }
    assert said["Totals"] == {
        "FileName": f"{root}.sync",
        "TotalByteSize": sum(len(files[one]) for one in batch),
        "TotalNumberFiles": len(batch),
        "TotalNumberLines": sum(lines),
    }
    assert list(said) == ["Files", "Totals"]


def applied(state: State, file: Read) -> State:
    """What a receiver knows after `file`: a full one replaces everything, another changes the devices in it."""
    now = {} if file.sync == "full" and file.part < 2 else {device: set(segments) for device, segments in state.items()}
    for device, (segments, removed) in file.rows.items():
        now[device] = (now.get(device, set()) - removed) | segments
    return {device: segments for device, segments in now.items() if segments}


def membership(
    people: Mapping[str, Mapping[str, object]], segments: Mapping[str, str], *, trait: str, dpid: str
) -> State:
    """Who is in what, in plain words.

    :param people: Key: trait: value.
    :param segments: Trait: mapping value.
    :param trait: The one that holds the device ids.
    """
    state: State = {}
    for key in sorted(people, key=str.encode):
        person = people[key]
        wanted = {mapping for flag, mapping in segments.items() if yes(person.get(flag))}
        device = str(person.get(trait) or "").strip()
        device = device.upper() if dpid == "20915" else device.lower()
        if wanted and _ID[dpid].fullmatch(device) and device != _NO_DEVICE:
            state.setdefault(device, wanted)
    return state


def yes(value: object) -> bool:
    """Whether a flag says yes."""
    text = str("" if value is None else value).strip().lower()
    if text in ("", "null", "none", "nan", "n/a", "undefined", "<nil>", "false", "f", "no", "n", "off"):
        return False
    try:
        return float(text) != 0 if re.fullmatch(r"-?[0-9]+\.?[0-9]*", text) else True
    except ValueError:
        return True
