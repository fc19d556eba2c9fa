"""`[flows.NAME]`: read into specs, the plain mappings from which a worker builds a flow.

A spec is `{"name", "python", "path"}`, or `{"name", "steps": [{"name", "command", "cwd", "env", "timeout_s", "retries",
"next", "parallel", "join"}]}` with null for what a step does not say, or `{"name", "builtin": true}`. A step's `next`
that is null is the step behind it in the list, and after the last one the flow is complete; the branches of a parallel
have theirs filled in here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from torpord.config import graph, values
from torpord.config.values import BadValueError, FaultError, Place

# A spec goes to its worker in one line, with the run's data beside it (MAX_PIPE_LINE_BYTES is 4 MiB).
MAX_SPEC_BYTES = 2 * 2**20
MAX_RETRIES = 1000

_WORD = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PYTHON = re.compile(f"{_WORD}:{_WORD}")
# What a step's command is told by; a value of the settings would be lost without a word.
_TOLD = frozenset(f"TORPOR_{what}" for what in ("RUN_ID", "STEP", "ATTEMPT", "KEY", "DATA", "OUTPUT"))
_FLOW_KEYS = ("path", "python", "steps")


def read(body: Any, folder: Path, builtin: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return all flows by name, the built-in among them. `folder`: what paths are relative to. Raises FaultError."""
    if not isinstance(body, dict):
        raise FaultError(("flows",), f"flows = {body!r} is not a table of flows: write [flows.NAME]")
    for name in body:
        if name in builtin:
            raise FaultError(("flows", name), f"flows.{name}: this name belongs to the built-in flow: choose another")
    return {**builtin, **{name: _flow(name, each, folder) for name, each in body.items()}}


def _flow(name: str, body: Any, folder: Path) -> Mapping[str, Any]:
    at: Place = ("flows", name)
    try:
        values.name(name)
    except BadValueError as bad:
        raise FaultError(at, f"flows: {name!r} is not {bad}") from bad
    if not isinstance(body, dict):
        raise FaultError(at, f'flows.{name} = {body!r} is not a table with python = "module:flow", or with steps')
    _known(body, _FLOW_KEYS, at, f"flow {name}")
    if ("python" in body) == ("steps" in body):
        found = "both python and steps" if "python" in body else "neither python nor steps"
        raise FaultError(at, f"flow {name} has {found}: a flow is one of the two")
    if "path" in body and "python" not in body:
        raise FaultError(
            (*at, "path"), f"flow {name}: path = {body['path']!r} belongs to python: a command has its cwd"
        )
    if "python" in body:
        python = _value(body, "python", _python, at, f"flow {name}")
        path = _value(body, "path", _place(folder), at, f"flow {name}") if "path" in body else None
        return {"name": name, "python": python, "path": path}
    spec = {"name": name, "steps": _steps(name, body["steps"], folder)}
    size = len(orjson.dumps(spec))
    if size > MAX_SPEC_BYTES:
        raise FaultError(
            at, f"flow {name} takes {size} bytes, the limit is {MAX_SPEC_BYTES}: keep long commands in files"
        )
    return spec


def _steps(flow: str, body: Any, folder: Path) -> list[dict[str, Any]]:
    at: Place = ("flows", flow, "steps")
    if not isinstance(body, list) or not body or not all(isinstance(each, dict) for each in body):
        raise FaultError(at, f"flow {flow}: steps = {body!r} is not a list of steps: write [[flows.{flow}.steps]]")
    steps = [_step(flow, index, each, folder) for index, each in enumerate(body)]
    return graph.checked(flow, steps)


def _step(flow: str, index: int, body: dict[str, Any], folder: Path) -> dict[str, Any]:
    at: Place = ("flows", flow, "steps", index)
    if "name" not in body:
        raise FaultError(at, f"flow {flow}, step {index + 1} has no name")
    name = _value(body, "name", values.name, at, f"flow {flow}, step {index + 1}")
    who = f"flow {flow}, step {name}"
    readers: Mapping[str, Callable[[Any], Any]] = {
        "name": values.name,
        "command": _command,
        "cwd": _place(folder),
        "env": _env,
        "timeout": _timeout,
        "retries": values.whole_number(MAX_RETRIES),
        "next": _step_name,
        "parallel": values.names,
        "join": _step_name,
    }
    _known(body, tuple(readers), at, who)
    said = {key: _value(body, key, readers[key], at, who) for key in body}
    _one_kind(said, at, who)
    step = {key: said.get(key) for key in readers}
    timeout_s = step.pop("timeout")
    return {**step, "timeout_s": timeout_s, "env": step["env"] or {}, "retries": step["retries"] or 0}


def _one_kind(said: Mapping[str, Any], at: Place, who: str) -> None:
    """See to it that a step is either a command or a parallel, whole."""
    if ("command" in said) == ("parallel" in said):
        found = "both command and parallel" if "command" in said else "neither command nor parallel"
        raise FaultError(at, f"{who} has {found}: a step is one of the two")
    if "join" in said and "parallel" not in said:
        raise FaultError((*at, "join"), f"{who}: join = {said['join']!r} belongs to parallel: a command has next")
    if "parallel" in said:
        if "join" not in said:
            raise FaultError(at, f"{who}: parallel = {said['parallel']!r} has no join: name the step that follows them")
        for key in ("next", "cwd", "env", "timeout", "retries"):
            if key in said:
                hint = "parallel goes on at its join" if key == "next" else "parallel runs nothing of its own"
                raise FaultError((*at, key), f"{who}: {key} = {said[key]!r} belongs to a command: {hint}")


def _known(body: Mapping[str, Any], keys: tuple[str, ...], at: Place, who: str) -> None:
    for key, value in body.items():
        if key not in keys:
            known = ", ".join(sorted(keys))
            raise FaultError((*at, key), f"{who}: unknown key {key} = {value!r}; known here: {known}")


def _value(body: Mapping[str, Any], key: str, read_it: Callable[[Any], Any], at: Place, who: str) -> Any:
    try:
        return read_it(body[key])
    except BadValueError as bad:
        raise FaultError((*at, key), f"{who}: {key} = {body[key]!r} is not {bad}") from bad


def _python(value: Any) -> str:
    if not isinstance(value, str) or not _PYTHON.fullmatch(value):
        raise BadValueError('a module and the flow in it: "module:flow"')
    return value


def _place(folder: Path) -> Callable[[Any], str]:
    def read_it(value: Any) -> str:
        if not isinstance(value, str) or not value or "\0" in value:
            raise BadValueError("a path: absolute, from ~, or relative to the folder of the settings")
        try:
            # Not made shorter: behind a symlink ".." is another place than it looks.
            return str((folder / Path(value).expanduser()).absolute())
        except RuntimeError as error:
            raise BadValueError("a path: nothing tells where that home is") from error

    return read_it


def _command(value: Any) -> str | list[str]:
    read_it = values.command(value)
    return read_it if isinstance(read_it, str) else list(read_it)


def _env(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) and "\0" not in text for text in value.values()):
        raise BadValueError('a table of strings: { LANG = "C" }')
    for name in value:
        if not name or "=" in name or "\0" in name:
            raise BadValueError(f"a table of environment variables: {name!r} cannot be the name of one")
        if name in _TOLD:
            raise BadValueError(f"for a step: {name} is what the step itself is told by")
    return value


def _timeout(value: Any) -> float:
    timeout_s = values.duration(value)
    if not timeout_s:
        raise BadValueError("longer than nothing: leave it out for no limit")
    return timeout_s


def _step_name(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValueError("the name of a step")
    return value
