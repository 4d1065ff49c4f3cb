"""Functions of users: how they are found, and how preflight tells all that is wrong with them at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from liveramp_provider.core.audience import Membership, PredictiveTraits, PythonSource, Suppression, Trait
from liveramp_provider.core.errors import ConfigError, SourceError
from liveramp_provider.core.functions import load_function
from liveramp_provider.core.guards.preflight import preflight
from tests.core.pipeline import told
from tests.core.trait_steps import audience_of, from_source
from tests.core.user_functions import CANARY, NAME, people

MODULES = {
    "good.py": "def fine(): pass\n",
    "broken.py": f"import sys\n\ndef fail():\n    raise ValueError({CANARY!r})\n\nfail()\n",
    "exits.py": f"raise SystemExit({CANARY!r})\n",
    "misspelt.py": "def fine(:\n    pass\n",
    "needs.py": "\nimport no_such_library\n",
    "half.py": "from good import no_such_name\n",
    "package/__init__.py": "",
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "of_users" / "package").mkdir(parents=True)
    for name, text in MODULES.items():
        (folder / "of_users" / name).write_text(text.replace("from good", "from of_users.good"))
    return folder


def test_a_function_is_found() -> None:
    """`package.module:function` names it."""
    assert load_function(f"{NAME}:people") is people


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("of_users.good:missing", "of_users.good has no missing"),
        ("of_users.good:__name__", "__name__ is a str"),
        ("nowhere:fine", "there is no module nowhere. It must be importable where tasks run"),
        ("of_users.nowhere:fine", r"there is no module of_users\.nowhere\."),
        ("of_users.good.nowhere:fine", r"there is no module of_users\.good\.nowhere\."),
        ("of_users.broken:fine", r"cannot be imported: ValueError \(broken\.py, line 4\)"),
        ("of_users.exits:fine", r"cannot be imported: SystemExit \(exits\.py, line 1\)"),
        ("of_users.misspelt:fine", r"cannot be imported: SyntaxError \(misspelt\.py, line 1\)"),
        ("of_users.needs:fine", r"cannot be imported: there is no module no_such_library \(needs\.py, line 2\)"),
        ("of_users.half:fine", r"cannot be imported: ImportError \(half\.py, line 1\)"),
    ],
)
def test_what_cannot_be_found(modules: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    """Whoever names a function wrongly, or breaks its module, learns what and where, and no value of it."""
    monkeypatch.syspath_prepend(modules)
    with pytest.raises(SourceError, match=f"^function {name}: .*{message}") as caught:
        load_function(name)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert CANARY not in told(caught.value)


def test_preflight_tells_all_at_once(tmp_path: Path) -> None:
    """Functions of members, traits and opt-outs are all looked at before a row is read."""
    predictive = PredictiveTraits(function=f"{NAME}:takes_two", inputs=("day",), traits=(Trait(name="x", column="x"),))
    made = audience_of(
        tmp_path, ["a"], from_source(PythonSource(function=f"{NAME}:nobody", current=False), "day"), predictive
    )
    made = replace(
        made,
        membership=Membership(source=PythonSource(function=f"{NAME}:without_a_day", current=False), key="id"),
        suppression=Suppression(source=PythonSource(function="nowhere:opt_outs", current=True), key="id"),
        destinations=(),
    )
    with pytest.raises(ConfigError) as caught:
        preflight(made, transport=lambda _: pytest.fail("there is nowhere to go"))
    assert [line.split(":")[1].split()[0] for line in str(caught.value).splitlines()] == [
        "without_a_day",
        "nobody",
        "opt_outs",
        "takes_two",
    ]


def test_preflight_is_content(tmp_path: Path) -> None:
    """Good functions pass, and are not called."""
    source = PythonSource(function=f"{NAME}:breaks_at_once", current=False)
    predictive = PredictiveTraits(function=f"{NAME}:score", inputs=("day",), traits=(Trait(name="x", column="x"),))
    made = replace(audience_of(tmp_path, ["a"], from_source(source, "day"), predictive), destinations=())
    preflight(made, transport=lambda _: pytest.fail("there is nowhere to go"))
