"""A gpg that is missing, dies, hangs, talks nonsense or makes something else: an error, and no file, in any form."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.csv import ChunkReader
from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError
from liveramp_provider.core.gpg import Gpg
from liveramp_provider.core.pgp import check_key, encrypt
from tests.core.test_pgp import NOW, PLAIN, packets, pinned
from tests.key_owner import KeyOwner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liveramp_provider.core.destination import Encryption

REAL = shutil.which("gpg") or "gpg"
PEOPLE = PLAIN * 50_000


@pytest.fixture(scope="module")
def owner() -> Iterator[KeyOwner]:
    """The receiver's key ring."""
    owner = KeyOwner()
    yield owner
    owner.close()


@pytest.fixture(scope="module")
def keys(owner: KeyOwner) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two keys as they should be, each primary and encryption subkey."""
    return owner.key(), owner.key()


@pytest.fixture
def good(keys: tuple[tuple[str, str], tuple[str, str]], owner: KeyOwner, tmp_path: Path) -> Encryption:
    """The first of the two, in a file with both."""
    return pinned(tmp_path, owner.public(keys[0][0], keys[1][0]), keys[0][0])


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that must be empty again after each test."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    left = list(folder.iterdir())
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a program called gpg before the real one, which is ``$real`` in it."""

    def put(script: str, *, at: str = "*") -> None:
        place = tmp_path / "bin" / "gpg"
        place.parent.mkdir()
        place.write_text(f'#!/bin/sh\nreal={REAL}\ncase "$*" in {at}) {script};; esac\nexec $real "$@"\n')
        place.chmod(0o700)
        monkeypatch.setenv("PATH", f"{place.parent}:{os.environ['PATH']}")

    return put


def refused(encryption: Encryption, tmp_path: Path) -> str:
    """What is said when nothing can be encrypted; neither sealed bytes nor readable ones may be left anywhere."""
    target = tmp_path / "sealed.gpg"
    before = set(tmp_path.rglob("*"))
    with pytest.raises(EncryptionError) as caught:
        encrypt(io.BytesIO(PEOPLE), encryption, target=target, inner_name="x.csv.gz", now=NOW)
    assert set(tmp_path.rglob("*")) == before
    error: BaseException | None = caught.value
    while error is not None:
        assert "jane.doe" not in str(error)
        error = error.__context__
    return str(caught.value)


FED = ("*--import*", "*--encrypt*", "*--list-packets*")
NOT_FED = ("*--list-config*", "*--list-keys*")
LAST_WORDS = (
    "exit 2",
    "kill -9 $$",
    "echo gibberish; echo gibberish >&2; exit 0",
    "head -c 300000 /dev/urandom; head -c 300000 /dev/urandom >&2; exit 0",
)
AFTER_READING = (
    "cat > /dev/null; exit 2",
    "head -c 1000 > /dev/null; exit 2",
    "cat > /dev/null; exit 0",
    'cat > /dev/null; echo "[GNUPG:] " >&2; echo "[GNUPG:] IMPORT_RES 1" >&2; echo "pub:x"; echo fpr; exit 0',
)


