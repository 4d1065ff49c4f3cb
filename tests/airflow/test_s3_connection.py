"""An ``aws`` connection becomes the way to a bucket, or an error that says what to correct."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.errors import ConnectionConfigError, CredentialsError
from liveramp_provider.core.transports.s3 import S3Transport
from liveramp_provider.core.transports.sftp import SftpTransport
from liveramp_provider.hooks.s3 import s3_client
from liveramp_provider.hooks.transports import transport_to
from tests.airflow.test_hook import HOST_KEY
from tests.deliveries import destination

if TYPE_CHECKING:
    from collections.abc import Callable

CONN_ID = "aws_test"
FOLDER = "s3://drop/vip"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the connection, by default with keys."""

    def connect(*, extra: dict[str, Any] | None = None, **changes: Any) -> None:
        connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "open sesame", "extra": extra or {}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection | changes))

    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    return connect


def test_the_path_decides_on_the_way(connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A path of S3 goes there with the destination's key, any other goes by SFTP."""
    connect()
    sftp = {"conn_type": "liveramp", "host": "files.example.com", "login": "acme", "extra": {"host_key": HOST_KEY}}
    monkeypatch.setenv("AIRFLOW_CONN_LIVERAMP_DEFAULT", json.dumps(sftp))
    bucket = transport_to(destination(FOLDER, conn_id=CONN_ID, kms_key_id="alias/drop"))
    assert isinstance(bucket, S3Transport)
    assert bucket.kms_key_id == "alias/drop"
    usual = transport_to(destination("/uploads/vip"))
    direct = transport_to(destination("/uploads/vip", upload="direct", on_doubt="resend"))
    assert isinstance(usual, SftpTransport)
    assert isinstance(direct, SftpTransport)
    assert (usual.direct, usual.resend, direct.direct, direct.resend) == (False, False, True, True)


def test_aws(connect: Callable[..., None]) -> None:
    """Keys are enough for AWS; how long a dead peer is waited for is ours to say, or the connection's."""
    connect()
    client = s3_client(CONN_ID)
    assert client.meta.endpoint_url == "https://s3.amazonaws.com"
    assert (client.meta.config.read_timeout, client.meta.config.retries["mode"]) == (60, "standard")
    connect(extra={"region_name": "eu-central-1", "config_kwargs": {"read_timeout": 7}})
    client = s3_client(CONN_ID)
    assert client.meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    assert (client.meta.config.read_timeout, client.meta.config.connect_timeout) == (7, 30)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"conn_type": "liveramp"}, "is of type liveramp, and a path that begins with s3:// needs one of type aws"),
        ({"extra": {"verify": False}}, "switches the check of certificates off"),
        ({"extra": {"endpoint_url": "http://s3.example.com"}}, "http://s3.example.com is not encrypted"),
        (
            {"extra": {"endpoint_url": "http://s3.amazonaws.com", "if_none_match": True}},
            "http://s3.amazonaws.com is not encrypted",
        ),
        ({"extra": {"endpoint_url": "https://s3.example.com"}}, "s3.example.com is not AWS"),
        ({"extra": {"endpoint_url": "https://s3.example.com", "if_none_match": "true"}}, "s3.example.com is not AWS"),
        ({"extra": {"endpoint_url": "https://amazonaws.com.example.com"}}, "amazonaws.com.example.com is not AWS"),
        ({"extra": {"endpoint_url": "http://127.0.0.1:9000"}}, "127.0.0.1 is not AWS"),
    ],
)
def test_unsafe_connections(connect: Callable[..., None], changes: dict[str, Any], told: str) -> None:
    """What could send people's data unencrypted, to somebody else or twice is refused before anything is sent."""
    connect(**changes)
    with pytest.raises(ConnectionConfigError, match=f"connection {CONN_ID}") as caught:
        transport_to(destination(FOLDER, conn_id=CONN_ID)).check(FOLDER)
    assert told in str(caught.value)
    assert "open sesame" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://s3.example.com", "http://127.0.0.1:9000"])
def test_an_endpoint_that_keeps_the_condition(connect: Callable[..., None], url: str) -> None:
    """Somebody who has made sure that an endpoint creates only may say so."""
    connect(extra={"endpoint_url": url, "if_none_match": True})
    transport_to(destination(FOLDER, conn_id=CONN_ID)).check(FOLDER)


def test_no_connection() -> None:
    """A connection that is missing is not replaced by what the machine may do."""
    with pytest.raises(ConnectionConfigError, match="there is no connection unheard_of"):
        transport_to(destination(FOLDER, conn_id="unheard_of")).check(FOLDER)


def test_a_profile_that_is_missing(connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that cannot be had are told before anything is read."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    connect(login="", password="", extra={"profile_name": "nobody"})
    with pytest.raises(CredentialsError, match=r"s3://drop/vip: no credentials \(ProfileNotFound\)"):
        transport_to(destination(FOLDER, conn_id=CONN_ID)).check(FOLDER)
