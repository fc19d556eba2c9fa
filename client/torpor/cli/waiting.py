"""wait: return once a state holds, through the daemon's comings and goings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor import durations, presence, wire
from torpor.cli import show
from torpor.client import Client
from torpor.deadline import Deadline
from torpor.errors import Down, Timeout

if TYPE_CHECKING:
    import argparse

    from torpor.replies import Waited

_LOOK_EVERY_S = 0.25


def wait(args: argparse.Namespace) -> int:
    """Wait for a state. A daemon that is down is not woken: it is waited for, unless it went down in that state."""
    with Client(args.home) as client:
        reached = _reached(client, args.state, args.timeout)
    show.say(args, reached["state"], reached)
    return wire.EX_OK


def _reached(client: Client, state: str, timeout_s: float | None) -> Waited:
    deadline, first = Deadline(timeout_s), True
    while True:
        try:
            # Once at least, also where the time is 0: "is it in that state now?"
            left_s = timeout_s if first else deadline.left_s()
            first = False
            return client.wait(state, timeout_s=left_s)
        except Down:
            until_up(client.home, deadline)
        except TimeoutError:
            raise Timeout(f"{durations.show(timeout_s or 0)} passed, and torpor is not in {state}") from None


def until_up(home: str, deadline: Deadline) -> None:
    """Wait until there is a daemon again, or its state file says something else. Raises Timeout."""
    before = presence.mark(home)
    try:
        while presence.mark(home) == before and not presence.is_up(home):
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        told = presence.told_down(home, presence.last_known(home))
        raise Timeout(f"{durations.show(deadline.timeout_s or 0)} passed, and torpor is {told}") from None
