"""Under the real scheduler, as users run it: what is asked for is delivered, once, and people hear what is wrong."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.running.conftest import CANARY, MEMBERS, yesterday

if TYPE_CHECKING:
    from tests.running.conftest import World

AUTUMN = ["2026-10-31", "2026-11-01", "2026-11-02"]
SPRING = ["2026-03-08", "2026-03-09"]
UNWRITTEN = "2026-11-10"
NOVEMBER = ["2026-11-09", "2026-11-10"]


@pytest.fixture(scope="module", autouse=True)
def _begun(world: World) -> None:
    """Begin at once what takes time, through every door; the tests wait for it and look."""
    for audience, days in {"spring": SPRING, "tokyo": NOVEMBER}.items():
        world.write(audience, *days)
        world.airflow.backfill(audience, days[0], days[-1])
    world.airflow.backfill("unwritten", UNWRITTEN, UNWRITTEN)
    world.unsteady_box.cut_uploads(2)
    world.write("unsteady", "2026-11-10")
    world.write("patient", "2026-11-10")
    # The runs of one DAG come one after the other.
    world.write("ailing", "2026-11-12")
    for audience, day in [
        ("patient", "2026-11-10"),
        ("ailing", "2026-11-10"),
        ("ailing", "2026-11-11"),
        ("ailing", "2026-11-12"),
        ("unsteady", "2026-11-10"),
        ("impostor", "2026-11-10"),
        ("without_a_day", None),
    ]:
        world.airflow.trigger(audience, day)
    for audience, days in {"autumn": AUTUMN, "one_day_in_tokyo": NOVEMBER[:1]}.items():
        world.write(audience, *days)
        world.airflow.cli("backfill", "create", "--dag-id", audience, "--from-date", days[0], "--to-date", days[-1])


# Which day.


@pytest.mark.parametrize(("audience", "timezone"), [("new_york", "America/New_York"), ("in_time", "America/New_York")])
def test_the_nightly_run_delivers_yesterday(world: World, audience: str, timezone: str) -> None:
    """Switched on, the DAG runs for the last midnight in its own zone and delivers the day that ended then."""
    run = world.airflow.finished_run(audience, run_type="scheduled")

    assert (run["state"], run["partition_key"]) == ("success", yesterday(timezone))
    assert world.received(audience) == [yesterday(timezone)]


@pytest.mark.parametrize(
    ("audience", "days"),
    [
        ("one_day_in_tokyo", NOVEMBER[:1]),
        ("spring", SPRING),
        ("autumn", AUTUMN),
        ("tokyo", [*NOVEMBER, yesterday("Asia/Tokyo")]),
    ],
)
def test_a_backfill_delivers_the_days_it_names(world: World, audience: str, days: list[str]) -> None:
    """One day or several, through REST or the command line, in both zones and across both clock changes."""
    world.airflow.wait_for_backfill(audience)

    assert {run["state"] for run in world.airflow.runs(audience, run_type="backfill")} == {"success"}
    if audience == "tokyo":
        assert world.airflow.finished_run(audience, run_type="scheduled")["state"] == "success"
    assert world.received(audience) == days


def test_two_backfills_and_a_scheduled_run_of_one_day_send_one_file(world: World) -> None:
    """A day that was delivered stays delivered, however often it is run again."""
    day = yesterday("America/New_York")
    world.airflow.finished_run("new_york", run_type="scheduled")
    for _ in range(2):
        world.airflow.backfill("new_york", day, day, reprocess="completed")
        world.airflow.wait_for_backfill("new_york")

    runs = world.airflow.runs("new_york", partition_key=day)
    assert [run["state"] for run in runs] == ["success"] * 3
    assert world.received("new_york") == [day]
    assert "nothing is sent" in world.airflow.log(runs[-1], "liveramp.deliver_PII")


def test_a_failed_day_can_be_reprocessed(world: World) -> None:
    """A day that was not written yet fails and sends nothing; reprocessed when it is, it is delivered."""
    world.airflow.wait_for_backfill("unwritten")
    assert [run["state"] for run in world.airflow.runs("unwritten")] == ["failed"]
    assert world.received("unwritten") == []

    world.write("unwritten", UNWRITTEN)
    world.airflow.backfill("unwritten", UNWRITTEN, UNWRITTEN, reprocess="failed")
    world.airflow.wait_for(lambda: len(world.airflow.runs("unwritten")) == 2, "the second run")

    assert world.airflow.finished_run("unwritten")["state"] == "success"
    assert world.received("unwritten") == [UNWRITTEN]


def test_a_run_without_a_day_says_what_to_type_where(world: World) -> None:
    """Triggered without a day, the first task fails at its first try with the way out, and nothing is guessed."""
    run = world.airflow.finished_run("without_a_day")

    tasks = world.airflow.tasks(run)
    assert run["state"] == "failed"
    assert (tasks["preflight"]["state"], tasks["preflight"]["try_number"]) == ("failed", 1)
    log = world.airflow.log(run, "preflight")
    assert "the run does not say which day it delivers" in log
    assert '"Partition Key" (Trigger → Advanced Options) or as the parameter snapshot_date, YYYY-MM-DD' in log
    assert world.received("without_a_day") == []


# Another try.


def test_a_server_that_breaks_off_twice_gets_the_file_at_the_third_try(world: World) -> None:
    """Airflow tries again what can pass by itself, and the receiver gets the file once."""
    run = world.airflow.finished_run("unsteady")

    delivery = world.airflow.tasks(run)["liveramp.deliver_PII"]
    assert (run["state"], delivery["try_number"]) == ("success", 3)
    assert world.received("unsteady") == ["2026-11-10"]


def test_an_unknown_host_key_is_not_tried_again(world: World) -> None:
    """What only a person can put right fails at the first try."""
    run = world.airflow.finished_run("impostor")

    preflight = world.airflow.tasks(run)["preflight"]
    assert (preflight["state"], preflight["try_number"]) == ("failed", 1)
    assert "shows a host key that is not the pinned one" in world.airflow.log(run, "preflight")


# Without a worker.


def test_a_receiver_that_takes_its_time_is_waited_for_without_a_worker(world: World) -> None:
    """The triggerer looks at LiveIntent until the file is read there; then the task ends with LiveIntent's counts."""
    run = world.airflow.finished_run("patient")

    assert run["state"] == "success"
    (upload,) = world.liveintent.uploads
    assert len(upload.lines) == MEMBERS
    waited = world.airflow.log(run, "liveintent.deliver_EMAIL_HASH")
    assert "Pausing task as DEFERRED" in waited
    assert "LiveIntent has read patient-EMAIL_HASH_2026-11-10.csv: 30 uploaded, 0 invalid, 0 duplicates" in waited


