"""The methods, one function each: what is asked, with which params, and which type the answer has.

`Client` and `AsyncClient` both ask with these. Methods and params are the contract of `client/PROTOCOL.md`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torpor import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from types import EllipsisType

    from torpor import agent_replies, replies, run_replies

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One question. `looks`: it never wakes the daemon, and is not even connected to one that is down.

    `binds`: what it makes lives as long as the connection, and where no answer came, only closing that ends it.
    """

    method: str
    params: dict[str, Any]
    looks: bool = False
    binds: bool = False


def new_key() -> str:
    """Return a key nobody else uses: with it a call that is asked again is applied once."""
    return os.urandom(16).hex()


def _given(**params: Any) -> dict[str, Any]:
    """Leave out what was not given: an absent param and a null one are different things on the wire."""
    return {name: value for name, value in params.items() if value is not None}


def hello(name: str) -> Call[replies.Hello]:
    """Ask who is there; first on its connection or not at all."""
    import torpor  # noqa: PLC0415 - the package's own name, for its version

    client = {"name": name, "version": torpor.__version__}
    return Call("hello", {"protocol": wire.PROTOCOL, "client": client}, looks=True)


def event(name: str, key: str | None, by: str | None) -> Call[replies.Event]:
    """Send one of wire.EVENTS. Without `key` it may be applied twice after a broken connection, which is harmless."""
    return Call("event", _given(event=name, key=key, by=by))


def status() -> Call[replies.Status]:
    """Ask for all figures."""
    return Call("status", {}, looks=True)


def why() -> Call[replies.Why]:
    """Ask why the daemon is in its state."""
    return Call("why", {}, looks=True)


def doctor() -> Call[replies.Examined]:
    """Ask what only the daemon knows of how well it is."""
    return Call("doctor", {}, looks=True)


def log(after: int | None, limit: int | None, kinds: Iterable[str] | None) -> Call[replies.LogPage]:
    """Ask for a page of the ledger, beginning after position `after`, else with the oldest record that is kept."""
    return Call("log", _given(after=after, limit=limit, kinds=None if kinds is None else list(kinds)), looks=True)


def subscribe(after: int | None, kinds: Iterable[str] | None) -> Call[replies.Subscribed]:
    """Ask for all records after position `after`, else from now on, as they are made."""
    return Call("subscribe", _given(after=after, kinds=None if kinds is None else list(kinds)), looks=True)


def wait(state: str, timeout_s: float | None) -> Call[replies.Waited]:
    """Ask to be told when `state` holds."""
    return Call("wait", _given(state=state, timeout_s=timeout_s), looks=True)


def wait_run(run_id: str, status: str | None, timeout_s: float | None) -> Call[run_replies.WaitedRun]:
    """Ask to be told when a run is in `status`, or without one when it has ended."""
    return Call("wait", _given(run_id=run_id, status=status, timeout_s=timeout_s), looks=True)


def hold_acquire(who: str, why: str, ttl_s: float | None, pid: int | None) -> Call[replies.Acquired]:
    """Keep the daemon awake: for `ttl_s` seconds, as long as process `pid` lives, else as long as the connection."""
    # A hold that lives by its connection is gone with it: on the next one it must be taken anew, not recognised.
    binds = ttl_s is None and pid is None
    key = None if binds else new_key()
    return Call("hold.acquire", _given(who=who, why=why, ttl_s=ttl_s, pid=pid, key=key), binds=binds)


def hold_release(hold_id: str) -> Call[replies.Released]:
    """Let go of a hold."""
    return Call("hold.release", {"hold_id": hold_id, "key": new_key()})


def hold_list(cursor: str | None) -> Call[replies.Holds]:
    """Ask who keeps the daemon awake: the first page, or the one after `cursor`."""
    return Call("hold.list", _given(cursor=cursor), looks=True)


