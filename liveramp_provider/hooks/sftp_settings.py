"""A connection as the SFTP provider's hook reads it, also where a form or a variable has lost its line breaks."""

from __future__ import annotations

import json
import re
import textwrap

from airflow.providers.sftp.hooks.sftp import SFTPHook
from airflow.sdk import Connection

_PEM_LINE_CHARS = 64
_PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----(?P<body>.*)-----END (?P=kind)-----", re.DOTALL)
# The headers of a key that OpenSSL encrypted; each cipher has an initial vector of its own length.
_PEM_HEADERS = re.compile(
    r"(?P<type>Proc-Type: *4,ENCRYPTED)\s*"
    r"(?P<cipher>DEK-Info: *(?:AES-\d{3}-CBC,[0-9A-F]{32}|DES-EDE3-CBC,[0-9A-F]{16}))(?P<rest>.*)",
    re.DOTALL,
)


class SftpSettings(SFTPHook):
    """The SFTP provider's hook, for what it resolves; it opens no session."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """The connection, with a private key and a host key that the hook understands."""
        given = super().get_connection(conn_id)
        extra = given.extra_dejson
        for name, tidy in (("private_key", pem), ("host_key", host_key)):
            if isinstance(extra.get(name), str):
                extra[name] = tidy(extra[name])
        return Connection(
            conn_id=conn_id,
            conn_type=given.conn_type,
            host=given.host,
            port=given.port,
            login=given.login,
            password=given.password,
            extra=json.dumps(extra),
        )


def pem(text: str) -> str:
    r"""The private key with line breaks, which a form's field takes away and a variable may spell ``\n``.

    Text that has them, or is no PEM, stays as it is.
    """
    text = re.sub(r"(\\r)?\\n", "\n", text)
    match = _PEM.fullmatch(text.strip())
    if not match or "\n" in text.strip():
        return text
    body, headers = match["body"].strip(), ""
    if encrypted := _PEM_HEADERS.fullmatch(body):
        body, headers = encrypted["rest"], f"{encrypted['type']}\n{encrypted['cipher']}\n\n"
    lines = textwrap.fill("".join(body.split()), _PEM_LINE_CHARS)
    return f"-----BEGIN {match['kind']}-----\n{headers}{lines}\n-----END {match['kind']}-----\n"


def host_key(text: str) -> str:
    """The host key as ``<type> <base64>``, also where the host stands in front, as ``ssh-keyscan`` prints it."""
    words = text.split()
    return " ".join(words[1:]) if len(words) > 2 and words[1].startswith(("ssh-", "ecdsa-")) else text
