"""runs show: one run with its history, on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torpor import home as homes
from torpor import wire
from torpor.cli import bars, failures, run_names, run_words, show
from torpor.client import Client

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from torpor.run_replies import RunCall, RunPage, RunStep, WholeRun

_CYCLE = "sleep cycle"  # also the purpose that the daemon gives to one
_LABEL_COLUMNS = 12  # before what is told of a run
_ERROR_COLUMNS = 6  # before what is told of a step that failed


def show_run(args: argparse.Namespace) -> int:
    """Show a run; with --json all that `run.get` says, its pages put together."""
    with Client(args.home, timeout=args.timeout) as client:
        page = run_names.ask_of(client, args.run, client.run_get)
        run_id, steps, calls = page["run"]["run_id"], page["steps"], page["calls"]
        while page["cursor"] is not None:
            page = client.run_get(run_id, page["cursor"])
            steps += page["steps"]
            calls += page["calls"]
    whole: RunPage = {"run": page["run"], "steps": steps, "calls": calls, "cursor": None}
    show.say(args, "\n".join(_page(whole, client.home)), {"run": page["run"], "steps": steps, "calls": calls})
    return wire.EX_OK


def _page(found: RunPage, home: str) -> Iterator[str]:
    run = found["run"]
    yield from bars.lines(run)
    for name, told in _about(run).items():
        if told:
            yield f"  {name:<9} {told}"
    if run["error"] is not None:
        yield from _error(found)
    for name, each in run["data"].items():
        yield f"  data      {run_words.one_line(name)} = {run_words.value(each)}"
    for name, size in run["data_omitted"].items():
        export = homes.command(f"torpor runs export {run['run_id']}", home)
        yield f"  data      {run_words.one_line(name)}: {size} bytes, `{export}` has them"
    if found["steps"]:
        yield "steps"
        yield from _steps(found["steps"])
    if found["calls"]:
        yield "calls"
        yield from (f"  {_call(call, found['steps'])}" for call in found["calls"])


def _about(run: WholeRun) -> dict[str, str]:
    """Return what is known of a run as a whole, by the word before it."""
    version = "" if run["version"] is None else f"version {run['version']} of {run['flow']}"
    return {
        "purpose": run_words.one_line(run["purpose"] or "") if run["purpose"] != _CYCLE else "",
        "session": run_words.one_line(run["session_id"] or ""),
        "kind": ", ".join(
            word
            for word, holds in ((_CYCLE, run["cycle"] or run["purpose"] == _CYCLE), ("imported", run["legacy"]))
            if holds
        ),
        "flow": version,
        "created": show.moment(run["created_ts"]),
        "started": show.moment(run["started_ts"]) if run["started_ts"] else "",
        "ended": show.moment(run["ended_ts"]) if run["ended_ts"] else "",
        "worker": f"pid {run['worker_pid']}" if run["worker_pid"] else "",
        "metadata": run_words.value(run["metadata"]) if run["metadata"] else "",
        "result": "" if run["result"] is None else run_words.value(run["result"]),
    }


def _error(found: RunPage) -> Iterator[str]:
    """Yield what the run failed with: in one line where a step below tells it whole."""
    error: Any = found["run"]["error"]
    where = f"in {run_words.place(error, found['steps'])}: " if error.get("state") else ""
    if any(step["error"] is not None and step["error"]["message"] == error["message"] for step in found["steps"]):
        yield f"  error     {where}{run_words.error(error)}"
        return
    first, *more = failures.message(error, " " * _LABEL_COLUMNS, where)
    yield f"  error     {first.lstrip()}"
    yield from more


def _steps(steps: list[RunStep]) -> Iterator[str]:
    width = max(len(run_words.place(step, steps)) for step in steps)
    failed: RunStep | None = None
    for step in steps:
        led = f" -> {run_words.goes_on(step['next'])}" if step["next"] else ""
        told = f"  {run_words.place(step, steps):{width}}  {step['outcome']}{led}"
        yield f"{told}  {run_words.took(step)}".rstrip()
        if step["error"] is not None:
            yield from failures.of_step(step, failed, " " * _ERROR_COLUMNS)
            failed = step


def _call(call: RunCall, steps: list[RunStep]) -> str:
    told = f"{run_words.one_line(call['tool'])} {run_words.value(call['args'])} in {run_words.place(call, steps)}"
    match call["status"]:
        case "done":
            return f"{told}: {run_words.value(call['result'])}"
        case "failed":
            found = call["error"]
            return f"{told}: failed: {run_words.error(found) if isinstance(found, dict) else run_words.one_line(found)}"
        case _:
            return f"{told}: begun, and without an outcome"