def hibernate(*, now: bool) -> Call[replies.Hibernating]:
    """Ask the daemon to go down as soon as nothing is busy; `now` interrupts its sleep cycle."""
    return Call("hibernate", {"now": now, "key": new_key()})


def stop() -> Call[replies.Stopping]:
    """Ask the daemon to end, and to stay down until `torpor start`."""
    return Call("stop", {"key": new_key()})


def reload() -> Call[replies.Reloaded]:
    """Ask the daemon to read its settings again."""
    return Call("reload", {"key": new_key()})


def way_proven(way: str, took_s: float | None) -> Call[replies.WayProven]:
    """Record that the way by which this daemon was started works, and how long it took."""
    return Call("way.proven", {"way": way, **_given(took_s=took_s), "key": new_key()})


def run_start(
    flow: str,
    data: Mapping[str, Any] | None,
    *,
    state: str | None,
    purpose: str | None,
    session_id: str | None,
    max_steps: int | None,
    metadata: Mapping[str, Any] | None,
    key: str | None,
) -> Call[run_replies.RunIs]:
    """Begin a run of `flow`."""
    more = _given(data=data, state=state, purpose=purpose, session_id=session_id, max_steps=max_steps)
    return Call("run.start", {"flow": flow, **more, **_given(metadata=metadata), "key": key or new_key()})


def run_list(
    status: str | None, flow: str | None, session_id: str | None, cursor: str | None, limit: int | None
) -> Call[run_replies.Runs]:
    """Ask for a page of runs, the newest first."""
    params = _given(status=status, flow=flow, session_id=session_id, cursor=cursor, limit=limit)
    return Call("run.list", params, looks=True)


def run_get(run_id: str, cursor: str | None) -> Call[run_replies.RunPage]:
    """Ask for a run, with a page of its history."""
    return Call("run.get", _given(run_id=run_id, cursor=cursor), looks=True)


def run_pause(run_id: str) -> Call[run_replies.RunIs]:
    """Stop a run after the step it is in."""
    return _steer("run.pause", run_id)


def run_resume(run_id: str, flow: str | None, state: str | None) -> Call[run_replies.RunIs]:
    """Let a paused run go on; `flow` and `state` where it does not know its own."""
    return _steer("run.resume", run_id, flow=flow, state=state)


def run_cancel(run_id: str) -> Call[run_replies.RunIs]:
    """End a run now."""
    return _steer("run.cancel", run_id)


def run_retry(run_id: str) -> Call[run_replies.RunIs]:
    """Let a failed run go on from the state that failed."""
    return _steer("run.retry", run_id)


def run_remove(run_id: str) -> Call[run_replies.RunIs]:
    """Forget a run and its history."""
    return _steer("run.remove", run_id)


def _steer(method: str, run_id: str, **more: Any) -> Call[run_replies.RunIs]:
    return Call(method, {"run_id": run_id, **_given(**more), "key": new_key()})


def run_export(run_id: str, cursor: str | None) -> Call[run_replies.RunPiece]:
    """Ask for a piece of a run's document (`torpor.pieces` puts them together)."""
    return Call("run.export", _given(run_id=run_id, cursor=cursor), looks=True)


def run_import(text: str, cursor: str | None, *, more: bool, key: str) -> Call[run_replies.RunTaken]:
    """Give a piece of a run's document; `key` belongs to the last one, with which it is applied."""
    last = {"more": True} if more else {"key": key}
    return Call("run.import", {"text": text, **_given(cursor=cursor), **last})


def agent_register(
    agent_id: str,
    *,
    parent_id: str | EllipsisType | None = ...,
    pid: int | EllipsisType | None = ...,
    wake_command: str | Sequence[str] | EllipsisType | None = ...,
    meta: Any = ...,
) -> Call[agent_replies.Registered]:
    """Make an agent known, or change what is known of it: `...` leaves a field as it is, None takes it away."""
    fields = {"parent_id": parent_id, "pid": pid, "wake_command": wake_command, "meta": meta}
    given = {name: value for name, value in fields.items() if value is not ...}
    return Call("agent.register", {"agent_id": agent_id, **given, "key": new_key()})


