"""From specs to values, as far as it is about where people, traits and opt-outs come from."""

from __future__ import annotations

import glob
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

from sqlalchemy import text

from liveramp_provider.core.audience import (
    AsOf,
    ComputedTrait,
    FilesSource,
    Membership,
    PredictiveTraits,
    PythonSource,
    SegmentEventsSource,
    SqlSource,
    Suppression,
    Trait,
    TraitSource,
)
from liveramp_provider.core.audience_file.schema_sources import (
    MEMBERSHIP_CHOICE,
    SUPPRESSION_CHOICE,
    TRAITS_CHOICE,
    SegmentMembersSpec,
)
from liveramp_provider.core.destination import Identifier
from liveramp_provider.core.destinations.liveramp import MEMBER_ID, identifier_of_trait
from liveramp_provider.core.naming import placeholders
from liveramp_provider.core.traits.expressions import SNAPSHOT_DATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liveramp_provider.core.audience import Source, TraitStep
    from liveramp_provider.core.audience_file.findings import Findings, Location
    from liveramp_provider.core.audience_file.schema_sources import (
        AsOfSpec,
        FilesSpec,
        MembershipSpec,
        PredictiveSpec,
        SegmentTraitsSpec,
        SqlSpec,
        SuppressionFilesSpec,
        SuppressionSpec,
        TraitsSpec,
    )
    from liveramp_provider.core.schema.base import Spec
    from liveramp_provider.core.schema.choices import Choice

#: What a query may bind.
QUERY_PARAMETERS = ("snapshot_date", "audience")

#: The column that holds the person in rows of Segment's event log: the user id, or else the anonymous id.
SEGMENT_USER = "userId"

_OPT_OUTS_OF_NOW = "The path is the same whatever the day: opt-outs are always those of now."
_TIMED_EVENTS = "The path is the same whatever the day: every event has its own time."
_FILE_FORMATS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
}


