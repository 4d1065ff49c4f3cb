"""What the operators share: the audience, which errors are worth another try, and what is left of an error."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule

from liveramp_provider.core.errors import LiveRampError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context, RetryPolicy

    from liveramp_provider.core.audience import Audience

#: A person has to act on the first two; the third passes by itself. Anything else follows the task's own retries.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="liveramp_provider.core.errors.ConfigError",
            action=RetryAction.FAIL,
            reason="the configuration has to be corrected",
        ),
        RetryRule(
            exception="liveramp_provider.core.errors.PermanentError",
            action=RetryAction.FAIL,
            reason="running again cannot help",
        ),
    ]
)

#: XCom key under which a task that failed leaves a word for whoever sends the notice.
ERROR_KEY = "error"


class PatientOperator(BaseOperator):
    """Tries again what passes by itself, and leaves a word about what does not.

    The retry settings are parameters of their own, so that a DAG's ``default_args`` replace them.
    """

    ui_color = "#e8f0fb"

    _at_work = False

    def __init__(
        self,
        *,
        retries: int = 5,
        retry_delay: timedelta = timedelta(minutes=1),
        retry_exponential_backoff: float = 2.0,
        max_retry_delay: timedelta = timedelta(minutes=30),
        retry_policy: RetryPolicy = RETRY_POLICY,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            retries=retries,
            retry_delay=retry_delay,
            retry_exponential_backoff=retry_exponential_backoff,
            max_retry_delay=max_retry_delay,
            retry_policy=retry_policy,
            **kwargs,
        )

    @abstractmethod
    def perform(self, context: Context) -> dict[str, Any]:
        """Call the operator's verb and return what goes into XCom: places, counts and digests."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what :meth:`perform` does; an error leaves its text in XCom under :data:`ERROR_KEY`."""
        self._at_work = True
        try:
            with leaving_a_word(context):
                return self.perform(context)
        finally:
            self._at_work = False

    def on_kill(self) -> None:
        """Leave in good order, once: Airflow calls this on SIGTERM, and lets the work go on until it kills the process.

        What was begun is tidied up on the way out, and the task is tried again.
        """
        if self._at_work:
            self._at_work = False
            raise SystemExit("Airflow was told to end this task")


@contextmanager
def leaving_a_word(context: Context) -> Iterator[None]:
    """An error that is raised inside leaves its text in XCom under :data:`ERROR_KEY`."""
    try:
        yield
    except Exception as error:
        # Our own errors hold no personal data; what others say may quote a row.
        word = str(error) if isinstance(error, LiveRampError) else type(error).__name__
        # The error itself decides on the retry, and must not be hidden by one of Airflow's.
        with suppress(Exception):
            context["ti"].xcom_push(key=ERROR_KEY, value=word)
        raise


class LiveRampOperator(PatientOperator):
    """Base of the verbs' operators: holds the audience.

    :param audience: From :func:`liveramp_provider.core.audience_file.load_audience`.
    """

    def __init__(self, *, audience: Audience, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audience = audience
