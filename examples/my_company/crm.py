"""An own source: whatever Python can read page by page, given as pandas frames."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from airflow.providers.sqlite.hooks.sqlite import SqliteHook

if TYPE_CHECKING:
    import pandas as pd

_PAGE_ROWS = 1_000


def customers_with_devices(snapshot_date: date) -> Iterator[pd.DataFrame]:
    """The members of a day: customers of whom a device is known.

    Stands for a CRM with an API of its own; here, the pages come from the sample warehouse.
    """
    yield from SqliteHook("warehouse").get_df_by_chunks(  # type: ignore[no-untyped-call]  # Airflow's
        "select distinct customer_id from devices where snapshot_date = ?",
        parameters=[snapshot_date.isoformat()],
        chunksize=_PAGE_ROWS,
    )
