"""Where Airflow runs the tasks: all on one machine, or wherever there is room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow.executors.executor_loader import ExecutorLoader

if TYPE_CHECKING:
    from airflow.executors.executor_utils import ExecutorName

# What executors tell the containers that they start for a single task. In there the configuration may well name
# LocalExecutor: the usual pod template does, whatever started the pod.
_CONTAINER_OF_A_TASK = ("AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER")


def executors_of_many_machines() -> tuple[str, ...]:
    """The configured executors that run tasks on other machines, too; none where all tasks share one.

    It goes by what each says of itself. One that cannot be loaded here is not believed to be local.
    """
    if any(os.environ.get(name) for name in _CONTAINER_OF_A_TASK):
        return ("one container a task",)
    # Which teams there are stands in the metadata database, which tasks cannot reach.
    names = ExecutorLoader.get_executor_names(validate_teams=False)
    return tuple(name.module_path.rpartition(".")[2] for name in names if not _is_local(name))


def _is_local(name: ExecutorName) -> bool:
    try:
        executor, _ = ExecutorLoader.import_executor_cls(name)
    except ImportError:
        return False
    return executor.is_local
