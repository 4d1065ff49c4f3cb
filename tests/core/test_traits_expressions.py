"""What an expression of a computed trait may say, and what it means: the engine gives what SQL says."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveramp_provider.core.audience import ComputedTrait
from liveramp_provider.core.traits.computed import with_computed
from liveramp_provider.core.traits.expressions import FUNCTIONS, check_expression
from tests.core.pipeline import DAY

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

TRAITS = ("email", "ltv", "visits", "born", "first", "Tier", "nobodys")

#: What each gives of the one member of `member`, worked out by hand.
MEANINGS: dict[str, Any] = {
    "ltv > 1000": True,
    "LTV + 1 = ltv + 1 and not visits <> 3": True,
    "case when ltv > 1000 then 'high' else 'low' end": "high",
    "case visits when 3 then 'three' end": "three",
    "if(visits > 5, 'often', 'seldom')": "seldom",
    "tier || ' ' || visits": "Gold 3",
    "concat(tier, nobodys, '!')": "Gold!",
    "coalesce(nobodys, ifnull(nobodys, 'none'))": "none",
    "nullif(tier, 'Gold')": None,
    "nobodys is null and tier is not null": True,
    "visits in (1, 3) and tier not in ('Silver')": True,
    "visits between 1 and 3": True,
    "tier like 'G%' and tier ilike 'g%'": True,
    "cast(visits as varchar)": "3",
    "try_cast(tier as bigint)": None,
    "visits::double": 3.0,
    "lower(tier) || upper(tier)": "goldGOLD",
    "trim('  x ') || ltrim(' y ') || rtrim(' z ')": "xy  z",
    "trim(tier, 'G')": "old",
    "length(tier)": 4,
    "left(tier, 2) || right(tier, 1)": "God",
    "substring(tier, 2, 2) || substr(tier, 4)": "old",
    "replace(tier, 'G', 'M')": "Mold",
    "contains(tier, 'ol') and starts_with(tier, 'Go')": True,
    "split_part(email, '@', 2)": "example.com",
    "regexp_matches(email, '^a.*[.]com$')": True,
    "abs(-visits)": 3,
    "ceil(1.2) + ceiling(1.2) + floor(1.8)": 5,
    "round(ltv, 1)": 1234.6,
    "greatest(visits, 10) - least(visits, 1)": 9,
    "visits % 2": 1,
    "visits / 2": 1.5,
    "visits // 2": 1,
    "date_diff('day', born, snapshot_date)": 10,
    "datediff('month', date '2026-01-31', snapshot_date)": 10,
    "date_trunc('month', born)::date": date(2026, 11, 1),
    "extract(year from born)": 2026,
    "year(born) * 10000 + month(born) * 100 + day(born)": 20261110,
    "born >= snapshot_date - interval 30 day": True,
    "(snapshot_date - interval '1 month')::date": date(2026, 10, 20),
    "SNAPSHOT_DATE": DAY,
    '"first" || \'"\'': '1st"',
    "'it''s'": "it's",
    "99999999999999999999 + visits": 100000000000000000002,
    "true": True,
    "null": None,
}


@pytest.fixture(scope="module")
def engine() -> Backend:
    return ibis.duckdb.connect()


@pytest.fixture(scope="module")
def member(engine: Backend) -> Any:
    columns = {
        "email": pa.array(["ann@example.com"]),
        "ltv": pa.array([1234.56]),
        "visits": pa.array([3]),
        "born": pa.array([date(2026, 11, 10)]),
        "first": pa.array(["1st"]),
        "Tier": pa.array(["Gold"]),
        "nobodys": pa.array([None], pa.string()),
    }
    return engine.create_table("member", pa.table(columns))


@pytest.mark.parametrize("expression", MEANINGS)
def test_meaning(engine: Backend, member: Any, expression: str) -> None:
    """Whatever is allowed means what it means in SQL, whatever the capitals of its names."""
    assert check_expression(expression, TRAITS) == []
    made = with_computed(member, ComputedTrait(name="x", expression=expression), DAY)
    assert engine.to_pyarrow(made.x).to_pylist() == [MEANINGS[expression]]


def test_every_function_has_a_meaning() -> None:
    """No function is allowed that no test has seen."""
    everything = " ".join(MEANINGS)
    assert [name for name in FUNCTIONS if f"{name}(" not in everything] == []


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("random()", "random() is not allowed in a computed trait", "Known: abs, "),
        ("now()", "now() is not allowed", "Write snapshot_date"),
        ("Today()", "today() is not allowed", "Write snapshot_date"),
        ("current_date", "current_date() is not allowed", "Write snapshot_date"),
        ("current_timestamp", "current_timestamp() is not allowed", "Write snapshot_date"),
        ("today", "there is no earlier trait today", "Write snapshot_date"),
        ("uuid()", "uuid is not allowed", ""),
        ("getenv('HOME')", "getenv() is not allowed", ""),
        ("read_text('/etc/passwd')", "read_text() is not allowed", ""),
        ("lowr(email)", "lowr() is not allowed", "Did you mean lower()?"),
        ("sum(ltv)", "sum() is not allowed", ""),
        ("count(*)", "count() is not allowed", ""),
        ("max(ltv) over ()", "over is not allowed", "windows into the query"),
        ("(select ltv)", "select is not allowed", "query what else it needs"),
        ("ltv in (select 1)", "select is not allowed", ""),
        ("from member", "cannot be read as SQL at character 4", ""),
        ("ltv; drop table member", "; is not allowed", "Write one expression."),
        ("ltv -- more", "has a comment", ""),
        ("ltv /* more */", "has a comment", ""),
        ("{# x #} ltv", "has a comment", ""),
        ("ltv, visits", "cannot be read as SQL at character 4", ""),
        ("(ltv, visits)", "is not one expression", ""),
        ("coalesce(*)", "is not one expression", ""),
        ("ltv as x", "as is not followed by a type", "bigint"),
        ("ltv x", "cannot be read as SQL at character 5", ""),
        ("emial", "there is no earlier trait emial", "Did you mean email?"),
        ("snapshot_dat", "there is no earlier trait snapshot_dat", "Did you mean snapshot_date?"),
        ("member_id", "there is no earlier trait member_id", "Known here: email, ltv, visits, born, first, Tier"),
        ('"high"', "there is no earlier trait high", "Text goes in single quotes."),
        ("member.email", ". is not allowed", "write email, not customers.email"),
        ("first", "first has a meaning of its own in SQL", 'Write the trait in double quotes: "first".'),
        ("$visits", "$ is not allowed", ""),
        ("ltv + ?", "? is not allowed", ""),
        ("[ltv]", "[ is not allowed", ""),
        ("{'a': ltv}", "{ is not allowed", ""),
        ("x -> ltv", "-> is not allowed", ""),
        ("cast(ltv as int[])", "[ is not allowed", ""),
        ("cast(ltv as struct(x int))", "struct is not allowed", ""),
        ("cast(ltv as foo)", "as is not followed by a type", ""),
        ("date(born)", "date() is no function", "Write cast(… as date)."),
        ("interval (visits) day", "interval needs a number and a unit", "interval 30 day"),
        ("if ltv > 1 then 2 end", "if is a function", "Write if(condition"),
        ("", "is empty", ""),
        (" \n ", "is empty", ""),
        ("'open", "cannot be read as SQL", "A quote may be missing."),
        ("lower(email", "cannot be read as SQL at character 11", ""),
        ("ltv +", "cannot be read as SQL at character 5", ""),
    ],
)
def test_refused(expression: str, message: str, hint: str) -> None:
    """What asks a clock, looks beyond one member or is no single expression is refused, with the way out."""
    faults = check_expression(expression, TRAITS)
    assert any(found.startswith(message) and hint in way_out for found, way_out in faults), faults


def test_all_faults_at_once() -> None:
    """One reading finds everything, each thing once."""
    faults = check_expression("now() || random() || uuid() || now()", TRAITS)
    assert [message.split()[0] for message, _ in faults] == ["now()", "random()", "uuid"]
    assert [message for message, _ in check_expression("a + b + a", TRAITS)] == [
        "there is no earlier trait a",
        "there is no earlier trait b",
    ]


def test_a_trait_called_like_the_day() -> None:
    """A trait must not be mistaken for the day."""
    assert check_expression("year(snapshot_date)", ["Snapshot_Date"]) == [
        ("snapshot_date is both a trait and the day", "Give the trait another name.")
    ]


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        ("(" * 5_000, "has 5,000 words and signs"),
        ("(" * 13 + "ltv" + ")" * 13, "is nested more than 12 deep"),
        ("not " * 500 + "ltv", "is nested more than 12 deep"),
        ("case when ltv then " * 13 + "1" + " end" * 13, "is nested more than 12 deep"),
        ("ltv" + "::int" * 13, "is nested more than 12 deep"),
        ("ltv" + " + ltv" * 300, "has 601 words and signs"),
        ("x" * 5_001, "has 5,001 characters"),
        # The parser's own rules for types take two or three times as long with every parenthesis.
        ("date (" * 12 + "ltv" + ")" * 12, "date() is no function"),
        ("decimal (" * 12 + "1" + ")" * 12, "decimal() is no function"),
        ("struct (" * 12 + "ltv" + ")" * 12, "struct is not allowed"),
    ],
    ids=lambda text: text[:12],
)
def test_hostile(hostile: str, message: str) -> None:
    """What would keep the parser busy is refused before it is parsed."""
    assert check_expression(hostile, TRAITS)[0][0].startswith(message)


def test_large_but_good(engine: Backend, member: Any) -> None:
    """As much as is allowed can be worked out, however it is put."""
    for expression in ("visits" + " + visits" * 299, "coalesce(" * 12 + "visits" + ")" * 12, "visits" + "::int" * 12):
        assert check_expression(expression, TRAITS) == []
        made = with_computed(member, ComputedTrait(name="x", expression=expression), DAY)
        assert engine.to_pyarrow(made.x).to_pylist()[0] in (3, 900)


@given(st.text("()[]{}'\"-;:.,*/|<>=$ \nabeltvcasewhnd0123", max_size=60))
def test_any_text(text: str) -> None:
    """Any text is judged; none makes the parser fail."""
    for message, hint in check_expression(text, TRAITS):
        assert message
        assert isinstance(hint, str)
