"""Workers for tests: started from a flow's text or a spec, and none of them left."""

from __future__ import annotations

import pathlib
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flows.worker_end import WorkerEnd

HEAD = """
import asyncio, os, subprocess, sys, time
from torpord import Complete, Failed, Flow, Parallel, Retry, Run
flow = Flow("given")
"""

Start = Callable[..., WorkerEnd]


@pytest.fixture
def worker(tmp_path: pathlib.Path) -> Iterator[Start]:
    """Start a worker: `worker(text)` of a module whose `flow` is run, or `worker(spec={...})`."""
    started: list[WorkerEnd] = []

    def start(text: str = "", *, spec: dict[str, Any] | None = None, head: str = HEAD, **hello: Any) -> WorkerEnd:
        (tmp_path / "given.py").write_text(head + textwrap.dedent(text))
        spec = spec or {"name": "given", "python": "given:flow", "path": str(tmp_path)}
        started.append(WorkerEnd(tmp_path / f"work{len(started)}", spec, **hello))
        return started[-1]

    yield start
    for each in started:
        each.close()
