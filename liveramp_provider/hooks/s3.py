"""An ``aws`` connection, turned into a way to S3 that is worth people's data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from liveramp_provider.core.errors import ConnectionConfigError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")

#: Extra of the connection that says: this endpoint keeps ``If-None-Match``, somebody has made sure of it.
CREATE_ONLY = "if_none_match"


def s3_client(conn_id: str) -> S3Client:
    """A client for deliveries, with fresh credentials.

    :raises ConnectionConfigError: The connection is missing, of another type or unsafe.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from liveramp_provider.core.transports.s3 import CONFIG

    # The hook goes on without a connection that is missing, with whatever the machine may do.
    _check_type(conn_id)
    hook = S3Hook(aws_conn_id=conn_id)
    if hook.verify is False:
        raise ConnectionConfigError(
            f"connection {conn_id} switches the check of certificates off. People's data is sent to verified servers "
            "only: remove `verify`, or let it name the certificates to trust."
        )
    try:
        client: S3Client = hook.get_client_type(config=CONFIG.merge(hook.config))
    except (AirflowException, ValueError) as error:
        raise ConnectionConfigError(f"connection {conn_id}: {error}") from None
    _check_endpoint(conn_id, client.meta.endpoint_url, hook.conn_config.extra_config)
    return client


def _check_type(conn_id: str) -> None:
    try:
        kind = BaseHook.get_connection(conn_id).conn_type
    except AirflowNotFoundException:
        raise ConnectionConfigError(f"there is no connection {conn_id}. Add it under Admin → Connections.") from None
    if kind != "aws":
        raise ConnectionConfigError(
            f"connection {conn_id} is of type {kind}, and a path that begins with s3:// needs one of type aws."
        )


def _check_endpoint(conn_id: str, url: str, extra: dict[str, Any]) -> None:
    endpoint = urlsplit(url)
    host = endpoint.hostname or ""
    if endpoint.scheme != "https" and host not in _THIS_MACHINE:
        raise ConnectionConfigError(f"connection {conn_id}: {url} is not encrypted. Write an endpoint_url of https.")
    if not host.endswith(_AWS) and extra.get(CREATE_ONLY) is not True:
        raise ConnectionConfigError(
            f"connection {conn_id}: {host} is not AWS, and some such servers overwrite although If-None-Match is asked "
            f"for; a file could arrive twice. Make sure that it keeps it, then add the extra {CREATE_ONLY}: true."
        )