# Who is told.


def subjects(world: World, audience: str) -> list[str]:
    """Subjects of the e-mails about an audience, in order."""
    start = f"LiveRamp: The {audience} story, "
    return [subject.removeprefix(start) for subject in world.mail.subjects() if subject.startswith(start)]


def webhooks(world: World, audience: str) -> list[dict[str, Any]]:
    return [post for post in world.hooks.posted("/webhook") if post["audience"] == audience]


def deadlines(world: World, dag_id: str, run: dict[str, Any]) -> list[Any]:
    found: list[Any] = world.airflow.ask("GET", f"/ui/dags/{dag_id}/dagRuns/{run['dag_run_id']}/deadlines")["deadlines"]
    return found


def test_a_late_delivery_is_told_through_every_channel(world: World) -> None:
    """E-mail, Slack and webhook say which file of which day is missing, what LiveRamp holds, and where to look."""
    day = yesterday("America/New_York")
    world.airflow.wait_for(lambda: len(webhooks(world, "late")) > 0, "the webhook")

    (mail,) = [mail for mail in world.mail.mails if mail["Subject"].endswith(f"The late story, {day}: late")]
    words = "not delivered; LiveRamp holds nothing of it"
    body = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert mail["To"] == "crm@example.com"
    assert words in body
    assert "(America/New_York), and not delivered in full" in body
    assert f"{world.airflow.url}/dags/late/runs/scheduled__" in body
    (slack,) = [post["text"] for post in world.hooks.posted("/slack/T0/B0/token") if ": late" in post["text"]]
    assert "*LiveRamp: The late story" in slack
    assert words in slack
    post = webhooks(world, "late")[0]
    assert (post["kind"], post["day"]) == ("late", day)
    assert post["files"] == [{"file": "liveramp/PII", "delivered": False, "rows": 0, "members": 0, "words": words}]


