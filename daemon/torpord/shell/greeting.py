"""The first line to a worker: all that it is told of its run before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

import torpor
from torpord.core.runs import MAIN, Run
from torpord.host.worker_pipe import MAX_UNSENT_BYTES
from torpord.store import runs as rows


class TooMuchError(Exception):
    """The run carries more than a worker can be told: the fault of its branches, each of which is within its bound."""


def greeting(run: Run, spec: Mapping[str, Any], found: rows.Resumption, work_dir: Path) -> bytes:
    """Return the line, with its end. Raises TooMuchError."""
    nothing: Mapping[str, Any] = {"set": {}, "removed": []}
    branches = {
        place.branch: {**found.branches.get(place.branch, nothing), "join": place.join}
        for place in run.places
        if place.branch != MAIN
    }
    message = {
        "t": "hello",
        "version": torpor.__version__,
        "run_id": run.run_id,
        "origin": run.origin,
        "flow": spec,
        "data": found.data,
        "branches": branches,
        "visits": found.visits,
        "work_dir": str(work_dir),
    }
    line = orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
    if len(line) > MAX_UNSENT_BYTES:
        most = f"over the {MAX_UNSENT_BYTES} that a worker can be told"
        raise TooMuchError(
            f"data and branches of the run come to {len(line)} bytes as JSON, {most}:"
            " let each branch write to a file and keep the path of the file"
        )
    return line
