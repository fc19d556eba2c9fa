"""Runs, their steps and their records in words, each on one line."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from torpor import durations
from torpor import home as homes
from torpor.cli import streams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torpor.run_replies import Run

_KEY_CHARS = 13  # of a call's key, which the record of its end has instead of a name
_FEWEST_CHARS = 40  # of an error, however narrow the terminal
_TEXT_CHARS = 160  # of a message or a value in a line for people; --json has all of it


def one_line(text: object, most: int = _TEXT_CHARS) -> str:
    """Return `text` on one line without control characters: what runs say is not to move a terminal's cursor."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def value(found: object) -> str:
    """Return a JSON value on one line."""
    return one_line(json.dumps(found, ensure_ascii=False))


def place(found: Mapping[str, Any], among: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return where a branch stands: its state, and what is not the first of its kind: visit, attempt, branch.

    `among`: all that are told beside it. Where one Parallel is open, a branch needs no more than its own name.
    """
    more = [f"{name} {found[name]}" for name in ("visit", "attempt") if (found.get(name) or 1) > 1]
    branch = _branch(str(found.get("branch") or ""), among)
    beginning = "the initial state" if found.get("status", "ready") == "ready" else "the beginning"
    state = str(found.get("state") or branch or beginning)
    if branch not in ("", state):  # else it is in the state that it is named after
        more.append(f"in {one_line(branch)}")
    return f"{one_line(state)} ({', '.join(more)})" if more else one_line(state)


def _branch(name: str, among: Sequence[Mapping[str, Any]]) -> str:
    named = {str(each["branch"]) for each in among if each.get("branch")}
    is_only = name in named and len({each.rpartition("/")[0] for each in named}) == 1
    return name.rpartition("/")[2] if is_only else name


def error(found: Mapping[str, Any], most: int = _TEXT_CHARS) -> str:
    """Return an error's type and the first line of its message."""
    kind, message = found.get("type") or found.get("error_type"), str(found.get("message") or "").strip()
    first, *more = message.splitlines() or [""]
    told = f"{kind}: {first}" if kind and first else kind or first or "no reason given"
    return one_line(f"{told} …" if more else told, most)


def took(found: Mapping[str, Any]) -> str:
    """Return what a step took: time, CPU time, the worker's peak memory; what is not known is left out."""
    told = []
    if found.get("duration_s") is not None:
        told.append(durations.show(found["duration_s"]) if found["duration_s"] >= 1 else f"{found['duration_s']:.3f}s")
    if found.get("cpu_s") is not None:
        told.append(f"cpu {found['cpu_s']:.2f}s")
    if found.get("peak_rss_bytes") is not None:
        told.append(f"peak {found['peak_rss_bytes'] / 1e6:.0f} MB")
    return ", ".join(told)


def goes_on(following: Sequence[Any], among: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return where a step led: names of states, or places."""
    return ", ".join(place(each, among) if isinstance(each, dict) else one_line(each) for each in following)


def ended(run: Run, home: str) -> str:
    """Return how a run ended, and what there is to do about it with the daemon of `home`."""
    name = f"{run['flow'] or 'a run without a flow'} {run['run_id']}"
    told, lived_s = steps(run["steps"]), lived(run)
    if lived_s is not None:
        told = f"{told}, {durations.show(lived_s)}"
    match run["status"]:
        case "completed":
            return f"{name} completed: {told}"
        case "failed":
            found = run["error"] or {"type": "", "message": run["reason"] or "no reason given"}
            where = f" in {place(found)}" if found.get("state") else ""
            retry = homes.command(f"torpor runs retry {run['run_id']}", home)
            told, then = f"{name} failed{where}", f"`{retry}` goes on from there"
            # What is to be done next is never cut off: what the error says gets the room beside it.
            room = (streams.columns() or _TEXT_CHARS * 2) - len(f"{told}: : {then}")
            return f"{told}: {error(found, min(max(room, _FEWEST_CHARS), _TEXT_CHARS))}: {then}"
        case status:
            why = f": {one_line(run['reason'])}" if run["reason"] else ""
            return f"{name} {status}{why}"


def steps(count: object) -> str:
    """Return how many steps there were."""
    return counted(count, "step")


def counted(count: object, of: str) -> str:
    """Return a number of things: "1 state", "2 states"."""
    return f"{count} {of}{'' if count == 1 else 's'}"


def lived(run: Run) -> float | None:
    """Return the seconds from a run's start to its end; None where it has not had both."""
    if run["started_ts"] is None or run["ended_ts"] is None:
        return None
    return (datetime.fromisoformat(run["ended_ts"]) - datetime.fromisoformat(run["started_ts"])).total_seconds()


def record(kind: str, data: Mapping[str, Any], among: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return what a ledger's record says of a run, without the kind and the run's id; "" where that is all it says.

    `among`: the places of the run, as far as they are known.
    """
    match kind:
        case "run_created":
            purpose = f", {one_line(data['purpose'])}" if data.get("purpose") else ""
            at = f" at {one_line(data['state'])}" if data.get("state") else ""
            return f"{data.get('flow')}{at}{purpose}"
        case "run_imported":
            run = data.get("run") or {}
            return f"{run.get('flow') or 'without a flow'}, {run.get('status')}"
        case "flow_loaded":
            return f"version {data.get('version')}, {counted(data.get('states'), 'state')}"
        case "step_started":
            return place(data, among)
        case "step_ended":
            led = f" -> {goes_on(data['next'], among)}" if data.get("next") else ""
            return f"{place(data, among)}: {data.get('outcome')}{led}; {took(data)}"
        case "step_failed":
            again = "" if data.get("retry_in_s") is None else f"again in {durations.show(data['retry_in_s'])}"
            if again and data.get("how") == "retry":  # it asked for that, and nothing has failed
                return f"{place(data, among)}: {again}"
            failed = f"{place(data, among)}: {data.get('how') or 'failed'}: {error(data)}"
            return f"{failed}; {again}" if again else failed
        case "call_begun" | "call_ended":
            outcome = "" if kind == "call_begun" else " done" if data.get("ok") else " failed"
            what = one_line(data["tool"]) if data.get("tool") else f"call {one_line(data.get('key'), _KEY_CHARS)}"
            return f"{place(data, among)}: {what}{outcome}"
        case "run_joined":
            return place({**data, "branch": ""})
        case "run_completed":
            return steps(data.get("steps"))
        case "run_failed":
            found = data.get("error") or {}
            return f"{place(found, among)}: {error(found)}" if found.get("state") else error(found)
        case _:
            return _rest(data, among)


def _rest(data: Mapping[str, Any], among: Sequence[Mapping[str, Any]]) -> str:
    where = f"{place(data, among)}: " if data.get("state") and "attempt" in data else ""
    told = data.get("reason") or data.get("why") or data.get("how")
    if told:
        return f"{where}{one_line(told)}"
    left = {name: each for name, each in data.items() if name in ("flow", "state", "worker") and each}
    return ", ".join(f"{name} {one_line(each)}" for name, each in left.items())
