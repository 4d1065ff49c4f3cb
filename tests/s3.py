"""Real S3 over HTTP for tests: moto's server on a port of its own, and boto3 clients to it."""

from __future__ import annotations

import itertools
import json
import logging
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Self

import boto3
import httpx
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

_NUMBERS = itertools.count(1)
_SETTINGS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


class S3Server:
    """S3 on 127.0.0.1, without anything in it; a context manager.

    All servers of one process share their buckets, so take a new :meth:`bucket` for every test.
    """

    def __init__(self) -> None:
        # Else it writes a line to the screen for every request.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self) -> Self:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def client(self, config: Config | None = None, **credentials: str) -> S3Client:
        """A new client that may do everything.

        :param credentials: Of a :meth:`user`, who may not while S3 is :meth:`guarded`.
        """
        return boto3.client("s3", endpoint_url=self.url, config=config, **_SETTINGS | credentials)

    def user(self, *allowed: tuple[str, str]) -> dict[str, str]:
        """The credentials of a new user who may do only this, as boto3 takes them.

        :param allowed: Pairs of an action and a resource, such as ``s3:GetObject`` and ``arn:aws:s3:::lake/*``.
        """
        iam = boto3.client("iam", endpoint_url=self.url, **_SETTINGS)
        name = f"user-{next(_NUMBERS)}"
        iam.create_user(UserName=name)
        if allowed:
            statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed]
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_user_policy(UserName=name, PolicyName="allowed", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Inside, S3 looks at credentials and policies; what :meth:`client` gives is refused."""
        self._let_pass(requests=0)
        try:
            yield
        finally:
            self._let_pass(requests=inf)

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{next(_NUMBERS)}"
        self.client().create_bucket(Bucket=name)
        return name

    @property
    def environment(self) -> dict[str, str]:
        """What leads boto3, and with it the command line, here."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def connection_json(self) -> str:
        """An Airflow connection as JSON, such as for ``AIRFLOW_CONN_LAKE``."""
        return json.dumps(
            {
                "conn_type": "aws",
                "login": "testing",
                "password": "testing",
                "extra": {"endpoint_url": self.url, "region_name": "us-east-1"},
            }
        )

    def _let_pass(self, *, requests: float) -> None:
        """So many more requests are taken unseen."""
        # Without the type, moto's server takes the body for a form.
        told = {"content": str(requests), "headers": {"Content-Type": "text/plain"}}
        httpx.post(f"{self.url}/moto-api/reset-auth", **told).raise_for_status()
