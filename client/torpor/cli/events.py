"""send, wake, sleep: the commands that send an event."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from torpor import delivery, presence, wire
from torpor import home as homes
from torpor.cli import cycles, show, streams
from torpor.client import Client
from torpor.errors import Down, Error

if TYPE_CHECKING:
    import argparse

    from torpor.replies import Event


def send(args: argparse.Namespace) -> int:
    """Send an event for good; the plain case of it is `torpor.quick`."""
    done = delivery.send(args.event, key=args.key, home=args.home, timeout=args.timeout)
    try:
        show.say(args, done.note, {"result": done.how, "state": done.state, "note": done.note})
        sys.stdout.flush()
    except OSError:
        streams.give_up(sys.stdout)  # the event is safe, and that is what was asked: as in `torpor.quick`
    return wire.EX_OK


def wake(args: argparse.Namespace) -> int:
    """Send wake_signal, and start the daemon where it is down."""
    with Client(args.home, timeout=args.timeout) as client:
        done = client.event("wake_signal")
    show.say(args, f"{done['state']}", done)
    return wire.EX_OK


def sleep(args: argparse.Namespace) -> int:
    """Send force_sleep. A daemon that is down rests deeper already: starting it for this would be the opposite."""
    with Client(args.home, timeout=args.timeout) as client:
        if not presence.is_up(client.home):
            raise Down(presence.told_down(client.home, presence.last_known(client.home)))
        done = client.event("force_sleep")
        told = "" if args.json else _no_cycle(client, done)
    show.say(args, f"{done['state']}{told}", done)
    return wire.EX_OK


def _no_cycle(client: Client, done: Event) -> str:
    """Return why this sleep has no cycle, and what is to be done about it; "" where there is nothing to say."""
    cycle = done.get("cycle")
    if not cycle or not cycle.get("skipped"):
        return ""
    told = f": no cycle now, {cycles.skipped(cycle['skipped'], cycle.get('due_ts'))}"
    if not cycles.has_failed(cycle["skipped"]):
        return told
    try:
        run_id = (client.status()["sleep"].get("progress") or {}).get("run_id")
    except Error:  # it was sent to sleep, and that is what was asked
        run_id = None
    retry = homes.command(f"torpor runs retry {run_id}", client.home)
    return f"{told}: `{retry}` tries at once" if run_id else told
