"""Whatever stands in an audience file: no crash, no hang, and nothing leaves its folder, query or template."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience_file import MAX_BYTES, load_audience
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.core.naming import delivered_name
from liveramp_provider.core.staging import Staging
from tests.core.test_audience_file import GOOD, audience_or_error, changed, sentences

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Audience

# What is no audience file at all.

NO_FILE = {
    "empty": ("", "the file is empty. Begin with audience: <id>."),
    "comments": ("# nothing\n", "the file is empty."),
    "list": ("- a\n- b\n", "the file must be a mapping. Begin with audience: <id>."),
    "text": ("hello\n", "the file must be a mapping."),
    "tab": ("a: b\nschedule:\n\tcron: 1\n", "line 3: YAML: a tab stands where YAML takes spaces only."),
    "colon": ("a: b\nname: c: d\n", "line 2: YAML: a colon stands where none can be."),
    "missing colon": ("audience\nname: x\n", "line 2: YAML: a colon stands where none can be."),
    "line without colon": ("audience: x\nname\n", "line 3: YAML: the line is no `key: value`."),
    "open quote": ('audience: x\nname: "abc\nowners: []\n', "line 2: YAML: a quote is opened here and never closed."),
    "open bracket": ("audience: x\nowners: [a, b\nname: y\n", "line 2: YAML: a bracket is opened here and not closed"),
    "bracket at the end": ("audience: x\nowners: [a,", "line 2: YAML: a bracket is not closed, or a value is missing."),
    "odd beginning": ("audience: x\nname: @x\n", "line 2: YAML: a value begins with a character that YAML keeps"),
    "stars": ("schedule:\n  cron: * * * * *\n", "line 2: YAML: a value begins with * or &"),
    "indentation": ("schedule:\n    cron: x\n  timezone: y\n", "line 3: YAML: the line does not fit into what"),
    "two documents": ("audience: x\n---\naudience: y\n", "line 2: YAML: a second document begins here."),
    "no anchor": ("audience: *x\n", "line 1: YAML: an alias stands for nothing. Name its anchor first"),
    "escape": ('audience: x\nname: "a\\qb"\n', "line 2: YAML: a backslash in double quotes begins an escape."),
    "control character": ("audience: x\nname: a\x07b\n", "line 2: YAML: the character U+0007 is forbidden in YAML."),
    "not UTF-8": (b"audience: x\nname: caf\xe9\n", "line 2: YAML: a character is not UTF-8."),
    "UTF-16": ("audience: x\n".encode("utf-16"), "line 1: YAML: a character is not UTF-8."),
    "binary": (bytes(range(256)), "YAML: "),
    "huge": ("#" * (MAX_BYTES + 1), "the file has more than 200,000 bytes"),
    "deep brackets": ("audience: " + "[" * 2000, "line 1: YAML: a value nests deeper than 20 levels"),
    "deep mappings": ("audience: " + "{a: " * 2000, "nests deeper than 20 levels"),
    "deeper than it needs": ("audience: " + "[" * 25 + "]" * 25, "nests deeper than 20 levels"),
    "deep indentation": ("".join(" " * depth + "a:\n" for depth in range(300)), "nests deeper than 20 levels"),
    "itself": ("audience: &a [*a]\n", "nests deeper than 20 levels, or refers to itself."),
    "merges itself": ("&a {<<: *a, audience: x}\n", "nests deeper than 20 levels, or refers to itself."),
    "billion laughs": (
        "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
        "holds more than 20,000 values, aliases filled in.",
    ),
    "a billion merges": (
        "a0: &a0 {b: c}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)),
        "holds more than 20,000 values, aliases filled in.",
    ),
    "many keys": ("".join(f"k{n}: 1\n" for n in range(15_000)), "holds more than 20,000 values"),
    "one long line": ("audience: " + "x" * 100_000, "line 1: audience: must be 1 to 64 letters, digits, - and _."),
    "a number without end": ("audience: " + "9" * 10_000, "line 1: audience: must be 1 to 64 letters"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), NO_FILE.values(), ids=NO_FILE.keys())
def test_what_is_no_audience_file_is_told_in_one_sentence(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    """Broken, foreign or malicious text ends in one fault that says so: no crash, no hang, no parser's jargon."""
    assert any(sentence in told for told in sentences(tmp_path, content)), sentences(tmp_path, content)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A missing file, a folder and a circle of links are faults like any other."""
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    for name, reason in (("gone.yaml", "No such file"), (".", "Is a directory"), ("circle.yaml", "symbolic links")):
        with pytest.raises(AudienceFileError, match=f"the file cannot be read: .*{reason}"):
            load_audience(tmp_path / name)


@settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_text_breaks_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    """A good file with a piece cut out, doubled or replaced is either good or told: nothing else is ever raised."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 60)))
    piece = data.draw(
        st.one_of(st.just(GOOD[start:end] * 2), st.text(alphabet="{}[]:,*&!|>'\"#%@`-~<?=\n\t x1é", max_size=8))
    )
    text = GOOD[:start] + piece + GOOD[end:]
    told = audience_or_error(tmp_path, text)
    if isinstance(told, AudienceFileError):
        assert all(1 <= fault.line <= text.count("\n") + 1 for fault in told.faults)
        assert not re.search(r"Input should|Value error|pydantic|<class|Spec\b", str(told))


# Nothing escapes.

