"""Real local servers for tests: OpenSSH as an SFTP receiver, and PostgreSQL; each with a port and folder of its own."""

from __future__ import annotations

import getpass
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import asyncssh

from liveramp_provider.testing.standalone import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SSHD = "/usr/sbin/sshd"
_PATIENCE_S = 60


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as `condition` holds.

    :raises TimeoutError: It does not come to hold; the message says `what` was waited for.
    """
    patience = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > patience:
            raise TimeoutError(what)
        time.sleep(0.002)


def certificate_in(folder: Path, *, user: str | None = None) -> Path:
    """A new certificate for 127.0.0.1, its own authority, with ``server.key`` beside it; both belong to `user`."""
    certificate = folder / "server.crt"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", folder / "server.key", "-out", certificate)
    make = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "1", *subject, *files]
    subprocess.run(make, check=True, capture_output=True, user=user)
    return certificate


class OpenSshServer:
    """Debian's sshd on 127.0.0.1 with internal-sftp, for the user who runs the tests and one key; a context manager.

    There is no chroot: a delivery folder is an absolute path of this machine, best one below :attr:`root`.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        home: Path,
        *,
        sftp_options: Sequence[str] = (),
        host_key_type: str = "ssh-ed25519",
        config: Sequence[str] = (),
        largest_file_bytes: int = resource.RLIM_INFINITY,
    ) -> None:
        """Write keys and configuration; the server does not run yet.

        :param home: Folder for everything of the server; made when missing.
        :param sftp_options: Options of ``sftp-server``, such as ``-P rename`` (refuse it) or ``-R`` (read only).
        :param config: Further lines of ``sshd_config``.
        :param largest_file_bytes: Beyond it, writing fails as it does on a full disk.
        """
        self.username = getpass.getuser()
        self.root = home / "files"
        self.root.mkdir(parents=True)
        key, host_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key(host_key_type)
        self.private_key = key.export_private_key().decode()
        self.host_key = public_text(host_key)
        self.port = free_port()
        self._home = home
        self._log = home / "sshd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._largest_file_bytes = largest_file_bytes
        _private(home / "host_key", host_key.export_private_key())
        _private(home / "authorized_keys", key.export_public_key())
        _private(home / "sshd_config", "\n".join([*self._config(sftp_options), *config, ""]).encode())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start on the same port as ever; returns when the server listens."""
        if os.geteuid() == 0:
            # sshd insists on it when it runs as root; Debian makes it at boot only.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        ready = self.log.count("Server listening")
        command = [_SSHD, "-D", "-e", "-f", self._home / "sshd_config"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._limit_files
            )
        self._process = process
        wait_until(lambda: self.log.count("Server listening") > ready or process.poll() is not None, "sshd to listen")
        if process.poll() is not None:
            raise RuntimeError(f"sshd did not start:\n{self.log}")

    def stop(self) -> None:
        """Kill the server and every session, as a crash would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)  # no new session while the old ones are counted
        for pid in [*_descendants(self._process.pid), self._process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    @property
    def log(self) -> str:
        """All that sshd has said at log level DEBUG."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def connection_json(self) -> str:
        """An Airflow connection as JSON, for ``AIRFLOW_CONN_LIVERAMP_DEFAULT``; it holds the private key."""
        return json.dumps(
            {
                "conn_type": "liveramp",
                "host": self.host,
                "port": self.port,
                "login": self.username,
                "extra": {"private_key": self.private_key, "host_key": self.host_key},
            }
        )

    def _limit_files(self) -> None:
        if self._largest_file_bytes != resource.RLIM_INFINITY:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._largest_file_bytes, self._largest_file_bytes))

    def _config(self, sftp_options: Sequence[str]) -> list[str]:
        return [
            f"ListenAddress {self.host}",
            f"Port {self.port}",
            f"HostKey {self._home}/host_key",
            f"AuthorizedKeysFile {self._home}/authorized_keys",
            f"PidFile {self._home}/sshd.pid",
            " ".join(["Subsystem sftp internal-sftp", *sftp_options]),
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",
            "MaxStartups 100",
            "LogLevel DEBUG",
        ]


class PostgresServer:
    """Debian's PostgreSQL on 127.0.0.1, with an empty database ``airflow``; a context manager.

    It runs as the user ``postgres`` where the tests run as root, which PostgreSQL refuses; its data is gone afterwards.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/airflow"
        self._programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self._account = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._data = Path(tempfile.mkdtemp(prefix="liveramp-postgres-"))
        if self._account:
            shutil.chown(self._data, self._account)
        self._run("initdb", "--username=airflow", "--auth=trust", "--no-sync", "--pgdata=.")
        self.start()
        self._run("createdb", *self._address, "airflow")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._data)

    def start(self) -> None:
        """Start on the same port and with the same data as ever; returns when the server answers."""
        # Nothing here has to survive a power cut.
        options = [f"-c{option}" for option in ("fsync=off", "synchronous_commit=off", "listen_addresses=127.0.0.1")]
        options += [f"-cport={self.port}", f"-cunix_socket_directories={self._data}"]
        log = (self._data / "log").open("wb")
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", ".", *options],
            cwd=self._data,
            user=self._account,
            stdout=log,
            stderr=log,
        )
        log.close()
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL to answer")

    def stop(self) -> None:
        """A fast shutdown: sessions are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        self._process = None

    def new_schema(self, name: str) -> str:
        """The URL of a further schema, which is empty and all that its sessions see; cheaper than a database."""
        self._run("psql", "--quiet", *self._address, f"--command=create schema {name}", "airflow")
        return f"{self.url}?options=-csearch_path%3D{name}"

    def accept_only_tls(self) -> Path:
        """From now on nobody gets in without TLS; its certificate, which is its own authority, for ``sslrootcert``."""
        certificate = certificate_in(self._data, user=self._account)
        (self._data / "pg_hba.conf").write_text("hostssl all all all trust\n")
        self._run("psql", *self._address, "--quiet", "--command=alter system set ssl = on", "airflow")
        self._run("pg_ctl", "reload", "--silent", "--pgdata=.")
        return certificate

    def dump(self) -> bytes:
        """All that the database holds, as text."""
        return self._run("pg_dump", *self._address, "airflow")

    @property
    def _address(self) -> list[str]:
        return ["--host=127.0.0.1", f"--port={self.port}", "--username=airflow"]

    def _run(self, program: str, *arguments: str) -> bytes:
        command = [self._programs / program, *arguments]
        done = subprocess.run(command, cwd=self._data, user=self._account, check=True, stdout=subprocess.PIPE)
        return done.stdout


def public_text(key: asyncssh.SSHKey) -> str:
    """The public half of `key` as ``<type> <base64>``, the form of the ``host_key`` extra."""
    return " ".join(key.export_public_key().decode().split()[:2])


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _descendants(pid: int) -> list[int]:
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                found += [*_descendants(child), child]
    return found