def test_a_backfill_and_a_delivery_in_time_are_not_late(world: World) -> None:
    """A scheduled run has its deadline and keeps it; a run of a past day, backfilled or by hand, has none."""
    run = world.airflow.finished_run("in_time", run_type="scheduled")
    world.airflow.backfill("late", "2026-11-10", "2026-11-10")
    world.airflow.trigger("late", "2026-11-11")

    assert run["state"] == "success"
    assert subjects(world, "in_time") == []
    kinds = {each["run_type"]: len(deadlines(world, "late", each)) for each in world.airflow.runs("late")}
    assert kinds == {"scheduled": 1, "backfill": 0, "manual": 0}
    assert not any("2026-11-1" in subject for subject in subjects(world, "late"))


def test_people_are_told_once_that_it_fails_and_once_that_it_works(world: World) -> None:
    """The same failure on the next day is no news; the first delivery after it is."""
    world.airflow.finished_run("ailing", partition_key="2026-11-12")
    states = {run["partition_key"]: run["state"] for run in world.airflow.runs("ailing")}
    assert states == {"2026-11-10": "failed", "2026-11-11": "failed", "2026-11-12": "success"}
    # The last channel of the file has the notice after the others.
    world.airflow.wait_for(lambda: len(webhooks(world, "ailing")) > 1, "the webhook")

    # On a busy machine the second day may have failed before anybody was told of the first.
    first = subjects(world, "ailing")[0].removesuffix(": failed")
    assert first in ("2026-11-10", "2026-11-11")
    assert subjects(world, "ailing") == [f"{first}: failed", "2026-11-12: recovered"]
    failed, recovered = webhooks(world, "ailing")
    (task,) = failed["tasks"]
    assert (task["task_id"], task["state"]) == ("extract", "failed")
    assert f"the source has no rows of {first}" in task["error"]
    assert recovered["files"][0]["words"] == "delivered: 30 rows of 30 members"
    assert f"there was trouble since {first}" in recovered["headline"]


def test_a_trial_run_of_a_dag_with_a_deadline_ends_well(world: World) -> None:
    """`airflow dags test` delivers and tells nobody, although Airflow 3.3.2 fails at deadlines there."""
    world.write("in_time", "2026-11-13")
    world.airflow.cli("dags", "test", "in_time", "--conf", '{"snapshot_date": "2026-11-13"}')

    assert "2026-11-13" in world.received("in_time")
    assert subjects(world, "in_time") == []


def test_no_personal_data_anywhere(world: World) -> None:
    """Logs of tasks and components, metadata database, ledger and notices hold nothing of the canary."""
    traces = [CANARY.encode(), hashlib.sha256(CANARY.encode()).hexdigest().encode()]
    searched = [world.home / "airflow.log"]
    searched += [path for path in (world.home / "airflow").rglob("*") if path.is_file()]
    searched += list((world.home / "liveramp").glob("ledger.sqlite*"))
    told = [mail.as_bytes() for mail in world.mail.mails] + [repr(post).encode() for post in world.hooks.posts]

    metadata = world.metadata.dump()

    assert len(searched) > 50
    assert told
    assert b"one_day_in_tokyo" in metadata
    assert [path for path in searched for trace in traces if trace in path.read_bytes()] == []
    assert [message for message in [*told, metadata] for trace in traces if trace in message] == []
