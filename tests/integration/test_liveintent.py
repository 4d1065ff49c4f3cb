"""Delivery to LiveIntent against a fake that holds to its API guide: one audience, one upload a file, or a doubt."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.errors import (
    CredentialsError,
    DeliveryBusyError,
    DeliveryInDoubtError,
    LiveRampError,
    ReceiverRefusedError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports import http_answers, liveintent_api
from liveramp_provider.core.transports import liveintent as transport_module
from liveramp_provider.core.transports.liveintent import LiveIntentTransport, Watched, outcome_of
from liveramp_provider.core.transports.liveintent_api import LiveIntentApi, LostAnswerError
from liveramp_provider.testing import FakeLiveIntent
from liveramp_provider.testing import LiveIntentFault as Fault
from tests.core.pipeline import told
from tests.deliveries import Delivering, sealed_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "vip-EMAIL_HASH_2026-11-20.csv"
HASHES = [f"{number:064x}" for number in range(30)]
CONTENT = "".join(f"{value}\n" for value in HASHES).encode()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(liveintent_api, "PAUSES_S", (0, 0))
    monkeypatch.setattr(transport_module, "_LOOK_AGAIN_S", 0.01)


@pytest.fixture
def fake() -> Iterator[FakeLiveIntent]:
    with FakeLiveIntent(actions=["add"]) as running:
        yield running


def api_of(fake: FakeLiveIntent) -> LiveIntentApi:
    return LiveIntentApi(url=fake.url, token=fake.token)


def way_to(fake: FakeLiveIntent, **changes: Any) -> LiveIntentTransport:
    facts = {"audience": "vip", "account_id": 12345, "data_provider_id": 678, "action": "add", "patience_s": 0.05}
    return LiveIntentTransport(connect=partial(api_of, fake), **facts | changes)


def delivering_to(fake: FakeLiveIntent, tmp_path: Path, slot: str = "EMAIL_HASH", **changes: Any) -> Delivering:
    name = NAME.replace("EMAIL_HASH", slot)
    file = sealed_file(tmp_path / name, CONTENT, slot=slot, name=name, header=(slot,))
    return Delivering(file, tmp_path / "ledger" / "ledger.sqlite", "liveintent://12345/vip", way_to(fake, **changes))


@pytest.fixture
def delivering(fake: FakeLiveIntent, tmp_path: Path) -> Delivering:
    return delivering_to(fake, tmp_path)


def test_delivers(delivering: Delivering, fake: FakeLiveIntent) -> None:
    """The first delivery makes the audience, the file arrives as it was sealed, and a rerun asks for nothing."""
    receipt = delivering.deliver()
    calls = dict(fake.calls)
    again = delivering.deliver()
    (upload,) = fake.uploads
    assert (upload.lines, upload.name, upload.identifiers, upload.action) == (HASHES, NAME, "EMAIL_HASH", "add")
    assert [audience.name for audience in fake.audiences] == ["vip"]
    assert (receipt.evidence, again.sent_now, dict(fake.calls)) == ("E6", False, calls)


@pytest.mark.parametrize("before", [0, 40, 75])
def test_finds_the_audience_on_any_page(before: int, delivering: Delivering, fake: FakeLiveIntent) -> None:
    """An audience of that name is used, however many there are; another account's or a deleted one is not."""
    names = [f"other {number}" for number in range(75)]
    names[before:before] = ["vip", "vip"]
    made = [fake.account.create({"name": name, "accountId": 12345, "dataProviderId": 678}) for name in names]
    made[before].status = "Deleted"
    delivering.deliver()
    assert len(fake.audiences) == 77
    assert fake.uploads[0].audience == made[before + 1].id


@pytest.mark.parametrize("email", ["", "data@example.com"])
def test_whom_liveintent_writes_to(email: str, fake: FakeLiveIntent, tmp_path: Path) -> None:
    """Whoever is named in the audience file hears of the upload."""
    delivering_to(fake, tmp_path, email=email).deliver()
    assert fake.uploads[0].email == email


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            "Archived",
            "the audience vip in account 12345 at LiveIntent is Archived. Activate it there, or write another "
            "audience_name.",
        ),
        (
            "Active",
            "there are 2 audiences vip in account 12345 at LiveIntent. Archive or rename all but one there.",
        ),
    ],
)
def test_no_guess_which_audience(status: str, words: str, delivering: Delivering, fake: FakeLiveIntent) -> None:
    """An archived audience, or two of one name, are for a person; nothing is made and nothing sent."""
    for _ in range(1 if status == "Archived" else 2):
        fake.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678}).status = status
    with pytest.raises(RemoteFolderError) as refused:
        delivering.deliver()
    assert str(refused.value) == words
    assert fake.uploads == ()


