"""Every method of the wire, one row each: its name, what it takes, whether it changes anything, who answers it.

A *change* makes an event for the writer. A *look* answers from the world as it is, and touches nothing. What takes time
(`log`, `wait`, `subscribe`) is a *look* that belongs to the connection, in `connection.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import orjson

from torpor import wire
from torpord.control.agent_methods import AGENT_ROWS
from torpord.control.agent_params import Anything
from torpord.control.calls import Call, Method
from torpord.control.named_process import named
from torpord.control.params import Client, Flag, Number, OneOf, Param, RefusedError, Text, Value, Words, check
from torpord.control.run_methods import RUN_ROWS
from torpord.control.waiting import waits_for_one
from torpord.core import events as ev
from torpord.core import report
from torpord.core.draft import Refusal
from torpord.core.lifecycle import Trigger
from torpord.core.nesting import has_more_levels, too_deep
from torpord.writer import Change

YEAR_S = 366 * 86_400.0
KEY = Param(Text(wire.MAX_KEY_CHARS))
_TRIGGERS = {trigger.value: trigger for trigger in Trigger}  # to ask the class takes five times as long


def _event(call: Call) -> ev.Event:
    cause = {**call.cause, "by": call.params["by"]} if "by" in call.params else call.cause
    return ev.ClientTrigger(cause, _TRIGGERS[call.params["event"]])


def _hold_acquire(call: Call) -> ev.Event:
    params = call.params
    ttl_s, pid = params.get("ttl_s"), params.get("pid")
    identity = None if pid is None else named(call, pid)
    if ttl_s is None and pid is None and call.connection is None:
        message = "a hold that is left in a file has no connection to live by: it needs ttl_s or pid"
        raise RefusedError(Refusal("invalid_params", message, {"field": "ttl_s"}))
    return ev.HoldRequested(
        call.cause,
        hold_id=os.urandom(8).hex(),
        who=params["who"],
        why=params["why"],
        ttl_s=ttl_s,
        pid=pid,
        pid_start=identity.start if identity else None,
        connection=call.connection if ttl_s is None and pid is None else None,
    )


def _reload(call: Call) -> ev.Event:
    policy, changed = call.desk.read_settings()
    return ev.SettingsRead(call.cause, policy, changed, by_request=True)


def _speaks(call: Call) -> None:
    """Refuse another protocol first of all: what its hello may say beside is not for this one to judge."""
    protocol = call.params.get("protocol")
    if isinstance(protocol, int) and not isinstance(protocol, bool) and protocol != wire.PROTOCOL:
        message = f"this daemon speaks protocol {wire.PROTOCOL}, not {protocol}: upgrade the older side"
        raise RefusedError(Refusal("protocol_mismatch", message, {"field": "protocol", "protocol": wire.PROTOCOL}))


def _hello(call: Call) -> dict[str, Any]:
    identity, world = call.desk.identity, call.desk.world
    return {
        "protocol": wire.PROTOCOL,
        "daemon": {
            "version": identity.version,
            "pid": identity.pid,
            "started_ts": report.iso(world.process.started_ts),
            "generation": world.process.generation,
        },
        "state": world.lifecycle.state.value,
        "limits": wire.LIMITS,
    }


def _status(call: Call) -> dict[str, Any]:
    desk, world, now = call.desk, call.desk.world, call.desk.now()
    process = world.process
    return {
        "state": world.lifecycle.state.value,
        "since_ts": report.iso(world.lifecycle.since_ts),
        "generation": process.generation,
        "pid": desk.identity.pid,
        "version": desk.identity.version,
        "protocol": wire.PROTOCOL,
        "started_ts": report.iso(process.started_ts),
        "start_cause": process.start_cause,
        "uptime_s": round(now.awake_s - process.started_awake_s, 3),
        "last_activity_ts": report.iso(world.activity.last_ts),
        "wrapper_event_seq": world.activity.event_seq,
        "ledger_seq": world.ledger_seq,
        "next": report.next_state(world, now),
        "holds": _holds(call, most=100),
        "agents": dict(zip(wire.AGENT_STATUSES, world.agents.counts, strict=True)),
        "recovering": report.recovering(world),
        "runs": world.runs.counts(),
        "sleep": report.sleep_view(world, now),
        "supervisor": process.supervisor,
        **report.observed(world),
        "next_wake_ts": report.iso(world.agents.next_wake_ts),
        "resumes_ts": report.resumes_ts(world),
        "shadow_run": world.policy.shadow_run,
        "safe_mode": None,
        "home": desk.identity.home,
        **desk.usage(),
    }


async def _doctor(call: Call) -> dict[str, Any]:
    from torpord.control.doctor_methods import examined  # noqa: PLC0415 - rare

    return await examined(call.desk)


def _holds(call: Call, most: int) -> list[dict[str, Any]]:
    now = call.desk.now()
    return [report.hold_view(hold, now) for hold in list(call.desk.world.holds.by_id.values())[:most]]


def _hold_list(call: Call) -> dict[str, Any]:
    """Go by the id, so that what comes and goes between two pages moves nothing else."""
    after, now = call.params.get("cursor", ""), call.desk.now()
    holds = sorted(call.desk.world.holds.by_id.items())
    page: list[dict[str, Any]] = []
    size = 0
    for hold_id, hold in holds:
        if hold_id > after:
            page.append(report.hold_view(hold, now))
            size += len(orjson.dumps(page[-1]))
            if size > wire.MAX_PAGE_BYTES // 2:
                return {"holds": page, "cursor": hold_id}
    return {"holds": page, "cursor": None}


_CURSOR = Param(Text(64))
_SEQ = Param(Number(0, 2**53, whole=True))

ROWS = (
    Method(
        "hello",
        "agree on the protocol; optional, and first where it is sent",
        {"protocol": Param(Number(0, 2**31, whole=True), required=True), "client": Param(Client())},
        look=_hello,
        before=_speaks,
    ),
    Method(
        "event",
        "tell that somebody is here, or send it to sleep",
        {"event": Param(OneOf(wire.EVENTS), required=True), "by": Param(Text(128))},
        change=_event,
    ),
    Method("status", "say how it is", look=_status),
    Method("why", "explain the state", look=lambda call: report.why(call.desk.world, call.desk.now())),
    Method("doctor", "say what only it knows of how well it is", read=_doctor),
    Method(
        "log",
        "read the ledger",
        {"after": _SEQ, "limit": Param(Number(1, 10_000, whole=True)), "kinds": Param(Words())},
    ),
    Method("subscribe", "follow the ledger", {"after": _SEQ, "kinds": Param(Words())}),
    Method(
        "wait",
        "answer once a state is reached, or a run or an agent is in a status",
        {
            "state": Param(OneOf(wire.STATES)),
            "run_id": Param(Text(64)),
            "agent_id": Param(Text(wire.MAX_AGENT_ID_CHARS)),
            "status": Param(OneOf((*wire.RUN_STATUSES, *wire.AGENT_STATUSES))),
            "timeout_s": Param(Number(0, YEAR_S)),
        },
        before=waits_for_one,
    ),
    Method(
        "hold.acquire",
        "keep it awake",
        {
            "who": Param(Text(128), required=True),
            "why": Param(Text(), required=True),
            "ttl_s": Param(Number(0.001, YEAR_S)),
            "pid": Param(Number(1, 2**31 - 1, whole=True)),
        },
        change=_hold_acquire,
    ),
    Method(
        "hold.release",
        "let it go",
        {"hold_id": Param(Text(64), required=True)},
        change=lambda call: ev.HoldReleaseRequested(call.cause, call.params["hold_id"]),
    ),
    Method("hold.list", "name all who hold it", {"cursor": _CURSOR}, look=_hold_list),
    Method(
        "hibernate",
        "go down as soon as nothing is busy",
        {"now": Param(Flag())},
        change=lambda call: ev.HibernateWanted(call.cause, call.params.get("now", False)),
    ),
    Method("stop", "exit, and stay down until it is started", change=lambda call: ev.StopWanted(call.cause, "stop")),
    Method("reload", "read the settings again", change=_reload),
    Method(
        "way.proven",
        "record that the way by which it was started works",
        {"way": Param(OneOf(wire.WAYS), required=True), "took_s": Param(Number(0, YEAR_S))},
        change=lambda call: ev.WayProven(call.cause, call.params["way"], call.params.get("took_s")),
    ),
    *RUN_ROWS,
    *AGENT_ROWS,
)

METHODS: Mapping[str, Method] = {row.name: row for row in ROWS}


def find(name: str) -> Method:
    """Return a method's row. Raises RefusedError."""
    row = METHODS.get(name)
    if row is None:
        known = ", ".join(METHODS)
        raise RefusedError(Refusal("method_not_found", f"there is no method {name[:64]!r}; there are: {known}"))
    return row


