"""The query engine: DuckDB behind Ibis, in memory up to a limit and out of core beyond it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ibis.backends.duckdb import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How much of the machine the engine may take.

    :param memory_limit: As DuckDB writes it, such as ``2GB``; beyond it the engine spills into the scratch folder.
    :param threads: Number of threads; the result does not depend on it.
    """

    memory_limit: str = "2GB"
    threads: int = 2


@contextmanager
def open_engine(settings: EngineSettings, scratch: Path) -> Iterator[Backend]:
    """An engine that keeps all it writes below `scratch`, and whose errors quote no values.

    :raises DataError: The engine failed on the data.
    :raises SourceError: A file cannot be read.
    """
    import duckdb
    import ibis

    try:
        connection = ibis.duckdb.connect(
            ":memory:",
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            temp_directory=str(scratch / "spill"),
            autoinstall_known_extensions=False,
            autoload_known_extensions=False,
        )
        try:
            yield connection
        finally:
            connection.disconnect()
    # These speak of our own SQL and of no row: a fault of this package, shown as it is.
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
        raise
    # The others quote cells and whole CSV lines, so only the kind of the error goes on.
    except duckdb.OutOfMemoryException:
        raise DataError(f"the engine ran out of its {settings.memory_limit}. Raise [liveramp] memory_limit.") from None
    except duckdb.IOException:
        raise SourceError("a file of a source cannot be read. Check that it is complete and of its format.") from None
    except duckdb.Error as error:
        raise DataError(
            f"the engine failed on the data ({type(error).__name__}); its message may quote values"
        ) from None
