"""YAML text as plain values, with the line of every key: no objects, no surprises, and never a hang.

Unquoted words mean what they mean in YAML 1.2 and in editors: ``NO``, ``1:30``, ``0123`` and ``2026-01-01`` are text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from liveramp_provider.core.audience_file.findings import Findings
from liveramp_provider.core.errors import Fault

if TYPE_CHECKING:
    from liveramp_provider.core.audience_file.findings import Location

    Value = str | int | bool | None | list["Value"] | dict[str, "Value"]

#: Most values a file may have when its aliases are filled in, and how deep they may nest.
MAX_VALUES = 20_000
MAX_DEPTH = 20

_INT, _BOOL, _NULL, _STR, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("int", "bool", "null", "str", "merge"))
_PLAIN = {
    _INT: r"0|-?[1-9][0-9]{0,17}",
    _BOOL: r"true|True|TRUE|false|False|FALSE",
    _NULL: r"~|null|Null|NULL|",
    _MERGE: r"<<",
}
#: What is said of a file that nests deeper.
TOO_DEEP = f"a value nests deeper than {MAX_DEPTH} levels, or refers to itself"

#: What PyYAML says, by its beginning, and what a person can do about it.
_SYNTAX = {
    r"found character '\t'": ("a tab stands where YAML takes spaces only", "Indent with spaces."),
    "found character": ("a value begins with a character that YAML keeps for itself", "Put the value in quotes."),
    "mapping values are not": (
        "a colon stands where none can be",
        "Put a text that holds a colon in quotes, correct the indentation, or add the colon the line above lacks.",
    ),
    "expected <block end>": (
        "the line does not fit into what stands above",
        "Keys of one mapping begin in one column; a list entry begins with '- '; quotes embrace the whole value.",
    ),
    "could not find expected ':'": ("the line is no `key: value`", "Add the colon, or correct the indentation."),
    "found unexpected end of stream": ("a quote is opened here and never closed", "Close it."),
    "found unexpected document": ("a quote is opened here and never closed", "Close it."),
    "expected ',' or": ("a bracket is opened here and not closed, or a comma is missing", "Close it."),
    "expected the node content": ("a bracket is not closed, or a value is missing", "Close it, or add the value."),
    "found undefined alias": ("an alias stands for nothing", "Name its anchor first: &name."),
    "expected alphabetic": ("a value begins with * or &, which YAML keeps for aliases", "Put the value in quotes."),
    "but found another": ("a second document begins here", "One file describes one audience."),
    "found unknown escape": ("a backslash in double quotes begins an escape", "Use single quotes."),
}


class UnreadableError(Exception):
    """The text is no YAML, or not one that an audience file needs."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Loader(yaml.SafeLoader):
    """Only what :data:`_PLAIN` lists is more than text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's way


_STARTS = {_INT: [*"-0123456789"], _BOOL: [*"tTfF"], _NULL: ["~", "n", "N", ""], _MERGE: ["<"]}
for _tag, _pattern in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _STARTS[_tag])


def read_yaml(content: str) -> tuple[Value, Findings]:
    """The value of a YAML text, and the findings on it: every line is known, repeated and odd keys are noted.

    :raises UnreadableError: It has no value; the error holds the fault.
    """
    try:
        root = yaml.compose(content, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(_syntax_fault(error)) from None
    except yaml.reader.ReaderError as error:
        line = content.count("\n", 0, error.position) + 1
        message = f"the character U+{ord(content[error.position]):04X} is forbidden in YAML"
        raise UnreadableError(Fault(where="YAML", line=line, message=message, hint="Delete it.")) from None
    except RecursionError:
        raise UnreadableError(Fault(where="YAML", line=1, message=TOO_DEEP)) from None
    if root is None:
        raise UnreadableError(Fault(where="file", line=1, message="is empty", hint="Begin with audience: <id>."))
    reading = _Reading()
    value = reading.value(root, ())
    return value, reading.findings


def _syntax_fault(error: yaml.MarkedYAMLError) -> Fault:
    problem = str(error.problem)
    words = (f"cannot be read: {problem}", "")
    message, hint = next((human for start, human in _SYNTAX.items() if problem.startswith(start)), words)
    # The place where something was opened says more than the place where its end was missed.
    mark = error.context_mark if error.context_mark and message.endswith(("closed", "missing")) else error.problem_mark
    return Fault(where="YAML", line=mark.line + 1 if mark else 1, message=message, hint=hint)


class _Reading:
    """One walk over a node graph, aliases filled in."""

    def __init__(self) -> None:
        self._lines: dict[Location, int] = {}
        self._values = 0
        self.findings = Findings(lines=self._lines)

    def value(self, node: yaml.Node, where: Location) -> Value:
        """The value of `node`, which stands at `where`."""
        self._count(node, depth=len(where))
        self._lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*where, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            values = {}
            for name, (key, value) in self._entries(node, where, depth=len(where)).items():
                self._lines[(*where, name)] = key.start_mark.line + 1
                values[name] = self.value(value, (*where, name))
            return values
        return self._scalar(node, where)

    def _count(self, node: yaml.Node, *, depth: int) -> None:
        self._values += 1 if isinstance(node, yaml.ScalarNode) else 1 + len(node.value)
        line = node.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise UnreadableError(Fault(where="YAML", line=line, message=TOO_DEEP))
        if self._values > MAX_VALUES:
            message = f"the file holds more than {MAX_VALUES:,} values, aliases filled in"
            raise UnreadableError(Fault(where="YAML", line=line, message=message))

    def _entries(
        self, node: yaml.MappingNode, where: Location, *, depth: int
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key and value nodes by name; what ``<<`` merges in stands first and gives way to the mapping's own."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self._count(source, depth=depth + 1)  # a merge of merges may grow as fast as aliases do
                    if isinstance(source, yaml.MappingNode):
                        merged = self._entries(source, where, depth=depth + 1) | merged
                    else:
                        self._odd_key(
                            key, (*where, key.value), "<< takes a mapping, or a list of mappings", "Write <<: *anchor."
                        )
            elif key.tag != _STR:
                name = key.value if isinstance(key, yaml.ScalarNode) else "?"
                self._odd_key(key, (*where, name), "the key is not text", "Put the key in quotes.")
            elif key.value in own:
                hint = "YAML would silently take the last one."
                self._odd_key(key, (*where, key.value), "the key stands twice", hint)
            else:
                own[key.value] = (key, value)
        return merged | own

    def _odd_key(self, key: yaml.Node, where: Location, message: str, hint: str) -> None:
        self.findings.fault(where, message, hint, line=key.start_mark.line + 1)

    def _scalar(self, node: yaml.Node, where: Location) -> Value:
        text = str(node.value)
        if node.tag not in (_STR, *_PLAIN) or not re.fullmatch(_PLAIN.get(node.tag, ".*"), text, re.DOTALL):
            self.findings.fault(where, "a tag (!) has no meaning here", "Leave it out.")
            self.findings.unread.add(where)
            return text
        if node.tag == _INT:
            return int(text)
        if node.tag == _BOOL:
            return text.lower() == "true"
        return None if node.tag == _NULL else text