@pytest.mark.parametrize(
    ("at", "last_words"),
    [*product((*FED, *NOT_FED), LAST_WORDS), *product(FED, AFTER_READING)],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # in python-gnupg's own threads
def test_a_gpg_that_dies_or_raves(
    at: str, last_words: str, shim: Callable[..., None], good: Encryption, tmp_path: Path
) -> None:
    """At whichever call, whether it has read something or not: worth another try, and never the key's fault."""
    shim(last_words, at=at)
    assert "gpg" in refused(good, tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gpg that says nothing is given up soon."""
    monkeypatch.setattr(Gpg, "silence_s", 2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("at", "script", "words"),
    [
        *((call, "sleep 600", "silent for 2 s") for call in ("*--import*", "*--list-keys*", "*--encrypt*")),
        ("*--encrypt*", "cat > /dev/null; sleep 600", "silent for 2 s"),
        ("*--encrypt*", "exec > /dev/null 2>&1 < /dev/null; sleep 600", "silent for 2 s"),
        ("*--encrypt*", "trap '' TERM INT; sleep 600 & sleep 600", "silent for 2 s"),
    ],
)
def test_a_gpg_that_never_ends(
    at: str, script: str, words: str, shim: Callable[..., None], good: Encryption, tmp_path: Path
) -> None:
    """It is ended with all that it has started."""
    (tmp_path / "group").touch()
    shim(f"echo $$ > {tmp_path}/group; {script}", at=at)
    assert words in refused(good, tmp_path)
    _wait_for_the_end_of(int((tmp_path / "group").read_text()))


def _wait_for_the_end_of(group: int) -> None:
    """Until the last of a process group is gone: who was killed may wait for its reaper a moment."""
    while any(
        words[2] == str(group) and words[0] != "Z"
        for line in Path("/proc").glob("[0-9]*/stat")
        if (words := _words(line))
    ):
        sleep(0.02)


def _words(line: Path) -> list[str]:
    """State, parent and group of a process; nothing where it is gone."""
    try:
        return line.read_text().rpartition(")")[2].split()
    except OSError:
        return []


@pytest.mark.usefixtures("impatient")
def test_a_source_may_take_its_time(good: Encryption, owner: KeyOwner, tmp_path: Path) -> None:
    """A query that gives the next rows after longer than gpg may be silent is waited for."""

    def slow() -> Iterator[bytes]:
        yield PLAIN
        sleep(2.5)
        yield b""
        yield PLAIN

    encrypt(io.BufferedReader(ChunkReader(slow())), good, target=tmp_path / "sealed.gpg", inner_name="x.csv", now=NOW)
    assert owner.gpg("--decrypt", str(tmp_path / "sealed.gpg")) == PLAIN * 2


def test_a_source_that_breaks_leaves_nothing(good: Encryption, tmp_path: Path) -> None:
    """Its own error comes out, and no torso is left that somebody could take for a file."""

    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 1_000_000:
                raise KeyError("row 7")
            return super().read(size)

    with pytest.raises(KeyError):
        encrypt(Breaking(PEOPLE), good, target=tmp_path / "sealed.gpg", inner_name="x.csv", now=NOW)
    assert not (tmp_path / "sealed.gpg").exists()


def test_nothing_reads_on(shim: Callable[..., None], good: Encryption, tmp_path: Path) -> None:
    """After a gpg that has died the source is left alone: whoever made it may take it away."""
    asked: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sleep(0.3)
            asked.append(1)
            return super().read(size)

    shim("exit 2", at="*--encrypt*")
    with pytest.raises(EncryptionError):
        encrypt(Counting(PEOPLE * 9), good, target=tmp_path / "sealed.gpg", inner_name="x.csv", now=NOW)
    before = len(asked)
    sleep(1)
    assert len(asked) == before


def test_what_cannot_be_started(good: Encryption, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gpg that is no program is worth another try; none at all is a matter of installing it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gpg").write_bytes(b"\x7fELF no program")
    (tmp_path / "bin" / "gpg").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "gpg cannot be started" in refused(good, tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EncryptionKeyError, match="there is no gpg program"):
        encrypt(io.BytesIO(PEOPLE), good, target=tmp_path / "sealed.gpg", inner_name="x.csv", now=NOW)


def test_a_home_with_a_long_path(good: Encryption, owner: KeyOwner, scratch: Path, tmp_path: Path) -> None:
    """Where temporary files lie too deep for an agent's socket, files are encrypted all the same."""
    deep = scratch / ("d" * 140)
    deep.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(deep))
        encrypt(io.BytesIO(PLAIN), good, target=tmp_path / "sealed.gpg", inner_name="x.csv", now=NOW)
    assert owner.gpg("--decrypt", str(tmp_path / "sealed.gpg")) == PLAIN
    deep.rmdir()


# What it has made.


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        ('$real --recipient {other}! "$@"', "instead of {mine} alone"),
        (
            '$real $(echo "$*" | sed "s/--recipient [0-9A-F]*!/--recipient {other}!/")',
            "to {other} instead of {mine} alone",
        ),
        ('$real --hidden-recipient {other}! "$@"', "instead of {mine} alone"),
        ('$real --hidden-encrypt-to {other}! "$@"', "instead of {mine} alone"),
        ('$real --throw-keyids "$@"', "to 0000000000000000 instead of {mine} alone"),
        ('$real --rfc2440 "$@"', "without protection against changes"),
        ('$real --armor "$@"', "not a whole encrypted file"),
        ('$real "$@"; truncate -s -1 {target}', "not a whole encrypted file"),
        ('$real "$@"; truncate -s 100000 {target}', "not a whole encrypted file"),
        ('$real "$@"; truncate -s 0 {target}', "to nobody instead of {mine}"),
        ('$real "$@"; rm {target}', "cannot be read (No such file or directory)"),
        ('$real "$@"; printf x >> {target}', "not a whole encrypted file"),
        ('$real "$@"; cp {target} {target}.2; cat {target}.2 >> {target}; rm {target}.2', "not a whole encrypted file"),
        ('cat > {target}; echo "[GNUPG:] END_ENCRYPTION" >&2', "to nobody instead of {mine}"),
    ],
)
def test_what_is_not_for_the_receiver_alone(
    instead: str,
    words: str,
    shim: Callable[..., None],
    good: Encryption,
    keys: tuple[tuple[str, str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    """Another or a further recipient, no protection, a torso, plain text: gpg says that all is well, and we look."""
    mine, other = keys[0][1], keys[1][1]
    shim(f"{instead.format(other=other, target=tmp_path / 'sealed.gpg')}; exit 0", at="*--encrypt*")
    assert words.format(mine=mine[-16:], other=other[-16:]) in refused(good, tmp_path)


@pytest.mark.parametrize("size", [0, 1, 5_000, 8_191, 8_192, 8_193, 100_000, 3_000_000])
def test_a_file_as_it_should_be(size: int, good: Encryption, tmp_path: Path) -> None:
    """However its parts fall it is whole, and gpg's own account of it names the same recipient."""
    key = encrypt(io.BytesIO(os.urandom(size)), good, target=tmp_path / "sealed.gpg", inner_name="x.csv", now=NOW)
    told = packets(tmp_path / "sealed.gpg")
    assert told.count(":pubkey enc packet:") == 1
    assert f"keyid {key.subkey[-16:]}" in told
    assert "mdc_method: 2" in told


# Two keys during a rotation.


def test_the_first_that_is_in_the_file(
    keys: tuple[tuple[str, str], tuple[str, str]], owner: KeyOwner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two pinned keys the first one in the file is encrypted to, and only that one; the log says which."""
    caplog.set_level("INFO")
    (first, first_subkey), (second, second_subkey) = keys
    for in_file, expected in (
        ((first, second), first_subkey),
        ((first,), first_subkey),
        ((second,), second_subkey),
    ):
        caplog.clear()
        encryption = pinned(tmp_path, owner.public(*in_file), first, second)
        key = encrypt(io.BytesIO(PLAIN), encryption, target=tmp_path / "sealed.gpg", inner_name="x.csv", now=NOW)
        assert key.subkey == expected
        assert packets(tmp_path / "sealed.gpg").count(":pubkey enc packet:") == 1
        assert (f"does not hold {first}; the other pinned key is used" in caplog.text) == (in_file == (second,))


def test_the_first_that_can_be_used(
    keys: tuple[tuple[str, str], tuple[str, str]], owner: KeyOwner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A pinned key that has expired gives way to the other one, with a warning."""
    expired = owner.primary(expires="20260601T000000")
    owner.subkey(expired)
    encryption = pinned(tmp_path, owner.public(expired, keys[0][0]), expired, keys[0][0])
    assert check_key(encryption, now=NOW).primary == keys[0][0]
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"{expired} has expired since 2026-06-01" in warning
    assert f"the other pinned key is used, {keys[0][0]}" in warning


def test_none_of_two(keys: tuple[tuple[str, str], tuple[str, str]], owner: KeyOwner, tmp_path: Path) -> None:
    """A key that nobody has pinned is never used; where both pinned ones are unusable, it is said of both."""
    expired, also_expired = (owner.primary(expires="20260601T000000") for _ in range(2))
    key_file = owner.public(expired, also_expired, keys[0][0])
    encryption = pinned(tmp_path, key_file, expired, also_expired)
    with pytest.raises(EncryptionKeyError, match=rf"{expired} has expired.*\n.*{also_expired} has expired"):
        check_key(encryption, now=NOW)
    with pytest.raises(EncryptionKeyError, match=rf"pins {'A' * 40} or {'B' * 40}"):
        check_key(replace(encryption, recipients=("A" * 40, "B" * 40)), now=NOW)
