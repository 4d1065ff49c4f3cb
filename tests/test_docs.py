"""The reference pages are complete and true: checked against the schema, the errors, the commands and the rules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import typer
import yaml
from pydantic import BaseModel, TypeAdapter

from liveramp_provider import cli
from liveramp_provider.core import errors
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.audience_file.schema import AudienceSpec
from liveramp_provider.core.destinations.common import MIN_MEMBERS, FileDestinationSpec
from liveramp_provider.core.destinations.liveintent.rows import REASONS as EMAIL_REASONS
from liveramp_provider.core.destinations.liveramp import (
    MAX_BYTES,
    MAX_FIELD_VALUES,
    MAX_SEGMENT_FIELDS,
    MAX_SEGMENT_NAME_CHARS,
    REGIONS,
)
from liveramp_provider.core.device_rows import REASONS as DEVICE_REASONS
from liveramp_provider.core.identifiers import BLANK_WORDS, WHITE_SPACE
from liveramp_provider.core.ledger import EVIDENCE
from liveramp_provider.core.naming import MAX_NAME_CHARS
from liveramp_provider.core.pii_rows import REASONS as PII_REASONS

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md"])


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


# The audience file.


def schema_keys(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key that an audience file may have, such as ``traits[].select``, with its field."""
    for name, field in model.model_fields.items():
        path = f"{above}.{field.alias or name}".removeprefix(".")
        yield path, field
        yield from _keys_below(field.annotation, path)


def _keys_below(annotation: Any, path: str) -> Iterator[tuple[str, FieldInfo]]:
    """Those of the mapping that a value is, or of those in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _keys_of_kind(annotation, path) if path == "destinations[]" else schema_keys(annotation, path)
        return
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if not arguments or get_origin(annotation) is Literal:
        return
    free = {list: "[]", dict: ".<header>"}.get(get_origin(annotation), "")
    if get_origin(annotation) not in (Union, UnionType):
        arguments = [arguments[0] if get_origin(annotation) is Annotated else arguments[-1]]
    for one in arguments:
        yield from _keys_below(one, path + free)


def _keys_of_kind(kind: type[BaseModel], path: str) -> Iterator[tuple[str, FieldInfo]]:
    """What receivers of files have in common, and, below ``destinations[<kind>]``, what one kind has of its own."""
    name = get_args(kind.model_fields["kind"].annotation)[0]
    for key, field in schema_keys(kind, path):
        below = key.removeprefix(f"{path}.")
        common = below.partition(".")[0] in {"kind", *FileDestinationSpec.model_fields}
        yield key if common else f"destinations[{name}].{below}", field


# Of a key that several kinds have, the first kind's field counts.
SCHEMA = dict(reversed(list(schema_keys(AudienceSpec))))
KINDS = [get_args(field.annotation)[0] for key, field in schema_keys(AudienceSpec) if key == "destinations[].kind"]


def documented_keys() -> Iterator[tuple[str, list[str]]]:
    """Every key on the page with the cells of its row; a heading names the places its table is about."""
    for section in re.split(r"^## ", page("audience-file.md"), flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        places = re.findall(r"`([^`]+)`", heading) or [""]
        for cells in rows(text):
            if cells[0] != "key":
                for place in places:
                    yield f"{place}.{cells[0].strip('`')}".removeprefix("."), cells


DOCUMENTED = list(documented_keys())


def test_every_key_is_in_the_reference_once() -> None:
    """A key that the schema has and the page has not is missing; one that only the page has is invented."""
    assert sorted(key for key, _ in DOCUMENTED) == sorted(SCHEMA)
    assert len(SCHEMA) > 40


@pytest.mark.parametrize(("key", "cells"), DOCUMENTED, ids=[key for key, _ in DOCUMENTED])
def test_a_keys_row_is_true(key: str, cells: list[str]) -> None:
    """The default is the schema's, the example is taken by it, and meaning and type are there."""
    _, meaning, kind, default, example = cells
    field = SCHEMA[key]
    assert len(meaning) > 10
    assert kind
    assert default == "required" if field.is_required() else default != "required"
    if default.startswith("`"):
        assert yaml.safe_load(default.strip("`")) == _plain(field.get_default(call_default_factory=True))
    elif default == "none":
        assert field.get_default() is None
    if example != "see below":
        value = TypeAdapter(Annotated[field.annotation, "as in the schema", *field.metadata])
        value.validate_python(yaml.safe_load(example.strip("`")))


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def test_every_value_to_choose_from_is_in_the_reference() -> None:
    """Where a key takes one of several words, its row names each."""
    for key, cells in DOCUMENTED:
        words = get_args(SCHEMA[key].annotation) if get_origin(SCHEMA[key].annotation) is Literal else ()
        words = KINDS if key == "destinations[].kind" else words
        assert [word for word in words if f"`{word}`" not in cells[2]] == [], key


def audience_files() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        for number, block in enumerate(re.findall(r"```ya?ml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)):
            if block.startswith("audience:"):
                yield f"{path.name}-{number}", block


@pytest.mark.parametrize("block", [block for _, block in audience_files()], ids=[name for name, _ in audience_files()])
def test_audience_files_in_the_pages_are_good(tmp_path: Path, block: str) -> None:
    """What a reader copies works."""
    for name in re.findall(r"public_key: ([^\s,}]+)", block):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "audience.yaml").write_text(block, encoding="utf-8")
    assert load_audience(tmp_path / "audience.yaml").destinations


def test_the_reference_shows_whole_files() -> None:
    """At least a small and a large one."""
    assert len([name for name, _ in audience_files() if name.startswith("audience-file")]) >= 2


# The runbook.


def test_every_error_is_in_the_runbook() -> None:
    """Each error has a heading of its own that says what to do; none is invented; families stand in the table."""
    classes = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.LiveRampError) and kind is not errors.LiveRampError
    }
    families = {name for name, kind in classes.items() if kind.__base__ is errors.LiveRampError}
    text = page("runbook.md")
    assert sorted(re.findall(r"^### `(\w+)`$", text, re.MULTILINE)) == sorted(classes.keys() - families)
    assert {cells[0].strip("`") for cells in rows(text) if cells[0] != "family"} == families
    for entry in text.split("\n### ")[1:]:
        assert "**Do:**" in entry, entry


