"""Functions that users bring: found by name, checked before a row is read, and called so that no error quotes one."""

from __future__ import annotations

import importlib
import inspect
import traceback
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liveramp_provider.core.errors import DataError, SourceError, SourceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liveramp_provider.core.audience import PythonSource

#: What a source's function is given, as far as it has parameters of these names.
SOURCE_PARAMETERS = ("snapshot_date", "audience")

_FROZEN = "<frozen "


def load_function(name: str) -> Callable[..., Any]:
    """The function that `name`, written ``package.module:function``, means.

    :raises SourceError: The module or the function is not there, cannot be imported, or is no function.
    """
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module raises whatever it likes
        failure = _import_failure(name, module_name, error)
    else:
        if callable(found):
            return found  # type: ignore[no-any-return]  # all that is known of it
        lack = f"{module_name} has no {attribute}" if found is None else f"{attribute} is a {type(found).__name__}"
        failure = SourceError(f"function {name}: {lack}. Name a function of that module.")
    # Outside the handler: what a module says when it fails may quote anything.
    raise failure


def source_function(source: PythonSource) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The function of a source of frames, and which of :data:`SOURCE_PARAMETERS` it takes.

    :raises SourceError: It cannot be had, needs something else, or nobody can say which day it reads.
    """
    function = load_function(source.function)
    by_name = {name: one for name, one in _parameters(function).items() if one.kind is not Parameter.POSITIONAL_ONLY}
    takes_any = any(one.kind is Parameter.VAR_KEYWORD for one in by_name.values())
    takes = tuple(name for name in SOURCE_PARAMETERS if takes_any or name in by_name)
    needed = [name for name, one in _parameters(function).items() if _is_needed(one) and name not in takes]
    if needed:
        raise SourceError(
            f"function {source.function}: needs {', '.join(needed)}, but only {' and '.join(SOURCE_PARAMETERS)} "
            "are given, by name."
        )
    if "snapshot_date" not in takes and not source.current:
        raise SourceError(
            f"function {source.function}: does not take snapshot_date, so nobody can say which day it reads. "
            "Add the parameter, or write `current: true` and past days are refused."
        )
    return function, takes


def frame_function(name: str) -> Callable[..., Any]:
    """The function of predictive traits: it takes one frame.

    :raises SourceError: It cannot be had, or takes something else.
    """
    function = load_function(name)
    parameters = _parameters(function)
    positional = [
        p for p in parameters.values() if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    takes_one = bool(positional) or any(p.kind is Parameter.VAR_POSITIONAL for p in parameters.values())
    others = [p for p in parameters.values() if _is_needed(p) and p not in positional[:1]]
    if not takes_one or others:
        raise SourceError(f"function {name}: must take one argument, the frame of its inputs.")
    return function


def call(function: Callable[..., Any], *arguments: Any, what: str) -> Any:
    """What the user's `function` returns; what it raises is told by its class and the line in the user's file.

    :param what: Whose fault it is, for the error's beginning.
    :raises SourceUnavailableError: The function raised it; its words go on as they are.
    :raises DataError: The function raised anything else.
    """
    failure: DataError | SourceUnavailableError
    try:
        return function(*arguments)
    except SourceUnavailableError as error:
        failure = SourceUnavailableError(f"{what}: {error}")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a function raises whatever it likes
        failure = DataError(
            f"{what} failed with {type(error).__name__}{_place(error)}. "
            "Its message may quote values, so it is not shown; run the function by hand to see it."
        )
    # Outside the handler: the user's error must not be this error's context either.
    raise failure


def _is_needed(parameter: Parameter) -> bool:
    variadic = parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return parameter.default is Parameter.empty and not variadic


def _parameters(function: Callable[..., Any]) -> Mapping[str, Parameter]:
    """Its parameters; those of some that are written in C cannot be read."""
    try:
        return inspect.signature(function).parameters
    except (ValueError, TypeError):
        return {}


def _import_failure(name: str, module_name: str, error: BaseException) -> SourceError:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{module_name}.".startswith(f"{missing}."):
        return SourceError(
            f"function {name}: there is no module {missing}. It must be importable where tasks run: installed, or in "
            "Airflow's plugins folder."
        )
    cause = f"there is no module {missing}" if missing else type(error).__name__
    return SourceError(f"function {name}: {module_name} cannot be imported: {cause}{_place(error)}.")


def _place(error: BaseException) -> str:
    """The innermost line in the user's file, such as `` (churn.py, line 12)``; empty where there is none."""
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    foreign = [place for place in lines if place[0] not in (__file__, importlib.__file__)]
    foreign = [place for place in foreign if not place[0].startswith(_FROZEN)]
    if not foreign and isinstance(error, SyntaxError) and error.filename and error.lineno:
        foreign = [(error.filename, error.lineno)]
    if not foreign:
        return ""
    # Whatever is called first is the user's; what it calls itself may be anybody's.
    file = foreign[0][0]
    line = [line for name, line in foreign if name == file][-1]
    return f" ({Path(file).name}, line {line})"
