"""Where people, traits and opt-outs come from, as an audience file says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from liveramp_provider.core.audience import Keep
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.choices import Choice, Kind, at_least_one_of
from liveramp_provider.core.schema.types import (
    ConnId,
    Duration,
    Expression,
    FunctionName,
    Query,
    SegmentKey,
    SourceColumn,
    SourcePath,
    TraitName,
)

_SQL = {"conn_id": "warehouse", "query": "select customer_id from vip where snapshot_date = :snapshot_date"}
_FILES = {"path": "data/vip/{snapshot_date}/*.parquet"}
_EVENTS = {"path": "s3://lake/segment-logs/**/*.gz", "conn_id": "aws_default"}
_MEMBER_EVENTS = {**_EVENTS, "audience_key": "high_value_customers"}
_OPT_OUTS = {"conn_id": "warehouse", "query": "select customer_id from opt_outs"}
_OPT_OUT_EVENTS = {**_EVENTS, "audience_key": "unsubscribed"}
_COMPUTED = {"ltv_band": "case when ltv > 1000 then 'high' else 'low' end"}
_PREDICTIVE = {"function": "my_company.traits:churn_score", "inputs": ["ltv", "tier"]}
_AS_OF = {"valid_from": "valid_from", "valid_to": "valid_to"}

#: Examples for the keys that hold a source.
SOURCE_EXAMPLE = {"sql": _SQL, "key": "customer_id"}
TRAITS_EXAMPLE = {**SOURCE_EXAMPLE, "select": {"email": "email_address"}}
SUPPRESSION_EXAMPLE = {"sql": _OPT_OUTS, "key": "customer_id"}

_CONN_ID = Field(description="Airflow connection to the warehouse.", examples=["warehouse"])
_FILES_PATH = "Path or glob ending in .parquet, .csv, .jsonl, .csv.gz or .jsonl.gz, on this machine or s3://bucket/key"
_S3_CONN_ID = Field(
    default=None, description="Airflow connection to S3, for a path that begins with s3://.", examples=["aws_default"]
)
_EVENTS_PATH = Field(
    description="Path or glob of Segment's JSON Lines, on this machine or s3://bucket/key.", examples=[_EVENTS["path"]]
)

_ROWS = Kind(needs=("key",), takes=("as_of",))
MEMBERSHIP_CHOICE = Choice({"sql": _ROWS, "files": _ROWS, "python": _ROWS, "segment_events": Kind()})

_SEVERAL = ("max_per_member", "keep", "order_by")
_TRAIT_ROWS = Kind(needs=("key", "select"), takes=("as_of", *_SEVERAL))
TRAITS_CHOICE = Choice(
    {
        "sql": _TRAIT_ROWS,
        "files": _TRAIT_ROWS,
        "python": _TRAIT_ROWS,
        "segment_events": Kind(needs=("select",), takes=("max_per_member", "keep")),
        "computed": Kind(),
        "predictive": Kind(needs=("select",)),
    }
)

_PEOPLE = Kind(takes=("key", "email", "phone", "updated_at"))
SUPPRESSION_CHOICE = Choice({"sql": _PEOPLE, "files": _PEOPLE, "python": _PEOPLE, "segment_events": Kind()})


class SqlSpec(Spec):
    """A query through an Airflow connection."""

    conn_id: ConnId = _CONN_ID
    query: Query = Field(
        description="One SELECT; `:snapshot_date` (YYYY-MM-DD) and `:audience` are bound as parameters.",
        examples=[_SQL["query"]],
    )
    current: bool = Field(
        default=False, description="The query knows only today; past days are then refused.", examples=[False]
    )


class FilesSpec(Spec):
    """Parquet, CSV or JSON Lines files."""

    path: SourcePath = Field(
        description=f"{_FILES_PATH}; `{{snapshot_date}}` is the day (YYYY-MM-DD).", examples=[_FILES["path"]]
    )
    conn_id: ConnId | None = _S3_CONN_ID
    current: bool = Field(
        default=False, description="The files are always today's; past days are then refused.", examples=[False]
    )


class PythonSpec(Spec):
    """A function that yields pandas frames."""

    function: FunctionName = Field(
        description="package.module:function; it gets `snapshot_date` and `audience`, as far as it names them.",
        examples=["my_company.sources:vips"],
    )
    current: bool = Field(
        default=False, description="The function knows only today; past days are then refused.", examples=[False]
    )


class SegmentMembersSpec(Spec):
    """Segment's event log: who had entered an audience and not left it by the end of the day."""

    path: SourcePath = _EVENTS_PATH
    conn_id: ConnId | None = _S3_CONN_ID
    audience_key: SegmentKey = Field(
        description="Segment's key of the audience.", examples=[_MEMBER_EVENTS["audience_key"]]
    )


