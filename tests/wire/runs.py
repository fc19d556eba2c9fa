"""Runs for the tests of the wire: a flow that does as its data say, documents, and how to read whole ones."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import memory
from daemon_process import LineClient, RunningDaemon, end_all
from torpor import wire

FLOW = '''
import asyncio
import pathlib

from torpord import Complete, Flow, Parallel, Retry

flow = Flow("toy", version=3)


@flow.state(initial=True)
async def work(run):
    """Be here `visits` times, then do what `then` says."""
    run.data["left"] = run.data.get("left", run.data.get("visits", 1)) - 1
    if run.data["left"] > 0:
        return work
    match run.data.get("then"):
        case "fail":
            if not pathlib.Path(run.data["mended"]).exists():
                raise ValueError("not mended")
        case "wait":
            run.progress(1, 3, "waiting")
            while not pathlib.Path(run.data["gate"]).exists():
                await asyncio.sleep(0.005)
        case "call":
            run.data["called"] = await run.call("tool", {"a": [1]}, lambda a: {"got": a})
        case "later":
            return Retry(after=3600)
        case "branches":
            return Parallel(("left", "right"), join=end)
        case "cached":
            return Complete([await run.cached(key) for key in run.data["keys"]])
        case "large":
            run.data["large"] = "x" * 20_000
        case "deep":
            value = []
            for _ in range(run.data["depth"]):
                value = [value]
            run.data["deep"] = value
            await run.call("tool", {"deep": value}, lambda deep: deep)
    return end


@flow.state
async def left(run):
    run.data["l"] = 1
    return end


@flow.state
async def right(run):
    run.data["r"] = await run.call("tool", {}, lambda: 2)
    return end


@flow.state
async def end(run):
    return Complete("done")
'''
TIMERS = '[lifecycle]\ndrowsy_after = "1h"\nsleep_after = "1h"\nmin_up = "0s"\n'


def flows(folder: Path, *names: str) -> str:
    """Write the toy flow into a folder; returns the settings that give it these names."""
    (folder / "toys.py").write_text(FLOW)
    return "".join(f'[flows.{name}]\npython = "toys:flow"\npath = "{folder}"\n' for name in names)


@contextmanager
def daemon_with_flows() -> Iterator[RunningDaemon]:
    """A daemon that has the toy flow as `toy` and `other`."""
    folder = Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder()))
    try:
        yield RunningDaemon.start(folder / "home", TIMERS + flows(folder, "toy", "other"))
    finally:
        end_all(folder / "home")
        shutil.rmtree(folder)


def start(line: LineClient, **data: Any) -> str:
    """Start a run of the toy flow, and return its id."""
    return str(line.call("run.start", flow="toy", data=data)["run_id"])


def ended(line: LineClient, run_id: str, status: str = "completed") -> dict[str, Any]:
    """Wait for its end, and return what `run.get` shows first."""
    line.call("wait", run_id=run_id, status=status, timeout_s=10)
    return line.call("run.get", run_id=run_id)


def pages(line: LineClient, method: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Give one page after the other."""
    cursor: dict[str, Any] = {}
    while True:
        page = line.call(method, **params, **cursor)
        yield page
        if page["cursor"] is None:
            return
        cursor = {"cursor": page["cursor"]}


def exported(line: LineClient, run_id: str) -> dict[str, Any]:
    """Return a run's whole document."""
    found = json.loads("".join(page["text"] for page in pages(line, "run.export", run_id=run_id)))
    assert isinstance(found, dict)
    return found


def imported(line: LineClient, document: Any, *, a_piece: int = 200_000) -> str:
    """Import a document in pieces, and return the run's id."""
    text = document if isinstance(document, str) else json.dumps(document)
    cursor: dict[str, Any] = {}
    while len(text) > a_piece:
        piece, text = text[:a_piece], text[a_piece:]
        cursor = line.call("run.import", text=piece, more=True, **cursor)
    return str(line.call("run.import", text=text, **cursor)["run_id"])


def version_1(**changes: Any) -> str:
    """Return a document as the older program wrote them: all of its fields, but for what is changed."""
    document = {
        "run_id": "run-2024-17",
        "session_id": "session-5",
        "status": "running",
        "purpose": "tidy the notes",
        "current_node": "end",
        "current_step": 7,
        "max_steps": 50,
        "data": {"notes": [1, 2], "title": "é"},
        "node_states": {"work": {"status": "completed", "attempts": 2}, "end": {"status": "running"}},
        "completed_nodes": ["work"],
        "action_history": [{"node": "work", "action": "fetch", "at": "2024-05-01T10:00:01Z"}],
        "started_at": "2024-05-01T10:00:00+00:00",
        "updated_at": "2024-05-01T10:05:00+00:00",
        "finished_at": None,
        "tool_results_cache": {"fetch:1": {"text": "found"}, "fetch:2": [1, 2]},
        "heuristic_count_at_checkpoint": 3,
        "experience_count_at_checkpoint": 4,
        "metadata": {"who": "the older one"},
        "version": 1,
    }
    return json.dumps({**document, **changes})


def refusal(line: LineClient, method: str, **params: Any) -> tuple[str, Any]:
    """Return the name and the field of a refusal."""
    error = line.ask(method, **params)["error"]
    assert error["code"] == wire.ERROR_CODES[error["data"]["name"]]
    assert len(error["message"]) < 1000
    return error["data"]["name"], error["data"].get("field")