def agent_heartbeat(agent_id: str, doing: str | None) -> Call[agent_replies.Word]:
    """Say that an agent is there. One that says no work starts nobody: presence is no need."""
    return Call("agent.heartbeat", _given(agent_id=agent_id, doing=doing), looks=doing in (None, "idle"))


def agent_transition(
    agent_id: str,
    to: str,
    *,
    reason: str | None = None,
    recovery_at: str | datetime | None = None,
    retry_after: float | str | None = None,
    headers: Mapping[str, str | float] | None = None,
    message: str | None = None,
    force: bool = False,
) -> Call[agent_replies.Word]:
    """Say what an agent is doing, that it is out of quota, or that it leaves, for which nobody is started."""
    when = _given(recovery_at=_moment(recovery_at), retry_after=retry_after, headers=headers, message=message)
    more = {**_given(reason=reason), **when, **({"force": True} if force else {})}
    params = {"agent_id": agent_id, "to": to, **more, "key": new_key()}
    return Call("agent.transition", params, looks=to == "offline")


def agent_get(agent_id: str) -> Call[agent_replies.WholeAgentIs]:
    """Ask for all that is known of an agent."""
    return Call("agent.get", {"agent_id": agent_id}, looks=True)


def agent_list(
    status: str | None, cursor: str | None, limit: int | None, *, exhausted: bool = False
) -> Call[agent_replies.Agents]:
    """Ask for a page of agents, by name."""
    only = {"exhausted": True} if exhausted else {}
    return Call("agent.list", {**_given(status=status, cursor=cursor, limit=limit), **only}, looks=True)


def agent_forget(agent_id: str) -> Call[agent_replies.Forgotten]:
    """Forget an agent, and cancel its slots."""
    return Call("agent.forget", {"agent_id": agent_id, "key": new_key()})


def wait_agent(agent_id: str, status: str, timeout_s: float | None) -> Call[agent_replies.WaitedAgent]:
    """Ask to be told when an agent is in `status`."""
    return Call("wait", _given(agent_id=agent_id, status=status, timeout_s=timeout_s), looks=True)


def slot_add(
    agent_id: str,
    type_: str,
    at: str | datetime,
    *,
    duration_s: float | None = None,
    priority: int | None = None,
    payload: Any = None,
    key: str | None = None,
) -> Call[agent_replies.SlotAdded]:
    """Plan work for an agent."""
    more = _given(duration_s=duration_s, priority=priority, payload=payload)
    params = {"agent_id": agent_id, "type": type_, "at": _moment(at), **more, "key": key or new_key()}
    return Call("slot.add", params)


def slot_take(slot_id: str, agent_id: str | None) -> Call[agent_replies.SlotTaken]:
    """Take a slot that is due: its agent begins to work."""
    return Call("slot.take", {"slot_id": slot_id, **_given(agent_id=agent_id), "key": new_key()})


def slot_finish(slot_id: str) -> Call[agent_replies.Word]:
    """End a slot that was taken."""
    return Call("slot.finish", {"slot_id": slot_id, "key": new_key()})


def slot_cancel(slot_id: str, reason: str | None) -> Call[agent_replies.SlotCancelled]:
    """Take a slot back."""
    return Call("slot.cancel", {"slot_id": slot_id, **_given(reason=reason), "key": new_key()})


def slot_list(
    agent_id: str | None, status: str | None, cursor: str | None, limit: int | None
) -> Call[agent_replies.Slots]:
    """Ask for a page of slots."""
    return Call("slot.list", _given(agent_id=agent_id, status=status, cursor=cursor, limit=limit), looks=True)


def _moment(at: str | datetime | None) -> str | None:
    return at if at is None or isinstance(at, str) else at.isoformat()
