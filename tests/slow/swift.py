"""OpenStack Swift of Debian's packages, with its S3 API, as a real object store on 127.0.0.1."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import boto3
import httpx
from botocore.config import Config

from liveramp_provider.testing.standalone import free_port
from tests.servers import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PARTS = ("account", "container", "object", "proxy")
_HASH = "[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n"
_DEFAULT = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = root
swift_dir = {home}
devices = {home}
mount_check = false
workers = 0
"""
_STORAGE = """
[pipeline:main]
pipeline = {part}-server

[app:{part}-server]
use = egg:swift#{part}
"""
_PROXY = """
[pipeline:main]
pipeline = catch_errors healthcheck cache listing_formats bulk s3api tempauth slo dlo proxy-server

[filter:catch_errors]
use = egg:swift#catch_errors
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""


class SwiftServer:
    """One copy of everything, in a folder; a context manager. It has to run as root, as Debian's packages do."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ports = {part: free_port() for part in _PARTS}
        self._processes = ExitStack()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['proxy']}"

    def client(self) -> S3Client:
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test:tester",
            aws_secret_access_key="testing",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        return client

    def __enter__(self) -> Self:
        (self._home / "d1").mkdir(parents=True)
        (self._home / "swift.conf").write_text(f"{_HASH}[storage-policy:0]\nname = Policy-0\ndefault = yes\n")
        with ExitStack() as unless_started:
            unless_started.push(self._processes)
            for part, port in self._ports.items():
                if part != "proxy":
                    self._ring(part, port)
                self._start(part, port)
            wait_until(self._answers, "Swift to answer")
            unless_started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    def log(self, part: str) -> str:
        """What a part has said."""
        return (self._home / f"{part}.log").read_text()

    def _ring(self, part: str, port: int) -> None:
        builder = f"{part}.builder"
        for words in (("create", "2", "1", "0"), ("add", f"r1z1-127.0.0.1:{port}/d1", "1"), ("rebalance",)):
            command = ["swift-ring-builder", builder, *words]
            subprocess.run(command, cwd=self._home, check=True, stdout=subprocess.DEVNULL)

    def _start(self, part: str, port: int) -> None:
        settings = _DEFAULT.format(port=port, home=self._home)
        settings += _PROXY if part == "proxy" else _STORAGE.format(part=part)
        path = self._home / f"{part}-server.conf"
        path.write_text(settings)
        log = self._processes.enter_context((self._home / f"{part}.log").open("wb"))
        process = subprocess.Popen([f"/usr/bin/swift-{part}-server", path, "-v"], stdout=log, stderr=log)
        self._processes.enter_context(process)
        self._processes.callback(process.kill)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.endpoint_url}/healthcheck").is_success
        except httpx.TransportError:
            return False