def test_check(fake: FakeLiveIntent, caplog: pytest.LogCaptureFixture) -> None:
    """Preflight says whether the token is taken, and makes nothing."""
    caplog.set_level(logging.INFO)
    way_to(fake).check("liveintent://12345/vip")
    assert caplog.messages[-1] == (
        "preflight: liveintent://12345/vip: the token is taken; no such audience yet; the first delivery makes it"
    )
    fake.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678})
    way_to(fake).check("liveintent://12345/vip")
    assert caplog.messages[-1] == "preflight: liveintent://12345/vip: the token is taken; audience 101"
    fake.misbehave(Fault.DENIED, call="ListAudiences")
    with pytest.raises(CredentialsError, match="refused the token"):
        way_to(fake).check("liveintent://12345/vip")
    assert set(fake.calls) == {"ListAudiences"}


# Faults. Whatever happens, a few more tries end with one audience and one upload, or with a doubt and one upload.

_NOTHING_DONE = (Fault.HANGS_UP, Fault.INTERNAL_ERROR, Fault.PATIENCE)
_DONE = (Fault.LOST_ANSWER, Fault.LATE_ERROR)


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("fault", [*_NOTHING_DONE, *_DONE, Fault.NO_JSON])
@pytest.mark.parametrize("call", ["ListAudiences", "CreateAudience", "SignedUrl", "ListUploads"])
def test_faults_before_the_upload(
    call: Any, fault: Fault, times: int, delivering: Delivering, fake: FakeLiveIntent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever call fails before the file is sent, and how, there is one audience and one upload in the end."""
    monkeypatch.setattr(liveintent_api, "sleep", lambda _: None)
    fake.misbehave(fault, times, call=call)
    assert delivering.tried(6) == "E6"
    assert (len(fake.audiences), len(fake.uploads)) == (1, 1)


@pytest.mark.parametrize("fault", _DONE)
def test_lost_answer_of_the_creation(fault: Fault, delivering: Delivering, fake: FakeLiveIntent) -> None:
    """An audience whose creation was not answered is found again in the same try."""
    fake.misbehave(fault, call="CreateAudience")
    assert delivering.tried(tries=1) == "E6"
    assert len(fake.audiences) == 1


@pytest.mark.parametrize("fault", _DONE)
@pytest.mark.parametrize("tells_names", [False, True])
def test_lost_answer_of_the_upload(fault: Fault, tells_names: bool, tmp_path: Path) -> None:
    """The list of uploads has the file, by its name or as one more of its kind: it is not sent again."""
    with FakeLiveIntent(actions=["add"], tells_names=tells_names) as fake:
        fake.misbehave(fault, call="Put")
        assert delivering_to(fake, tmp_path).tried() == "L"
        assert len(fake.uploads) == 1


@pytest.mark.parametrize("fault", [Fault.HANGS_UP, Fault.INTERNAL_ERROR])
def test_an_upload_that_nobody_lists(fault: Fault, delivering: Delivering, fake: FakeLiveIntent) -> None:
    """An upload without an answer that is not in the list either is in doubt, and stays so; nothing is sent again."""
    fake.misbehave(fault, call="Put")
    with pytest.raises(DeliveryInDoubtError, match="the answer was lost, LiveIntent lists no upload, and"):
        delivering.deliver()
    with pytest.raises(DeliveryInDoubtError):
        delivering.deliver()
    assert (fake.uploads, fake.calls["Put"]) == ((), 1)


def test_a_file_rebuilt_between_tries(delivering: Delivering, fake: FakeLiveIntent) -> None:
    """Other bytes than those that may have arrived are never sent, nor is anything asked."""
    delivering.claim(State.INTENT)
    rebuilt = delivering.file.path.with_name("rebuilt.csv")
    with pytest.raises(DeliveryInDoubtError, match="built anew"):
        delivering.deliver(sealed_file(rebuilt, b"other bytes", slot="EMAIL_HASH", name=delivering.file.name))
    assert dict(fake.calls) == {}


def test_a_late_entry(fake: FakeLiveIntent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list may know an upload a little later than the answer was lost: it is looked at for a while."""
    delivering = delivering_to(fake, tmp_path, patience_s=60)
    audience = fake.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678}).id
    delivering.claim(State.INTENT).advance(State.INTENT, temp_path=f"{audience}/0")
    signed = fake.account.address(audience, {"identifierType": "EMAIL_HASH", "action": "add"})
    monkeypatch.setattr(transport_module, "sleep", lambda _: fake.account.take(signed, CONTENT, None))
    assert delivering.deliver().evidence == "L"


