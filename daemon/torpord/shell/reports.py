"""What a worker's lines mean: each is checked to be what the protocol of the pipe says, and becomes an event.

The code in a worker is not ours: whatever it may have done to the pipe, nothing of a wrong type gets past this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from torpord.core import run_events as re
from torpord.core.nesting import is_too_deep

CAUSE = {"source": "worker"}
# What looking into a value that is not of its type may raise.
_MISFITS = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
# No run enters a state so often; SQLite would take some more, and then none.
_MOST = 2**53


class NonsenseError(Exception):
    """A line that the protocol of the pipe does not have."""


def event(message: Mapping[str, Any], run_id: str, worker: int, output: str, draw: float) -> re.WorkerEvent:
    """Return the event of a report. `output`: what the worker said lately, for a failure. Raises NonsenseError."""
    whose: tuple[Any, str, int] = (CAUSE, run_id, worker)
    try:
        match message["t"]:
            case "loaded":
                states = frozenset(_is(name, str) for name in _is(message["states"], dict))
                return re.WorkerLoaded(*whose, _count(message["version"]), _is(message["initial"], str), states)
            case "unloadable":
                return re.WorkerCannotLoad(*whose, _error(message["error"]))
            case "ended":
                return _ended(whose, message, output, draw)
            case "joined":
                return _joined(whose, message)
            case "call" | "called":
                return _call(whose, message)
            case other:
                raise NonsenseError(f"there is no message {other!r}")
    except _MISFITS as error:
        raise NonsenseError(f"a {str(message.get('t'))[:20]!r} that is none: {error!r}"[:500]) from error


def parsed(line: bytes) -> Mapping[str, Any]:
    """Parse a line. Raises NonsenseError."""
    try:
        message = orjson.loads(line)
        return {**_is(message, dict), "t": _is(message["t"], str)}
    except _MISFITS as error:
        raise NonsenseError(f"a line that is no message: {line[:100]!r}") from error


def version(message: Mapping[str, Any]) -> str:
    """Return the version of an `outdated`. Raises NonsenseError."""
    try:
        return str(_is(message["version"], str))[:100]
    except _MISFITS as error:
        raise NonsenseError(f"a version that is none: {error!r}"[:500]) from error


def attempt(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return which attempt a message is about."""
    names = {name: _is(message[name], str) for name in ("branch", "state")}
    return {**names, **{name: _count(message[name]) for name in ("visit", "attempt")}}


def limits(message: Mapping[str, Any]) -> dict[str, tuple[int, float | None]]:
    """Return, by state, the retries and the time of the states of a `loaded`. Raises NonsenseError."""
    try:
        return {
            name: (
                _count(state["retries"]),
                None if state["timeout_s"] is None else float(_is(state["timeout_s"], int | float)),
            )
            for name, state in message["states"].items()
        }
    except _MISFITS as error:
        raise NonsenseError(f"states that are none: {error!r}") from error


def progress(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how far a branch is, for people. Raises NonsenseError."""
    try:
        # A NaN has come as null.
        done, of = (value if isinstance(value := message[name], int | float) else None for name in ("done", "of"))
        return {"branch": _is(message["branch"], str), "done": done, "of": of, "note": str(message["note"])[:200]}
    except _MISFITS as error:
        raise NonsenseError(f"a progress that is none: {error!r}"[:500]) from error


def _is(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{str(value)[:100]!r} is not what belongs there")
    return value


def _count(value: Any) -> int:
    if not 0 <= _is(value, int) <= _MOST:
        raise ValueError(f"{value} is no count")
    return int(value)


def _error(error: Any) -> dict[str, str]:
    return {name: _is(error[name], str) for name in ("type", "message", "traceback")}


def _texts(patch: Any) -> dict[str, str]:
    return {key: _text(value) for key, value in _is(patch, dict).items()}


def _text(value: Any) -> str:
    text = orjson.dumps(value).decode()
    if is_too_deep(value, text):
        raise ValueError("it is too deep")
    return text


def _removed(message: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_is(key, str) for key in _is(message.get("removed", []), list))


def _figure(value: Any) -> float | None:
    if value is None:
        return None
    if not 0 <= _is(value, int | float) <= _MOST:
        raise ValueError(f"{value} is no figure")
    return round(float(value), 6)


def _ended(whose: tuple[Any, str, int], message: Mapping[str, Any], output: str, draw: float) -> re.StepReported:
    outcome = _outcome(_is(message["outcome"], dict))
    peak = _figure(message["peak_rss_bytes"])
    return re.StepReported(
        *whose,
        **attempt(message),
        outcome=outcome,
        duration_s=_figure(message["duration_s"]) or 0.0,
        cpu_s=_figure(message["cpu_s"]),
        peak_rss_bytes=None if peak is None else int(peak),
        set_=_texts(message.get("set", {})),
        removed=_removed(message),
        result=_text(outcome["complete"]) if "complete" in outcome else "null",
        output=output if "failed" in outcome else "",
        timed_out=message["outcome"].get("timed_out") is True,
        draw=draw,
    )


def _outcome(outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    match outcome:
        case {"next": next_, "visit": visit}:
            return {"next": _is(next_, str), "visit": _count(visit)}
        case {"complete": result}:
            return {"complete": result}
        case {"parallel": [_, *_] as branches, "join": join}:
            parts = [{"branch": _is(b["branch"], str), "state": _is(b["state"], str)} for b in branches]
            if len({part["branch"] for part in parts} | {""}) <= len(parts):
                raise ValueError("two branches of one name")
            return {"parallel": parts, "join": _is(join, str)}
        case {"failed": error, "retries": retries}:
            return {"failed": _error(error), "retries": _count(retries)}
        case {"retry_after_s": after_s}:
            return {"retry_after_s": min(366 * 86_400.0, max(0.0, float(_is(after_s, int | float))))}
        case _:
            raise ValueError(f"an outcome that is none: {str(outcome)[:100]}")


def _joined(whose: tuple[Any, str, int], message: Mapping[str, Any]) -> re.JoinReported:
    error = None
    if "conflict" in message:
        one, other = (_is(name, str) for name in message["conflict"]["branches"])
        key = _is(message["conflict"]["key"], str)
        told = f"the branches {one} and {other} wrote different values under {key!r}"
        told += ": let one of them alone write it, and start a new run"
        error = {"type": "MergeConflict", "message": told, "traceback": ""}
    elif "failed" in message:
        error = _error(message["failed"])
    if error is not None:
        return re.JoinReported(*whose, error=error)
    return re.JoinReported(*whose, _count(message["visit"]), _texts(message["set"]), _removed(message))


def _call(whose: tuple[Any, str, int], message: Mapping[str, Any]) -> re.CallReported:
    ok = None if message["t"] == "call" else _is(message["ok"], bool)
    value = message["args"] if ok is None else message["result"] if ok else _error(message["error"])
    tool = _is(message["tool"], str) if ok is None else ""
    return re.CallReported(
        *whose, **attempt(message), key=_is(message["key"], str), tool=tool, ok=ok, value=_text(value)
    )
