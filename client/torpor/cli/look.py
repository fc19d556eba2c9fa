"""status and why: the daemon described, up or down. Neither ever wakes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from torpor import presence, wire
from torpor.cli import cycles, show, standing
from torpor.client import Client
from torpor.errors import Down

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from torpor.cli.present import Present
    from torpor.replies import Reason, Status, Why

_SHOWN_HOLDS = 10


def status(args: argparse.Namespace) -> int:
    """Say how the daemon is; where it is down, what it left behind, and exit 3."""
    with Client(args.home, timeout=args.timeout) as client:
        try:
            found = client.status()
            present = asked(client, found) if not args.json else None
        except Down as down:
            known = left_behind(client.home)
            text = "\n".join(told_down(str(down), known))
            show.say(args, text, {"up": False, "state": known.get("current_state"), **known, "home": client.home})
            return wire.EX_DOWN
    show.say(args, "\n".join(told_up(found, present)), {"up": True, **found})
    return wire.EX_OK


def asked(client: Client, found: Status) -> Present | None:
    """Return who is there, and what wakes the daemon next; None where the status says that there is nothing of it."""
    if not has_agents(found):
        return None
    from torpor.cli import present  # noqa: PLC0415 - where there are agents

    return present.ask(client, found)


def has_agents(found: Status) -> bool:
    """Say whether there is more to be asked than the status, and it is told: agents, or a planned wake."""
    if found.get("safe_mode"):
        return False
    return bool(any((found.get("agents") or {}).values()) or found.get("next_wake_ts"))


def why(args: argparse.Namespace) -> int:
    """Say what keeps the daemon awake, what comes next, and what that waits for."""
    with Client(args.home, timeout=args.timeout) as client:
        found = client.why()
    show.say(args, "\n".join(_explained(found)), found)
    return wire.EX_OK


def told_up(found: Status, there: Present | None = None) -> list[str]:
    """Return the lines that describe a daemon that is up; `there`: what was asked for besides its status."""
    if found.get("safe_mode"):
        return standing.safe(found)
    lines = [f"{found['state']} since {show.moment(found['since_ts'])} ({show.ago(found['since_ts'])})"]
    lines.append(f"  next      {_next(found['next'])}")
    if found["last_activity_ts"] is not None:
        events = found["wrapper_event_seq"]
        lines.append(f"  activity  {show.ago(found['last_activity_ts'])}, {events} event{'' if events == 1 else 's'}")
    for hold in found["holds"][:_SHOWN_HOLDS]:
        until = f"until {show.moment(hold['until_ts'])}" if hold["until_ts"] else f"as long as its {hold['bound']}"
        lines.append(f"  hold      {hold['who']}: {hold['why']} ({until})")
    if len(found["holds"]) > _SHOWN_HOLDS:
        lines.append(f"  hold      and {len(found['holds']) - _SHOWN_HOLDS} more or beyond")
    if there is not None:
        from torpor.cli import present  # noqa: PLC0415 - where there are agents

        lines += present.lines(found, there)
    if runs := ", ".join(f"{count} {status}" for status, count in (found.get("runs") or {}).items() if count):
        lines.append(f"  runs      {runs}")
    lines += cycles.lines(found["sleep"])
    lines.append(standing.process(found))
    lines.append(f"  home      {found['home']}, {found['ledger_seq']} records")
    if found["shadow_run"]:
        lines.append("  shadow    shadow_run is set: HIBERNATION is recorded, and the process stays")
    return lines + standing.version(found)


def left_behind(home: str) -> dict[str, Any]:
    """Return what the daemon that is down has left in its state file, {} where there is none.

    Who takes its timer away while it is down (`torpor service uninstall`) takes `wake.at` with it.
    """
    known = presence.last_known(home) or {}
    if known.get("wake_armed") is not None and not os.path.lexists(os.path.join(home, wire.WAKE_AT_NAME)):
        return known | {"wake_armed": None}
    return known


def told_down(said: str, known: Mapping[str, Any]) -> list[str]:
    """Return the lines that describe a daemon that is down, from its state file."""
    lines = [said]
    if known:
        lines += cycles.lines(
            {
                "last_cycle": known.get("last_cycle"),
                "progress": known.get("sleep_cycle_progress"),
                "quarantine": known.get("quarantine"),
            }
        )
        lines += quota(known)
        wake, resumes = known.get("next_wake_ts"), known.get("resumes_ts")
        if resumes:
            planned = "" if wake else "; nothing is planned to wake it"
            lines.append(f"  runs      1 run or more wants to go on at {show.soon(resumes)}{planned}")
        if wake:
            planned = f"{show.moment(wake)} as planned{standing.armed(known, is_up=False)}"
            planned = "due now, at the next start" if show.is_past(wake) else planned
            lines.append(f"  wakes     {planned}")
        elif not resumes:
            lines.append("  wakes     nothing is planned")
    return lines


def quota(known: Mapping[str, Any]) -> list[str]:
    """Return a line about the agents that are out of quota, offline ones too; none where there are none."""
    recovering = known.get("recovering")
    count = recovering.get("count") if isinstance(recovering, dict) else None
    if not isinstance(recovering, dict) or not count:
        return []
    first = "" if count == 1 else "the next is "
    return [f"  quota     {count} used up, {first}back {show.soon_or_now(recovering.get('next_ts'))}"]


def _next(found: Mapping[str, Any] | None) -> str:
    if found is None or not found.get("state"):
        return "nothing"
    # `at`, not `in_s`: what is shown may have been asked for a while ago (`watch`).
    blocked = ", ".join(map(_blocking, found.get("blocked_by") or ()))
    if not found.get("at"):
        return f"{found['state']} {f'by itself, once nothing is in the way: {blocked}' if blocked else 'not by itself'}"
    when = "due now" if show.is_past(found["at"]) else f"in {show.until(found['at'])}"
    return f"{found['state']} {when}" + (f"; in the way: {blocked}" if blocked else "")


def _blocking(found: Any) -> str:
    return f"{found.get('who')}: {found.get('why')}" if isinstance(found, dict) else str(found)


def _explained(found: Why) -> list[str]:
    lines = [f"{found['state']}, next {_next(found['next'])}"]
    lines += [f"  awake because    {_reason(each)}" for each in found["awake_because"]]
    lines += [f"  not yet because  {_reason(each)}" for each in found["not_yet_because"]]
    lines += [f"  silent           {_reason(each)}" for each in found.get("quiet", ())]
    return lines


def _reason(found: Reason) -> str:
    who = f" {found['who']}" if found.get("who") else ""
    text = f"{found['kind']}{who}: {found.get('why') or 'no reason given'}"
    if found.get("since"):
        text += f", since {show.moment(found['since'])}"
    if found.get("until"):
        text += ", due now" if show.is_past(found["until"]) else f", until {show.moment(found['until'])}"
    return text
