"""Transfer-control files: names, sizes, lines and MD5 of what was sent, as JSON.

Source: Adobe, "Transfer-Control Files for Log File Transfers". Its sample has keys without quotes, which no JSON is.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import ControlFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile


def control_of(files: Sequence[SealedFile], *, name: str) -> ControlFile:
    """The control file of `files`, the parts of one; sizes and digests are those of what was sent.

    :param name: Of the file as a whole, ending in ``.sync``.
    """
    listed = [
        {
            "FileByteSize": file.size_bytes,
            "FileLineCount": file.rows,
            "FileName": file.name,
            "FileSequenceNumber": number,
            "md5": _md5(file.path),
        }
        for number, file in enumerate(files, 1)
    ]
    totals = {
        "FileName": name,
        "TotalByteSize": sum(file.size_bytes for file in files),
        "TotalNumberFiles": len(files),
        "TotalNumberLines": sum(file.rows for file in files),
    }
    content = json.dumps({"Files": listed, "Totals": totals}, indent=2).encode() + b"\n"
    return ControlFile(name=f"{name.removesuffix('.sync')}.info", content=content)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