def test_resend(fake: FakeLiveIntent, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With `on_doubt: resend`, what nobody lists is sent again by the next try."""
    fake.misbehave(Fault.HANGS_UP, call="Put")
    assert delivering_to(fake, tmp_path, resend=True).tried() == "E6"
    assert len(fake.uploads) == 1
    assert f"deliver: {NAME} may have arrived; it is sent again, as on_doubt says" in caplog.messages


def test_somebody_elses_upload(delivering: Delivering, fake: FakeLiveIntent) -> None:
    """Two new uploads of a kind are no proof: one of them, at most, is ours."""
    audience = fake.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678}).id
    delivering.claim(State.INTENT).advance(State.INTENT, temp_path=f"{audience}/0")
    for _ in range(2):
        wanted = {"identifierType": "EMAIL_HASH", "action": "add"}
        fake.account.take(fake.account.address(audience, wanted), CONTENT, None)
    with pytest.raises(DeliveryInDoubtError, match="2 new uploads"):
        delivering.deliver()


@pytest.mark.parametrize("fault", [Fault.PATIENCE, Fault.DENIED])
def test_a_plain_no_to_the_upload(fault: Fault, delivering: Delivering, fake: FakeLiveIntent) -> None:
    """An address that refuses the file is left, and the next try asks for another; nothing is in doubt."""
    fake.misbehave(fault, call="Put")
    with pytest.raises(TransportError):
        delivering.deliver()
    assert delivering.recorded().state is State.SEALED
    assert delivering.deliver().evidence == "E6"
    assert (len(fake.uploads), fake.calls["SignedUrl"]) == (1, 2)


def test_nobody_there(fake: FakeLiveIntent) -> None:
    """Where nobody answers at all, nothing can have been done."""
    api = replace(api_of(fake), url="http://127.0.0.1:1")
    with pytest.raises(TransportError, match="cannot be reached") as met:
        api.create_audience("vip", account_id=12345, data_provider_id=678)
    assert not isinstance(met.value, LostAnswerError)


@pytest.mark.parametrize("call", ["create_audience", "put"])
def test_a_server_that_says_nothing(
    call: str, fake: FakeLiveIntent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for without end, and what it was asked may have been done."""
    monkeypatch.setattr(http_answers, "TIMEOUT", 0.2)
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        api = replace(api_of(fake), url=url)
        asked = {
            "create_audience": partial(api.create_audience, "vip", account_id=12345, data_provider_id=678),
            "put": partial(api.put, f"{url}/signed", file),
        }
        with pytest.raises(LostAnswerError, match=r"broke off \(ReadTimeout\)\.$"):
            asked[call]()


def test_an_audience_that_is_gone(fake: FakeLiveIntent) -> None:
    """Whoever asks for an audience that was deleted by hand is told so."""
    with pytest.raises(RemoteFolderError, match="may have been deleted by hand"):
        api_of(fake).uploads(101)


def test_patience(fake: FakeLiveIntent, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Retry-After` is kept where it is short; a long one is left to the task's next try."""
    slept: list[float] = []
    monkeypatch.setattr(liveintent_api, "sleep", slept.append)
    fake.misbehave(Fault.PATIENCE, call="ListAudiences")
    assert list(api_of(fake).audiences()) == []
    assert slept == [1]
    fake.misbehave(Fault.MUCH_PATIENCE, call="ListAudiences")
    with pytest.raises(TransportError, match="3600 seconds"):
        list(api_of(fake).audiences())
    assert slept == [1]


@pytest.mark.parametrize(
    ("change", "call"), [({"action": "guess"}, "SignedUrl"), ({"account_id": 1}, "CreateAudience")]
)
def test_wrong_settings(change: dict[str, Any], call: str, fake: FakeLiveIntent, tmp_path: Path) -> None:
    """What LiveIntent refuses is said with the keys to look at, and not tried again by itself."""
    with pytest.raises(ReceiverRefusedError, match="Compare account_id, data_provider_id and action"):
        delivering_to(fake, tmp_path, **change).deliver()
    assert (fake.uploads, fake.calls[call]) == ((), 1)  # type: ignore[index]


def test_files_at_once_make_one_audience(fake: FakeLiveIntent, tmp_path: Path) -> None:
    """Three files of an audience that does not exist yet, all delivered at once, make one audience."""
    slots = ("EMAIL_HASH", "IDFA", "AAID")
    start = threading.Barrier(len(slots))

    def work(slot: str) -> None:
        delivering = delivering_to(fake, tmp_path, slot, patience_s=5)
        start.wait()
        for _ in range(50):
            try:
                delivering.deliver(holder=slot)
                return
            except (DeliveryBusyError, LiveRampError):
                continue

    with ThreadPoolExecutor(len(slots)) as pool:
        list(pool.map(work, slots))
    assert len(fake.audiences) == 1
    assert sorted(upload.identifiers for upload in fake.uploads) == sorted(slots)


def test_who_is_not_the_first_gives_way(fake: FakeLiveIntent, tmp_path: Path) -> None:
    """A worker of a file that comes before in order makes the audience; the other leaves, and says to whom."""
    delivering_to(fake, tmp_path, "AAID").claim()
    delivering_to(fake, tmp_path, "IDFA").claim()
    with pytest.raises(DeliveryBusyError) as busy:
        delivering_to(fake, tmp_path, patience_s=60).deliver()
    assert str(busy.value) == (
        f"{NAME}: the worker of AAID makes the audience vip at LiveIntent. A task tries it again."
    )
    assert fake.audiences == ()


def test_the_first_waits(fake: FakeLiveIntent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes first waits until the others have left, takes what they made, and leaves where that takes too long."""

    def made(_: float) -> None:
        fake.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678})
        other.release()

    other = delivering_to(fake, tmp_path, "IDFA").claim()
    delivering = delivering_to(fake, tmp_path)
    with pytest.raises(DeliveryBusyError, match="the worker of IDFA makes"):
        delivering.deliver()
    monkeypatch.setattr(transport_module, "sleep", made)
    patient = replace(delivering, transport=way_to(fake, patience_s=60))
    assert patient.deliver().evidence == "E6"
    assert len(fake.audiences) == 1


@pytest.mark.usefixtures("far_zone")
def test_when_it_was(delivering: Delivering) -> None:
    """The time of a delivery is a moment, wherever the clock on the wall stands."""
    before = datetime.now(UTC)
    delivering.deliver()
    committed_at = delivering.recorded().committed_at
    assert committed_at is not None
    assert before <= committed_at <= datetime.now(UTC)


def deliver_and_die(fake_url: str, token: str, delivering: Delivering, call: str, *, after: bool) -> None:
    """In a process of its own: kill -9 before or after `call`."""
    real = getattr(LiveIntentApi, call)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if after:
            real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(LiveIntentApi, call, deadly)
    transport = replace(delivering.transport, connect=partial(LiveIntentApi, url=fake_url, token=token))
    replace(delivering, transport=transport).deliver()


@pytest.mark.parametrize(
    ("call", "after", "ends"),
    [
        ("create_audience", True, "E6"),
        ("signed_url", True, "E6"),
        ("put", True, "L"),
        ("put", False, "DeliveryInDoubtError"),
    ],
)
def test_kill(call: str, after: bool, ends: str, delivering: Delivering, fake: FakeLiveIntent) -> None:
    """A worker that is killed at any step leaves one audience and one upload, or a doubt."""
    child = get_context("fork").Process(
        target=deliver_and_die, args=(fake.url, fake.token, delivering, call), kwargs={"after": after}
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert delivering.tried() == ends
    assert (len(fake.audiences), len(fake.uploads)) == (1, 0 if ends == "DeliveryInDoubtError" else 1)


# What LiveIntent makes of it.


def test_watching(delivering: Delivering, fake: FakeLiveIntent) -> None:
    """An upload is seen Pending, Running and Finished, and its counts are what LiveIntent tells."""
    delivering.deliver()
    audience = int(delivering.recorded().temp_path.partition("/")[0])
    watched = Watched(audience=audience, slot="EMAIL_HASH", action="add", name=NAME)
    states = [watched.look(api_of(fake)) for _ in range(3)]
    assert [(state.status, state.finished) for state in states if state] == [
        ("Pending", False),
        ("Running", False),
        ("Finished", True),
    ]
    assert states[-1] is not None
    assert outcome_of(states[-1], NAME) == {
        "liveintent_uploaded": 30,
        "liveintent_invalid": 0,
        "liveintent_duplicates": 0,
    }
    assert api_of(fake).counts(audience) == {"date": "2026-11-20", "total": 30, "matched": 30}


@pytest.mark.parametrize("tells_names", [False, True])
def test_the_upload_that_is_watched(tells_names: bool, tmp_path: Path) -> None:
    """It is the one of its name, or, where no names are told, the latest of its kind; or none, as long as none is."""
    with FakeLiveIntent(actions=["add"], tells_names=tells_names) as fake:
        audience = fake.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678}).id
        watched = Watched(audience=audience, slot="EMAIL_HASH", action="add", name="ours")
        assert watched.look(api_of(fake)) is None
        for slot, name, lines in [("EMAIL_HASH", "ours", 3), ("EMAIL_HASH", "theirs", 2), ("IDFA", "ours", 1)]:
            wanted = {"identifierType": slot, "action": "add", "uploadName": name}
            content = "".join(f"{value}\n" for value in HASHES[:lines]).encode()
            fake.account.take(fake.account.address(audience, wanted), content, None)
        seen = [watched.look(api_of(fake)) for _ in range(3)][-1]
        assert seen is not None
        assert (seen.name, seen.uploaded) == (("ours", 3) if tells_names else ("", 2))


def test_before_the_first_count(fake: FakeLiveIntent) -> None:
    """An audience that LiveIntent has not counted yet has no counts, which is no error."""
    fake.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678})
    assert api_of(fake).counts(101) == {}


def test_an_upload_that_cannot_be_read(fake: FakeLiveIntent, tmp_path: Path) -> None:
    """An upload that ends in Error is an error with the counts, and no try of the same file can help."""
    fake.misbehave(Fault.FAILS, call="Put")
    delivering = delivering_to(fake, tmp_path)
    delivering.deliver()
    watched = Watched(audience=fake.audiences[0].id, slot="EMAIL_HASH", action="add", name=NAME)
    seen = [watched.look(api_of(fake)) for _ in range(3)][-1]
    assert seen is not None
    assert seen.finished
    with pytest.raises(
        ReceiverRefusedError,
        match=r"ended in Error: 30 uploaded, 0 .*, 0 .* what LiveIntent told you; send the day again as a revision\.$",
    ):
        outcome_of(seen, NAME)


def test_what_was_asked_is_logged(delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """The line that httpx logs of every request is there, but for the one whose address is a secret."""
    caplog.set_level(logging.INFO, logger="httpx")
    delivering.deliver()
    assert "HTTP Request: GET http" in caplog.text
    assert "HTTP Request: PUT" not in caplog.text


@pytest.mark.parametrize("fault", [Fault.HANGS_UP, Fault.LOST_ANSWER, Fault.DENIED, Fault.INTERNAL_ERROR])
def test_secrets(fault: Fault, delivering: Delivering, fake: FakeLiveIntent, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the token nor a signed address nor an identifier is in an error, the log or the ledger."""
    caplog.set_level(logging.DEBUG)
    fake.misbehave(fault, call="Put")
    try:
        delivering.deliver()
        words = ""
    except LiveRampError as error:
        words = told(error)
    said = words + caplog.text + delivering.ledger_file.read_bytes().decode("latin-1")
    assert not [secret for secret in (fake.token, "/signed/", "signature", *HASHES[1:]) if secret in said]
