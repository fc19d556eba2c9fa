"""`wait`: for a state of the daemon, a status of a run or of an agent; answered at once where it holds already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from torpor import wire
from torpord.control.calls import Call
from torpord.control.desk import AgentWatcher, Desk, RunWatcher, Watcher
from torpord.control.params import RefusedError
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State
from torpord.core.runs import ENDED, RunStatus

# What could not be read when the store had been read anew is read again: that the disk is mended, nobody tells.
_LOOK_AGAIN_S = 1.0


def waits_for_one(call: Call) -> None:
    """Refuse a `wait` for nothing, or for two things at once."""
    params = call.params
    named = [name for name in ("state", "run_id", "agent_id") if name in params]
    if len(named) != 1 or ("status" in params and named == ["state"]):
        message = "wait takes either state, or run_id with or without status, or agent_id with status"
        raise RefusedError(Refusal("invalid_params", message, {"field": named[-1] if named else "state"}))
    if named == ["agent_id"] and "status" not in params:
        message = f"wait for an agent needs status: one of {', '.join(wire.AGENT_STATUSES)}"
        raise RefusedError(Refusal("invalid_params", message, {"field": "status"}))
    words = wire.RUN_STATUSES if named == ["run_id"] else wire.AGENT_STATUSES
    if isinstance(params.get("status"), str) and params["status"] not in words:
        message = f"status of wait for {named[0]} takes one of {', '.join(words)}"
        raise RefusedError(Refusal("invalid_params", message, {"field": "status"}))


async def wait(desk: Desk, params: Mapping[str, Any]) -> Any:
    """Return the result, or the refusal, once there is one."""
    try:
        if "state" in params:
            return await _state(desk, State(params["state"]), params.get("timeout_s"))
        if "agent_id" in params:
            return await _agent(desk, params["agent_id"], params["status"], params.get("timeout_s"))
        wanted = frozenset({RunStatus(params["status"])}) if "status" in params else ENDED
        return await _run(desk, params["run_id"], wanted, params.get("timeout_s"))
    except RefusedError as refused:
        return refused.refusal


async def _state(desk: Desk, state: State, timeout_s: float | None) -> Any:
    if desk.world.lifecycle.state is state:
        return {"state": state.value, "seq": desk.world.ledger_seq}
    watcher = Watcher(state)
    desk.watchers.append(watcher)
    try:
        await _seen(desk, watcher.seen, timeout_s)
    finally:
        desk.watchers.remove(watcher)
    if watcher.seen.is_set():
        return {"state": state.value, "seq": watcher.seq}
    if desk.draining:
        return desk.goes_down()
    now = desk.world.lifecycle.state
    return Refusal("timeout", f"{timeout_s:g} s passed and the state is {now}, not {state}", {"state": now.value})


async def _run(desk: Desk, run_id: str, wanted: frozenset[RunStatus], timeout_s: float | None) -> Any:
    from torpord.control.run_pages import found_run  # noqa: PLC0415 - as in run_methods

    # First of all, so that nothing is missed while the store is read.
    watcher = RunWatcher(run_id, wanted)
    desk.run_watchers.append(watcher)
    try:
        status = (await found_run(desk, run_id)).status
        look_again_s: float | None = None
        with anyio.move_on_after(timeout_s):
            while status not in wanted and status not in ENDED and not desk.draining:
                await _seen(desk, watcher.seen, look_again_s)
                watcher.seen, look_again_s = anyio.Event(), None
                try:
                    # Seen without a status: the store was read anew, and has what nobody was told of.
                    status = watcher.status or (await found_run(desk, run_id)).status
                except RefusedError as refused:
                    if refused.refusal.name != "storage_unavailable":
                        raise
                    look_again_s = _LOOK_AGAIN_S
        status = watcher.status or status  # what it came to in the instant in which the time was over
    finally:
        desk.run_watchers.remove(watcher)
    if status in wanted:
        return {"run_id": run_id, "status": status.value, "seq": watcher.seq or desk.world.ledger_seq}
    if status in ENDED:
        return Refusal("conflict", f"the run has ended, and is {status}", {"status": status.value})
    if desk.draining:
        return desk.goes_down()
    return Refusal("timeout", f"{timeout_s:g} s passed and the run is {status}", {"status": status.value})


async def _agent(desk: Desk, agent_id: str, wanted: str, timeout_s: float | None) -> Any:
    agent = desk.world.agents.by_id.get(agent_id)
    if agent is None:
        from torpord.core.agent_refusals import unknown_agent  # noqa: PLC0415 - for one who waits for nobody

        return Refusal("not_found", unknown_agent(agent_id), {"field": "agent_id", "agent_id": agent_id})
    if agent.status == wanted:
        return {"agent_id": agent_id, "status": wanted, "seq": desk.world.ledger_seq}
    watcher = AgentWatcher(agent_id, wanted)
    beside = desk.agent_watchers.setdefault(agent_id, [])
    beside.append(watcher)
    try:
        await _seen(desk, watcher.seen, timeout_s)
    finally:
        beside.remove(watcher)
        if not beside:
            del desk.agent_watchers[agent_id]
    agent = desk.world.agents.by_id.get(agent_id)
    if watcher.reached and not watcher.forgotten:
        return {"agent_id": agent_id, "status": wanted, "seq": watcher.seq}
    if watcher.forgotten or agent is None:
        message = f"the agent {agent_id} was forgotten while it was waited for"
        return Refusal("not_found", message, {"field": "agent_id", "agent_id": agent_id})
    if desk.draining:
        return desk.goes_down()
    now = agent.status.value
    return Refusal("timeout", f"{timeout_s:g} s passed and the agent is {now}, not {wanted}", {"status": now})


async def _seen(desk: Desk, seen: anyio.Event, timeout_s: float | None) -> None:
    """Wait until it is seen, its time is over, or the daemon goes down."""
    with anyio.move_on_after(timeout_s):
        async with anyio.create_task_group() as either:
            either.start_soon(_until_drained, desk, either.cancel_scope)
            await seen.wait()
            either.cancel_scope.cancel()


async def _until_drained(desk: Desk, scope: anyio.CancelScope) -> None:
    await desk.drained.wait()
    scope.cancel()
