"""slot: work that is planned for agents: list it, plan it, take it, end it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from torpor import durations, wire
from torpor import home as homes
from torpor.cli import agent_names, agent_words, show, streams, typed_json
from torpor.client import Client
from torpor.errors import Refused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from torpor.agent_replies import Slot, SlotAdded

T = TypeVar("T")

_HEADINGS = ("SLOT", "AGENT", "TYPE", "DUE", "STATUS", "PRIORITY", "FOR")
_FEWEST_CHARS = 4  # of an id that is cut short, as for runs
_SHOWN_MATCHES = 3


def ls(args: argparse.Namespace) -> int:
    """List the slots, the next one first."""
    with Client(args.home, timeout=args.timeout) as client:
        of = None if args.agent is None else agent_names.meant(client, args.agent)
        slots = sorted(_every(client, of), key=lambda slot: datetime.fromisoformat(slot["due_ts"]))
    if args.json:
        show.print_json({"slots": slots})
    elif slots:
        called = agent_names.short(slot["agent_id"] for slot in slots)
        rows = [_HEADINGS, *(_row(slot, called[slot["agent_id"]]) for slot in slots)]
        print(*map(streams.fitted, agent_words.columns(rows)), sep="\n")
    else:
        add_one = homes.command("torpor slot add NAME --at T", client.home)
        print(f"no slots of {args.agent}" if args.agent else f"no slots: `{add_one}` plans one")
    return wire.EX_OK


def _row(slot: Slot, called: str) -> tuple[str, ...]:
    lasts = durations.show(slot["duration_s"]) if slot["duration_s"] else ""
    due = show.soon_or_now(slot["due_ts"])
    named = slot["slot_id"], agent_words.name(called)
    return *named, slot["type"], due, slot["status"], str(slot["priority"] or ""), lasts


def _every(client: Client, agent_id: str | None = None) -> Iterator[Slot]:
    cursor: str | None = None
    while True:
        page = client.slot_list(agent_id=agent_id, cursor=cursor, limit=1000)
        yield from page["slots"]
        cursor = page["cursor"]
        if cursor is None:
            return


def add(args: argparse.Namespace) -> int:
    """Plan work for an agent; one that is not known is made known for it."""
    payload = None if args.payload is None else typed_json.read(args.payload, "--payload")
    at = args.at or datetime.now(UTC)
    more: dict[str, Any] = {"duration_s": vars(args)["for"], "priority": args.priority, "payload": payload}
    with Client(args.home, timeout=args.timeout) as client:
        found = agent_names.say_of(
            client, args.name, lambda name: client.slot_add(name, args.type, at, key=args.key, **more)
        )
    show.say(args, f"{found['slot_id']}: {_planned(found)}", found)
    return wire.EX_OK


def _planned(found: SlotAdded) -> str:
    if show.is_past(found["due_ts"]):
        return "due now"
    told = f"due {show.soon(found['due_ts'])}"
    return told if found["armed"] else f"{told}; where torpor is down by then, at its next start"


def take(args: argparse.Namespace) -> int:
    """Take a slot that is due, for its agent."""
    with Client(args.home, timeout=args.timeout) as client:
        found = _ask_of(client, args.slot, client.slot_take)
    show.say(args, f"{found['slot']['slot_id']}: taken, {agent_words.word(found)}", found)
    return wire.EX_OK


def finish(args: argparse.Namespace) -> int:
    """End a slot that was taken."""
    with Client(args.home, timeout=args.timeout) as client:
        found = _ask_of(client, args.slot, client.slot_finish)
    show.say(args, agent_words.word(found), found)
    return wire.EX_OK


def cancel(args: argparse.Namespace) -> int:
    """Take a slot back."""
    with Client(args.home, timeout=args.timeout) as client:
        found = _ask_of(client, args.slot, lambda slot_id: client.slot_cancel(slot_id, reason=args.reason))
    show.say(args, f"{found['slot_id']}: cancelled", found)
    return wire.EX_OK


def _ask_of(client: Client, name: str, ask: Callable[[str], T]) -> T:
    """Return what `ask` answers for the slot that `name` means: its id, else the first characters of one id."""
    try:
        return ask(name)
    except Refused as refusal:
        if refusal.name != "not_found" or len(name) < _FEWEST_CHARS:
            raise
        found = [slot["slot_id"] for slot in _every(client) if slot["slot_id"].startswith(name)]
        if not found or name in found:
            raise
    if len(found) > 1:
        first = ", ".join(found[:_SHOWN_MATCHES]) + (", ..." if len(found) > _SHOWN_MATCHES else "")
        raise Refused("invalid_params", f"{len(found)} slots begin with {name!r}: {first}: write more of the id")
    return ask(found[0])
