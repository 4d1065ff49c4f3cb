"""Files on S3: found and read as on this machine, exactly as they were listed, with every refusal said clearly."""

from __future__ import annotations

import gzip
import re
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from botocore.config import Config

from liveramp_provider.core.audience import FilesSource, SegmentEventsSource
from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import ConnectionConfigError, LiveRampError, SourceError, SourceUnavailableError
from liveramp_provider.core.sources import Reader
from liveramp_provider.core.sources.files import found_files
from liveramp_provider.testing.standalone import free_port
from tests.core.pipeline import DAY, audience, csv_of, email_column, parquet, pii_file, run, told, workspace
from tests.s3 import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CANARY = "canary@example.com"


class Lake:
    """A bucket, and a reader with a client to it."""

    def __init__(self, server: S3Server, reader: Reader) -> None:
        self.bucket, self.client = server.bucket(), server.client()
        self.reader = replace(reader, s3=lambda _: self.client)

    def put(self, key: str, content: bytes | str, **extra: Any) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **extra)

    def files(self, key: str, format: Any = "csv") -> FilesSource:
        return FilesSource(path=f"s3://{self.bucket}/{key}", format=format, current=False, conn_id="lake")

    def ids(self, key: str, format: Any = "csv") -> list[str]:
        rows = self.reader.table(self.files(key, format), ["id"], label="membership")
        return sorted(rows.to_pyarrow()["id"].to_pylist())

    def fetched(self, key: str) -> tuple[str, ...]:
        source, scratch = SegmentEventsSource(path=f"s3://{self.bucket}/{key}", conn_id="lake"), self.reader.scratch
        wanted = {"day": DAY, "scratch": scratch / "deep" / "copies", "s3": self.reader.s3, "label": "membership"}
        return found_files(source, **wanted).paths


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def lake(server: S3Server, tmp_path: Path) -> Iterator[Lake]:
    with open_engine(EngineSettings(threads=1), tmp_path) as engine:
        reader = Reader(
            engine=engine,
            connect=lambda _: sa.create_engine("sqlite://"),
            s3=lambda _: server.client(),
            audience_id="vip",
            day=DAY,
            today=DAY + timedelta(days=1),
            day_end=datetime(2026, 11, 21, 5, tzinfo=UTC),
            scratch=tmp_path,
        )
        yield Lake(server, reader)


def parquet_bytes(*ids: str) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": list(ids)}), sink)
    return bytes(sink.getvalue())


KINDS = {
    "csv": (b"id\n007\n", "csv"),
    "csv.gz": (gzip.compress(b"id\n007\n"), "csv"),
    "parquet": (parquet_bytes("007"), "parquet"),
    "jsonl": (b'{"id": "007"}\n', "jsonl"),
    "jsonl.gz": (gzip.compress(b'{"id": "007"}\n'), "jsonl"),
}


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_of_file(lake: Lake, suffix: str) -> None:
    """The parts of the day and no others are read, and the record says where they lay and when they were written."""
    content, format = KINDS[suffix]
    for key in ("ds=2026-11-20/1", "ds=2026-11-20/2", "ds=2026-11-20/deep/3", "ds=2026-11-19/1", "ds=2026-11-20/.4"):
        lake.put(f"vip/{key}.{suffix}", content)
    lake.put("vip/ds=2026-11-20/", b"")
    assert lake.ids(f"vip/ds={{snapshot_date}}/*.{suffix}", format) == ["007", "007"]
    (record,) = lake.reader.records
    assert record.source == f"s3://{lake.bucket}/vip/ds={{snapshot_date}}/*.{suffix}"
    head = lake.client.head_object(Bucket=lake.bucket, Key=f"vip/ds=2026-11-20/1.{suffix}")
    assert datetime.fromisoformat(record.watermark) - head["LastModified"] < timedelta(minutes=1)


def test_the_same_files_here_and_there(lake: Lake, tmp_path: Path) -> None:
    """A delivery file is the same, byte for byte, whether its sources lie on this machine or on S3."""
    columns = {"customer_id": ["1", "2", "3"], "email": ["a@example.com", None, "c@example.com"]}
    local = parquet(tmp_path / "a.parquet", columns)
    lake.put("vip/a.parquet", (tmp_path / "a.parquet").read_bytes())
    written = []
    for source in (local, lake.files("vip/*.parquet", "parquet")):
        wanted = {"traits": {"email": "email"}, "traits_from": source, "files": [pii_file(email_column())]}
        here = replace(workspace(tmp_path / source.format / str(len(written))), s3=lake.reader.s3)
        written.append(csv_of(run(audience(members=source, **wanted), here)["PII"]))
    assert written[0] == written[1]
    assert b"c@example.com" in written[0]


