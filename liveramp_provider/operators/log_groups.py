"""Details in a task's log that Airflow's page folds under a title."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

log = logging.getLogger(__name__)


def log_group(title: str, lines: Iterable[str]) -> None:
    """Log `lines` as one group."""
    log.info("::group::%s", title)
    for line in lines:
        log.info("%s", line)
    log.info("::endgroup::")


def account_lines(table: Table) -> list[str]:
    """A table of :mod:`liveramp_provider.report` as plain text: words to the left, counts to the right."""
    words, counts = ([str(cell) for cell in column.cells] for column in table.columns)
    word_width, count_width = (max(map(len, column)) for column in (words, counts))
    return [f"{word:<{word_width}}  {count:>{count_width}}".rstrip() for word, count in zip(words, counts, strict=True)]