def is_change(name: str, params: Mapping[str, Any]) -> bool:
    """Whether a request may change anything: one of an unknown method does not."""
    row = METHODS.get(name)
    return row is not None and row.changes(params)


def check_look(row: Method, call: Call) -> None:
    """Check a request that changes nothing. Raises RefusedError."""
    if row.before is not None:
        row.before(call)
    check(row.name, call.params, row.params)


def change(row: Method, call: Call) -> Change:
    """Check a changing request and make the writer's change of it. Raises RefusedError."""
    make = row.change
    assert make is not None  # noqa: S101 - callers ask first; for the type checker
    if "key" not in call.params:
        check(row.name, call.params, row.params)
        return Change(make(call), run_id=call.params.get("run_id", ""))
    check(row.name, call.params, {**row.params, "key": KEY})
    key = call.params["key"]
    params = {name: value for name, value in call.params.items() if name != "key"}
    try:
        request = orjson.dumps([row.name, params], option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError as error:
        # Only objects that take anything can be the cause: everything else was checked to be flat.
        free = [name for name in params if isinstance(row.params[name].kind, Value | Anything)]
        deep = next((name for name in free if has_more_levels(params[name])), None)
        field = deep or next(iter(free), "")
        message = f"{field} cannot be kept under a key: {error}" if deep is None else too_deep(field)
        raise RefusedError(Refusal("invalid_params", message, {"field": field})) from error
    bare = Call(call.desk, params, call.cause, call.connection, call.left_wall_s)

    def made() -> ev.Event | Refusal:
        try:
            return make(bare)
        except RefusedError as refused:
            return refused.refusal

    return Change(made, key, request, run_id=params.get("run_id", ""))