def test_more_than_one_page(lake: Lake) -> None:
    """Only what begins as the path does is listed, and a listing that comes in pages is read to its end."""
    for number in range(5):
        lake.put(f"vip/{number}.csv", f"id\n{number}\n")
    asked = []

    def shorten(params: dict[str, Any], **_: object) -> dict[str, Any]:
        asked.append(params["Prefix"])
        return params | {"MaxKeys": 2}

    lake.client.meta.events.register("provide-client-params.s3.ListObjectsV2", shorten)
    assert lake.ids("vip/*.csv") == ["0", "1", "2", "3", "4"]
    assert asked == ["vip/"] * 3


ODD = ["a b", "ü", "é/é", "x" * 400, "back\\slash", "tab\tq", "+plus&amp;<%2e", "$(id)`'\"", "..", "same", "d/same"]


def test_keys_of_any_name(lake: Lake, tmp_path: Path) -> None:
    """Whatever a key is called, its copy is private, and has a plain name of its own with the key's order and end."""
    for key in ODD:
        lake.put(f"odd/{key}.gz", gzip.compress(key.encode()))
    paths = lake.fetched("odd/*")
    copies = lake.reader.scratch / "deep" / "copies"
    assert {Path(path).parent for path in paths} == {copies}
    assert sorted(map(str, copies.iterdir())) == list(paths)
    fetched = [gzip.decompress(Path(path).read_bytes()).decode() for path in paths]
    assert fetched == sorted(key for key in ODD if "/" not in key and not key.startswith("."))
    assert all(re.fullmatch(r"\d{6}-[A-Za-z0-9._=-]*\.gz", Path(path).name) for path in paths)
    assert {copies.stat().st_mode & 0o777, *(Path(path).stat().st_mode & 0o777 for path in paths)} == {0o700, 0o600}


@pytest.mark.parametrize("key", ["../../x.csv", "a//x.csv", "./x.csv", "a/../x.csv"])
def test_keys_that_climb(lake: Lake, key: str) -> None:
    """A key is a name and no way through folders."""
    lake.put(f"up/{key}", "id\n1\n")
    assert lake.ids(f"up/{key}") == ["1"]
    (copy,) = lake.reader.scratch.rglob("*x.csv")
    assert copy.parent.parent == lake.reader.scratch


def test_order_of_more_than_nine(lake: Lake) -> None:
    """Copies keep the order of their keys, however many there are."""
    for number in range(12):
        lake.put(f"log/{number:02d}/part", str(number))
    paths = lake.fetched("log/**")
    assert [Path(path).read_text() for path in paths] == [str(number) for number in range(12)]
    assert list(paths) == sorted(paths)


def test_a_missing_day_lists_the_days_there_are(lake: Lake) -> None:
    """As for local files: newest first, only those that have a file of that name."""
    for key in ("2026-11-18/a.csv", "2026-11-19/a.csv", "2026-11-19/b.csv", "2026-11-17/a.txt", "2026-11-99/a.csv"):
        lake.put(f"vip/ds={key}", "id\n1\n")
    sentence = (
        f"no file matches s3://{lake.bucket}/vip/ds=2026-11-20/*.csv. The days there are: 2026-11-19, 2026-11-18. "
    )
    with pytest.raises(SourceError, match=re.escape(sentence)):
        lake.ids("vip/ds={snapshot_date}/*.csv")
    with pytest.raises(SourceError, match=r"nor is there any other day\. Check the path\."):
        lake.ids("other/ds={snapshot_date}/*.csv")


def test_a_spoilt_file(lake: Lake) -> None:
    """The torso of a file is found, and named by its key's last part."""
    lake.put("vip/part-1.jsonl.gz", gzip.compress(f'{{"id": "{CANARY}"}}\n'.encode() * 999)[:-9])
    with pytest.raises(SourceError, match=r"membership: 000000-part-1\.jsonl\.gz cannot be read") as caught:
        lake.ids("vip/*.jsonl.gz", "jsonl")
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "vanished"])
def test_a_file_that_changes_on_the_way(lake: Lake, tmp_path: Path, server: S3Server, gone: bool) -> None:
    """What is written anew or deleted between listing and fetching is tried again, and nothing is kept."""
    other, source = server.client(), lake.files("vip/*.csv")
    lake.put("vip/a.csv", "id,x\n1,a\n")

    def overtake(**_: object) -> None:
        other.delete_object(Bucket=lake.bucket, Key="vip/a.csv")
        if not gone:
            other.put_object(Bucket=lake.bucket, Key="vip/a.csv", Body=b"id,x\n2,a\n")

    lake.client.meta.events.register("before-call.s3.GetObject", overtake)
    made = audience(members=source, traits={"x": "x"}, traits_from=source, files=[], key="id")
    with pytest.raises(SourceUnavailableError, match=r"changed or vanished while it was fetched .* tries it again\."):
        run(made, replace(workspace(tmp_path / "staging"), s3=lake.reader.s3))
    assert [path for path in (tmp_path / "staging").rglob("*") if path.is_file()] == []


