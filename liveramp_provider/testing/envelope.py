"""From the bytes that arrived to the plain CSV: file name, encryption, compression."""

import gzip
import re
import zlib
from pathlib import Path

from liveramp_provider.testing.keys import CannotOpenError, PgpKeys

_MAX_NAME_CHARS = 250
_FORBIDDEN = re.compile(r"[ !@#$%\[\]:{}?*\\`]")
_ENCRYPTED = (".gpg", ".pgp")


def inner_name(name: str) -> str:
    """Return the name of the CSV inside: `name` without its endings for encryption and compression."""
    while name.endswith((*_ENCRYPTED, ".gz")):
        name = name.rpartition(".")[0]
    return name


def is_encrypted(name: str) -> bool:
    """Tell from the endings of `name` whether its content is PGP encrypted."""
    return any(ending in name[len(inner_name(name)) :] for ending in _ENCRYPTED)


def name_problems(name: str) -> tuple[str, ...]:
    """Return a sentence for every rule for file names that `name` breaks."""
    found = []
    if len(name) > _MAX_NAME_CHARS:
        found.append(f"File name: {len(name)} characters, at most {_MAX_NAME_CHARS} are allowed.")
    if not (name.isascii() and name.isprintable()):
        found.append("File name: only printable ASCII characters are allowed.")
    if bad := sorted(set(_FORBIDDEN.findall(name))):
        found.append(f"File name: forbidden {' '.join('space' if char == ' ' else char for char in bad)}.")
    if name.startswith((".", "_")):
        found.append("File name: must not start with a dot or an underscore.")
    if not inner_name(name).endswith(".csv"):
        found.append("File name: without its endings for encryption and compression it must end with .csv.")
    return tuple(found)


def open_envelope(path: Path, keys: PgpKeys) -> bytes:
    """Return the plain bytes of the file at `path`, whose name says what to undo, the last ending first.

    :raises CannotOpenError: Decryption or unzipping failed, or the encrypted packet names another file.
    """
    name, content = path.name, None
    while name != inner_name(name):
        outer, _, ending = name.rpartition(".")
        if ending == "gz":
            content = _unzipped(path.read_bytes() if content is None else content)
        elif content is None:
            content, named = keys.decrypt(path)
            if named not in ("", outer, inner_name(outer)):
                raise CannotOpenError("Decryption: the PGP packet carries another file name than the file has.")
        else:
            raise CannotOpenError("Decryption: a file that is compressed after encryption is not supported.")
        name = outer
    return path.read_bytes() if content is None else content


def _unzipped(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise CannotOpenError("Compression: this is not a complete gzip file.") from None
