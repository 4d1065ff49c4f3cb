"""PGP with real keys and a real gpg: only the pinned, valid encryption subkey is encrypted to, and nothing stays."""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.destination import Encryption
from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError
from liveramp_provider.core.pgp import check_key, encrypt
from tests.key_owner import UID, KeyOwner

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime.now(UTC)
PLAIN = b'"CCID","EMAIL1"\n"M1","jane.doe@example.com"\n'


@pytest.fixture(scope="module")
def owner() -> Iterator[KeyOwner]:
    """The receiver's key ring."""
    owner = KeyOwner()
    yield owner
    owner.close()


@pytest.fixture(scope="module")
def good(owner: KeyOwner) -> tuple[str, str]:
    """A key as it should be: primary and encryption subkey."""
    return owner.key()


@pytest.fixture(autouse=True)
def temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that must be empty again after each test, and in which no agent must run."""
    assert tmp_path.is_dir()  # made before its place changes
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    left = list(folder.iterdir())
    agents = [line for line in command_lines() if "gpg-agent" in line and str(folder) in line]
    shutil.rmtree(folder)
    assert (left, agents) == ([], [])


def command_lines() -> list[str]:
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


def pinned(tmp_path: Path, key_file: bytes, *recipients: str) -> Encryption:
    path = tmp_path / "liveramp.asc"
    path.write_bytes(key_file)
    return Encryption(recipients=recipients, public_key=path, extension="gpg")


def packets(sealed: Path) -> str:
    """What gpg tells about a message without any key."""
    with tempfile.TemporaryDirectory(prefix="lrlook-", dir="/tmp") as home:
        run = subprocess.run(
            ["gpg", "--homedir", home, "--batch", "--no-autostart", "--list-packets", sealed],
            capture_output=True, check=False,
        )  # fmt: skip
    return run.stdout.decode()


@pytest.fixture
def sealed(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> Path:
    """`PLAIN`, encrypted to the good key."""
    target = tmp_path / "sealed.gpg"
    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    encrypt(io.BytesIO(PLAIN), encryption, target=target, inner_name="name_inside.csv.gz", now=NOW)
    return target


def test_decrypts_to_the_same_bytes(sealed: Path, owner: KeyOwner) -> None:
    """The receiver gets back what went in, with its integrity protected."""
    status = tempfile.NamedTemporaryFile(dir="/tmp")  # noqa: SIM115 - gpg writes to it by name
    with status:
        assert owner.gpg("--status-file", status.name, "--decrypt", str(sealed)) == PLAIN
        assert b"GOODMDC" in Path(status.name).read_bytes()


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_any_size(size: int, good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """Nothing, one byte and many blocks come back as they were."""
    content, target = os.urandom(size), tmp_path / "sealed.gpg"
    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    encrypt(io.BytesIO(content), encryption, target=target, inner_name="x.csv", now=NOW)
    assert owner.gpg("--decrypt", str(target)) == content


def test_subkey_is_the_only_recipient(sealed: Path, good: tuple[str, str]) -> None:
    """The message is for the encryption subkey, and for nobody else."""
    recipients = re.findall(r":pubkey enc packet: .* keyid ([0-9A-F]{16})", packets(sealed))
    assert recipients == [good[1][-16:]]


def test_name_inside_and_no_compression(sealed: Path, owner: KeyOwner) -> None:
    """The file inside has the delivered name, not a local path, and is not compressed a second time."""
    inside = owner.gpg("--list-packets", str(sealed)).decode()
    assert 'name="name_inside.csv.gz"' in inside
    assert ":compressed packet" not in inside
    assert str(sealed.parent) not in inside


def test_binary(sealed: Path) -> None:
    """The message is binary, without armour."""
    assert not sealed.read_bytes().startswith(b"-----")


def test_receipt_of_the_key(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """Checking tells which subkey will be used, and that it does not expire."""
    key = check_key(pinned(tmp_path, owner.public(good[0]), good[0]), now=NOW)
    assert (key.primary, key.subkey, key.expires) == (*good, None)


def test_source_that_fails(
    good: tuple[str, str], owner: KeyOwner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A source that raises half-way is not taken for its end: its own error comes out."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 2_000_000:
                raise ValueError("row 7 of jane.doe@example.com")
            return super().read(size)

    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    with pytest.raises(ValueError, match="row 7"):
        encrypt(Failing(os.urandom(4_000_000)), encryption, target=tmp_path / "torso", inner_name="x.csv", now=NOW)
    assert "jane.doe" not in caplog.text


def test_wrong_fingerprint(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """A key file that holds another key than the pinned one is refused, and both fingerprints are shown."""
    with pytest.raises(EncryptionKeyError, match=f"holds {good[0]}, but the audience file pins {'B' * 40}"):
        check_key(pinned(tmp_path, owner.public(good[0]), "B" * 40), now=NOW)


@pytest.mark.parametrize("cut", [slice(-16, None), slice(-8, None)], ids=["long id", "short id"])
def test_part_of_a_fingerprint(cut: slice, good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """A key id is not a pin: anybody can make a key with the same one."""
    with pytest.raises(EncryptionKeyError):
        check_key(pinned(tmp_path, owner.public(good[0]), good[0][cut]), now=NOW)


@pytest.mark.parametrize("recipient", ["receiver@example.com", UID, ""])
def test_no_recipient_by_name(recipient: str, good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """An e-mail address is not a pin: a key's owner writes it."""
    with pytest.raises(EncryptionKeyError):
        check_key(pinned(tmp_path, owner.public(good[0]), recipient), now=NOW)