class SourceValues:
    """Makes the values of one audience file's sources; what is wrong with them goes to its findings."""

    def __init__(self, audience_id: str, path: Path, findings: Findings) -> None:
        self._audience_id = audience_id
        self._path = path
        self._findings = findings
        # The audience's own key, as Segment calls it, is no trait: everybody in the file has it.
        self._own_keys = {audience_id.lower()}
        # The engine does not tell capitals apart in column names.
        self._first_seen: dict[str, str] = {MEMBER_ID: "the audience key", SNAPSHOT_DATE: "the snapshot day"}

    def membership(self, spec: MembershipSpec) -> Membership:
        """Where the members come from."""
        where: Location = ("membership",)
        self._check_companions(spec, MEMBERSHIP_CHOICE, where)
        if spec.segment_events is not None:
            self._own_keys.add(spec.segment_events.audience_key.lower())
        source = self._source(spec, where)
        return Membership(source=source, key=self._key(spec), as_of=_as_of(spec.as_of))

    def traits(self, specs: Sequence[TraitsSpec]) -> tuple[TraitStep, ...]:
        """The steps of enrichment, in their order."""
        steps: list[TraitStep] = []
        for index, spec in enumerate(specs):
            where: Location = ("traits", index)
            self._check_companions(spec, TRAITS_CHOICE, where)
            known = [name for step in steps for name in step.names]
            if spec.computed is not None:
                steps += self._computed(spec.computed, (*where, "computed"), known, index)
            elif spec.predictive is not None:
                steps.append(self._predictive(spec, spec.predictive, where, known, index))
            else:
                steps.append(self._trait_source(spec, where, index))
        return tuple(steps)

    def suppression(self, spec: SuppressionSpec, traits: Sequence[str]) -> Suppression:
        """Who has opted out.

        :param traits: All traits of the audience: who is known by an address only has one among them.
        """
        where: Location = ("suppression",)
        self._check_companions(spec, SUPPRESSION_CHOICE, where)
        people = {"key": spec.key, "email": spec.email, "phone": spec.phone}
        if spec.segment_events is None and not any(people.values()):
            hint = "Name the column of audience keys, e-mail addresses or phone numbers."
            self._findings.fault(where, "needs at least one of key, email and phone", hint)
        for name in ("email", "phone"):
            if people[name] and not any(identifier_of_trait(trait) == name for trait in traits):
                hint = f"Select a trait named {name}, or nobody can be found by it."
                self._findings.fault(
                    (*where, name), f"no trait is {'an e-mail' if name == 'email' else 'a phone'}", hint
                )
        max_age = None if spec.max_age is None else duration(spec.max_age)
        if max_age is not None and spec.updated_at is None and (spec.sql or spec.python):
            hint = "Name the column whose newest moment says how old the list is in updated_at."
            self._findings.fault((*where, "max_age"), "nobody can say how old the list is", hint)
        return Suppression(
            source=self._opt_outs(spec, where),
            key=SEGMENT_USER if spec.segment_events else spec.key or "",
            email=spec.email or "",
            phone=spec.phone or "",
            updated_at=spec.updated_at or "",
            max_age=None if spec.max_age is None else duration(spec.max_age),
            allow_empty=spec.allow_empty,
        )

    def _check_people(self, spec: SuppressionSpec, where: Location, traits: Sequence[str]) -> None:
        if spec.segment_events is None and not (spec.key or spec.email or spec.phone):
            hint = "Name the column of audience keys, e-mail addresses or phone numbers."
            self._findings.fault(where, "needs at least one of key, email and phone", hint)
        known = {identifier_of_trait(trait) for trait in traits}
        for identifier, column in ((Identifier.EMAIL, spec.email), (Identifier.PHONE, spec.phone)):
            if column and identifier not in known:
                hint = f"Select one named {identifier}, or nobody can be found by it."
                self._findings.fault((*where, identifier.value), "no trait holds such values", hint)

    def _check_companions(self, spec: Spec, choice: Choice, where: Location) -> None:
        made = choice.made(spec)
        for key in choice.missing(spec):
            if (*where, key) not in self._findings.unread:  # then it is there, misspelt
                self._findings.fault((*where, key), "is missing", type(spec).model_fields[key].description or "")
            self._findings.unread.add((*where, key))
        for key in choice.misplaced(spec):
            self._findings.fault((*where, key), f"makes no sense beside {made}", "Leave it out.")

    @staticmethod
    def _key(spec: MembershipSpec | TraitsSpec) -> str:
        return SEGMENT_USER if spec.segment_events is not None else spec.key or ""

    def _source(self, spec: MembershipSpec | TraitsSpec, where: Location) -> Source:
        as_of = {"as_of"} if spec.as_of is not None else set()
        if spec.sql is not None:
            return self._query(spec.sql, (*where, "sql", "query"), dated_by=as_of)
        if spec.files is not None:
            return self._files_source(spec.files, (*where, "files"), dated_by=as_of)
        if spec.python is not None:
            if as_of and spec.python.current:
                self._check_day((*where, "python", "current"), dated_by=as_of, current=True, mark="")
            # Whether the function takes a day is seen when it is loaded.
            return PythonSource(function=spec.python.function, current=spec.python.current)
        if spec.segment_events is not None:
            return self._events(spec.segment_events, (*where, "segment_events"))
        raise AssertionError("the schema lets exactly one source through")

    def _opt_outs(self, spec: SuppressionSpec, where: Location) -> Source:
        if spec.sql is not None:
            at = (*where, "sql", "query")
            if "snapshot_date" in self._bound(spec.sql.query, at, given=("audience",)):
                message = "names :snapshot_date, but opt-outs are always those of now"
                self._findings.fault(at, message, "Read all who have opted out, whatever the day.")
            return SqlSource(conn_id=spec.sql.conn_id, query=spec.sql.query, current=True)
        if spec.files is not None:
            at = (*where, "files", "path")
            placeholders_in(spec.files.path, at, known=(), hint=_OPT_OUTS_OF_NOW, findings=self._findings)
            return self._files_at(spec.files, (*where, "files"), current=True)
        if spec.python is not None:
            return PythonSource(function=spec.python.function, current=True)
        if spec.segment_events is not None:
            if spec.segment_events.audience_key.lower() in self._own_keys:
                message = "is the audience itself: all its members would be left out"
                self._findings.fault((*where, "segment_events", "audience_key"), message, "Name the one of opt-outs.")
            return self._events(spec.segment_events, (*where, "segment_events"))
        raise AssertionError("the schema lets exactly one source through")

    def _query(self, spec: SqlSpec, where: Location, *, dated_by: set[str]) -> SqlSource:
        if "snapshot_date" in self._bound(spec.query, where, given=QUERY_PARAMETERS):
            dated_by = dated_by | {":snapshot_date"}
        self._check_day(where, dated_by=dated_by, current=spec.current, mark=":snapshot_date")
        return SqlSource(conn_id=spec.conn_id, query=spec.query, current=spec.current)

    def _bound(self, query: str, where: Location, *, given: tuple[str, ...]) -> set[str]:
        """What the query binds, and what it seems to mean."""
        known = " and ".join(f":{name}" for name in given)
        bound = set(text(query).compile().params)
        for name in sorted(bound - set(QUERY_PARAMETERS)):
            nearest = get_close_matches(name.lower(), given, n=1)
            hint = f"Did you mean :{nearest[0]}?" if nearest else "Write a literal colon as \\:."
            self._findings.fault(
                where, f"the query needs :{name}, but only {known} {'are' if given[1:] else 'is'} given", hint
            )
            bound.update(nearest)  # a slip of the pen says which day it reads, too
        return bound

    def _files_source(self, spec: FilesSpec, where: Location, *, dated_by: set[str]) -> FilesSource:
        at = (*where, "path")
        if "snapshot_date" in placeholders_in(spec.path, at, known=("snapshot_date",), findings=self._findings):
            dated_by = dated_by | {"{snapshot_date}"}
        self._check_day(at, dated_by=dated_by, current=spec.current, mark="{snapshot_date}")
        return self._files_at(spec, where, current=spec.current)

    def _files_at(self, spec: FilesSpec | SuppressionFilesSpec, where: Location, *, current: bool) -> FilesSource:
        suffix = next((suffix for suffix in _FILE_FORMATS if spec.path.endswith(suffix)), "")
        if not suffix:
            hint = f"It must end in {', '.join(_FILE_FORMATS)}."
            self._findings.fault((*where, "path"), "is of unknown format", hint)
        kind = _FILE_FORMATS.get(suffix, "csv")
        return FilesSource(
            path=self._located(spec.path, spec.conn_id, where),
            format="parquet" if kind == "parquet" else "jsonl" if kind == "jsonl" else "csv",
            current=current,
            conn_id=spec.conn_id or "",
        )

    def _events(self, spec: SegmentMembersSpec | SegmentTraitsSpec, where: Location) -> SegmentEventsSource:
        placeholders_in(spec.path, (*where, "path"), known=(), hint=_TIMED_EVENTS, findings=self._findings)
        return SegmentEventsSource(
            path=self._located(spec.path, spec.conn_id, where),
            conn_id=spec.conn_id or "",
            audience_key=spec.audience_key if isinstance(spec, SegmentMembersSpec) else "",
        )

    def _located(self, path: str, conn_id: str | None, where: Location) -> str:
        """The path as it is found from anywhere."""
        on_s3 = path.startswith("s3://")
        if on_s3 and conn_id is None:
            self._findings.fault((*where, "conn_id"), "is missing", "Name the Airflow connection to S3.")
        if not on_s3 and conn_id is not None:
            self._findings.fault((*where, "conn_id"), "is for paths that begin with s3://", "Leave it out.")
        if on_s3 or path.startswith("/"):
            return path
        # The folder's own name is no pattern, whatever characters it has.
        folder = glob.escape(str(self._path.parent)).replace("{", "{{").replace("}", "}}")
        return f"{folder}/{path}"

    def _check_day(self, where: Location, *, dated_by: set[str], current: bool, mark: str) -> None:
        if not dated_by and not current:
            hint = f"Use {mark} or as_of, or write `current: true` and past days are refused."
            self._findings.fault(where, "does not say which day it reads", hint)
        if dated_by and current:
            names = " and ".join(sorted(dated_by))
            self._findings.fault(where, f"names {names} and is `current: true`", "Leave `current` out.")

    def _trait_source(self, spec: TraitsSpec, where: Location, index: int) -> TraitSource:
        step = TraitSource(
            source=self._source(spec, where),
            key=self._key(spec),
            traits=self._selected(spec, where),
            as_of=_as_of(spec.as_of),
            max_per_member=spec.max_per_member,
            keep=spec.keep,
            order_by=spec.order_by or "",
        )
        for number, name in enumerate(step.names):
            trait = step.traits[number // spec.max_per_member]
            self._take_name(name, (*where, "select", trait.name), index)
        return step

    def _computed(
        self, expressions: dict[str, str], where: Location, known: list[str], index: int
    ) -> list[ComputedTrait]:
        # Reading SQL loads a parser, so it is done only where there is some.
        from liveramp_provider.core.traits.expressions import check_expression

        known, steps = [*known], []
        for name, expression in expressions.items():
            for message, hint in check_expression(expression, known):
                self._findings.fault((*where, name), message, hint)
            self._take_name(name, (*where, name), index)
            known.append(name)
            steps.append(ComputedTrait(name=name, expression=expression))
        return steps

    def _predictive(
        self, spec: TraitsSpec, predictive: PredictiveSpec, where: Location, known: list[str], index: int
    ) -> PredictiveTraits:
        named = {name.lower(): name for name in known}
        for number, name in enumerate(predictive.inputs):
            at = (*where, "predictive", "inputs", number)
            if name.lower() not in named:
                hint = f"Known here: {', '.join(known) or 'none'}."
                self._findings.fault(at, f"no earlier step gives a trait {name}", hint)
            if name in predictive.inputs[:number]:
                self._findings.fault(at, f"{name} stands twice", "Leave it out here.")
        traits = self._selected(spec, where)
        for trait in traits:
            self._take_name(trait.name, (*where, "select", trait.name), index)
        inputs = tuple(named.get(name.lower(), name) for name in predictive.inputs)
        return PredictiveTraits(function=predictive.function, inputs=inputs, traits=traits)

    def _selected(self, spec: TraitsSpec, where: Location) -> tuple[Trait, ...]:
        traits = tuple(Trait(name=name, column=column) for name, column in (spec.select or {}).items())
        if spec.segment_events is not None:
            for trait in traits:
                if trait.column.lower() in self._own_keys:
                    self._refuse_own_key((*where, "select", trait.name))
        return traits

    def _take_name(self, name: str, where: Location, index: int) -> None:
        taken_by = self._first_seen.get(name.lower())
        if name.lower() in self._own_keys:
            self._refuse_own_key(where)
        elif taken_by is not None:
            named = "the name" if where[-1] == name else f"the name {name} of a further value"
            hint = "Capitals make no difference; choose another name."
            self._findings.fault(where, f"{named} is taken by {taken_by}", hint)
        self._first_seen.setdefault(name.lower(), f"the trait {name} of traits[{index}]")

    def _refuse_own_key(self, where: Location) -> None:
        hint = 'Every member has it; write {segment: "1"} as a column of the file.'
        self._findings.fault(where, "is the audience's own key, which is no trait", hint)


def placeholders_in(
    template: str, where: Location, *, known: Sequence[str], findings: Findings, hint: str = ""
) -> set[str]:
    """The placeholders of a template; those that nobody fills in go to `findings`.

    :param hint: What to do about them; empty: a list of the known ones.
    """
    try:
        names = set(placeholders(template))
    except ValueError as error:
        findings.fault(where, f"its braces cannot be read: {error}")
        return set(known)
    for name in sorted(names - set(known)):
        listed = f"Known: {', '.join(f'{{{name}}}' for name in known)}."
        findings.fault(where, f"unknown placeholder {{{name}}}", hint or listed)
    return names


def duration(written: str) -> timedelta:
    """What the schema's durations mean, such as ``90m`` and ``6h``."""
    number, unit = int(written[:-1]), written[-1]
    return timedelta(hours=number) if unit == "h" else timedelta(minutes=number)


def _as_of(spec: AsOfSpec | None) -> AsOf | None:
    return None if spec is None else AsOf(valid_from=spec.valid_from, valid_to=spec.valid_to or "")