class SegmentTraitsSpec(Spec):
    """Segment's event log: everybody's newest traits by the end of the day."""

    path: SourcePath = _EVENTS_PATH
    conn_id: ConnId | None = _S3_CONN_ID


class AsOfSpec(Spec):
    """From when to when a row of a slowly changing table holds."""

    valid_from: SourceColumn = Field(
        description="Column of dates or moments: the row holds from then on.", examples=["valid_from"]
    )
    valid_to: SourceColumn | None = Field(
        default=None,
        description="Column of dates or moments: from then on it does not hold any more; blank: it still does.",
        examples=["valid_to"],
    )


class PredictiveSpec(Spec):
    """A function from one pandas frame of traits to another."""

    function: FunctionName = Field(description="package.module:function.", examples=[_PREDICTIVE["function"]])
    inputs: Annotated[list[TraitName], Field(min_length=1)] = Field(
        description="The earlier traits it gets, in this order.", examples=[_PREDICTIVE["inputs"]]
    )


class MembershipSpec(Spec):
    """Exactly one source that says which day it reads, and the column that holds the key."""

    model_config = ConfigDict(json_schema_extra=MEMBERSHIP_CHOICE.json_schema())

    sql: SqlSpec | None = Field(default=None, description="Rows of a query.", examples=[_SQL])
    files: FilesSpec | None = Field(default=None, description="Rows of files.", examples=[_FILES])
    segment_events: SegmentMembersSpec | None = Field(
        default=None, description="The fold of Segment's event log.", examples=[_MEMBER_EVENTS]
    )
    python: PythonSpec | None = Field(
        default=None, description="Rows of frames.", examples=[{"function": "my_company.sources:vips"}]
    )
    key: SourceColumn | None = Field(
        default=None, description="Column of the source that holds the audience key.", examples=["customer_id"]
    )
    as_of: AsOfSpec | None = Field(
        default=None, description="Of a slowly changing table, the rows that held on the day.", examples=[_AS_OF]
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> MembershipSpec:
        if MEMBERSHIP_CHOICE.made(self) is None:
            raise ValueError("needs exactly one source: sql, files, segment_events or python")
        return self


class TraitsSpec(Spec):
    """One step of enrichment: traits of a source, computed from earlier ones, or given by a function."""

    model_config = ConfigDict(json_schema_extra=TRAITS_CHOICE.json_schema())

    sql: SqlSpec | None = Field(default=None, description="Rows of a query.", examples=[_SQL])
    files: FilesSpec | None = Field(default=None, description="Rows of files.", examples=[_FILES])
    segment_events: SegmentTraitsSpec | None = Field(
        default=None, description="The newest values in Segment's event log.", examples=[_EVENTS]
    )
    python: PythonSpec | None = Field(
        default=None, description="Rows of frames.", examples=[{"function": "my_company.sources:contacts"}]
    )
    computed: Annotated[dict[TraitName, Expression], Field(min_length=1)] | None = Field(
        default=None, description="Our trait name: an SQL expression over earlier traits.", examples=[_COMPUTED]
    )
    predictive: PredictiveSpec | None = Field(
        default=None, description="A function over earlier traits, called batch by batch.", examples=[_PREDICTIVE]
    )
    key: SourceColumn | None = Field(
        default=None, description="Column of the source that holds the audience key.", examples=["customer_id"]
    )
    select: Annotated[dict[TraitName, SourceColumn], Field(min_length=1)] | None = Field(
        default=None, description="Our trait name: the source's column.", examples=[{"email": "email_address"}]
    )
    as_of: AsOfSpec | None = Field(
        default=None, description="Of a slowly changing table, the rows that held on the day.", examples=[_AS_OF]
    )
    max_per_member: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="How many values of a trait a member may have: email, email2, email3 …", examples=[3]
    )
    keep: Keep = Field(
        default="all",
        description="Which are kept where a member has more: first or last; with all, more are an error.",
        examples=["first"],
    )
    order_by: SourceColumn | None = Field(
        default=None, description="Column that puts a member's rows in order.", examples=["last_seen"]
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> TraitsSpec:
        if TRAITS_CHOICE.made(self) is None:
            raise ValueError("needs exactly one of sql, files, segment_events, python, computed and predictive")
        return self


class SuppressionSqlSpec(Spec):
    """A query for the opt-outs of now."""

    conn_id: ConnId = _CONN_ID
    query: Query = Field(
        description="One SELECT of all who have opted out by now; `:audience` is bound as a parameter.",
        examples=[_OPT_OUTS["query"]],
    )


class SuppressionFilesSpec(Spec):
    """Parquet, CSV or JSON Lines files with the opt-outs of now."""

    path: SourcePath = Field(
        description=f"{_FILES_PATH}; the same whatever day is delivered.", examples=["data/opt_outs.csv"]
    )
    conn_id: ConnId | None = _S3_CONN_ID


class SuppressionPythonSpec(Spec):
    """A function that yields pandas frames with the opt-outs of now."""

    function: FunctionName = Field(description="package.module:function.", examples=["my_company.sources:opt_outs"])


class SuppressionSpec(Spec):
    """People who have opted out. Read whenever a file is made, as it is then."""

    model_config = ConfigDict(
        json_schema_extra=SUPPRESSION_CHOICE.json_schema() | at_least_one_of("segment_events", "key", "email", "phone")
    )

    sql: SuppressionSqlSpec | None = Field(default=None, description="Rows of a query.", examples=[_OPT_OUTS])
    files: SuppressionFilesSpec | None = Field(
        default=None, description="Rows of files.", examples=[{"path": "data/opt_outs.csv"}]
    )
    segment_events: SegmentMembersSpec | None = Field(
        default=None, description="Who is in a Segment audience of opt-outs by now.", examples=[_OPT_OUT_EVENTS]
    )
    python: SuppressionPythonSpec | None = Field(
        default=None, description="Rows of frames.", examples=[{"function": "my_company.sources:opt_outs"}]
    )
    key: SourceColumn | None = Field(
        default=None, description="Column of audience keys: these members are left out.", examples=["customer_id"]
    )
    email: SourceColumn | None = Field(
        default=None,
        description="Column of e-mail addresses, plain or hashed: members with one of them are left out.",
        examples=["email_address"],
    )
    phone: SourceColumn | None = Field(
        default=None,
        description="Column of phone numbers, plain or hashed: members with one of them are left out.",
        examples=["mobile"],
    )
    max_age: Duration | None = Field(default=None, description="An older list stops the run.", examples=["24h"])
    updated_at: SourceColumn | None = Field(
        default=None,
        description="Column of dates or moments; the newest says how old the list is. Files have a time of their own.",
        examples=["updated_at"],
    )
    allow_empty: bool = Field(
        default=False,
        description="Nobody may have opted out; without it, an empty list stops the run.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> SuppressionSpec:
        if SUPPRESSION_CHOICE.made(self) is None:
            raise ValueError("needs exactly one source: sql, files, segment_events or python")
        return self
