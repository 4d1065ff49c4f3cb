"""The same faults on what Airflow brings along: its SFTP operator, and an upload to S3 that overwrites."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from liveramp_provider.testing.sftp import Pickup
from tests.deliveries import NAME
from tests.faults import s3_cases, sftp_cases
from tests.faults.outcomes import Outcome, Told, judge
from tests.faults.runner import TRIES, Case, Scene, run

if TYPE_CHECKING:
    Send = Callable[[Scene], None]

#: The rows that a client meets with who never renames.
_SFTP_ROWS = (2, 5, 6, 7, 8, 9, 12)
_S3_ROWS = (21, 22, 23)
_CONNECTION = "AIRFLOW_CONN_STOCK"


def sftp_operator(scene: Scene, *, confirm: bool) -> None:
    """One try of a task with Airflow's own operator."""
    from airflow.providers.sftp.operators.sftp import SFTPOperator

    sftp = sftp_cases.server_of(scene).sftp
    with connected(
        conn_type="sftp",
        host=sftp.host,
        port=sftp.port,
        login=sftp.username,
        password=sftp.password,
        extra={"host_key": sftp.host_key},
    ):
        SFTPOperator(
            task_id="upload",
            ssh_conn_id="stock",
            local_filepath=str(scene.delivering.file.path),
            remote_filepath=f"{sftp.folder}/{NAME}",
            operation="put",
            confirm=confirm,
        ).execute({})


def s3_hook(scene: Scene) -> None:
    """One try of a task that calls Airflow's hook and replaces what is there, as a rerun must."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    bucket = s3_cases.bucket_of(scene)
    patience = {"read_timeout": 1, "connect_timeout": 1, "retries": {"mode": "standard", "total_max_attempts": 3}}
    with connected(
        conn_type="aws",
        login=bucket.s3.access_key,
        password=bucket.s3.secret_key,
        extra={"region_name": "us-east-1", "endpoint_url": bucket.s3.endpoint_url, "config_kwargs": patience},
    ):
        S3Hook("stock").load_file(
            scene.delivering.file.path, key=bucket.key, bucket_name=bucket.s3.bucket_name, replace=True
        )


@contextmanager
def connected(**connection: Any) -> Iterator[None]:
    """Airflow knows this connection as ``stock``."""
    os.environ[_CONNECTION] = json.dumps(connection)
    try:
        yield
    finally:
        del os.environ[_CONNECTION]


def stock_retries(scene: Scene, *, send: Send) -> Told:
    """One try and three retries, as Airflow makes them: any error is tried again."""
    for _ in range(TRIES):
        try:
            send(scene)
        except Exception:  # noqa: BLE001 - Airflow tries them all again
            said = Told.RETRY
        else:
            said = Told.GREEN
        scene.receiver.collect()
        if said is Told.GREEN:
            break
    return said


def retried_and_cleared(scene: Scene, *, send: Send, before_the_clear: list[Outcome]) -> Told:
    """Retries; then somebody clears the task, whatever it said, and it runs again."""
    said = stock_retries(scene, send=send)
    before_the_clear.append(judge(scene.got(), said))
    return stock_retries(scene, send=send)


SENDERS: dict[str, Send] = {
    "`SFTPOperator`, `confirm=True` (its default)": partial(sftp_operator, confirm=True),
    "`SFTPOperator`, `confirm=False`": partial(sftp_operator, confirm=False),
}
#: Where both sides of the comparison are tried.
WAYS = ("SFTP A", "SFTP B", "SFTP D", "S3")
OVERWRITE = "`S3Hook.load_file(replace=True)`"


def faults_of(way: str) -> list[Case]:
    """The cases that a client meets with who never renames."""
    if way == "S3":
        return [case for case in s3_cases.cases() if case.way == way and case.row in _S3_ROWS]
    pickup = Pickup[way.removeprefix("SFTP ")]
    cases = [*sftp_cases.writing(pickup), *sftp_cases.looking(pickup)]
    return [case for case in cases if case.row in _SFTP_ROWS]


def compared(way: str) -> Iterator[tuple[str, Counter[Outcome], Counter[Outcome]]]:
    """Every sender, with how the cases ended after retries alone, and after a clear & rerun as well."""
    for name, send in ({OVERWRITE: s3_hook} if way == "S3" else SENDERS).items():
        retries: list[Outcome] = []
        drive = partial(retried_and_cleared, send=send, before_the_clear=retries)
        ends = [run(replace(case, drive=drive, complain=lambda _: "")).outcome for case in faults_of(way)]
        yield name, Counter(retries), Counter(ends)
