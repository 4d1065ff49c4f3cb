"""What both kinds of staging promise, and what only S3 has to."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from liveramp_provider.core import artifacts
from liveramp_provider.core.errors import SealBrokenError, StagingConfigError, StagingError, TransientError
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging, digest_of
from liveramp_provider.core.staging.s3 import S3Store
from tests.core.pipeline import DAY, audience, csv_of, email_column, people_file, pii_file, run, workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liveramp_provider.core.workspace import Workspace
    from tests.s3 import S3Server

Worker = Callable[[], Staging]
HERE: dict[str, Any] = {"audience_id": "vip", "day": DAY, "stage": "extract"}


def sealed(staging: Staging, content: bytes = b"rows", inputs: object = 1) -> artifacts.Membership:
    """What a stage seals that made `content` from `inputs`."""
    with staging.scratch() as scratch:
        file = scratch / "membership.parquet"
        file.write_bytes(content)
        made = artifacts.Membership(
            path=file, sha256=digest_of(file), rows_read=1, blank_keys=0, repeated_keys=0, members=1, sources=()
        )
        return staging.place(**HERE, inputs=inputs).seal(scratch, made)


def store_of(staging: Staging) -> S3Store:
    assert isinstance(staging.store, S3Store)
    return staging.store


def objects(staging: Staging) -> list[str]:
    """The names of all objects in the bucket."""
    store = store_of(staging)
    listed = store.client.list_objects_v2(Bucket=store.bucket).get("Contents", [])
    return [each["Key"].removeprefix("staging/of-tests/") for each in listed]


# What both promise.


def test_what_one_worker_seals_another_finds(worker: Worker) -> None:
    """By its inputs, by its address and by its digest; with the same bytes and counts."""
    first, second = worker(), worker()
    made = sealed(first)
    assert made.path.read_bytes() == b"rows"
    found = [
        second.place(**HERE, inputs=1).sealed(artifacts.Membership),
        second.load(artifacts.Membership, first.address(made)),
        second.find(artifacts.Membership, made.sha256, **HERE),
    ]
    for each in found:
        assert each is not None
        assert each.path.read_bytes() == b"rows"
        assert replace(each, path=made.path) == made
        assert second.address(each) == first.address(made) == first.place(**HERE, inputs=1).folder


def test_what_is_not_sealed_is_not_found(worker: Worker) -> None:
    """Neither under other inputs, another day or stage, nor by another digest."""
    here = worker()
    made = sealed(here)
    assert here.place(**HERE, inputs=2).sealed(artifacts.Membership) is None
    assert here.place(**HERE | {"stage": "enrich"}, inputs=1).sealed(artifacts.Profiles) is None
    assert here.find(artifacts.Membership, "0" * 64, **HERE) is None
    assert here.find(artifacts.Membership, made.sha256, **HERE | {"audience_id": "vi"}) is None


def test_the_first_to_seal_wins(worker: Worker) -> None:
    """Whoever seals the same inputs later gets what is there, and leaves nothing of its own."""
    first, second = worker(), worker()
    made = sealed(first, b"the first")
    (before,) = list(first.store.stages())
    late = sealed(second, b"the second")
    assert late.path.read_bytes() == b"the first"
    assert replace(late, path=made.path) == made
    assert list(second.store.stages()) == [before]


def test_the_same_bytes_sealed_twice_stay(worker: Worker) -> None:
    """Whoever is late with the very bytes that are sealed takes nothing away with its own."""
    made = sealed(worker())
    assert replace(sealed(worker()), path=made.path) == made
    here = worker()
    assert here.place(**HERE, inputs=1).sealed(artifacts.Membership).path.read_bytes() == b"rows"


def test_of_many_at_once_one_wins(worker: Worker) -> None:
    """All workers that seal at the same moment go on with the same bytes, and only those stay."""
    barrier = threading.Barrier(6)

    def seal(number: int) -> bytes:
        here = worker()
        barrier.wait()
        return sealed(here, b"%d" % number).path.read_bytes()

    with ThreadPoolExecutor(6) as pool:
        results = set(pool.map(seal, range(6)))
    assert len(results) == 1
    (stage,) = list(worker().store.stages())
    assert stage.size_bytes == len(worker().store.manifest(stage.key)) + 1


def test_what_is_gone_is_told(worker: Worker) -> None:
    """A stage that was removed is an error that says which task to clear."""
    here = worker()
    address = here.address(sealed(here))
    (stage,) = list(here.store.stages())
    here.store.remove(stage.key)
    with pytest.raises(SealBrokenError, match=r"vip/2026-11-20/extract-.* Clear the task that sealed it"):
        worker().load(artifacts.Membership, address)
    assert list(here.store.stages()) == []


@pytest.mark.parametrize(
    "address", ["/elsewhere/vip/2026-11-20/extract-0123456789abcdef", "s3://other/vip/2026-11-20/extract-0", "{}/../x"]
)
def test_an_address_elsewhere_is_refused(worker: Worker, address: str) -> None:
    """What lies outside the staging, as after a change of its configuration, is not read."""
    here = worker()
    with pytest.raises(StagingConfigError, match="Clear the run from its extract task on"):
        here.load(artifacts.Membership, address.format(here.store.address))


def test_a_day_goes_through_any_staging(worker: Worker, tmp_path: Path) -> None:
    """Every stage on a machine of its own makes the same file as one machine with a folder."""
    people = {f"{n:04}": {"email": f"a{n}@example.com"} for n in range(40)}
    source = people_file(tmp_path / "people.parquet", people, ["email"])
    made = audience(members=source, traits={"email": "email"}, traits_from=source, files=[pii_file(email_column())])

    def task() -> Workspace:
        return replace(workspace(tmp_path), staging=worker())

    membership = extract(made, DAY, workspace=task())
    profiles = enrich(made, DAY, membership, workspace=task())
    (file,) = build(made, made.destinations[0], DAY, profiles, workspace=task())
    assert csv_of(file) == csv_of(run(made, workspace(tmp_path / "one machine"))["PII"])
    (again,) = build(made, made.destinations[0], DAY, profiles, workspace=task())
    assert again.path.read_bytes() == file.path.read_bytes()
    assert sorted(tmp_path.rglob(".scratch")) == []


# What only S3 has to.


@pytest.mark.parametrize("key", ["", "alias/liveramp"])
def test_every_object_is_encrypted_with_kms(tmp_path: Path, s3: S3Server, key: str) -> None:
    """The file and its manifest, with the key that is configured, or else the account's own for S3."""
    store = S3Store.at(f"s3://{s3.bucket()}", client=s3.client(), kms_key_id=key, local=tmp_path / "copies")
    sealed(Staging(tmp_path, store))
    names = [each["Key"] for each in s3.client().list_objects_v2(Bucket=store.bucket)["Contents"]]
    heads = [s3.client().head_object(Bucket=store.bucket, Key=name) for name in names]
    assert len(heads) == 2
    assert {head["ServerSideEncryption"] for head in heads} == {"aws:kms"}
    assert {head.get("SSEKMSKeyId", "") for head in heads} == {key}


