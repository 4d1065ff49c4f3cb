"""Audience Manager's files: a row a device with its segments; kinds of ids apart; and what an audience file may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import Suppression
from liveramp_provider.core.audience_file import audience_from, load_audience
from liveramp_provider.core.destination import TraitColumn
from liveramp_provider.core.destinations.audience_manager import (
    ID,
    MASTER_DPID,
    AudienceManager,
    SegmentFile,
    Separator,
    file_rules,
)
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.core.naming import delivered_name
from liveramp_provider.core.rows import Rows
from liveramp_provider.report import adds_up
from tests.core.pipeline import DAY, audience, csv_of, parquet, people_file, run, workspace
from tests.plain_segments import membership, read, yes

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience

EXAMPLE = Path(__file__).parents[2] / "examples" / "audiences" / "audience_manager.yaml"
GOLDEN = Path(__file__).parent / "golden"
IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
GAID = "cdda802e-fb9c-47ad-9866-0794d394c912"
OTHER_GAID = "e4fe9bde-caa0-47b6-908d-ffba3fa184f2"
NO_DEVICE = "00000000-0000-0000-0000-000000000000"
SEGMENTS = {"high_value": "101", "lapsed": "LAPSED"}
KINDS = {"20914": "gaid", "20915": "idfa"}


def segment_files(segments: Mapping[str, str], *, separator: Separator = "space") -> tuple[SegmentFile, ...]:
    """One a kind of device id, with these segments: trait, mapping."""
    return tuple(
        SegmentFile(
            slot=dpid,
            key_header=ID,
            columns=tuple(TraitColumn(header=m, trait=trait, formula="allow") for trait, m in segments.items()),
            rules=file_rules(separator),
            identifiers=((str(kind), kind),),
            hash=None,
        )
        for kind, dpid in MASTER_DPID.items()
    )


def audience_manager(*files: SegmentFile, **changes: Any) -> AudienceManager:
    """A destination that gets these files."""
    default = AudienceManager(
        id="audience_manager",
        conn_id="liveramp_default",
        path="/uploads/audience_manager",
        filename="ftp_1234_{kind}_Acme_{sync}_{timestamp}",
        compression="gzip",
        encryption=None,
        files=files,
        min_members=25,
        max_shrink_percent=50,
        update_method="full_refresh",
    )
    return replace(default, **changes)


def audience_of(
    folder: Path,
    people: Mapping[str, Mapping[str, object]],
    *files: SegmentFile,
    suppression: Suppression | None = None,
    **changes: Any,
) -> Audience:
    """An audience of these people, whose destination gets these files."""
    traits = {name: name for name in (*SEGMENTS, *KINDS.values())}
    source = people_file(folder / "people.parquet", people, list(traits))
    made = audience(members=source, traits=traits, traits_from=source, files=[], suppression=suppression)
    return replace(made, destinations=(audience_manager(*files, **changes),))


def built(folder: Path, people: Mapping[str, Mapping[str, object]], **changes: Any) -> dict[str, SealedFile]:
    """The sealed files of these people, by slot."""
    return run(audience_of(folder, people, *segment_files(SEGMENTS), **changes), workspace(folder / "staging"))


PEOPLE: dict[str, dict[str, object]] = {
    "C1": {"high_value": "1", "lapsed": "true", "gaid": GAID.upper(), "idfa": NO_DEVICE},
    "C2": {"high_value": "yes", "lapsed": "0", "idfa": f" {IDFA.lower()} "},
    "C3": {"lapsed": "Yes", "gaid": OTHER_GAID},
    "C4": {"high_value": "1", "gaid": GAID},
    "C0": {"high_value": "no", "lapsed": "False", "gaid": OTHER_GAID},
    "C5": {"high_value": "1"},
    "C6": {"high_value": "1", "gaid": "no id"},
    "C7": {"gaid": "cdda802e-fb9c-47ad-9866-0794d394c913"},
}


def test_golden_files(tmp_path: Path) -> None:
    """Every file is, byte for byte, what was agreed: id, segments in their order, nothing removed; a file a kind."""
    sealed = built(tmp_path, PEOPLE)
    assert {slot: file.name for slot, file in sealed.items()} == {
        "20914": "ftp_1234_20914_Acme_full_1795219200000.sync.gz",
        "20915": "ftp_1234_20915_Acme_full_1795219200000.sync.gz",
    }
    for slot, file in sealed.items():
        assert csv_of(file) == (GOLDEN / f"audience_manager_{slot}.sync").read_bytes()


def test_account_of_what_is_missing(tmp_path: Path) -> None:
    """Every member is accounted for: in no segment, without an id, or with one that cannot be used."""
    sealed = built(tmp_path, PEOPLE)["20914"]
    assert sealed.waterfall == {
        "members": 8,
        "no_segment": 2,
        "no_identifier": 2,
        "device_ids": 4,
        "device_format": 1,
        "device_zero": 0,
        "device_shared": 1,
        "rows": 2,
    }
    assert sealed.members == 2


def test_tabs(tmp_path: Path) -> None:
    """Where tabs part the fields, nothing else is another."""
    made = audience_of(tmp_path, PEOPLE, *segment_files(SEGMENTS, separator="tab"))
    for slot, sealed in run(made, workspace(tmp_path / "staging")).items():
        golden = (GOLDEN / f"audience_manager_{slot}.sync").read_text()
        assert csv_of(sealed).decode() == golden.replace(" ", "\t")


def test_who_has_opted_out(tmp_path: Path) -> None:
    """People who have opted out are in no segment, and their id goes to whoever else has it."""
    opt_outs = parquet(tmp_path / "opt_outs.parquet", {"customer_id": ["C1"]})
    sealed = built(tmp_path, PEOPLE, suppression=Suppression(source=opt_outs, key="customer_id"))["20914"]
    assert read(sealed.name, sealed.path.read_bytes()).rows[GAID] == ({"101"}, set())
    assert sealed.waterfall["suppressed"] == 1


def test_a_days_name_is_its_own() -> None:
    """Days, revisions and what is left out of a file have names of their own, with no clock in them."""
    there = audience_manager()

    def name(day: date = DAY, **changes: Any) -> str:
        return delivered_name(there, audience_id="vip", slot="20914", day=day, **changes)

    names = [name(), name(date(2026, 11, 21)), name(revision=2), name(revision=99), name(sync="iter")]
    assert len(set(names)) == 5
    assert name(revision=2) == "ftp_1234_20914_Acme_full_1795219200001.sync.gz"


FLAGS = st.sampled_from(["1", "0", "true", "FALSE", "yes", "No", "", " ", "null", "0.0", "0.5", "-0", "f", "off", "x"])
DEVICES = st.sampled_from([IDFA, IDFA.lower(), GAID, GAID.upper(), OTHER_GAID, NO_DEVICE, "", "x", f" {GAID}"])
PERSON = st.fixed_dictionaries({"high_value": FLAGS, "lapsed": FLAGS, "gaid": DEVICES, "idfa": DEVICES})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(PERSON, min_size=1, max_size=9))
def test_like_the_plain_reading(people: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever people's flags and ids, a receiver reads what an independent reading says, and the account adds up."""
    rows = {f"C{number}": person for number, person in enumerate(people)}
    for slot, sealed in built(tmp_path_factory.mktemp("people"), rows).items():
        received = read(sealed.name, sealed.path.read_bytes())
        expected = membership(rows, SEGMENTS, trait=KINDS[slot], dpid=slot)
        assert {device: segments for device, (segments, _) in received.rows.items()} == expected
        assert sealed.rows == sealed.waterfall["rows"] == len(expected)


