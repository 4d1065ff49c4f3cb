"""A receiver of PGP messages for tests: real keys of every sort, made by a real gpg."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

UID = "receiver <receiver@example.com>"


class KeyOwner:
    """A GnuPG home with secret keys: it makes them, hands public ones out, and decrypts."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="lrkeys-"))

    def gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        options = [
            "--homedir",
            str(self.home),
            "--batch",
            "--no-tty",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
        ]
        return subprocess.run(["gpg", *options, *arguments], input=stdin, capture_output=True, check=True).stdout

    def primary(
        self, *, at: str = "20260101T000000", expires: str = "never", usage: str = "cert", uid: str = UID
    ) -> str:
        """A new signing key without subkeys; its fingerprint."""
        # "!" stops gpg's clock: on a busy machine a key was made a second after the subkey that it signs.
        self.gpg("--faked-system-time", f"{at}!", "--yes", "--quick-generate-key", uid, "ed25519", usage, expires)
        return self.fingerprints()[-1][0]

    def subkey(self, primary: str, *, at: str = "20260101T000000", expires: str = "never") -> str:
        """A new encryption subkey of `primary`; its fingerprint."""
        self.gpg("--faked-system-time", f"{at}!", "--quick-add-key", primary, "cv25519", "encr", expires)
        return next(prints for prints in self.fingerprints() if prints[0] == primary)[-1]

    def key(self, *, expires: str = "never") -> tuple[str, str]:
        """A new key with one encryption subkey; both fingerprints."""
        primary = self.primary(expires=expires)
        return primary, self.subkey(primary)

    def fingerprints(self) -> list[list[str]]:
        """Of every key: its own fingerprint, then its subkeys', oldest first."""
        keys: list[list[str]] = []
        kind = ""
        for line in self.gpg("--with-colons", "--list-keys").decode().splitlines():
            fields = line.split(":")
            if fields[0] == "fpr":
                keys.append([fields[9]]) if kind == "pub" else keys[-1].append(fields[9])
            else:
                kind = fields[0]
        return keys

    def edit(self, primary: str, *commands: str) -> None:
        self.gpg("--command-fd", "0", "--edit-key", primary, stdin="\n".join([*commands, "save", ""]).encode())

    def revoke(self, primary: str) -> None:
        """Revoke a key, with the certificate that was made with it."""
        certificate = (self.home / "openpgp-revocs.d" / f"{primary}.rev").read_bytes()
        self.gpg("--import", stdin=certificate.replace(b":-----BEGIN", b"-----BEGIN"))

    def public(self, *fingerprints: str) -> bytes:
        return self.gpg("--armor", "--export", *fingerprints)

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "gpg-agent"], check=True)
        while self.home.exists():
            with suppress(FileNotFoundError):  # the agent takes its sockets away as it goes
                shutil.rmtree(self.home)