def test_subkey_as_pin(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """The pin is the primary key's fingerprint, which outlives its subkeys."""
    with pytest.raises(EncryptionKeyError):
        check_key(pinned(tmp_path, owner.public(good[0]), good[1]), now=NOW)


def test_expired_key(owner: KeyOwner, tmp_path: Path) -> None:
    """A key that has expired is refused with its date."""
    primary = owner.primary(expires="20260601T000000")
    subkey = owner.subkey(primary)
    with pytest.raises(EncryptionKeyError, match=f"{primary} has expired since 2026-06-01"):
        check_key(pinned(tmp_path, owner.public(primary), primary), now=NOW)
    assert subkey != primary


def test_key_that_expires(owner: KeyOwner, tmp_path: Path) -> None:
    """The date until which a key can be used is the first of its own and its subkey's, and is exclusive."""
    far, near = NOW + timedelta(days=400), NOW + timedelta(days=200)
    primary = owner.primary(expires=f"{far:%Y%m%dT000000}")
    owner.subkey(primary, expires=f"{near:%Y%m%dT000000}")
    until = near.replace(hour=0, minute=0, second=0, microsecond=0)
    encryption = pinned(tmp_path, owner.public(primary), primary)
    assert check_key(encryption, now=until - timedelta(seconds=1)).expires == until
    with pytest.raises(EncryptionKeyError, match="no encryption subkey that is valid today"):
        check_key(encryption, now=until)
    with pytest.raises(EncryptionKeyError, match="has expired"):
        check_key(encryption, now=far)


def test_revoked_key(owner: KeyOwner, tmp_path: Path) -> None:
    """A revoked key is refused, and nothing is encrypted to it."""
    primary, _ = owner.key()
    owner.revoke(primary)
    encryption = pinned(tmp_path, owner.public(primary), primary)
    with pytest.raises(EncryptionKeyError, match=f"{primary} is revoked"):
        encrypt(io.BytesIO(PLAIN), encryption, target=tmp_path / "sealed", inner_name="x.csv", now=NOW)
    assert not (tmp_path / "sealed").exists()


def test_sign_only_key(owner: KeyOwner, tmp_path: Path) -> None:
    """A key that can only sign has no encryption subkey."""
    primary = owner.primary(usage="sign")
    with pytest.raises(EncryptionKeyError, match=f"{primary} has no encryption subkey that is valid today"):
        check_key(pinned(tmp_path, owner.public(primary), primary), now=NOW)


def test_primary_that_encrypts(owner: KeyOwner, tmp_path: Path) -> None:
    """A primary key is never encrypted to, although it could be: LiveRamp refuses such files."""
    owner.gpg("--quick-generate-key", "primary <primary@example.com>", "rsa2048", "encrypt,cert", "never")
    primary = owner.fingerprints()[-1][0]
    with pytest.raises(EncryptionKeyError, match="no encryption subkey"):
        check_key(pinned(tmp_path, owner.public(primary), primary), now=NOW)


def test_newest_valid_subkey(owner: KeyOwner, tmp_path: Path) -> None:
    """The newest subkey that encrypts and is valid is used: no expired, revoked or signing one, though newer."""
    primary = owner.primary()
    owner.subkey(primary, at="20260201T000000")
    newest_valid = owner.subkey(primary, at="20260301T000000")
    owner.subkey(primary, at="20260401T000000", expires="20260501T000000")
    owner.subkey(primary, at="20260601T000000")
    owner.gpg("--faked-system-time", "20260701T000000", "--quick-add-key", primary, "ed25519", "sign", "never")
    owner.edit(primary, "key 4", "revkey", "y", "0", "", "y")
    encryption = pinned(tmp_path, owner.public(primary), primary)
    key = encrypt(io.BytesIO(PLAIN), encryption, target=tmp_path / "sealed", inner_name="x.csv", now=NOW)
    assert key.subkey == newest_valid
    assert newest_valid[-16:] in packets(tmp_path / "sealed")


def test_expired_subkey_with_a_newer_one(owner: KeyOwner, tmp_path: Path) -> None:
    """A rotation within one key goes on with the new subkey."""
    primary = owner.primary()
    owner.subkey(primary, expires="20260601T000000")
    current = owner.subkey(primary, at="20260501T000000")
    assert check_key(pinned(tmp_path, owner.public(primary), primary), now=NOW).subkey == current


def test_two_keys_in_the_file(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """During a rotation a file may hold two keys; the pinned one is used, whichever comes first."""
    other, _ = owner.key()
    for order in ((other, good[0]), (good[0], other)):
        key_file = b"".join(owner.public(fingerprint) for fingerprint in order)
        assert check_key(pinned(tmp_path, key_file, good[0]), now=NOW).subkey == good[1]


def test_binary_key_file(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """A key exported without armour is as good."""
    assert check_key(pinned(tmp_path, owner.gpg("--export", good[0]), good[0]), now=NOW).subkey == good[1]


@pytest.mark.parametrize(
    "content", [b"", b"no key at all\n", b"\x00\xff" * 1000, b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"]
)
def test_file_without_a_key(content: bytes, tmp_path: Path) -> None:
    """A file that is no key is named."""
    with pytest.raises(EncryptionKeyError, match=r"liveramp\.asc holds no PGP public key"):
        check_key(pinned(tmp_path, content, "A" * 40), now=NOW)


def test_secret_key_in_the_file(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """A file with the receiver's secret key is refused: whoever holds it can read every delivery."""
    secret = owner.gpg("--armor", "--export-secret-keys", good[0])
    for content in (secret, owner.public(good[0]) + secret):
        with pytest.raises(EncryptionKeyError, match=r"liveramp\.asc holds a secret key"):
            check_key(pinned(tmp_path, content, good[0]), now=NOW)


def test_missing_file(tmp_path: Path) -> None:
    """A key file that is not there is named with its path."""
    encryption = Encryption(recipients=("A" * 40,), public_key=tmp_path / "none.asc", extension="gpg")
    with pytest.raises(EncryptionKeyError, match=r"none\.asc cannot be read: No such file"):
        check_key(encryption, now=NOW)


def test_no_gpg(good: tuple[str, str], owner: KeyOwner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gpg there is no delivery, and the message says how to get it."""
    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EncryptionKeyError, match="there is no gpg program"):
        check_key(encryption, now=NOW)


@pytest.mark.parametrize(
    "last_words", ["exit 2", "kill -9 $$", "head -c 1000 > /dev/null; exit 2", "cat > /dev/null; exit 2"]
)
def test_gpg_that_fails(
    last_words: str, good: tuple[str, str], owner: KeyOwner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gpg that dies while it encrypts, before or after it has read something, is an error worth another try."""
    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    shim = tmp_path / "bin" / "gpg"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\ncase "$*" in *--encrypt*) {last_words};; esac\nexec {shutil.which("gpg")} "$@"\n')
    shim.chmod(0o700)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    with pytest.raises(EncryptionError, match="gpg could not encrypt"):
        encrypt(io.BytesIO(os.urandom(3_000_000)), encryption, target=tmp_path / "s", inner_name="x.csv", now=NOW)


def test_target_that_exists(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """The program waits for nobody's answer when the target is there already."""
    (tmp_path / "sealed").write_bytes(b"older")
    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    encrypt(io.BytesIO(PLAIN), encryption, target=tmp_path / "sealed", inner_name="x.csv", now=NOW)
    assert owner.gpg("--decrypt", str(tmp_path / "sealed")) == PLAIN


def test_unwritable_target(good: tuple[str, str], owner: KeyOwner, tmp_path: Path) -> None:
    """A target that cannot be written is an error, not a message that nobody has."""
    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    with pytest.raises(EncryptionError):
        encrypt(io.BytesIO(PLAIN * 9999), encryption, target=tmp_path / "no" / "s", inner_name="x.csv", now=NOW)


def test_silence(
    good: tuple[str, str],
    owner: KeyOwner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nothing of what gpg says about keys, people and files comes through, on the log or on the screen."""
    caplog.set_level(logging.DEBUG)
    encryption = pinned(tmp_path, owner.public(good[0]), good[0])
    encrypt(io.BytesIO(PLAIN), encryption, target=tmp_path / "sealed", inner_name="x.csv", now=NOW)
    with pytest.raises(EncryptionKeyError) as caught:
        check_key(pinned(tmp_path, owner.public(good[0]), "B" * 40), now=NOW)
    assert [record.name for record in caplog.records if record.name.startswith("gnupg")] == []
    said = caplog.text + str(caught.value) + "".join(capfd.readouterr())
    assert "receiver@example.com" not in said


def test_users_own_key_ring_is_not_used(
    good: tuple[str, str], owner: KeyOwner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that lie in the user's key ring count for nothing, and it is not touched."""
    before = {path: path.stat().st_mtime_ns for path in owner.home.rglob("*.kbx")}
    monkeypatch.setenv("GNUPGHOME", str(owner.home))
    other = KeyOwner()
    try:
        stranger, _ = other.key()
        with pytest.raises(EncryptionKeyError, match=f"holds {stranger}, but"):
            check_key(pinned(tmp_path, other.public(stranger), good[0]), now=NOW)
    finally:
        other.close()
    assert {path: path.stat().st_mtime_ns for path in owner.home.rglob("*.kbx")} == before
