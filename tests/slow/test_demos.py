"""`make demo` for every example, twice: a minute each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "audiences").glob("*.yaml"))


def demo(audience: Path, home: Path) -> str:
    """What it prints; it ends well."""
    module = "liveramp_provider.testing.demo"
    command = [sys.executable, "-m", module, "--date", "2026-11-20", "--audience", str(audience), "--home", str(home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_demo_delivers_once(path: Path, tmp_path: Path) -> None:
    """Every file arrives at its receiver; the same day again sends nothing, and what is held stays as it was."""
    first, second = demo(path, tmp_path), demo(path, tmp_path)
    assert "nothing was sent" not in first
    assert "Already delivered: nothing was sent." in second
    held = [printed[printed.index("holds now") :] for printed in (first, second)]
    assert held[0] == held[1]
