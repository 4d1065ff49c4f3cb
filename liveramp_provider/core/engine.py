"""The query engine: DuckDB behind Ibis, in memory up to a limit and out of core beyond it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import ConfigError, DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ibis import Table
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.errors import LiveRampError


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How much of the machine the engine may take.

    :param memory_limit: A number and a unit, such as ``2GB``; beyond it the engine spills into the scratch folder.
    :param threads: Number of threads; the result does not depend on it.
    """

    memory_limit: str = "2GB"
    threads: int = 2


# What DuckDB does not count (its allocator's reserve, rows on their way into a file) may be as much as what it counts.
_COUNTED_SHARE = 0.5


def _counted(memory_limit: str) -> str:
    """What DuckDB is told, so that it holds no more than `memory_limit` in all.

    :raises ConfigError: It is no number and unit.
    """
    parts = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?B)\s*", memory_limit, re.IGNORECASE)
    if parts is None:
        raise ConfigError("[liveramp] memory_limit must be a number and a unit, such as 2GB or 512MB.")
    return f"{float(parts[1]) * _COUNTED_SHARE}{parts[2]}"


@contextmanager
def open_engine(settings: EngineSettings, scratch: Path) -> Iterator[Backend]:
    """An engine that keeps all it writes below `scratch`, and whose errors quote no values.

    :raises DataError: The engine failed on the data, or needs more memory.
    :raises SourceError: A file cannot be read.
    """
    import duckdb
    import ibis

    connection = ibis.duckdb.connect(
        ":memory:",
        memory_limit=_counted(settings.memory_limit),
        threads=settings.threads,
        temp_directory=str(scratch / "spill"),
        autoinstall_known_extensions=False,
        autoload_known_extensions=False,
    )
    # Moments without a zone are UTC, wherever the machine stands.
    connection.raw_sql("SET TimeZone = 'UTC'")
    try:
        yield connection
    # These speak of our own SQL and of no row: a fault of this package, shown as it is.
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
        raise
    except duckdb.Error as error:
        raise _told_without_values(error, settings) from None
    except OSError as error:
        # What fails while rows stream comes as pyarrow's OSError; the real ones have a number.
        if error.errno is not None:
            raise
        raise _told_without_values(error, settings) from None
    finally:
        connection.disconnect()


#: Each thread holds a row group until it is full, and a reader takes one at a time; DuckDB's own size is 122,880 rows.
ROW_GROUP_ROWS = 24_576


def write_parquet(engine: Backend, rows: Table, path: Path) -> None:
    """Write `rows`, in their order, to the Parquet file `path`, in little memory now and when it is read."""
    engine.to_parquet(rows, path, row_group_size=ROW_GROUP_ROWS)


def _told_without_values(error: Exception, settings: EngineSettings) -> LiveRampError:
    """The engine quotes cells and whole CSV lines, so only the kind of the error goes on."""
    kind = str(error).partition(":")[0]
    # `from None` hides the message in a traceback, but it would stay within reach of whoever reads the context.
    error.args = ()
    if kind == "Out of Memory Error":
        return DataError(f"the engine ran out of its {settings.memory_limit}. Raise [liveramp] memory_limit.")
    if kind in ("IO Error", "Invalid Input Error"):
        return SourceError(
            "the engine cannot read a file of a source, or write its own. Check that the source is complete and of its "
            "format, and that the disk of the staging folder has room."
        )
    return DataError(f"the engine failed on the data ({type(error).__name__}); its message may quote values")
