"""What the operators share: the audience, the day, and which errors are worth another try."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule

if TYPE_CHECKING:
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


class LiveRampOperator(BaseOperator):
    """Base of the operators: holds the audience and how to retry.

    :param audience: From :func:`liveramp_provider.core.audience_file.load_audience`.
    """

    ui_color = "#e8f0fb"

    def __init__(self, *, audience: Audience, **kwargs: Any) -> None:
        kwargs.setdefault("retries", 5)
        kwargs.setdefault("retry_delay", timedelta(minutes=1))
        kwargs.setdefault("retry_exponential_backoff", 2.0)
        kwargs.setdefault("max_retry_delay", timedelta(minutes=30))
        kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.audience = audience
