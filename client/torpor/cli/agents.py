"""agent: who is there, what each is doing, and until when; and to say so for one of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from torpor import wire
from torpor.cli import agent_words, run_words, show, streams
from torpor.cli.parsing import UsageError
from torpor.client import Client
from torpor.errors import Refused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from torpor.agent_replies import Agent, WholeAgent, Word

T = TypeVar("T")

_GONE_S = 86400.0  # whoever has been offline for longer is left out of a list, unless asked for


def ls(args: argparse.Namespace) -> int:
    """List the agents by name, without those that went long ago."""
    with Client(args.home, timeout=args.timeout) as client:
        found = list(every(client, args.status))
        agents = found if args.all else [agent for agent in found if not _is_long_gone(agent)]
        holds = _holds(client) if not args.json and any(agent["holds"] for agent in agents) else {}
    gone = len(found) - len(agents)
    if args.json:
        show.print_json({"agents": agents, "long_offline": gone})
        return wire.EX_OK
    if agents:
        print(*map(streams.fitted, agent_words.table(agents, holds)), sep="\n")
    elif not gone:
        print(
            f"no agent is {args.status}" if args.status else "no agents yet: `torpor agent beat NAME` makes one known"
        )
    if gone:
        print(
            f"{gone} more offline for over a day: `torpor agent ls --all` lists them, `torpor agent forget` ends that"
        )
    return wire.EX_OK


def every(client: Client, status: str | None = None) -> Iterator[Agent]:
    """Yield all agents by name."""
    cursor: str | None = None
    while True:
        page = client.agent_list(status=status, cursor=cursor, limit=1000)
        yield from page["agents"]
        cursor = page["cursor"]
        if cursor is None:
            return


def _is_long_gone(agent: Agent) -> bool:
    if agent["status"] != "offline" or agent["slots"]:
        return False
    return datetime.now(UTC) - datetime.fromisoformat(agent["since_ts"]) > timedelta(seconds=_GONE_S)


def _holds(client: Client) -> dict[str, str]:
    """Return the reasons of all holds."""
    reasons: dict[str, str] = {}
    cursor: str | None = None
    while True:
        page = client.hold_list(cursor=cursor)
        reasons |= {hold["hold_id"]: hold["why"] for hold in page["holds"]}
        cursor = page.get("cursor")
        if cursor is None:
            return reasons


def show_agent(args: argparse.Namespace) -> int:
    """Show all that is known of one agent."""
    with Client(args.home, timeout=args.timeout) as client:
        found = client.agent_get(args.name)["agent"]
        holds = _holds(client) if found["holds"] and not args.json else {}
    show.say(args, "\n".join(_told(found, holds)), found)
    return wire.EX_OK


def _told(agent: WholeAgent, holds: dict[str, str]) -> Iterator[str]:
    since = f"{show.moment(agent['since_ts'])} ({show.ago(agent['since_ts'])})"
    yield f"{agent_words.name(agent['agent_id'])}: {agent['status']} since {since}"
    until = agent_words.until(agent)
    reason = agent["exhaust_reason"]
    details = {
        "until": f"{until}, {reason} since {show.moment(agent['exhausted_at'])}" if reason else until,
        "seen": show.ago(agent["seen_ts"]) if agent["seen_ts"] else "",
        "source": agent["source"],
        "parent": agent["parent_id"],
        "process": f"pid {agent['pid']}" if agent["pid"] is not None else "",
        "wakes by": agent["wake_command"],
        "meta": agent["meta"],
    }
    for label, value in details.items():
        if value not in (None, ""):
            text = run_words.one_line(value) if isinstance(value, str) else run_words.value(value)
            yield f"  {label:<9} {text}"
    for hold_id in agent["holds"]:
        yield f"  hold      {hold_id}: {run_words.one_line(holds.get(hold_id, ''))}"
    for slot in agent["slots"]:
        yield f"  slot      {slot['slot_id']}: {agent_words.slot(slot)}"


def beat(args: argparse.Namespace) -> int:
    """Say that it is there. Without work to tell of, a daemon that is down is not started for it: exit 3."""
    return _said(args, lambda client: client.agent_heartbeat(args.name, args.doing))


def busy(args: argparse.Namespace) -> int:
    """Say that it works."""
    return _said(args, lambda client: client.agent_transition(args.name, "busy", reason=args.reason))


def idle(args: argparse.Namespace) -> int:
    """Say that it does nothing, and that its quota is back."""
    return _said(args, lambda client: client.agent_transition(args.name, "idle", reason=args.reason))


def exhausted(args: argparse.Namespace) -> int:
    """Say that its quota is used up; until when is told by one of three options, or estimated."""
    when: dict[str, Any] = {"recovery_at": args.until, "retry_after": args.after, "message": args.message}
    given = {option: value for option, value in when.items() if value is not None}
    if len(given) > 1:
        raise UsageError("--until, --after and --message say the same thing: give one of them")
    told = {"reason": args.reason, "force": args.force, **given}
    return _said(args, lambda client: client.agent_transition(args.name, "exhausted", **told), same=", as it was")


def offline(args: argparse.Namespace) -> int:
    """Say that it leaves. One that is not known is not made known for that."""
    with Client(args.home, timeout=args.timeout) as client:
        found = client.agent_transition(args.name, "offline", reason=args.reason)
    show.say(args, agent_words.word(found), found)
    return wire.EX_OK


def forget(args: argparse.Namespace) -> int:
    """Forget it, and cancel its slots."""
    with Client(args.home, timeout=args.timeout) as client:
        found = client.agent_forget(args.name)
    show.say(args, f"{agent_words.name(found['agent_id'])}: forgotten", found)
    return wire.EX_OK


def _said(args: argparse.Namespace, say: Callable[[Client], Word], *, same: str = "") -> int:
    with Client(args.home, timeout=args.timeout) as client:
        found = known(client, args.name, lambda: say(client))
    show.say(args, agent_words.word(found) + ("" if found["changed"] else same), found)
    return wire.EX_OK


def known(client: Client, name: str, say: Callable[[], T]) -> T:
    """Return what `say` answers for an agent; where it is not known yet, it is made known first."""
    try:
        return say()
    except Refused as refusal:
        if refusal.name != "not_found":
            raise
    client.agent_register(name)
    return say()