@pytest.mark.parametrize(
    "values", [[True, False, None], [1, 0, None], [0.5, -0.0, float("nan")], ["y", "N", "<nil>"]], ids=str
)
def test_flags_of_any_type(values: list[object], tmp_path: Path) -> None:
    """A flag says yes whatever its column's type."""
    ids = [f"{number}dda802e-fb9c-47ad-9866-0794d394c912" for number in range(len(values))]
    keys = [f"C{number}" for number in range(len(values))]
    source = parquet(
        tmp_path / "people.parquet",
        {"customer_id": keys, "high_value": values, "lapsed": [None] * len(values), "gaid": ids, "idfa": ids},
    )
    traits = {name: name for name in ("high_value", "gaid")}
    made = audience(members=source, traits=traits, traits_from=source, files=[])
    (file, _) = segment_files({"high_value": "101"})
    made = replace(made, destinations=(audience_manager(file),))
    (sealed,) = run(made, workspace(tmp_path / "staging")).values()
    assert list(read(sealed.name, sealed.path.read_bytes()).rows) == [
        device for device, value in zip(ids, values, strict=True) if yes(value)
    ]


# What has changed.

STATES = st.dictionaries(st.sampled_from("abcde"), st.lists(st.sampled_from(["1", "2", "30"]), min_size=1, unique=True))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=STATES, now=STATES)
def test_changes(
    before: dict[str, list[str]], now: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Who is the same has no row; who is not has all it is in now and all it has left, worked out in plain words."""
    engine, scratch = ibis.duckdb.connect(), tmp_path_factory.mktemp("scratch")
    (file, _) = segment_files(SEGMENTS)
    whole = Rows(table=_table(now), count=len(now), members=7, waterfall={"members": 9, "rows": len(now)}, blanked={})
    changed = file.changes(whole, _table(before), engine=engine, scratch=scratch)
    expected = {
        device: (set(now.get(device, [])), set(before.get(device, [])) - set(now.get(device, [])))
        for device in sorted({*before, *now})
        if set(before.get(device, [])) != set(now.get(device, []))
    }
    rows = engine.to_pyarrow(changed.table).to_pylist()
    listed = [
        (row["ID"], *(set(filter(None, row[name].split(","))) for name in ("SEGMENTS", "REMOVED"))) for row in rows
    ]
    assert listed == [(device, *lists) for device, lists in expected.items()]
    assert all(row["SEGMENTS"] == ",".join(now.get(row["ID"], [])) for row in rows)
    assert changed.count == len(expected)
    assert changed.members == 7
    assert adds_up(changed.waterfall)


def _table(state: Mapping[str, list[str]]) -> ir.Table:
    cells = {"ID": list(state), "SEGMENTS": [",".join(segments) for segments in state.values()]}
    return ibis.memtable(pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()}))


# The audience file.


def document() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(EXAMPLE.read_text())  # type: ignore[no-any-return]


def test_example() -> None:
    """The example is the destination it says: two files of three segments, each under its mapping value."""
    (there,) = load_audience(EXAMPLE).destinations
    assert isinstance(there, AudienceManager)
    assert [file.slot for file in there.files] == ["20914", "20915"]
    assert {tuple(column.header for column in file.columns) for file in there.files} == {("101", "102", "TIERED")}
    assert there.filename == "ftp_1234_{kind}_Acme_{sync}_{timestamp}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"destination_id": None}, "destinations[0].destination_id: is missing"),
        ({"client": None}, "destinations[0].client: is missing"),
        ({"client": "Acme Inc."}, "1 to 64 letters, digits, - and _"),
        ({"sync_type": None}, "destinations[0].sync_type: is missing"),
        ({"sync_type": "by hand"}, "1 to 16 letters and digits"),
        ({"separator": "comma"}, "must be space or tab"),
        ({"sync": "incremental"}, "must be full or iter"),
        ({"segments": {}}, "destinations[0].segments: needs at least one entry"),
        ({"segments": {"high_value": {}}}, "needs an id, a mapping, or both"),
        ({"segments": {"vip": {"id": 1}}}, "destinations[0].segments.vip: no source gives a trait vip"),
        ({"segments": {"idfa": {"id": 1}}}, "idfa identifies people"),
        (
            {"segments": {"high_value": {"id": 1}, "low_value": {"mapping": "1"}}},
            "destinations[0].segments.low_value: high_value is mapped to 1 as well",
        ),
        ({"segments": {"high_value": {"mapping": "a,b"}}}, "segments.high_value.mapping: holds a comma"),
        ({"segments": {"high_value": {"mapping": "a b"}}}, "segments.high_value.mapping: holds a comma, a space"),
        ({"files": {}}, "needs at least one file: gaid or idfa"),
        ({"files": {"gaid": {"traits": ["device"]}}}, "files.gaid.traits[0]: no source gives a trait device"),
        ({"filename": "{kind}_{date}"}, "unknown key"),
        ({"update_method": "incremental"}, "unknown key"),
    ],
)
def test_faults(changes: dict[str, Any], words: str) -> None:
    """What nobody publishes must be written, and a slip is said with its place."""
    written = document()
    written["destinations"][0] |= changes
    written["destinations"][0] = {k: v for k, v in written["destinations"][0].items() if v is not None}
    with pytest.raises(AudienceFileError) as error:
        audience_from(written, file=EXAMPLE)
    assert words in str(error.value)


def test_two_of_one_number_in_one_folder() -> None:
    """Two destinations whose files would have the same names are a fault of the file."""
    written = document()
    written["destinations"].append({**written["destinations"][0], "id": "again"})
    with pytest.raises(AudienceFileError, match="its files would have the names of those of"):
        audience_from(written, file=EXAMPLE)
