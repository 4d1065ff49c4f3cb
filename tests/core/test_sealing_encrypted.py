"""Encrypted files through build: which key, what the log says of it, and that a failure seals nothing."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError, LiveRampError
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from tests.core.pipeline import DAY, run, workspace
from tests.core.test_pgp import pinned
from tests.core.test_staging import left_over, people
from tests.key_owner import KeyOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def owner() -> Iterator[KeyOwner]:
    """The receiver's key ring."""
    owner = KeyOwner()
    yield owner
    owner.close()


def test_the_key_that_was_used(owner: KeyOwner, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With two keys pinned, the sealed file and the log say which one it is for."""
    caplog.set_level("INFO")
    (first, _), (second, subkey) = owner.key(), owner.key()
    made = people(tmp_path, encryption=pinned(tmp_path, owner.public(second), first, second))
    sealed = run(made, workspace(tmp_path / "staging"))["PII"]
    assert sealed.recipient == second
    assert f"build: {sealed.name} is encrypted to subkey {subkey} of {second}" in caplog.messages
    assert owner.gpg("--decrypt", str(sealed.path)).startswith(b'"CCID"')


def revoked(owner: KeyOwner, primary: str) -> bytes:
    owner.revoke(primary)
    return owner.public(primary)


def expired(owner: KeyOwner, primary: str) -> bytes:
    """It ended a second ago, by its owner's word."""
    owner.gpg("--quick-set-expire", primary, "seconds=1")
    owner.gpg("--quick-set-expire", primary, "seconds=1", "*")
    while datetime.now(UTC) < _end(owner, primary) + timedelta(seconds=1):
        pass
    return owner.public(primary)


def _end(owner: KeyOwner, primary: str) -> datetime:
    lines = owner.gpg("--with-colons", "--list-keys", primary).decode().splitlines()
    return datetime.fromtimestamp(int(next(line for line in lines if line.startswith("pub")).split(":")[6]), UTC)


@pytest.mark.parametrize(("end", "word"), [(revoked, "is revoked"), (expired, "has expired")])
def test_a_key_that_ends_after_preflight(
    end: Callable[[KeyOwner, str], bytes], word: str, owner: KeyOwner, tmp_path: Path
) -> None:
    """What was a good key before the day was read is judged again before a file is sealed, and nothing is."""
    primary, _ = owner.key()
    encryption = pinned(tmp_path, owner.public(primary), primary)
    made, here = people(tmp_path, encryption=encryption), workspace(tmp_path / "staging")
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    before = left_over(tmp_path / "staging")
    encryption.public_key.write_bytes(end(owner, primary))
    with pytest.raises(EncryptionKeyError, match=f"{primary} {word}"):
        build(made, made.destinations[0], DAY, profiles, workspace=here)
    assert left_over(tmp_path / "staging") == before


@pytest.mark.parametrize(
    "script",
    [
        "exit 2",
        "kill -9 $$",
        "head -c 100 > /dev/null; exit 0",
        f'{shutil.which("gpg")} "$@"; truncate -s -1 $(echo "$*" | sed "s/.*--output //;s/ .*//"); exit 0',
        f'{shutil.which("gpg")} --rfc2440 "$@"; exit 0',
        "",
    ],
)
def test_a_gpg_that_fails_seals_nothing(
    script: str, owner: KeyOwner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ciphertext nor a readable row is left of it; the next try, with a gpg that works, seals the file."""
    primary, _ = owner.key()
    made = people(tmp_path, count=2_000, encryption=pinned(tmp_path, owner.public(primary), primary))
    here = workspace(tmp_path / "staging")
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    before = left_over(tmp_path / "staging")
    with monkeypatch.context() as patch:
        (tmp_path / "bin").mkdir()
        if script:
            (tmp_path / "bin" / "gpg").write_text(
                f'#!/bin/sh\ncase "$*" in *--encrypt*) {script};; esac\nexec {shutil.which("gpg")} "$@"\n'
            )
            (tmp_path / "bin" / "gpg").chmod(0o700)
        patch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}" if script else str(tmp_path / "bin"))
        with pytest.raises(LiveRampError) as caught:
            build(made, made.destinations[0], DAY, profiles, workspace=here)
        assert isinstance(caught.value, EncryptionError if script else EncryptionKeyError)
    assert left_over(tmp_path / "staging") == before
    (sealed,) = build(made, made.destinations[0], DAY, profiles, workspace=here)
    assert owner.gpg("--decrypt", str(sealed.path)).count(b"\n") == 2_001


def test_a_rotation_makes_no_file_anew(owner: KeyOwner, tmp_path: Path) -> None:
    """While the audience file stays as it is, what is sealed is found again, whichever keys the file holds by then."""
    (old, _), (new, _) = owner.key(), owner.key()
    encryption = pinned(tmp_path, owner.public(old), new, old)
    made, here = people(tmp_path, encryption=encryption), workspace(tmp_path / "staging")
    first = run(made, here)["PII"]
    encryption.public_key.write_bytes(owner.public(old, new))
    assert run(made, here)["PII"] == first
    assert first.recipient == old
    one = replace(made.destinations[0], encryption=replace(encryption, recipients=(new,)))
    assert run(replace(made, destinations=(one,)), here)["PII"].recipient == new