def test_an_archived_file(lake: Lake) -> None:
    """What lies in an archive does not come by waiting."""
    lake.put("vip/a.csv", "id\n1\n", StorageClass="GLACIER")
    with pytest.raises(SourceError, match=r"a file lies in an archive \(GetObject: InvalidObjectState\)\. Restore it"):
        lake.ids("vip/a.csv")


# Who may read.


def test_the_smallest_policy(lake: Lake, server: S3Server) -> None:
    """Listing the bucket and getting the files is all that is needed."""
    lake.put("vip/2026-11-19.csv", "id\n1\n")
    bucket = f"arn:aws:s3:::{lake.bucket}"
    user = server.user(("s3:ListBucket", bucket), ("s3:GetObject", f"{bucket}/vip/*"))
    lake.client = server.client(**user)
    with server.guarded():
        assert lake.ids("vip/*.csv") == ["1"]
        with pytest.raises(SourceError, match="The days there are: 2026-11-19"):
            lake.ids("vip/{snapshot_date}.csv")


REFUSED = {
    "may not list": (
        {},
        ["s3:GetObject"],
        r"S3 forbids it to lake \(ListObjectsV2: AccessDenied\)\. Allow s3:ListBucket",
    ),
    "may not get": ({}, ["s3:ListBucket"], r"S3 forbids it to lake \(GetObject: AccessDenied\)\. Allow s3:ListBucket"),
    "wrong secret": (
        {"aws_secret_access_key": "wrong"},
        [],
        r"credentials of lake \(ListObjectsV2: SignatureDoesNotMatch",
    ),
    "unknown key": (
        {"aws_access_key_id": "AKIAUNKNOWN"},
        [],
        r"credentials of lake \(ListObjectsV2: InvalidAccessKeyId",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_connection_that_may_not(lake: Lake, server: S3Server, name: str) -> None:
    """Rights and credentials are a matter of the connection; the error says which request was refused."""
    wrong, actions, sentence = REFUSED[name]
    lake.put("vip/a.csv", "id\n1\n")
    resources = (f"arn:aws:s3:::{lake.bucket}", f"arn:aws:s3:::{lake.bucket}/*")
    user = server.user(*((action, resource) for action in actions for resource in resources))
    lake.client = server.client(**user | wrong)
    with server.guarded(), pytest.raises(ConnectionConfigError, match=sentence) as caught:
        lake.ids("vip/*.csv")
    assert f"membership: s3://{lake.bucket}/vip/*.csv: " in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    ("bucket", "kind", "sentence"),
    [
        ("nowhere-at-all", SourceError, r"there is no such bucket \(ListObjectsV2: NoSuchBucket\)\. Correct the path"),
        ("no bucket", SourceError, r"S3 refuses the path \(ParamValidationError\)\. Correct it"),
    ],
)
def test_a_bucket_that_is_none(lake: Lake, bucket: str, kind: type[Exception], sentence: str) -> None:
    """A wrong bucket is a matter of the audience file."""
    lake.bucket = bucket
    with pytest.raises(kind, match=sentence):
        lake.ids("vip/*.csv")


@pytest.mark.parametrize(("profile", "name"), [("nobody", "ProfileNotFound"), ("", "NoCredentialsError")])
def test_a_connection_without_credentials(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str, name: str
) -> None:
    """What boto3 itself misses is a matter of the connection as well."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    lake.reader = replace(lake.reader, s3=lambda _: boto3.Session(profile_name=profile or None).client("s3"))
    with pytest.raises(
        ConnectionConfigError, match=rf"lake cannot be used for S3 \({name}\)\. Correct its credentials"
    ):
        lake.ids("vip/*.csv")


# When S3 has a bad day.

LISTING = b"""<ListBucketResult><IsTruncated>false</IsTruncated>
<Contents><Key>a.csv</Key><ETag>"e"</ETag><Size>5</Size><LastModified>2026-11-20T08:00:00.000Z</LastModified></Contents>
<Contents><Key>b.csv</Key><ETag>"e"</ETag><Size>5</Size><LastModified>2026-11-19T09:00:00.000Z</LastModified></Contents>
</ListBucketResult>"""


def client_at(address: str) -> S3Client:
    # One try is enough to see what an error becomes.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=0.3)
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=address, config=config, **keys)


@contextmanager
def answering(get: tuple[int, dict[str, str], bytes], *, listing: bool = True, late_s: float = 0) -> Iterator[str]:
    """The address of an S3 that lists two files and answers so when they are fetched; or so to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            lists = listing and "list-type=2" in self.path
            status, headers, body = (200, {}, LISTING) if lists else get
            if not lists and over.wait(late_s):
                return
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    over = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


ANSWERS = {
    (503, "SlowDown"): (SourceUnavailableError, "S3 does not answer"),
    (500, "InternalError"): (SourceUnavailableError, "S3 does not answer"),
    (429, "TooManyRequests"): (SourceUnavailableError, "S3 does not answer"),
    (400, "RequestTimeout"): (SourceUnavailableError, "S3 does not answer"),
    (412, "PreconditionFailed"): (SourceUnavailableError, "changed or vanished"),
    (404, "NoSuchKey"): (SourceUnavailableError, "changed or vanished"),
    (404, "NoSuchBucket"): (SourceError, "there is no such bucket"),
    (400, "InvalidBucketName"): (SourceError, "there is no such bucket"),
    (403, "InvalidObjectState"): (SourceError, "lies in an archive"),
    (400, "InvalidArgument"): (SourceError, "S3 refuses the path"),
    (403, "AccessDenied"): (ConnectionConfigError, "S3 forbids it to lake"),
    (401, "Unauthorized"): (ConnectionConfigError, "S3 forbids it to lake"),
    (403, "SignatureDoesNotMatch"): (ConnectionConfigError, "does not take the credentials of lake"),
    (403, "InvalidAccessKeyId"): (ConnectionConfigError, "does not take the credentials of lake"),
    (400, "ExpiredToken"): (ConnectionConfigError, "does not take the credentials of lake"),
    (400, "InvalidToken"): (ConnectionConfigError, "does not take the credentials of lake"),
    (403, "RequestTimeTooSkewed"): (ConnectionConfigError, "does not take the credentials of lake"),
    (301, "PermanentRedirect"): (ConnectionConfigError, "lake cannot be used for S3"),
    (400, "AuthorizationHeaderMalformed"): (ConnectionConfigError, "lake cannot be used for S3"),
}


@pytest.mark.parametrize(("status", "code"), ANSWERS)
@pytest.mark.parametrize("operation", ["ListObjectsV2", "GetObject"])
def test_what_a_refusal_means(lake: Lake, status: int, code: str, operation: str) -> None:
    """What passes by itself is tried again, what does not stops for a person; S3's own words are not repeated."""
    kind, sentence = ANSWERS[status, code]
    body = f"<Error><Code>{code}</Code><Message>{CANARY}</Message></Error>".encode()
    with answering((status, {}, body), listing=operation == "GetObject") as address:
        lake.client = client_at(address)
        with pytest.raises(LiveRampError) as caught:
            lake.ids("*.csv")
    assert type(caught.value) is kind
    assert re.fullmatch(
        rf"membership: s3://{lake.bucket}/\*\.csv: .*{sentence}.* \({operation}: {code}\).*\.", str(caught.value)
    )
    assert CANARY not in "".join(traceback.format_exception(caught.value))


GOOD = b"id\n1\n"
BREAKS: dict[str, tuple[dict[str, Any], str]] = {
    "breaks off": ({"get": (200, {"Content-Length": "99"}, GOOD)}, "IncompleteReadError|ResponseStreamingError"),
    "sends other bytes": ({"get": (200, {"x-amz-checksum-crc32": "AAAAAA=="}, GOOD)}, "FlexibleChecksumError"),
    "is slow": ({"get": (200, {}, GOOD), "late_s": 5}, "ReadTimeoutError"),
    "says nothing": ({"get": (502, {}, b"")}, "GetObject: 502"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_an_answer_that_breaks(lake: Lake, name: str) -> None:
    """Half an answer, a spoilt one and none at all are tried again."""
    answers, cause = BREAKS[name]
    with answering(**answers) as address:
        lake.client = client_at(address)
        with pytest.raises(
            SourceUnavailableError, match=rf"S3 does not answer \(({cause})\)\. A task tries it again\."
        ):
            lake.ids("*.csv")


def test_a_good_day(lake: Lake) -> None:
    """The S3 of the bad days can also be read, and the record says when the youngest file was written."""
    with answering((200, {}, GOOD)) as address:
        lake.client = client_at(address)
        assert lake.ids("*.csv") == ["1", "1"]
    assert lake.reader.records[0].watermark == "2026-11-20T08:00:00+00:00"


@pytest.mark.parametrize(
    ("scheme", "kind"), [("http", SourceUnavailableError), ("https", ConnectionConfigError)], ids=["nobody", "no TLS"]
)
def test_nobody_there(lake: Lake, server: S3Server, scheme: str, kind: type[Exception]) -> None:
    """An S3 that does not answer is tried again; one that cannot prove who it is, is not."""
    address = f"http://127.0.0.1:{free_port()}" if scheme == "http" else server.url.replace("http:", "https:")
    lake.client = client_at(address)
    with pytest.raises(kind):
        lake.ids("*.csv")
