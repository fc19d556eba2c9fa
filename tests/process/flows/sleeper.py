"""A sleep cycle whose middle step takes as long as a file is not there, and gives way in one of the ways there are."""
# ruff: noqa: ANN201, ASYNC251 - blocking is what is tried

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import outside

from torpord import Complete, Flow, Run

# A sleep cycle is started by nobody who could give it data.
FOLDER = os.environ.get("OUTSIDE", "")


def begin(run: Run) -> None:
    where = {"branch": run.branch, "state": run.state, "visit": run.visit, "attempt": run.attempt}
    outside.mark(FOLDER, "begin", **where)


def there(name: str) -> bool:
    return Path(FOLDER, name).exists()


sleeper = Flow("sleeper")


@sleeper.state(initial=True)
async def early(run: Run):
    begin(run)
    run.data["early"] = run.attempt
    return middle


@sleeper.state
async def middle(run: Run):
    begin(run)
    await run.call("effect", {}, lambda idempotency_key: outside.mark(FOLDER, "effect", key=idempotency_key))
    run.progress(1, 2, "in the middle of it")
    while there("blocks"):
        time.sleep(3600)
    while not there("go"):
        await asyncio.sleep(0.01)
        if run.yielding and there("polite"):
            break
    outside.mark(FOLDER, "leaving")
    return late


@sleeper.state
async def late(run: Run):
    begin(run)
    if there("fails"):
        raise ValueError("it fails")
    return Complete({"early": run.data["early"]})
