"""The methods of agents and slots: `agent.*` and `slot.*`, a row each, as in `methods.py`."""

from __future__ import annotations

import os
from typing import Any

import orjson

from torpor import wire
from torpord.control.agent_params import Anything, CommandLine, Either, Headers, Moment, Name, Nothing, wall_s
from torpord.control.calls import Call, Method
from torpord.control.named_process import named
from torpord.control.params import Flag, Number, OneOf, Param, Piece, RefusedError, Text
from torpord.core import events as ev
from torpord.core.draft import Refusal
from torpord.core.nesting import has_more_levels, too_deep

YEAR_S = 366 * 86_400.0
# Of what a provider wrote: it is read for a time, and not kept.
MAX_MESSAGE_CHARS = 16_384
SLOT_STATUSES = ("planned", "waiting", "queued", "offered", "taken")

_AGENT = Name(wire.MAX_AGENT_ID_CHARS)
_AGENT_ID = Param(_AGENT, required=True)
_SLOT_ID = Param(Text(64), required=True)
_LIMIT = Param(Number(1, 1000, whole=True))
_RECOVERY = ("recovery_at", "retry_after", "headers", "message", "force")

# Whose daemon has no agents does without all that is imported below: a megabyte.


def _json(call: Call, name: str, most: int) -> str:
    """Write a parameter as JSON text. Raises RefusedError for what is too large or too deep to be kept."""
    value = call.params[name]
    # First: what is far too deep, orjson does not write.
    if has_more_levels(value):
        raise RefusedError(Refusal("invalid_params", too_deep(name), {"field": name}))
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise RefusedError(Refusal("invalid_params", f"{name} cannot be kept: {error}", {"field": name})) from error
    if len(text) > most:
        message = f"{name} has {len(text)} bytes, at most {most} are taken: leave it in a file, and give its path"
        raise RefusedError(Refusal("too_large", message, {"field": name}))
    return text.decode()


def _register(call: Call) -> ev.Event:
    from torpord.core.agent_events import AgentRegisterWanted  # noqa: PLC0415 - see above

    given: dict[str, Any] = {name: call.params[name] for name in ("parent_id", "pid") if name in call.params}
    if given.get("parent_id") == call.params["agent_id"]:
        message = "an agent is not its own parent: leave parent_id out, or name the one that started it"
        raise RefusedError(Refusal("invalid_params", message, {"field": "parent_id"}))
    if given.get("pid") is not None:
        _name_process(call, given)
    if "wake_command" in call.params:
        command = call.params["wake_command"]
        given["wake_command"] = tuple(command) if isinstance(command, list) else command
    if "meta" in call.params:
        given["meta"] = None if call.params["meta"] is None else _json(call, "meta", wire.MAX_META_BYTES)
    return AgentRegisterWanted(call.cause, call.params["agent_id"], **given, said_ts=call.said_ts)


def _name_process(call: Call, given: dict[str, Any]) -> None:
    """Find out which very process an agent names. Raises RefusedError.

    What was left in a file was true when it was written: where its process has ended since, it names none, and what is
    said behind it is not lost with it.
    """
    try:
        given["pid_start"] = named(call, given["pid"]).start
    except RefusedError as refused:
        if call.left_wall_s is None or refused.refusal.name != "invalid_params":
            raise
        del given["pid"]


def _beat(call: Call) -> ev.Event:
    from torpord.core.agent_events import AgentBeat  # noqa: PLC0415 - see above
    from torpord.core.agents import Doing  # noqa: PLC0415 - see above

    doing = call.params.get("doing")
    return AgentBeat(call.cause, call.params["agent_id"], None if doing is None else Doing(doing), call.said_ts)


def _move(call: Call) -> ev.Event:
    from torpord.core.agent_events import AgentMoveWanted  # noqa: PLC0415 - see above
    from torpord.core.agents import Status  # noqa: PLC0415 - see above

    params, to = call.params, Status(call.params["to"])
    reason = params.get("reason", "")
    recovery = None
    if to is Status.EXHAUSTED:
        reason = reason or wire.EXHAUST_REASONS[0]
        if reason not in wire.EXHAUST_REASONS:
            message = f"reason of exhausted takes one of {', '.join(wire.EXHAUST_REASONS)}"
            raise RefusedError(Refusal("invalid_params", message, {"field": "reason"}))
        recovery = _recovery(call)
    else:
        for name in _RECOVERY:
            if name in params:
                message = f"{name} tells of an exhaustion: it goes with to = exhausted, not with {to}"
                raise RefusedError(Refusal("invalid_params", message, {"field": name}))
    force = params.get("force", False)
    return AgentMoveWanted(call.cause, params["agent_id"], to, reason, recovery, force, call.said_ts)


def _recovery(call: Call) -> Any:
    from torpord.core.recovery import BadTimeError, Said, recovery  # noqa: PLC0415 - see above
    from torpord.host.zones import zone  # noqa: PLC0415 - see above

    said = Said(**{name: call.params[name] for name in _RECOVERY[:-1] if name in call.params})
    try:
        return recovery(said, call.said_wall_s, call.desk.world.policy.default_recovery_s, zone)
    except BadTimeError as bad:
        raise RefusedError(Refusal("invalid_params", str(bad), {"field": bad.field})) from bad