def test_a_large_file_in_parts_is_encrypted_too(s3_worker: Worker) -> None:
    """A file that is put in parts comes back whole."""
    here = s3_worker()
    made = sealed(here, bytes(9_000_000))
    assert s3_worker().load(artifacts.Membership, here.address(made)).path.stat().st_size == 9_000_000
    store = store_of(here)
    name = next(name for name in objects(here) if name.endswith(".parquet"))
    head = store.client.head_object(Bucket=store.bucket, Key=f"staging/of-tests/{name}")
    assert head["ETag"].endswith('-2"')
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "the-key")


def test_a_stage_without_its_manifest_is_not_sealed(s3_worker: Worker, s3: S3Server) -> None:
    """A worker that died between the two puts leaves nothing that is taken for sealed, and the next one seals."""
    here, mortal = s3_worker(), s3.client()

    def die(model: Any, params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith("/manifest.json"):
            raise SystemExit(9)

    mortal.meta.events.register("before-call.s3.PutObject", die)
    with pytest.raises(SystemExit):
        sealed(Staging(here.root, replace(store_of(here), client=mortal)))
    (left,) = objects(here)
    assert left.endswith("/membership.parquet")
    assert here.place(**HERE, inputs=1).sealed(artifacts.Membership) is None
    assert here.find(artifacts.Membership, left.split("/")[-2], **HERE) is None
    assert sealed(s3_worker()).path.read_bytes() == b"rows"


@pytest.mark.parametrize("spoil", ["change", "remove"])
def test_other_bytes_are_not_taken(s3_worker: Worker, spoil: str) -> None:
    """An object that was changed or removed behind its manifest is an error, and no copy of it is left to use."""
    here = s3_worker()
    address = here.address(sealed(here))
    store = store_of(here)
    name = f"staging/of-tests/{next(name for name in objects(here) if name.endswith('.parquet'))}"
    if spoil == "change":
        store.client.put_object(Bucket=store.bucket, Key=name, Body=b"ROWS")
    else:
        store.client.delete_object(Bucket=store.bucket, Key=name)
    other = s3_worker()
    for _ in range(2):
        with pytest.raises(SealBrokenError, match="not those that were sealed") as caught:
            other.load(artifacts.Membership, address)
    assert address in str(caught.value)


def test_copies_are_private(s3_worker: Worker) -> None:
    """Copies that a task makes of sealed stages are its user's alone."""
    here, other = s3_worker(), s3_worker()
    address = here.address(sealed(here))
    with other.scratch():
        copy = other.load(artifacts.Membership, address)
    assert {stat.S_IMODE(path.stat().st_mode) for path in copy.path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(copy.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("address", ["/var/staging", "s3://", "s3://Bucket/x", "s3://bucket/../x y", "gs://bucket/x"])
def test_only_addresses_of_s3(tmp_path: Path, s3: S3Server, address: str) -> None:
    """Any other text is refused with the form that is meant."""
    with pytest.raises(StagingConfigError, match="Write s3://BUCKET/PREFIX"):
        S3Store.at(address, client=s3.client(), kms_key_id="", local=tmp_path)


def test_a_missing_bucket_is_told(tmp_path: Path, s3: S3Server) -> None:
    """The configuration is wrong, and a retry would not help."""
    store = S3Store.at("s3://nowhere/x", client=s3.client(), kms_key_id="", local=tmp_path / "copies")
    for use in (lambda: sealed(Staging(tmp_path, store)), lambda: store.keys("vip/"), lambda: store.manifest("vip/a")):
        with pytest.raises(StagingConfigError, match=r"s3://nowhere/x: S3 refuses \(NoSuchBucket\)"):
            use()


class Answering(BaseHTTPRequestHandler):
    """An S3 that gives one answer to everything."""

    status, code = 500, "InternalError"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"<Error><Code>{self.code}</Code><Message>canary</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815  # as the server calls them

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[tuple[type[Answering], str]]:
    class Here(Answering):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Here, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def client_of(url: str, **credentials: str) -> Any:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"} | credentials
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=2)
    return boto3.Session(region_name="us-east-1").client("s3", endpoint_url=url, config=config, **keys)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", StagingConfigError),
        (403, "InvalidAccessKeyId", StagingConfigError),
        (400, "KMS.DisabledException", StagingConfigError),
        (400, "ExpiredToken", StagingConfigError),
        (400, "RequestTimeout", StagingError),
        (409, "OperationAborted", StagingError),
        (429, "TooManyRequests", StagingError),
        (500, "InternalError", StagingError),
        (503, "SlowDown", StagingError),
    ],
)
def test_what_s3_says_is_sorted(
    tmp_path: Path, answering: tuple[type[Answering], str], status: int, code: str, error: type[Exception]
) -> None:
    """What a person has to correct is told from what passes by itself, in every operation, and S3 is not quoted."""
    answer, url = answering
    answer.status, answer.code = status, code
    store = S3Store.at("s3://bucket/x", client=client_of(url), kms_key_id="", local=tmp_path / "copies")
    here = Staging(tmp_path, store)
    key = "vip/2026-11-20/extract-0123456789abcdef"
    for use in (
        lambda: sealed(here),
        lambda: store.keys("vip/"),
        lambda: store.fetch(key),
        lambda: list(store.stages()),
        lambda: store.remove(key),
    ):
        with pytest.raises(error, match=code) as caught:
            use()
        assert "canary" not in str(caught.value)


def test_no_answer_passes_by_itself(tmp_path: Path) -> None:
    """A server that cannot be reached is worth another try."""
    store = S3Store.at("s3://bucket", client=client_of("http://127.0.0.1:9"), kms_key_id="", local=tmp_path / "copies")
    for use in (lambda: sealed(Staging(tmp_path, store)), lambda: store.manifest("a/b")):
        with pytest.raises(TransientError, match="EndpointConnectionError"):
            use()


def test_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody to log in as is a fault of the configuration."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    client = boto3.Session(region_name="us-east-1").client("s3", endpoint_url="http://127.0.0.1:9")
    store = S3Store.at("s3://bucket", client=client, kms_key_id="", local=tmp_path / "copies")
    with pytest.raises(StagingConfigError, match="NoCredentialsError"):
        store.keys("vip/")
