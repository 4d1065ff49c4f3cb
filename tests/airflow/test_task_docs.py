"""What Airflow's pages say of an audience and its tasks, read as a Markdown reader shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from liveramp_provider.core.audience import Audience, FilesSource, Membership, Schedule
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.channels import (
    EmailChannel,
    SlackChannel,
    WebhookChannel,
)
from liveramp_provider.core.destination import PiiFile, SegmentColumn, TraitColumn
from liveramp_provider.core.destinations.liveramp import REGIONS
from liveramp_provider.dag import audience_dag
from liveramp_provider.dag_docs import (
    audience_doc,
    build_doc,
    deliver_doc,
    enrich_doc,
    extract_doc,
    fault_doc,
    preflight_doc,
)
from tests.airflow.conftest import REPOSITORY

AUDIENCE = load_audience(REPOSITORY / "dags" / "audiences" / "high_value_customers.yaml")
HOSTILE = "a|b `code` ``` **bold** <img src=x onerror=alert(1)> [link](javascript:x) &amp; \\ # ![i](http://x)"


class Page(HTMLParser):
    """A rendered page: its words, and which elements it is made of."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.words = ""
        self.elements: list[str] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_endtag(self, tag: str) -> None:
        # A cell or a paragraph ends its words.
        self.words += "" if tag in ("code", "strong", "em") else "\n"

    def handle_data(self, data: str) -> None:
        self.words += data


def hostile() -> Audience:
    """An audience that tries to be more than text wherever a person may write what they like."""
    source = FilesSource(path=f"/data/{HOSTILE}/{{snapshot_date}}.csv", format="csv", current=False)
    destination = replace(
        AUDIENCE.destinations[0],
        path=HOSTILE,
        files=(
            PiiFile(
                slot="PII",
                key_header=HOSTILE,
                columns=(
                    TraitColumn(header=HOSTILE, trait=HOSTILE),
                    SegmentColumn(header="`", value=f"`{HOSTILE}`"),
                ),
                rules=REGIONS["us"].files,
            ),
        ),
    )
    return replace(
        AUDIENCE,
        name=HOSTILE,
        owners=(HOSTILE,),
        notify=(EmailChannel(conn_id=HOSTILE, to=(HOSTILE,)),),
        membership=Membership(source=source, key=HOSTILE),
        traits=tuple(replace(traits, source=source, key=HOSTILE) for traits in AUDIENCE.traits),
        destinations=(destination,),
        warnings=(HOSTILE,),
    )


def test_the_page_of_the_dag() -> None:
    """It says who and from where, when and in which zone, who owns it, and how another day is delivered."""
    words = Page(audience_doc(AUDIENCE)).words
    for sentence in (
        "High-value customers\n",
        "Delivered daily at 00:00 (America/New_York), each run for the day before.",
        "Owners crm@example.com.",
        "Members by customer_id from a query through warehouse.",
        "PGP to 86C66858DDC8AC1151F86A1AC0FADA3667413471",
        "\nEMAIL1_SHA256\n\nemail, sha256\n",
        "airflow backfill create --dag-id high_value_customers --from-date",
        "Nobody is told when it is late or fails",
    ):
        assert sentence in words
    assert "select " not in words


def test_the_page_says_when_it_is_late_and_who_is_told() -> None:
    """A deadline and every channel stand on the page in words."""
    audience = replace(
        AUDIENCE,
        schedule=Schedule(cron="30 2 * * *", timezone="Europe/Paris"),
        deliver_by=timedelta(hours=6, minutes=30),
        notify=(
            EmailChannel(conn_id="smtp_default", to=("a@example.com", "b@example.com")),
            SlackChannel(conn_id="slack_alerts"),
            WebhookChannel(conn_id="alerts_webhook"),
        ),
    )
    words = Page(audience_doc(audience)).words
    assert "Delivered daily at 02:30 (Europe/Paris)" in words
    assert (
        "When it is not there 6 h 30 min later, fails or works again, a notice goes to: "
        "a@example.com, b@example.com by e-mail through smtp_default, Slack through slack_alerts, "
        "a webhook through alerts_webhook."
    ) in words


@pytest.mark.parametrize(
    ("task_id", "sentences"),
    [
        (
            "preflight",
            ["Logs in to every destination", "liveramp_default", "HostKeyError: ", "Tried again by itself:\n"],
        ),
        ("extract", ["a query through warehouse; the key is customer_id", "SourceError", "a person has to look"]),
        (
            "enrich",
            ["From a query through warehouse, by customer_id:", "\nphone\n\nmobile\n", "SourceUnavailableError"],
        ),
        ("liveramp.build", ["EMAIL1_SHA256", "500,000,000 rows", "gzip compression, PGP to 86C6", "EncryptionError"]),
        (
            "liveramp.deliver_PII",
            [
                "Sends the PII file",
                "/uploads/high_value_customers",
                "fewer than 25",
                "is not sent again",
                "LedgerError",
            ],
        ),
    ],
)
def test_the_page_of_each_task(task_id: str, sentences: list[str]) -> None:
    """A task says what it does with this audience, what a repeat does, and which errors mean what."""
    words = Page(audience_dag(AUDIENCE).get_task(task_id).doc_md or "").words
    for sentence in [*sentences, "When it runs again (a retry, or Clear):"]:
        assert sentence in words


def test_the_pages_of_a_bucket() -> None:
    """Of a bucket the pages say that a file goes there whole or not at all, and what cannot be checked before."""
    bucket = replace(AUDIENCE.destinations[0], path="s3://drop/vip", conn_id="aws_liveramp")
    words = Page(deliver_doc(bucket, "PII")).words
    assert "Sends the PII file by S3, once: to s3://drop/vip through aws_liveramp, created there whole" in words
    assert "HostKeyError" not in words
    before = Page(preflight_doc(replace(AUDIENCE, destinations=(bucket,)))).words
    assert "finds out whether there are credentials, and no more" in before


@pytest.mark.parametrize(
    "markdown",
    [
        audience_doc(hostile()),
        extract_doc(hostile()),
        enrich_doc(hostile()),
        build_doc(hostile().destinations[0]),
        deliver_doc(hostile().destinations[0], "PII"),
        fault_doc(f"line 1:\n```\n{HOSTILE}"),
    ],
    ids=["audience", "extract", "enrich", "build", "deliver", "faults"],
)
def test_an_audience_file_writes_no_markdown(markdown: str) -> None:
    """What a person wrote into the audience file is shown letter by letter, and makes no link, image or HTML."""
    page = Page(markdown)
    assert HOSTILE in page.words
    assert not {"a", "img", "script", "del", "h3"} & set(page.elements)
    assert page.elements.count("h1") <= 1


def test_hostile_cells_stay_in_their_column() -> None:
    """A bar or a backtick in a header neither adds a cell nor swallows one."""
    page = Page(build_doc(hostile().destinations[0]))
    assert page.elements.count("td") == 2 * len(["key", "trait", "segment"])
    assert f"\n{HOSTILE}\n\naudience key\n" in page.words
    assert f"\n`\n\n`{HOSTILE}` in every row\n" in page.words
