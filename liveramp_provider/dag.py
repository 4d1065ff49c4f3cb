"""An audience as a DAG: preflight → extract → enrich, then for every destination build → deliver.

With several destinations each has a preflight of its own, and only what fails there waits.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, TaskGroup, TriggerRule, get_parsing_context, task
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert
from airflow.sdk.exceptions import AirflowFailException

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.core.guards.acceptance import Guard
from liveramp_provider.core.naming import MAX_REVISION
from liveramp_provider.core.progress import duration
from liveramp_provider.dag_docs import audience_doc, fault_doc
from liveramp_provider.deadlines import ScheduledMoment
from liveramp_provider.notifications.late import LateNotifier
from liveramp_provider.notifications.outcome import OutcomeNotifier
from liveramp_provider.notifications.watched import Watched
from liveramp_provider.operators.build import LiveRampBuildOperator
from liveramp_provider.operators.deliver import LiveRampDeliverOperator
from liveramp_provider.operators.enrich import LiveRampEnrichOperator
from liveramp_provider.operators.extract import LiveRampExtractOperator
from liveramp_provider.operators.preflight import LiveRampPreflightOperator
from liveramp_provider.refresh import MAX_WHY_CHARS

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import Destination

#: Days before this are not scheduled; they can be backfilled from it on.
EPOCH = (2020, 1, 1)


class AudienceDag(DAG):
    """A DAG with a deadline that can be tried out: ``dag.test()`` and ``airflow dags test`` leave the deadline out.

    Airflow 3.3.2 ends such a trial in an error, after everything was delivered.
    """

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """Run one day in this process; see :meth:`airflow.sdk.DAG.test`."""
        deadline, self.deadline = self.deadline, None
        try:
            return super().test(*args, **kwargs)
        finally:
            self.deadline = deadline


def dags_in(folder: str | Path) -> dict[str, DAG]:
    """One DAG for every ``*.yaml`` in `folder`, by its id.

    A file with faults becomes a placeholder DAG that shows them, so that it takes no other audience down with it.
    """
    dags: dict[str, DAG] = {}
    for path in _needed(sorted(Path(folder).glob("*.yaml"))):
        dag = dag_of_file(path)
        if dag.dag_id in dags:
            dag = _placeholder(path.stem, f"{path.name}: another file already describes {dag.dag_id}.")
        dags[dag.dag_id] = dag
    return dags


def _needed(paths: list[Path]) -> list[Path]:
    """All of `paths`; in a task, whose DAG is known, the file of that one if it can be told."""
    wanted = get_parsing_context().dag_id
    return [path for path in paths if wanted and _id_written_in(path) == wanted] or paths


def dag_of_file(path: Path) -> DAG:
    """The DAG of one audience file, or a placeholder with its faults."""
    try:
        return audience_dag(load_audience(path))
    except AudienceFileError as error:
        return _placeholder(_id_written_in(path), str(error))


def audience_dag(audience: Audience, **dag_arguments: Any) -> DAG:
    """The daily DAG of `audience`; the day it delivers is its partition key.

    :param dag_arguments: Anything :class:`airflow.sdk.DAG` takes, to replace what is set here; of the ``default_args``,
        the owner stays unless it is named.
    """
    arguments = _arguments(audience) | dag_arguments
    arguments["default_args"] = {"owner": ", ".join(audience.owners) or "airflow"} | arguments.get("default_args", {})
    with AudienceDag(**arguments) as dag:
        alone = len(audience.destinations) == 1
        # One destination that is ready is worth reading for; the others' tasks wait for their own preflight.
        extract = LiveRampExtractOperator(task_id="extract", audience=audience, trigger_rule=TriggerRule.ONE_SUCCESS)
        enrich = LiveRampEnrichOperator(task_id="enrich", audience=audience, membership=extract.output)
        # Not in the destinations' own groups: those come after enrich, and the graph would run in a circle.
        preflights = dag.task_group if alone else TaskGroup(group_id="preflight", tooltip="Who can be delivered to")
        for destination in audience.destinations:
            with TaskGroup(group_id=destination.id, tooltip=f"{destination.receiver}, {destination.path}"):
                build = LiveRampBuildOperator(
                    task_id="build", audience=audience, destination=destination.id, profiles=enrich.output
                )
                preflight = LiveRampPreflightOperator(
                    task_id="preflight" if alone else destination.id,
                    audience=audience,
                    destination=destination.id,
                    task_group=preflights,
                )
                preflight >> ([extract] if alone else [extract, build])
                for file in destination.files:
                    LiveRampDeliverOperator(
                        task_id=f"deliver_{file.slot}",
                        audience=audience,
                        destination=destination.id,
                        slot=file.slot,
                        files=build.output,
                        outlets=[delivered_file(audience, destination, file.slot)],
                    )
    return dag


def _arguments(audience: Audience) -> dict[str, Any]:
    """What the audience makes of its DAG: when it runs, what can be typed, what its page says, and who is told."""
    zone = pendulum.timezone(audience.schedule.timezone)
    return {
        "dag_id": audience.id,
        "dag_display_name": audience.name,
        # The run at midnight after a day delivers that day.
        "schedule": CronPartitionTimetable(
            audience.schedule.cron, timezone=audience.schedule.timezone, run_offset=-1, key_format="%Y-%m-%d"
        ),
        "start_date": pendulum.datetime(*EPOCH, tz=zone),
        "catchup": False,
        "max_active_runs": 1,
        "params": _params(),
        "tags": ["liveramp", *(f"liveramp:{destination.id}" for destination in audience.destinations)],
        "doc_md": audience_doc(audience),
        **_notices(audience),
    }


def _params() -> dict[str, Param]:
    """What whoever triggers a run can type."""
    return {
        "snapshot_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Snapshot date",
            description="The day to deliver, when the run has no partition key.",
        ),
        "refresh": Param(
            False,
            type="boolean",
            title="Refresh",
            description="Read members and traits of the day once more, although they are sealed. What a receiver "
            "has of the day stays as it is.",
        ),
        "refresh_why": Param(
            None,
            type=["null", "string"],
            maxLength=MAX_WHY_CHARS,
            title="Refresh: why",
            description="One line that is kept with what is read, such as: late rows arrived. No personal data.",
        ),
        "revision": Param(
            1,
            type="integer",
            minimum=1,
            maximum=MAX_REVISION,
            title="Revision",
            description="2 or more sends a day that was delivered once more, under a new name (…_r2). The revision "
            "before must have been delivered.",
        ),
        "revision_why": Param(
            None,
            type=["null", "string"],
            maxLength=MAX_WHY_CHARS,
            title="Revision: why",
            description="One line that is kept in the ledger, such as: lost at the receiver. No personal data.",
        ),
        **_accept_params(),
    }


def _accept_params() -> dict[str, Param]:
    return {
        "accept": Param(
            [],
            type="array",
            items={"type": "string", "enum": [str(guard) for guard in Guard]},
            examples=[str(guard) for guard in Guard],
            values_display={str(guard): f"{guard}: {guard.meaning}" for guard in Guard},
            title="Accept",
            description="What is sent although a guard refuses it. Nothing, unless an error of an earlier run says so.",
        ),
        "accept_why": Param(
            None,
            type=["null", "string"],
            maxLength=MAX_WHY_CHARS,
            title="Accept: why",
            description="One line that is kept in the ledger, such as: agreed with the receiver. No personal data.",
        ),
    }


def _notices(audience: Audience) -> dict[str, Any]:
    """The arguments of a DAG that say who is told what."""
    arguments: dict[str, Any] = {}
    watched = Watched.of(audience)
    if audience.deliver_by is not None:
        arguments["deadline"] = DeadlineAlert(
            name=f"delivered within {duration(audience.deliver_by.total_seconds())}",
            reference=ScheduledMoment(),
            interval=audience.deliver_by,
            callback=AsyncCallback(LateNotifier, kwargs={"watched": watched.as_json()}),
        )
    if audience.notify:
        arguments["on_success_callback"] = OutcomeNotifier(watched, delivered=True)
        arguments["on_failure_callback"] = OutcomeNotifier(watched, delivered=False)
    return arguments


def delivered_file(audience: Audience, destination: Destination, slot: str) -> Asset:
    """The asset that a delivery updates; its events carry day, counts and digests."""
    # Airflow looks the scheme of any other URI up by loading every provider, boto3 included, at each parse.
    return Asset(
        name=f"{audience.id}/{destination.id}/{slot}",
        uri=f"x-liveramp://{destination.id}/{audience.id}/{slot}",
        group="liveramp",
    )


def _placeholder(dag_id: str, faults: str) -> DAG:
    with DAG(dag_id=dag_id, schedule=None, tags=["liveramp", "liveramp:broken"], doc_md=fault_doc(faults)) as dag:

        @task(task_id="read_audience_file", retries=0)
        def read_audience_file() -> None:
            raise AirflowFailException(faults)

        read_audience_file()
    return dag


def _id_written_in(path: Path) -> str:
    """The id that a file seems to mean, also a broken one: its own, or else its name."""
    try:
        written = re.search(r"^audience:\s*[\"']?([A-Za-z0-9_-]{1,64})[\"']?\s*(#.*)?$", path.read_text(), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        written = None
    return written[1] if written else re.sub(r"[^A-Za-z0-9_-]", "_", path.stem)
