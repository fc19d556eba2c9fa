"""What can be run, for people to look at: each flow of the settings, loaded, checked and laid out."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torpord.flows.api import Flow, State
from torpord.flows.errors import FlowError
from torpord.flows.exits import Exits, Fork
from torpord.flows.graph import graph
from torpord.flows.loader import BUILTIN, Spec, load


def kind(spec: Spec) -> str:
    """Return how a flow is written: "builtin", "commands" or "python"."""
    return "builtin" if spec.get("builtin") else "commands" if "steps" in spec else "python"


def where(spec: Spec) -> str:
    """Return where a flow is written."""
    match kind(spec):
        case "builtin":
            return BUILTIN
        case "commands":
            return "the settings"
    return str(spec["python"]) + (f" in {spec['path']}" if spec.get("path") else "")


def opened(spec: Spec) -> Flow:
    """Load a flow as a worker would, but leave this process as it was. Raises FlowError.

    What the author's code says while it is imported goes to standard error: the output is for what was asked.
    """
    path, modules = list(sys.path), set(sys.modules)
    try:
        with _said_to_stderr():
            return load(spec)
    finally:
        sys.path[:] = path
        # Another flow's folder may have a module of the same name. What is installed stays: some load only once.
        for name in set(sys.modules) - modules:
            if spec.get("path") and _is_under(getattr(sys.modules[name], "__file__", None), spec["path"]):
                del sys.modules[name]


def listed(specs: Mapping[str, Spec]) -> list[dict[str, Any]]:
    """Return a line for each flow: name, kind, where, and the error that keeps it from running (null: none)."""
    return [
        {"name": name, "kind": kind(spec), "where": where(spec), "error": error(spec)} for name, spec in specs.items()
    ]


def error(spec: Spec) -> str | None:
    """Return what is wrong with a flow; None if it can run."""
    try:
        opened(spec)
    except FlowError as found:
        return str(found)
    return None


def shown(spec: Spec, flow: Flow) -> dict[str, Any]:
    """Return a flow's page, as JSON."""
    leads = graph(flow)
    return {
        "name": spec["name"],
        "version": flow.version,
        "kind": kind(spec),
        "where": where(spec),
        "initial": flow.initial,
        "states": [_state(state, leads[state.name]) for state in flow.states.values()],
        "error": None,
    }


def broken(spec: Spec, problem: str) -> dict[str, Any]:
    """Return the page of a flow that cannot be loaded."""
    page = {"name": spec["name"], "version": None, "kind": kind(spec), "where": where(spec), "initial": None}
    return {**page, "states": [], "error": problem}


def _state(state: State, leads: Exits) -> dict[str, Any]:
    forks = [[list(fork.branches or ()), fork.join] for fork in leads.forks]
    return {
        "name": state.name,
        "next": leads.next,
        "parallel": forks[0] if forks else None,
        "parallels": forks,  # a state may return one or the other
        "completes": leads.completes,
        "anywhere": leads.anywhere,
        "retries": state.retries,
        "timeout_s": state.timeout_s,
        "doc": state.doc,
    }


def list_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the list for people."""
    width = max((len(line["name"]) for line in lines), default=0)
    text = []
    for line in lines:
        text.append(f"{line['name']:<{width}}  {line['kind']:<8}  {line['where']}")
        text += [f"    {problem}" for problem in (line["error"] or "").splitlines()]
    return "\n".join(text)


def page_text(flow: Flow, spec: Spec) -> str:
    """Return a flow's page for people."""
    leads = graph(flow)
    lines = [f"{spec['name']}  version {flow.version}  {kind(spec)}  {where(spec)}"]
    for state in flow.states.values():
        marks = [*(["initial"] if state.initial else []), *([f"retries {state.retries}"] if state.retries else [])]
        marks += [f"timeout {state.timeout_s:g} s"] if state.timeout_s else []
        to = ", ".join(_ways(leads[state.name])) or "nowhere: it can only fail"
        lines.append(f"  {state.name}" + (f" ({', '.join(marks)})" if marks else "") + f" -> {to}")
        lines += [f"      {state.doc}"] if state.doc else []
    return "\n".join(lines)


def _ways(leads: Exits) -> Iterator[str]:
    yield from leads.next
    yield from (_fork_text(fork) for fork in leads.forks)
    if leads.completes:
        yield "complete"
    if leads.anywhere:
        yield "anywhere (what it returns cannot be read: declare it with to=)"


def _fork_text(fork: Fork) -> str:
    return f"({' | '.join(fork.branches or ('anywhere',))}) joined at {fork.join or 'anywhere'}"


@contextlib.contextmanager
def _said_to_stderr() -> Iterator[None]:
    """Lead standard output to standard error, also what is written past Python."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _is_under(file: str | None, folder: str) -> bool:
    return file is not None and Path(file).is_relative_to(folder)