HOSTILE = [
    *("../x", "..", "a/../../b", "/etc/passwd", "%2e%2e%2f", "a\\b", "a\0b", "a\nb", "ab\n", "a\tb", " ", ""),
    *("{{ ds }}", "{% raw %}", "{# x #}", "${HOME}", "$(id)", "`id`", "a;b", "a'b", 'a"b', "a b", "*", "~root"),
    *("\u202eabc", "a\u200bb", "\ufeffa", "é", "٣", "a\ud800", "x" * 300, "CON", "-rf", "\x1b[31m", "a.b", "#"),
    *("{org}", "{{x}}", "{0}", "{date!r}", "{kind:>99}", "__class__", "null"),
]
PLAIN = re.compile(r"[A-Za-z0-9._-]+")


def quoted(text: str) -> str:
    """`text` as YAML writes any string."""
    return '"' + "".join(f"\\U{ord(character):08X}" for character in text) + '"'


def loaded_or_told(folder: Path, *changes: tuple[str, str]) -> Audience | None:
    """The audience, or ``None`` when it was refused in printable sentences, one line a fault."""
    result = audience_or_error(folder, changed(*changes))
    if isinstance(result, AudienceFileError):
        assert all(line.isprintable() for line in str(result).splitlines())
        assert str(result).count("\n") == len(result.faults)
        return None
    return result


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_ids_stay_names(tmp_path: Path, value: str) -> None:
    """Whatever an id, an organisation or a connection is called, staging, file names and templates stay as they are."""
    for old in ("audience: vip", "  - id: liveramp", 'org: "3242"', "conn_id: liveramp_default", "conn_id: warehouse"):
        key = old.partition(":")[0]
        audience = loaded_or_told(tmp_path, (old, f"{key}: {quoted(value)}"))
        if audience is None:
            continue
        (destination,) = audience.destinations
        day = date(2026, 11, 20)
        place = Staging(Path("/staging")).place(
            audience_id=audience.id, day=day, stage=f"x-{destination.id}", inputs={}
        )
        assert Path(os.path.normpath(place.folder)).parent == Path("/staging") / audience.id / "2026-11-20"
        name = delivered_name(destination, audience_id=audience.id, slot="PII", day=day)
        assert PLAIN.fullmatch(name)
        assert name[0] not in "._-"
        assert PLAIN.fullmatch(destination.conn_id)


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_names_are_one_plain_line(tmp_path: Path, value: str) -> None:
    """Names, owners and segment values reach Airflow's pages and CSV as one printable line without template marks."""
    for change in (("name: Very important", f"name: {quoted(value)}"), ("[crm@example.com]", f"[{quoted(value)}]"),
                   ('{segment: "1"}', f"{{segment: {quoted(value)}}}")):  # fmt: skip
        if loaded_or_told(tmp_path, change) is not None:
            assert value.isprintable()
            assert 0 < len(value) <= 100
            assert not re.search(r"\{[{%#]", value)


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_the_remote_folder_is_what_it_says(tmp_path: Path, value: str) -> None:
    """A folder at LiveRamp is absolute and has no way up or aside, with or without an honest beginning."""
    for path in (value, f"/uploads/{value}", f"/uploads/{value}/vip"):
        audience = loaded_or_told(tmp_path, ("path: /uploads/vip", f"path: {quoted(path)}"))
        if audience is not None:
            told = audience.destinations[0].path
            assert re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", told)
            assert os.path.normpath(told) == told
            assert told == path


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_local_paths_do_not_climb(tmp_path: Path, value: str) -> None:
    """A relative path stays below the audience file's folder; the day is all that is ever put into it."""
    for path in (value, f"{value}/{{snapshot_date}}.csv", f"data/{value}{{snapshot_date}}.csv"):
        audience = loaded_or_told(tmp_path, ("data/{snapshot_date}.parquet", quoted(path)))
        if audience is not None:
            filled = audience.traits[0].source.path.format(snapshot_date="2026-11-20")
            normal = os.path.normpath(filled)
            assert path.startswith("/") or normal.startswith(f"{tmp_path}/")
            assert "{" not in normal
            assert normal.isprintable()
        loaded_or_told(tmp_path, ("public_key: liveramp.asc", f"public_key: {quoted(path)}"))


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_headers_and_traits_are_plain_words(tmp_path: Path, value: str) -> None:
    """A header or a trait is letters, digits and underscores; the column of a source may be anything that prints."""
    for change in (
        ("VIP: {segment", f"{quoted(value)}: {{segment"),
        ("      tier: tier", f"      {quoted(value)}: tier"),
    ):
        if loaded_or_told(tmp_path, change) is not None:
            assert re.fullmatch(r"[A-Za-z0-9_]{1,128}", value)
    audience = loaded_or_told(tmp_path, ("      tier: tier", f"      tier: {quoted(value)}"))
    if audience is not None:
        assert value.isprintable()
        assert audience.traits[0].traits[2].column == value


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_file_name_is_never_a_path(tmp_path: Path, value: str) -> None:
    """Whatever the template, what it makes is one plain name."""
    template = f"{value}{{kind}}_{{date}}"
    audience = loaded_or_told(tmp_path, ('"{org}_{audience}-{kind}_{date}"', quoted(template)))
    if audience is not None:
        name = delivered_name(audience.destinations[0], audience_id="vip", slot="D", day=date(2026, 11, 20))
        assert PLAIN.fullmatch(name)
        assert name[0] not in "._-"
