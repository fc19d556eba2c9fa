"""agent: who is there, what each is doing, and until when; and to say so for one of them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from torpor import durations, wire
from torpor import home as homes
from torpor.cli import agent_names, agent_words, run_words, show, streams, typed_json, waiting
from torpor.cli.parsing import UsageError
from torpor.client import Client
from torpor.deadline import Deadline
from torpor.errors import Down, Refused, Timeout

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from torpor.agent_replies import Agent, WholeAgent, Word
_GONE_S = 3600.0  # whoever has been offline for longer is left out of a list, unless asked for
_MOST_FOLDERS = 50  # of a list: each is a question of its own


def ls(args: argparse.Namespace) -> int:
    """List the agents by name, without those that went some time ago."""
    with Client(args.home, timeout=args.timeout) as client:
        found = list(agent_names.every(client, args.status))
        agents = found if args.all else [agent for agent in found if not _is_long_gone(agent)]
        holds = _holds(client) if not args.json and any(agent["holds"] for agent in agents) else {}
        folders = {} if args.json else _folders(client, agents)
    gone = len(found) - len(agents)
    if args.json:
        show.print_json({"agents": agents, "long_offline": gone})
        return wire.EX_OK
    if agents:
        among = [agent["agent_id"] for agent in found]
        print(*map(streams.fitted, agent_words.table(agents, holds, folders, among=among)), sep="\n")
    elif not gone:
        beat_one = homes.command("torpor agent beat NAME", client.home)
        print(f"no agent is {args.status}" if args.status else f"no agents yet: `{beat_one}` makes one known")
    if gone:
        list_all, end = (homes.command(f"torpor agent {words}", client.home) for words in ("ls --all", "forget NAME"))
        print(f"{gone} more offline for over an hour: `{list_all}` lists them, `{end}` ends that")
    return wire.EX_OK


def _is_long_gone(agent: Agent) -> bool:
    if agent["status"] != "offline" or agent["slots"] or agent["recovery_at"]:
        return False
    return datetime.now(UTC) - datetime.fromisoformat(agent["since_ts"]) > timedelta(seconds=_GONE_S)


def _folders(client: Client, agents: Sequence[Agent]) -> dict[str, str]:
    """Return the folders of those that are likely to have told one; a list does not have it."""
    folders: dict[str, str] = {}
    for agent in [each for each in agents if agent_names.has_folder(each)][:_MOST_FOLDERS]:
        with contextlib.suppress(Refused):  # it was forgotten meanwhile
            folders[agent["agent_id"]] = agent_names.folder(client.agent_get(agent["agent_id"])["agent"]["meta"])
    return folders


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
        found = agent_names.ask_of(client, args.name, client.agent_get)["agent"]
        holds = _holds(client) if found["holds"] and not args.json else {}
    show.say(args, "\n".join(_told(found, holds)), found)
    return wire.EX_OK


def _told(agent: WholeAgent, holds: dict[str, str]) -> Iterator[str]:
    since = f"{show.moment(agent['since_ts'])} ({show.ago(agent['since_ts'])})"
    yield f"{agent_words.name(agent['agent_id'])}: {agent_words.status(agent)} since {since}"
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


def register(args: argparse.Namespace) -> int:
    """Make it known by just this name, or change what is known of it: an empty text takes something away."""
    given: dict[str, Any] = {"wake_command": args.wake_command, "parent_id": args.parent, "pid": args.pid}
    fields: dict[str, Any] = {name: value or None for name, value in given.items() if value is not None}
    if args.meta is not None:
        fields["meta"] = typed_json.read(args.meta, "--meta") if args.meta else None
    with Client(args.home, timeout=args.timeout) as client:
        if fields.get("parent_id"):
            fields["parent_id"] = agent_names.meant(client, fields["parent_id"], is_new=True)
        found = client.agent_register(args.name, **fields)
    show.say(args, agent_words.word(found), found)
    return wire.EX_OK


def beat(args: argparse.Namespace) -> int:
    """Say that it is there. Without work to tell of, a daemon that is down is not started for it: exit 3."""
    return _said(args, lambda client, name: client.agent_heartbeat(name, args.doing))


def busy(args: argparse.Namespace) -> int:
    """Say that it works."""
    return _said(args, lambda client, name: client.agent_transition(name, "busy", reason=args.reason))


def idle(args: argparse.Namespace) -> int:
    """Say that it does nothing, and that its quota is back. Where it is so already, that is no use of the daemon."""

    def rests(client: Client, name: str) -> Word:
        if args.reason is None:
            found = client.agent_heartbeat(name, "idle")
        else:  # a heartbeat has none
            found = client.agent_transition(name, "idle", reason=args.reason)
        # Of one that was offline the first word says only that it is back, with the quota as it was.
        is_still = found["status"] == "exhausted"
        return client.agent_transition(name, "idle", reason=args.reason) if is_still else found

    return _said(args, rests)


def exhausted(args: argparse.Namespace) -> int:
    """Say that its quota is used up; until when is told by one of three options, or estimated."""
    when: dict[str, Any] = {"recovery_at": args.until, "retry_after": args.after, "message": args.message}
    given = {option: value for option, value in when.items() if value is not None}
    if len(given) > 1:
        raise UsageError("--until, --after and --message say the same thing: give one of them")
    told = {"reason": args.reason, "force": args.force, **given}
    return _said(args, lambda client, name: client.agent_transition(name, "exhausted", **told), same=", as it was")


def offline(args: argparse.Namespace) -> int:
    """Say that it leaves. One that is not known is not made known for that, and nobody started: exit 3."""
    with Client(args.home, timeout=args.timeout) as client:
        found = agent_names.ask_of(
            client, args.name, lambda name: client.agent_transition(name, "offline", reason=args.reason)
        )
    show.say(args, agent_words.word(found), found)
    return wire.EX_OK


def forget(args: argparse.Namespace) -> int:
    """Forget it, and cancel its slots."""
    with Client(args.home, timeout=args.timeout) as client:
        found = agent_names.ask_of(client, args.name, client.agent_forget)
    show.say(args, f"{agent_words.name(found['agent_id'])}: forgotten", found)
    return wire.EX_OK


def wait(args: argparse.Namespace) -> int:
    """Wait until it is in a status, through the daemon's comings and goings. A daemon that is down is not woken."""
    deadline, name = Deadline(args.timeout), args.name
    with Client(args.home) as client:
        while True:
            try:
                # At least once, also where the time is 0: "is it so now?"
                name = agent_names.ask_of(client, name, lambda each: client.agent_get(each)["agent"]["agent_id"])
                found = client.wait_agent(name, args.status, timeout_s=_left_s(deadline))
                break
            except Down:
                waiting.until_up(client.home, deadline)
            except Timeout:
                passed = durations.show(args.timeout or 0)
                told = f"{passed} passed, and {agent_words.name(name)} is not {args.status}"
                raise Timeout(told) from None
    show.say(args, f"{agent_words.name(found['agent_id'])}: {found['status']}", found)
    return wire.EX_OK


def _left_s(deadline: Deadline) -> float | None:
    try:
        return deadline.left_s()
    except TimeoutError:
        return 0.0


def _said(args: argparse.Namespace, say: Callable[[Client, str], Word], *, same: str = "") -> int:
    with Client(args.home, timeout=args.timeout) as client:
        found = agent_names.say_of(client, args.name, lambda name: say(client, name))
    show.say(args, agent_words.word(found) + ("" if found["changed"] else same), found)
    return wire.EX_OK
