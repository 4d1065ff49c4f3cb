"""The JSON Schema of the audience file: what an editor says while somebody writes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from liveramp_provider.cli import app
from liveramp_provider.core.audience_file import audience_from
from liveramp_provider.core.audience_file.yaml_document import UnreadableError, read_yaml
from liveramp_provider.core.errors import AudienceFileError
from tests.core.test_audience_file import FAULTS, GOOD, changed

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "dags" / "audience.schema.json"
SCHEMA = Draft202012Validator(json.loads(COMMITTED.read_text(encoding="utf-8")))
AUDIENCE_FILES = sorted((ROOT / "dags").rglob("*.yaml")) + sorted((ROOT / "examples").rglob("audiences/*.yaml"))

#: Slips that no schema of single keys can see: they are about meaning, and stay with the loader.
MEANING = {
    "no such zone", "a zone's path",  # which zones there are
    "no such placeholder in a path", "a format in a path", "open brace in a path", "unknown format", "a URL",
    "Airflow's marks in a path", "no day in a path", "a key name too long",  # what a path says
    "Airflow's marks in a query", "no day in a query", "a day and none in a query", "a slip in a parameter",
    "an unknown parameter", "an empty query",  # what a query says
    "a trait twice", "a trait called like the key", "an unknown trait", "a destination named like a task",
    "a trait called like the snapshot day in expressions",  # other keys
    "unknown placeholder in a file name", "attribute in a file name", "no date in a file name",
    "no kind in a file name", "braces in a file name", "open brace in a file name", "a hidden file name",
    "no key file", "a folder for a key file",  # the disk
    "deadline after the next run",
    "a direct upload to S3", "a direct upload of what half of can be read", "a doubt that cannot be",
    "opt-outs of unknown age", "the audience as its own opt-outs", "S3 without a connection", "no bucket",
    "a connection for this machine", "a day in an event log's path", "the audience as a trait",
    "no prefix in a bucket", "a bucket's name with capitals", "a prefix that climbs", "a KMS key for SFTP",
    "one bucket twice", "another region than the people's", "no residency", "a key that Segment has not",
    "an as-of table that is current", "a further value's name is taken", "a prediction from nothing known",
}  # fmt: skip


def document(text: str) -> Any:
    """The value of a YAML text; ``None`` where editors see a fault in the YAML itself."""
    try:
        value, findings = read_yaml(text)
    except UnreadableError:
        return None
    return None if findings.faults else value


def places(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key and list entry below `value`."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*above, key)
        yield from places(entry, (*above, key))


def test_the_committed_copy_is_what_the_command_prints() -> None:
    """Editors see the schema of this version; `liveramp schema > dags/audience.schema.json` renews it."""
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    assert result.output == COMMITTED.read_text(encoding="utf-8")


def test_it_is_a_schema_that_fetches_nothing() -> None:
    """Draft 2020-12, every reference inside the file, and an id that is no address."""
    schema = SCHEMA.schema
    SCHEMA.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:")
    assert {ref[: len("#/$defs/")] for ref in re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema))} == {"#/$defs/"}


def test_every_key_is_explained_where_it_is_written() -> None:
    """Each key has a description and an example, and unknown ones are refused everywhere."""
    for name, mapping in [("", SCHEMA.schema), *SCHEMA.schema["$defs"].items()]:
        if mapping["type"] == "object":
            assert mapping["additionalProperties"] is False, name
            for key, schema in mapping["properties"].items():
                explained = {**SCHEMA.schema["$defs"].get(schema.get("$ref", "").rpartition("/")[2], {}), **schema}
                assert explained["description"], f"{name}.{key}"
                assert schema["examples"], f"{name}.{key}"


@pytest.mark.parametrize("path", AUDIENCE_FILES, ids=lambda path: path.stem)
def test_audience_files_begin_with_the_editors_line(path: Path) -> None:
    """Whoever opens or copies one is helped at once: the line leads to the schema, which takes the file."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == COMMITTED
    assert list(SCHEMA.iter_errors(document(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("slip", FAULTS, ids=lambda slip: slip["case"])
def test_a_slip_is_seen_while_it_is_written(slip: dict[str, str]) -> None:
    """An editor marks every slip in the YAML and in a single key; what remains is listed, and only that."""
    written = document(changed((slip["for"], slip["write"])))
    assert (written is None or not SCHEMA.is_valid(written)) == (slip["case"] not in MEANING)


def test_the_list_of_unseen_slips_is_true() -> None:
    """Nothing is listed that is no slip."""
    assert {slip["case"] for slip in FAULTS} >= MEANING


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  sql:\n", "  files: {path: 'x/{snapshot_date}.csv'}\n  sql:\n"),
        ("  - files:\n      path: data/{snapshot_date}.parquet\n    key: id", "  - key: id"),
        ("{from: email}", "{from: email, segment: '1'}"),
        ("{from: email}", "{}"),
        ('{segment: "1"}', '{segment: "1", hash: md5}'),
        ('{segment: "1"}', "{segment: true}"),
        ("EMAIL1: {from: email}", "E MAIL: {from: email}"),
        ("      email: mail", "      e-mail: mail"),
    ],
)
def test_a_wrong_choice_is_seen_while_it_is_written(old: str, new: str) -> None:
    """Two sources, none, a column of two kinds, or a key that cannot be one."""
    text = changed((old, new))
    assert not SCHEMA.is_valid(document(text))


def test_both_files_switched_off_is_seen_while_it_is_written() -> None:
    """A destination without a file is marked, however it says so."""
    for files in ("{}", "{pii: false, device: false}", "{pii: null}"):
        assert not SCHEMA.is_valid(document(GOOD[: GOOD.index("    files:\n      pii")] + f"    files: {files}\n"))


@pytest.mark.parametrize("odd", [None, True, False, 1, "1", "a b", [], ["a"], {}], ids=repr)
def test_what_the_loader_takes_the_schema_takes(tmp_path: Path, odd: object) -> None:
    """An editor marks nothing that would work: any value, put in any place of a good file."""
    (tmp_path / "liveramp.asc").touch()
    good = yaml.safe_load(GOOD)
    good["destinations"][0]["files"]["pii"]["columns"]["TIER"] = {"from": "tier", "identifier": None, "hash": None}
    taken = 0
    for place in list(places(good)):
        written = copy.deepcopy(good)
        holder = written
        for part in place[:-1]:
            holder = holder[part]  # type: ignore[index]
        holder[place[-1]] = odd  # type: ignore[index]
        try:
            audience_from(written, file=tmp_path / "vip.py")
        except AudienceFileError:
            continue
        taken += 1
        assert SCHEMA.is_valid(written), place
    assert taken > 0


def test_a_key_without_a_value_is_no_choice(tmp_path: Path) -> None:
    """What is null was not chosen, for the loader and for editors."""
    text = changed(
        ("  sql:\n    conn_id", "  files:\n  sql:\n    conn_id"),
        ('{segment: "1"}', '{segment: "1", from: null, hash: null, identifier: null}'),
        ("{from: email}", "{from: email, segment: null}"),
    )
    (tmp_path / "liveramp.asc").touch()
    written = document(text[: text.index("      device:")] + "      device:\n")
    assert [file.slot for file in audience_from(written, file=tmp_path / "vip.py").destinations[0].files] == ["PII"]
    assert list(SCHEMA.iter_errors(written)) == []
