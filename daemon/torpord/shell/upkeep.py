"""What the built-in housekeeping asks the daemon to do on its own store, a step at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torpord.core.agents import STATUSES, Agents, Status
from torpord.core.draft import Refusal
from torpord.core.run_events import RunExpired
from torpord.store import housekeeping
from torpord.store import runs as rows
from torpord.store.store import Store, StoreError
from torpord.writer import Change

if TYPE_CHECKING:
    from torpord.shell.surroundings import Surroundings

CAUSE = {"source": "housekeeping"}
# Removing a run takes all of its history with it, in one commit that everybody waits for.
RUNS_A_COMMIT = 10
AGENTS_A_COMMIT = 100


class FailedError(Exception):
    """A step of the housekeeping failed, or gave way."""


async def do(step: str, around: Surroundings, called_off: Callable[[], bool]) -> dict[str, Any]:
    """Do a step and return what it found. Raises FailedError, or StoreError."""
    policy, wall_s = around.writer.world.policy, around.now().wall_s
    if step == "expire_runs":
        runs = await _expire(around, wall_s - policy.runs_keep_s, policy.runs_keep_count, called_off)
        return {"runs": runs, "agents": await _expire_agents(around, wall_s - policy.ledger_keep_s, called_off)}
    if step not in housekeeping.STEPS:
        raise FailedError(f"the housekeeping has no step {step!r}")
    work = housekeeping.Upkeep(around.store, around.runner, wall_s, policy.ledger_keep_s, called_off)
    try:
        return await around.runner.run(lambda: housekeeping.run(step, work))
    except housekeeping.GaveWayError as error:
        raise FailedError("it gave way") from error


async def _expire(around: Surroundings, before_ts: float, keep: int, called_off: Callable[[], bool]) -> int:
    gone = 0
    while not called_off():
        run_ids = await around.runner.run(lambda: _over_age(around.store, before_ts, keep))
        if not run_ids:
            return gone
        ticket = around.writer.submit([Change(RunExpired(CAUSE, run_id), run_id=run_id) for run_id in run_ids])
        await ticket.done.wait()
        refused = [outcome for outcome in ticket.outcomes if isinstance(outcome, Refusal)]
        if refused:
            raise StoreError(refused[0].message)
        gone += len(run_ids)
    raise FailedError("it gave way")


def _over_age(store: Store, before_ts: float, keep: int) -> list[str]:
    try:
        return rows.over_age(store.connection, before_ts, keep, RUNS_A_COMMIT)
    except sqlite3.Error as error:
        raise StoreError(f"expire_runs: {error}") from error


async def _expire_agents(around: Surroundings, before_ts: float, called_off: Callable[[], bool]) -> int:
    """Forget agents that have been silent for as long as the ledger remembers; the event has a look of its own."""
    agents = around.writer.world.agents
    if agents.counts[STATUSES.index(Status.OFFLINE)] == 0:
        return 0
    # On the store's thread: among 100,000 agents it takes a while, and what it looks at does not change.
    found = await around.runner.run(lambda: _silent(agents, before_ts))
    if not found:
        return 0
    from torpord.core.agent_events import AgentsExpired  # noqa: PLC0415 - a daemon without agents does without

    for start in range(0, len(found), AGENTS_A_COMMIT):
        if called_off():
            raise FailedError("it gave way")
        outcome = await around.writer.apply(AgentsExpired(CAUSE, found[start : start + AGENTS_A_COMMIT]))
        if isinstance(outcome, Refusal):
            raise StoreError(outcome.message)
    return len(found)


def _silent(agents: Agents, before_ts: float) -> tuple[str, ...]:
    """Return the agents nobody has heard of since then, and who have nothing to do; a quota is not forgotten either."""
    return tuple(
        sorted(
            agent.agent_id
            for agent in agents.by_id.values()
            if not agent.online and agent.since_ts < before_ts and not agent.slots and agent.exhaustion is None
        )
    )
