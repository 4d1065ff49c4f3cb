"""The box's PGP key pair: made once, kept as armoured files, used in throw-away GnuPG homes."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from liveramp_provider.testing.private_files import private_folder, write_private

# LiveRamp's key is RSA. The primary key cannot encrypt, so only the subkey is a possible recipient.
_KEY_RECIPE = """%no-protection
Key-Type: RSA
Key-Length: 2048
Key-Usage: sign,cert
Subkey-Type: RSA
Subkey-Length: 2048
Subkey-Usage: encrypt
Name-Real: LiveRamp in a box
Name-Email: box@liveramp.invalid
Expire-Date: 0
%commit
"""
# A Unix socket's path holds about 100 bytes, and the agent's socket lies in GnuPG's home.
_LONGEST_TEMP_PATH = 60


class CannotOpenError(Exception):
    """A received file cannot be decrypted or unzipped; the text is a sentence for `ReceivedFile.problems`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PgpKeys:
    """The box's key pair. The secret half never shows in a `repr`."""

    folder: Path
    fingerprint: str

    @property
    def public(self) -> str:
        """The public key in ASCII armour, as LiveRamp would hand it out."""
        return (self.folder / "public.asc").read_text(encoding="ascii")

    def decrypt(self, sealed: Path) -> tuple[bytes, str]:
        """Return the content of `sealed` and the file name that stands inside the message (often empty).

        :raises CannotOpenError: It is no PGP message, is for another key, or was changed or cut off on its way.
        """
        with _throw_away_home() as home:
            _gpg(home, "--import", str(self.folder / "secret.asc"))
            with sealed.open("rb") as source:
                run = _run(home, "--status-fd", "2", "--decrypt", stdin=source)
        lines = run.stderr.decode("utf-8", "replace").splitlines()
        status = [line.split()[1:] for line in lines if line.startswith("[GNUPG:] ")]
        words = {line[0] for line in status}
        # Only the return code is proof: GnuPG hands out plaintext before it has seen the end of a damaged file.
        if run.returncode != 0 or "DECRYPTION_OKAY" not in words:
            raise CannotOpenError(_why_not(words))
        named = [line[3] for line in status if line[0] == "PLAINTEXT" and len(line) > 3]
        return run.stdout, unquote(named[0]) if named else ""


def pgp_keys(folder: Path) -> PgpKeys:
    """Return the key pair kept in `folder`, making it the first time (about a second).

    :raises RuntimeError: GnuPG is not installed, or cannot make a key.
    """
    mark = folder / "fingerprint"
    if not mark.exists():
        private_folder(folder)
        with _throw_away_home() as home:
            recipe = home / "recipe"
            recipe.write_text(_KEY_RECIPE, encoding="ascii")
            _gpg(home, "--gen-key", str(recipe))
            fingerprint = _primary_fingerprint(_gpg(home, "--with-colons", "--list-keys"))
            write_private(folder / "secret.asc", _gpg(home, "--armor", "--export-secret-keys", fingerprint))
            write_private(folder / "public.asc", _gpg(home, "--armor", "--export", fingerprint))
            write_private(mark, fingerprint.encode())
    return PgpKeys(folder=folder, fingerprint=mark.read_text(encoding="ascii"))


def _primary_fingerprint(listing: bytes) -> str:
    return next(line.split(":")[9] for line in listing.decode().splitlines() if line.startswith("fpr:"))


def _why_not(words: set[str]) -> str:
    if "ENC_TO" not in words:
        return "Decryption: this is not a PGP encrypted file."
    if "DECRYPTION_KEY" not in words:
        return "Decryption: the file is encrypted to another key than the box's current encryption subkey."
    return "Decryption: the file's integrity check failed, so it was changed or cut off on its way."


@contextmanager
def _throw_away_home() -> Iterator[Path]:
    """An empty GnuPG home on a short path; afterwards it is gone, and so is the agent that GnuPG started for it."""
    if shutil.which("gpg") is None:
        raise RuntimeError("LiveRamp in a box needs GnuPG: the program `gpg` is not installed.")
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST_TEMP_PATH:
        parent = "/tmp"  # noqa: S108 - mkdtemp makes a private folder in it
    home = Path(tempfile.mkdtemp(prefix="lrbox-", dir=parent))
    try:
        yield home
    finally:
        _stop_agent(home)
        while home.exists():
            with suppress(FileNotFoundError):  # an agent may still take its sockets away
                shutil.rmtree(home)


def _stop_agent(home: Path) -> None:
    _run(home, "--kill", "gpg-agent", program="gpgconf")
    # The agent leaves a moment after it was told to, and removes its sockets then.
    patience = time.monotonic() + 5
    while (home / "S.gpg-agent").exists() and time.monotonic() < patience:
        time.sleep(0.005)


def _gpg(home: Path, *arguments: str) -> bytes:
    run = _run(home, *arguments)
    if run.returncode != 0:
        raise RuntimeError(f"gpg {arguments[0]} failed: {run.stderr.decode('utf-8', 'replace').strip()}")
    return run.stdout


def _run(
    home: Path, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL, program: str = "gpg"
) -> subprocess.CompletedProcess[bytes]:
    options = ["--batch", "--no-tty", "--quiet"] if program == "gpg" else []
    return subprocess.run(  # noqa: S603 - a fixed program, no shell
        [shutil.which(program) or program, "--homedir", str(home), *options, *arguments],
        stdin=stdin,
        capture_output=True,
        umask=0o077,
        check=False,
    )