def _forget(call: Call) -> ev.Event:
    from torpord.core.agent_events import AgentForgetWanted  # noqa: PLC0415 - see above

    return AgentForgetWanted(call.cause, call.params["agent_id"])


def _slot_add(call: Call) -> ev.Event:
    from torpord.core.agent_events import SlotWanted  # noqa: PLC0415 - see above

    params = call.params
    return SlotWanted(
        call.cause,
        slot_id=os.urandom(8).hex(),
        agent_id=params["agent_id"],
        type=params["type"],
        at_ts=wall_s(params["at"]),
        duration_s=params.get("duration_s"),
        priority=params.get("priority", 0),
        payload=_json(call, "payload", wire.MAX_PAYLOAD_BYTES) if params.get("payload") is not None else None,
    )


def _slot_take(call: Call) -> ev.Event:
    from torpord.core.agent_events import SlotTakeWanted  # noqa: PLC0415 - see above

    return SlotTakeWanted(call.cause, call.params["slot_id"], call.params.get("agent_id"), call.said_ts)


def _slot_finish(call: Call) -> ev.Event:
    from torpord.core.agent_events import SlotFinishWanted  # noqa: PLC0415 - see above

    return SlotFinishWanted(call.cause, call.params["slot_id"], call.said_ts)


def _slot_cancel(call: Call) -> ev.Event:
    from torpord.core.agent_events import SlotCancelWanted  # noqa: PLC0415 - see above

    return SlotCancelWanted(call.cause, call.params["slot_id"], call.params.get("reason", ""))


def _get(call: Call) -> Any:
    from torpord.control.agent_pages import agent_get  # noqa: PLC0415 - see above

    return agent_get(call.desk, call.params)


def _list(call: Call) -> Any:
    from torpord.control.agent_pages import agent_list  # noqa: PLC0415 - see above

    return agent_list(call.desk, call.params)


def _slot_list(call: Call) -> Any:
    from torpord.control.agent_pages import slot_list  # noqa: PLC0415 - see above

    return slot_list(call.desk, call.params)


AGENT_ROWS = (
    Method(
        "agent.register",
        "make an agent known, or change what it told of itself",
        {
            "agent_id": _AGENT_ID,
            "parent_id": Param(Either(_AGENT, Nothing())),
            "pid": Param(Either(Number(1, 2**31 - 1, whole=True), Nothing())),
            "wake_command": Param(Either(CommandLine(), Nothing())),
            "meta": Param(Anything()),
        },
        change=_register,
    ),
    Method(
        "agent.heartbeat",
        "say that it is there, and hear which slots are due",
        {"agent_id": _AGENT_ID, "doing": Param(OneOf(wire.DOINGS))},
        change=_beat,
    ),
    Method(
        "agent.transition",
        "say what it is now",
        {
            "agent_id": _AGENT_ID,
            "to": Param(OneOf(wire.AGENT_TARGETS), required=True),
            "reason": Param(Text()),
            "recovery_at": Param(Moment()),
            "retry_after": Param(Either(Number(0, 1e12), Text(64))),
            "headers": Param(Headers()),
            "message": Param(Piece(MAX_MESSAGE_CHARS)),
            "force": Param(Flag()),
        },
        change=_move,
    ),
    Method("agent.get", "show an agent with its slots", {"agent_id": _AGENT_ID}, look=_get),
    Method(
        "agent.list",
        "name agents",
        {
            "status": Param(OneOf(wire.AGENT_STATUSES)),
            "exhausted": Param(Flag()),
            "cursor": Param(_AGENT),
            "limit": _LIMIT,
        },
        look=_list,
    ),
    Method("agent.forget", "know it no more, and cancel its slots", {"agent_id": _AGENT_ID}, change=_forget),
    Method(
        "slot.add",
        "plan work for an agent",
        {
            "agent_id": _AGENT_ID,
            "type": Param(OneOf(wire.SLOT_TYPES), required=True),
            "at": Param(Moment(), required=True),
            "duration_s": Param(Number(0, YEAR_S)),
            "priority": Param(Number(-1000, 1000, whole=True)),
            "payload": Param(Anything()),
        },
        change=_slot_add,
    ),
    Method("slot.take", "take one that is due", {"slot_id": _SLOT_ID, "agent_id": Param(_AGENT)}, change=_slot_take),
    Method("slot.finish", "say that it is done", {"slot_id": _SLOT_ID}, change=_slot_finish),
    Method("slot.cancel", "take it back", {"slot_id": _SLOT_ID, "reason": Param(Text())}, change=_slot_cancel),
    Method(
        "slot.list",
        "name slots",
        {
            "agent_id": Param(_AGENT),
            "status": Param(OneOf(SLOT_STATUSES)),
            "cursor": Param(Text(wire.MAX_AGENT_ID_CHARS + 32)),
            "limit": _LIMIT,
        },
        look=_slot_list,
    ),
)
