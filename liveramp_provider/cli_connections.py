"""Where the command line finds the connections of an audience file: in its options, and in the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import ConnectionConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy
    from mypy_boto3_s3 import S3Client

    from liveramp_provider.core.sources import Connect


def connect_by(options: Sequence[str]) -> Connect:
    """Connections by the options' URLs, or else by ``LIVERAMP_CONN_<ID>``.

    :param options: Such as ``warehouse=sqlite:///warehouse.db``.
    :raises ConnectionConfigError: An option is of another form.
    """
    urls = {}
    for option in options:
        conn_id, equals, url = option.partition("=")
        if not (conn_id and equals and url):
            raise ConnectionConfigError("--connection takes ID=URL, such as warehouse=sqlite:///warehouse.db.")
        urls[conn_id] = url

    def connect(conn_id: str) -> sqlalchemy.Engine:
        variable = f"LIVERAMP_CONN_{re.sub('[^A-Z0-9]', '_', conn_id.upper())}"
        url = urls.get(conn_id) or os.environ.get(variable)
        if not url:
            raise ConnectionConfigError(
                f"nothing says where {conn_id} is. Add --connection {conn_id}=URL, or set {variable}; "
                "a URL looks like postgresql://user@host/database."
            )
        return _engine(conn_id, url)

    return connect


def _engine(conn_id: str, url: str) -> sqlalchemy.Engine:
    import sqlalchemy

    # What these say may quote the URL, and with it a password.
    try:
        engine = sqlalchemy.create_engine(url)
    except (sqlalchemy.exc.ArgumentError, ImportError, ValueError):
        raise ConnectionConfigError(
            f"the URL of {conn_id} cannot be used. It must be one of SQLAlchemy's, with its driver installed."
        ) from None
    database = engine.url.database
    # SQLite would make an empty database of a slip of the pen.
    if engine.dialect.name == "sqlite" and database and database != ":memory:" and not Path(database).exists():
        raise ConnectionConfigError(f"{conn_id}: there is no SQLite file {database}. Correct the URL.")
    return engine


def s3_by_environment(conn_id: str) -> S3Client:
    """S3 as boto3's own settings lead to it, such as ``AWS_PROFILE``, whatever the connection is called.

    :raises ConnectionConfigError: They lead to no URL.
    """
    import boto3

    try:
        client: S3Client = boto3.Session().client("s3")
    except ValueError:
        raise ConnectionConfigError(
            f"{conn_id} cannot be used for S3. Correct AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL; it must be a URL."
        ) from None
    return client
