"""Where notices arrive: an SMTP server and an HTTP server on 127.0.0.1 that keep what they get."""

from __future__ import annotations

import json
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.controller import Controller

from liveramp_provider.testing.standalone import free_port

if TYPE_CHECKING:
    from email.message import EmailMessage

    from aiosmtpd.smtp import SMTP, Envelope, Session


class MailBox:
    """An SMTP server without encryption; a context manager."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        self.mails.append(message_from_bytes(content if isinstance(content, bytes) else b"", policy=policy.default))
        return "250 OK"

    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self.mails]

    def connection(self) -> dict[str, Any]:
        """An Airflow connection that sends here."""
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com"}
        return {"conn_type": "smtp", "host": "127.0.0.1", "port": self._controller.port, "extra": extra}


class HookBox:
    """An HTTP server that takes JSON, as Slack does and as a webhook does; a context manager."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                box.posts.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def posted(self, path: str) -> list[dict[str, Any]]:
        return [body for where, body in self.posts if where == path]
