"""The built-in sleep cycle: the upkeep of the daemon's own store, as a flow like any other.

The store has one writer, and that is the daemon: a state here only says when its work is due, and keeps what it found.
"""

from __future__ import annotations

from torpord.flows.api import Flow
from torpord.flows.outcomes import Complete
from torpord.flows.run import Run

flow = Flow("housekeeping", version=1)


@flow.state(initial=True)
async def trim(run: Run) -> str:
    """Drop what the ledger and the kept replies have beyond their age."""
    run.data["trim"] = await run.upkeep("trim")
    return "expire_runs"


@flow.state
async def expire_runs(run: Run) -> str:
    """Drop ended runs that are over their age or number."""
    run.data["expire_runs"] = await run.upkeep("expire_runs")
    return "checkpoint"


@flow.state
async def checkpoint(run: Run) -> str:
    """Bring the write-ahead log into the store's file."""
    run.data["checkpoint"] = await run.upkeep("checkpoint")
    return "optimize"


@flow.state
async def optimize(run: Run) -> str:
    """Refresh what SQLite knows for its query plans."""
    run.data["optimize"] = await run.upkeep("optimize")
    return "integrity_check"


@flow.state
async def integrity_check(run: Run) -> str:
    """Read all of the store and compare it with itself."""
    run.data["integrity_check"] = await run.upkeep("integrity_check")
    return "backup"


@flow.state
async def backup(run: Run) -> Complete:
    """Make a verified copy of the store."""
    run.data["backup"] = await run.upkeep("backup")
    return Complete(dict(run.data))
