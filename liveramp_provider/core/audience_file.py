"""From an audience file to an :class:`Audience`, or to all of its faults at once, each with its line and a hint."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from sqlalchemy import text

from liveramp_provider.core.audience import (
    Audience,
    Destination,
    Encryption,
    FilesSource,
    Membership,
    Schedule,
    SqlSource,
    Trait,
    TraitSource,
)
from liveramp_provider.core.destinations import liveramp
from liveramp_provider.core.errors import AudienceFileError, Fault
from liveramp_provider.core.naming import MAX_NAME_CHARS, PLACEHOLDERS, placeholders
from liveramp_provider.core.schema import AudienceSpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from liveramp_provider.core.audience import DeviceFile, PiiFile, Source
    from liveramp_provider.core.schema import LiveRampSpec, SourceSpec, SqlSpec

#: What a query may bind.
QUERY_PARAMETERS = ("snapshot_date", "audience")

_FILE_FORMATS = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv"}
Location = tuple[str | int, ...]


def load_audience(path: str | Path) -> Audience:
    """Read one audience file.

    :raises AudienceFileError: With every fault of the file, in the order of its lines.
    """
    path = Path(path).resolve()
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise AudienceFileError(path, [_fault_of_file(f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise AudienceFileError(path, [_fault_of_file("is not UTF-8 text")]) from None
    return _Reading(path, content).audience()


def _fault_of_file(message: str) -> Fault:
    return Fault(where="file", line=1, message=message)


class _Reading:
    """One pass over one file: gathers faults and warnings as it goes."""

    def __init__(self, path: Path, content: str) -> None:
        self._path = path
        self._faults: list[Fault] = []
        self._warnings: list[str] = []
        try:
            self._root = yaml.compose(content, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise AudienceFileError(path, [Fault(where="YAML", line=line, message=str(error.problem))]) from None
        except yaml.YAMLError:
            raise AudienceFileError(path, [_fault_of_file("holds characters that YAML forbids")]) from None

    def audience(self) -> Audience:
        """The audience, when there is no fault."""
        spec = self._spec()
        traits = self._traits(spec)
        destinations = tuple(self._destination(spec, index, traits) for index in range(len(spec.destinations)))
        self._check_destinations(destinations)
        audience = Audience(
            id=spec.audience,
            name=spec.name,
            path=self._path,
            schedule=Schedule(cron=spec.schedule.cron, timezone=spec.schedule.timezone),
            owners=tuple(spec.owners),
            membership=Membership(source=self._source(spec.membership, ("membership",)), key=spec.membership.key),
            trait_sources=traits,
            destinations=destinations,
            warnings=tuple(self._warnings),
        )
        self._raise_faults()
        return audience

    def _spec(self) -> AudienceSpec:
        if not isinstance(self._root, yaml.MappingNode):
            raise AudienceFileError(self._path, [_fault_of_file("must be a mapping that starts with audience:")])
        self._check_repeated_keys(self._root, ())
        loader = yaml.SafeLoader("")
        try:
            document = loader.construct_document(self._root)
        except (yaml.YAMLError, ValueError, TypeError, RecursionError):
            raise AudienceFileError(
                self._path, [*self._faults, _fault_of_file("holds a value YAML cannot read")]
            ) from None
        try:
            return AudienceSpec.model_validate(document)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                self._add_schema_fault(detail)
            raise AudienceFileError(self._path, self._faults) from None

    def _raise_faults(self) -> None:
        if self._faults:
            raise AudienceFileError(self._path, self._faults)

    def _fault(self, where: Location, message: str, hint: str = "") -> None:
        self._faults.append(Fault(where=_dotted(where), line=self._line(where), message=message, hint=hint))

    def _line(self, where: Location) -> int:
        """Line of the deepest part of `where` that the file has, counted from 1."""
        node: yaml.Node | None = self._root
        line = 1
        for part in where:
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            elif isinstance(node, yaml.MappingNode):
                entry = next((pair for pair in node.value if pair[0].value == str(part)), None)
                if entry is None:
                    break
                line, node = entry[0].start_mark.line + 1, entry[1]
        return line

    def _check_repeated_keys(self, node: yaml.Node, where: Location) -> None:
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._check_repeated_keys(item, (*where, index))
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                name = str(key.value)
                if name in seen:
                    self._fault((*where, name), "the key stands twice", "YAML would silently take the last one.")
                seen.add(name)
                self._check_repeated_keys(value, (*where, name))

    def _add_schema_fault(self, detail: ErrorDetails) -> None:
        where = tuple(part for part in detail["loc"] if part != "[key]")
        message = detail["msg"].removeprefix("Value error, ")
        hint = ""
        if detail["type"] == "extra_forbidden":
            known = sorted(_keys_at(where[:-1]))
            nearest = get_close_matches(str(where[-1]), known, n=1)
            message = "unknown key"
            hint = f"Did you mean {nearest[0]}?" if nearest else f"Known keys: {', '.join(known)}."
        elif detail["type"] == "missing":
            message = "is missing"
        elif detail["type"] == "string_pattern_mismatch":
            message = f"does not look as it must: {detail['ctx']['pattern']}"
        elif detail["type"] == "string_type":
            message, hint = "must be text", "Put it in quotes."
        self._fault(where, message, hint)

    def _source(self, spec: SourceSpec, where: Location) -> Source:
        if spec.sql is not None:
            self._check_query(spec.sql, (*where, "sql", "query"))
            return SqlSource(conn_id=spec.sql.conn_id, query=spec.sql.query, current=spec.sql.current)
        if spec.files is None:
            raise AssertionError("the schema lets exactly one source through")
        path = spec.files.path
        suffix = next((suffix for suffix in _FILE_FORMATS if path.endswith(suffix)), None)
        here = (*where, "files", "path")
        if suffix is None:
            self._fault(here, "of unknown format", f"It must end in {', '.join(_FILE_FORMATS)}.")
        try:
            names = placeholders(path)
        except ValueError as error:
            names = ()
            self._fault(here, f"its braces cannot be read: {error}")
        if unknown := set(names) - {"snapshot_date"}:
            self._fault(here, f"unknown placeholder {{{min(unknown)}}}", "Only {snapshot_date} is known.")
        self._check_day(here, dated="snapshot_date" in names, current=spec.files.current, mark="{snapshot_date}")
        absolute = str(self._path.parent / path)
        return FilesSource(
            path=absolute, format="csv" if suffix != ".parquet" else "parquet", current=spec.files.current
        )

    def _check_query(self, sql: SqlSpec, where: Location) -> None:
        bound = set(text(sql.query).compile().params)
        for name in sorted(bound - set(QUERY_PARAMETERS)):
            nearest = get_close_matches(name, QUERY_PARAMETERS, n=1)
            given = " and ".join(f":{known}" for known in QUERY_PARAMETERS)
            hint = f"Did you mean :{nearest[0]}?" if nearest else "Write a literal colon as \\:."
            self._fault(where, f"the query needs :{name}, but only {given} are given.", hint)
        self._check_day(where, dated="snapshot_date" in bound, current=sql.current, mark=":snapshot_date")

    def _check_day(self, where: Location, *, dated: bool, current: bool, mark: str) -> None:
        if not dated and not current:
            hint = f"Use {mark}, or write `current: true` and past days are refused."
            self._fault(where, "does not say which day it reads.", hint)
        if dated and current:
            self._fault(where, f"names {mark} and is `current: true`.", "Leave `current` out.")

    def _traits(self, spec: AudienceSpec) -> tuple[TraitSource, ...]:
        sources = []
        first_seen: dict[str, str] = {liveramp.MEMBER_ID: "the audience key"}
        for index, source_spec in enumerate(spec.traits):
            where: Location = ("traits", index)
            for name in source_spec.select:
                # The engine does not tell capitals apart in column names.
                if name.lower() in first_seen:
                    self._fault((*where, "select", name), f"the name is taken by {first_seen[name.lower()]}")
                first_seen.setdefault(name.lower(), f"trait {name} of source {index + 1}")
            traits = tuple(Trait(name=name, column=column) for name, column in source_spec.select.items())
            sources.append(TraitSource(source=self._source(source_spec, where), key=source_spec.key, traits=traits))
        return tuple(sources)

    def _destination(self, spec: AudienceSpec, index: int, sources: tuple[TraitSource, ...]) -> Destination:
        destination = spec.destinations[index]
        where: Location = ("destinations", index)
        names = {trait.name for source in sources for trait in source.traits}
        self._check_filename(destination, (*where, "filename"), audience_id=spec.audience)
        encryption = None
        if destination.encryption is not None:
            public_key = self._path.parent / destination.encryption.public_key
            if not public_key.is_file():
                self._fault((*where, "encryption", "public_key"), "there is no such file beside the audience file")
            encryption = Encryption(
                recipient=destination.encryption.recipient.upper(),
                public_key=public_key,
                extension=destination.encryption.extension,
            )
        else:
            self._warnings.append(f"{_dotted(where)}: files are not encrypted; anyone who gets one can read it")
        return Destination(
            id=destination.id,
            conn_id=destination.conn_id,
            region=destination.region,
            path=destination.path,
            update_method=destination.update_method,
            org=destination.org,
            filename=destination.filename,
            compression=destination.compression,
            encryption=encryption,
            files=self._files(destination, where, traits=names, segment=_segment_header(spec.audience)),
            min_members=destination.guards.min_members,
        )

    def _files(
        self, spec: LiveRampSpec, where: Location, *, traits: set[str], segment: str
    ) -> tuple[PiiFile | DeviceFile, ...]:
        def report_below(*parts: str) -> liveramp.Report:
            def report(at: Location, message: str, hint: str = "", *, warning: bool = False) -> None:
                here = (*where, *parts, *at)
                if warning:
                    self._warnings.append(f"{_dotted(here)}: {message}")
                else:
                    self._fault(here, message, hint)

            return report

        files: list[PiiFile | DeviceFile] = []
        if spec.files.pii is not None:
            report = report_below("files", "pii")
            files.append(
                liveramp.pii_file(spec.files.pii, region=spec.region, traits=traits, segment=segment, report=report)
            )
        if spec.files.device is not None:
            report = report_below("files", "device")
            files.extend(
                liveramp.device_files(
                    spec.files.device, region=spec.region, traits=traits, segment=segment, report=report
                )
            )
        return tuple(files)

    def _check_filename(self, spec: LiveRampSpec, where: Location, *, audience_id: str) -> None:
        try:
            names = placeholders(spec.filename)
        except ValueError as error:
            self._fault(where, f"its braces cannot be read: {error}")
            return
        unknown = sorted(set(names) - set(PLACEHOLDERS))
        for name in unknown:
            self._fault(where, f"unknown placeholder {{{name}}}", f"Known: {', '.join(PLACEHOLDERS)}.")
        if not {"date", "upload_date"} & set(names):
            self._fault(where, "has no date, so tomorrow's file would overwrite today's", "Add {date}.")
        if "kind" not in names:
            self._fault(where, "has no {kind}, so two files would share one name", "Add {kind}.")
        if unknown:
            return
        example = spec.filename.format(
            org=spec.org, audience=audience_id, kind="D-IDFA", date="2026-01-01", upload_date="2026-01-02"
        )
        if example[0] in "._-":
            self._fault(where, f"names begin with {example[0]!r}", "LiveRamp ignores such files.")
        if len(example) + len(".csv") > MAX_NAME_CHARS:
            self._fault(where, f"may grow to {len(example) + 4} characters; LiveRamp takes {MAX_NAME_CHARS}")

    def _check_destinations(self, destinations: tuple[Destination, ...]) -> None:
        ids: set[str] = set()
        targets: dict[tuple[str, str, str, str], str] = {}
        for index, destination in enumerate(destinations):
            if destination.id in ids:
                self._fault(("destinations", index, "id"), "the id stands twice", "Ids name deliveries; they differ.")
            ids.add(destination.id)
            target = (destination.conn_id, destination.path, destination.org, destination.filename)
            if target in targets:
                self._fault(("destinations", index, "path"), f"its files would be named as those of {targets[target]}")
            targets[target] = destination.id


def _dotted(where: Location) -> str:
    """``destinations[0].files.pii``: how a person writes a place in a YAML file."""
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return dotted.removeprefix(".") or "file"


def _segment_header(audience_id: str) -> str:
    """Header of the membership column where the audience file names none."""
    return re.sub(r"[^A-Z0-9_]", "_", audience_id.upper())


def _keys_at(where: Location) -> set[str]:
    """Keys that the schema knows at `where`, to guess which one was meant."""
    annotation: Any = AudienceSpec
    for part in where:
        model = _model_in(annotation)
        if isinstance(part, int) or model is None:
            continue
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        if field is not None:
            annotation = field.annotation
    model = _model_in(annotation)
    return {field.alias or name for name, field in model.model_fields.items()} if model else set()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The mapping type inside ``list[...]``, ``dict[str, ...]`` or ``... | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner)) is not None), None)
