"""runs: begin runs, list them, and steer them."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

from torpor import home as homes
from torpor import wire
from torpor.cli import bars, run_names, run_words, show, streams
from torpor.cli.parsing import UsageError
from torpor.client import Client

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from torpor.run_replies import Run, RunIs

_CALL_LIMIT_S = 30.0
_AT_REST = ("forked", "at_join")  # of a branch: others go on for it


def ls(args: argparse.Namespace) -> int:
    """List the newest runs."""
    with Client(args.home, timeout=args.timeout) as client:
        found = run_names.every(client, status=args.status, flow=args.flow)
        runs = list(itertools.islice(found, args.limit or None))
        is_more = next(found, None) is not None
    if args.json:
        show.print_json({"runs": runs, "more": is_more})
        return wire.EX_OK
    rows = [_row(run) for run in runs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        print(streams.fitted(line))
    if is_more:
        print(f"there are older ones: `{homes.command('torpor runs ls --limit 0', client.home)}` lists all")
    if not rows:
        begin = homes.command("torpor runs start FLOW", client.home)
        print("no runs" if args.status or args.flow else f"no runs yet: `{begin}` begins one")
    return wire.EX_OK


def _row(run: Run) -> tuple[str, ...]:
    age = show.ago(run["ended_ts"] or run["started_ts"] or run["created_ts"])
    return run["run_id"], run["flow"] or "?", run["status"], run_words.steps(run["steps"]), age, _where(run)


def _where(run: Run) -> str:
    """Return what there is to say about where a run is."""
    if run["error"] is not None:
        return run_words.error(run["error"])
    waits = bars.waits_until(run)
    if run["reason"]:
        return run_words.one_line(run["reason"])
    if run["status"] in wire.ENDED_RUN_STATUSES:
        return ""
    at = [run_words.place(each, run["places"]) for each in run["places"] if each["status"] not in _AT_REST]
    return run_words.one_line(", ".join(each for each in (waits, f"at {', '.join(at)}" if at else "") if each))


def start(args: argparse.Namespace) -> int:
    """Begin a run; with --follow or --wait stay until it has ended."""
    data = None if args.data is None else _object(args.data, "--data")
    metadata = None if args.metadata is None else _object(args.metadata, "--metadata")
    with Client(args.home, timeout=_CALL_LIMIT_S if args.timeout is None else args.timeout) as client:
        begun = client.run_start(
            args.flow,
            data,
            state=args.state,
            purpose=args.purpose,
            session_id=args.session,
            max_steps=args.max_steps,
            metadata=metadata,
            key=args.key,
        )
    if not args.follow and not args.wait:
        show.say(args, f"{begun['run_id']}: {begun['status']}", begun)
        return wire.EX_OK
    from torpor.cli import follow  # noqa: PLC0415 - asyncio, only where it is wanted

    return follow.until_ended(args, begun["run_id"], is_shown=args.follow)


def _object(written: str, option: str) -> dict[str, Any]:
    """Return the JSON object that an option means. Raises UsageError."""
    text, source = written, option
    if written.startswith("@"):
        source = written[1:]
        text = read_text(source)
    return json_object(text, source)


def read_text(name: str) -> str:
    """Return what is in a file, or `-` for standard input. Raises UsageError with "bad data"."""
    try:
        if name == "-":
            return sys.stdin.read()
        with open(name, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {name or 'a file without a name'}: {problem}", wire.EX_DATAERR) from error


def json_object(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object in `text`. Raises UsageError with "bad data"."""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # the latter where it nests deeper than Python counts
        raise UsageError(f"what is in {source} is no JSON: {error}", wire.EX_DATAERR) from error
    if not isinstance(found, dict):
        raise UsageError(f"what is in {source} is JSON, and no object: write {{...}}", wire.EX_DATAERR)
    return found


def _no_number(written: str) -> float:
    raise ValueError(f"{written} is no JSON number")


def pause(args: argparse.Namespace) -> int:
    """Stop a run after the step it is in."""
    return _steered(args, lambda client, run_id: client.run_pause(run_id), still="it pauses after the step it is in")


def resume(args: argparse.Namespace) -> int:
    """Let a paused run go on."""
    return _steered(args, lambda client, run_id: client.run_resume(run_id, flow=args.flow, state=args.state))


def cancel(args: argparse.Namespace) -> int:
    """End a run now."""
    return _steered(args, lambda client, run_id: client.run_cancel(run_id), still="its step is being ended")


def retry(args: argparse.Namespace) -> int:
    """Let a failed run go on."""
    return _steered(args, lambda client, run_id: client.run_retry(run_id))


def remove(args: argparse.Namespace) -> int:
    """Forget a run."""
    return _steered(args, lambda client, run_id: client.run_remove(run_id), done="removed")


def _steered(
    args: argparse.Namespace, order: Callable[[Client, str], RunIs], *, still: str = "", done: str = ""
) -> int:
    """Give an order to the run that is meant, and say what came of it; `still`: where it runs on for now."""
    with Client(args.home, timeout=args.timeout) as client:
        found = run_names.ask_of(client, args.run, lambda run_id: order(client, run_id))
    told = done or found["status"]
    if still and found["status"] == "running":
        told = f"{told}, {still}"
    show.say(args, f"{found['run_id']}: {told}", found)
    return wire.EX_OK