def test_an_error_stands_in_the_section_of_its_family() -> None:
    """What is retried by itself is under "Wait", what is edited is under "Edit something"."""
    sections = {
        "Edit something": errors.ConfigError,
        "Look yourself": errors.PermanentError,
        "Wait": errors.TransientError,
    }
    for section in page("runbook.md").split("\n## ")[1:]:
        family = sections[section.partition("\n")[0]]
        for name in re.findall(r"^### `(\w+)`$", section, re.MULTILINE):
            assert issubclass(getattr(errors, name), family), name


# The command.


def test_every_command_and_option_is_documented() -> None:
    """The page has every command with exactly its arguments and options."""
    command = typer.main.get_command(cli.app)
    documented = {}
    for section in page("cli.md").split("\n## `liveramp ")[1:]:
        name = section.partition("`")[0]
        documented[name] = sorted(cells[0].strip("`") for cells in rows(section) if cells[0] != "argument or option")
    commands = command.commands  # type: ignore[attr-defined]
    assert documented == {
        name: sorted(p.opts[0] if p.param_type_name == "option" else str(p.name) for p in inner.params)
        for name, inner in commands.items()
    }
    for name in commands:
        assert f"| `liveramp {name} " in page("cli.md")


def test_every_grade_of_evidence_is_documented() -> None:
    """The page explains each grade that a delivery can have, the strongest first, and no other."""
    assert re.findall(r"^- `(E\d|L|S|C|P)`: ", page("cli.md"), re.MULTILINE) == list(EVIDENCE)


# The rules.


def test_every_reason_is_in_the_rules() -> None:
    """The tables of the waterfall name every reason code, in the order in which they are judged, and no other."""
    text = page("rules.md")
    waterfall = text[text.index("## The waterfall") :]
    named = [cells[0].strip("`") for cells in rows(waterfall) if cells[0] != "reason"]
    assert named == [*PII_REASONS, *DEVICE_REASONS, *EMAIL_REASONS]
    assert "`control_character`" in text


def test_the_limits_in_the_rules_are_those_of_the_code() -> None:
    """Every number of the table of limits is the one that files are held to."""
    table = {cells[0]: cells[1:5] for cells in rows(page("rules.md"))}
    regions = [limits for region in ("us", "eu", "uk", "fr") if (limits := REGIONS[region].files.limits)]
    assert table["rows"] == [f"{rules.max_rows:,}" for rules in regions]
    assert table["characters a row"] == [f"{rules.max_row_chars:,}" for rules in regions]
    of_us, of_au = REGIONS["us"].files.limits, REGIONS["au"].files.limits
    assert of_us is not None
    assert of_au == replace(of_us, where="in region au")
    for name, limit in (
        ("unique members, at least", MIN_MEMBERS),
        ("bytes before compression", MAX_BYTES),
        ("segment fields", MAX_SEGMENT_FIELDS),
        ("different field values", MAX_FIELD_VALUES),
        ("characters of `HEADER=value`", MAX_SEGMENT_NAME_CHARS),
    ):
        assert set(table[name]) <= {f"{limit:,}", "the same"}, name
    assert f"at most {MAX_NAME_CHARS} characters" in page("rules.md")


def test_the_words_and_spaces_in_the_rules_are_those_of_the_code() -> None:
    """Blank words and white space are listed completely."""
    text = page("rules.md")
    blank, spaces = (
        next(line for line in text.splitlines() if line.startswith(start)) for start in ("| Blank", "| White")
    )
    assert [word for word in BLANK_WORDS if word and f"`{word}`" not in blank] == []
    listed = {int(code, 16) for code in re.findall(r"U\+([0-9A-F]{4})", spaces)} | set(range(0x2000, 0x200B))
    assert {ord(character) for character in WHITE_SPACE} == listed | set(map(ord, " \t\n\v\f\r"))


def test_headers_in_the_rules_are_the_usual_ones() -> None:
    """Both rows of headers begin with the key and name every usual header in order."""
    table = {
        cells[0]: cells[1] for cells in rows(page("rules.md")) if "`CCID`" in cells[1] or "`CustomerID`" in cells[1]
    }
    for region, line in zip(("us", "eu"), table.values(), strict=True):
        named = re.findall(r"`(\w+)`", line.replace("`EMAIL1`–`EMAIL3`", "`EMAIL1`, `EMAIL2`, `EMAIL3`"))
        assert named == [REGIONS[region].key_header, *REGIONS[region].headers.values()]


def test_links_between_pages_lead_somewhere() -> None:
    """A link to a page or a heading of it finds both."""
    for path in PAGES:
        for target, anchor in re.findall(
            r"\]\((?!https?:)([\w./-]*)(?:#([\w-]+))?\)", path.read_text(encoding="utf-8")
        ):
            linked = path.parent / target if target else path
            assert linked.exists(), f"{path.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{path.name}: {target}#{anchor}"
