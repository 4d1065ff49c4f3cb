"""An audience in Python: the same keys, the same rules, the same sentences, without lines."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liveramp_provider.core.audience import Audience, FilesSource
from liveramp_provider.core.audience_file import audience_from, load_audience
from liveramp_provider.core.audience_file.yaml_document import UnreadableError, read_yaml
from liveramp_provider.core.destination import Hash, IdentifierColumn
from liveramp_provider.core.errors import AudienceFileError
from tests.core.test_audience_file import FAULTS, GOOD, changed, write


def mapping(text: str = GOOD) -> dict[str, Any]:
    """What stands in a YAML text, as somebody would write it in Python."""
    value, findings = read_yaml(text)
    assert findings.faults == []
    assert isinstance(value, dict)
    return value


def described(folder: Path, value: Any) -> Audience:
    (folder / "liveramp.asc").touch()
    return audience_from(value, file=folder / "readers.py")


def sentences(folder: Path, value: Any) -> list[str]:
    with pytest.raises(AudienceFileError) as caught:
        described(folder, value)
    return [str(fault) for fault in caught.value.faults]


def readable_slips() -> list[dict[str, str]]:
    """The slips that are about keys and values, not about YAML."""
    slips = []
    for slip in FAULTS:
        try:
            _, findings = read_yaml(changed((slip["for"], slip["write"])))
        except UnreadableError:
            continue
        slips += [slip] if not findings.faults else []
    return slips


def test_it_is_the_audience_of_the_same_yaml(tmp_path: Path) -> None:
    """The same keys give the same audience, which knows the Python file as its own."""
    written = described(tmp_path, mapping())
    assert written == replace(load_audience(write(tmp_path, GOOD)), path=tmp_path / "readers.py")


def test_relative_paths_start_beside_the_python_file(tmp_path: Path) -> None:
    """Wherever Airflow parses it from."""
    source = described(tmp_path, mapping()).traits[0].source
    assert isinstance(source, FilesSource)
    assert source.path == f"{tmp_path}/data/{{snapshot_date}}.parquet"


@pytest.mark.parametrize("slip", readable_slips(), ids=lambda slip: slip["case"])
def test_a_slip_is_told_as_in_yaml_without_a_line(tmp_path: Path, slip: dict[str, str]) -> None:
    """Both ways of writing share every rule and every sentence."""
    told = re.sub(r"^line \d+: ", "", slip["told"])
    assert sentences(tmp_path, mapping(changed((slip["for"], slip["write"])))) == [told]


def test_every_fault_is_told_at_once_and_for_which_audience(tmp_path: Path) -> None:
    """A Python file may describe many: the error names the file, the audience and all places."""
    value = mapping() | {"owners": ("crm@example.com",), "name": None}
    value["destinations"][0]["region"] = "usa"
    with pytest.raises(AudienceFileError) as caught:
        described(tmp_path, value)
    assert str(caught.value) == (
        "readers.py, vip: 3 faults\n"
        "  destinations[0].region: must be one of us, au, eu, uk, fr. Did you mean us?\n"
        "  name: has no value. External name; LiveRamp's segments become <name>-D and <name>-PII.\n"
        "  owners: is a tuple, and must be text, a whole number, True, False, None, a list or a dict. Write a list."
    )


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (Path("x"), "is a PosixPath, and must be text, .* Write it as text."),
        ({"a"}, "is a set, and must be text, .* Write a list."),
        (b"x", "is a bytes, and must be text, .* a dict."),
        (1.5, "is a float, and must be text, .* a dict."),
    ],
)
def test_what_yaml_cannot_say_is_a_fault(tmp_path: Path, odd: object, told: str) -> None:
    """Nothing is guessed: a value of another type is one fault that says what to write."""
    (sentence,) = sentences(tmp_path, mapping() | {"name": odd})
    assert re.fullmatch(f"name: {told}", sentence)


def test_a_key_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    """As in YAML."""
    assert sentences(tmp_path, mapping() | {3: "x"}) == ["['3']: the key is not text. Put the key in quotes."]


def test_what_holds_itself_is_a_fault(tmp_path: Path) -> None:
    """A dict without end is no hang."""
    value = mapping()
    value["membership"] = value
    assert sentences(tmp_path, value) == ["membership: a value nests deeper than 20 levels, or refers to itself."]


@pytest.mark.parametrize("value", [None, [], "vip", 1])
def test_what_is_no_mapping_is_a_fault(tmp_path: Path, value: object) -> None:
    """A slip in a variable is told like any other."""
    assert sentences(tmp_path, value) == ["the file must be a mapping. Begin with audience: <id>."]


def test_words_may_be_the_packages_own(tmp_path: Path) -> None:
    """`Hash.SHA256` is its text, and the dict that was given stays as it was."""
    value = mapping()
    value["destinations"][0]["files"]["pii"]["columns"]["EMAIL1_SHA256"] = {"from": "email", "hash": Hash.SHA256}
    column = described(tmp_path, value).destinations[0].files[0].columns[-1]
    assert isinstance(column, IdentifierColumn)
    assert column.hash is Hash.SHA256
    assert value["destinations"][0]["files"]["pii"]["columns"]["EMAIL1_SHA256"]["hash"] is Hash.SHA256


def test_residency_where_a_kind_has_no_regions() -> None:
    """It cannot be held against anything there, and a warning says so for each."""
    path = Path(__file__).parents[2] / "examples" / "audiences" / "many_destinations.yaml"
    document = mapping(path.read_text(encoding="utf-8"))
    kinds = [destination["kind"] for destination in document["destinations"]]
    told = audience_from({**document, "residency": "us"}, file=path).warnings
    assert [line for line in told if "residency" in line] == [
        f"destinations[{index}]: a destination of kind {kind} names no region to hold residency against"
        for index, kind in enumerate(kinds)
        if kind != "liveramp"
    ]
    assert {"liveramp", "facebook", "google"} <= set(kinds)
