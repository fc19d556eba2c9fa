"""hold: another command runs while the daemon is kept awake.

The hold is bound to the connection of this process, so that nothing is left of it however this process ends. (Bound to
the pid, with the command taking this process's place, it would cost nothing to keep; but a pid means another process,
or none, to a daemon outside this process's sandbox or container.)
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from torpor import calls, presence, talk
from torpor import home as homes
from torpor.cli import child, streams
from torpor.client import who_asks
from torpor.deadline import Deadline
from torpor.errors import Down, Error
from torpor.link import Link

if TYPE_CHECKING:
    import argparse

    from torpor import replies

_WHO_CHARS = 128
_WHY_CHARS = 200
_LOOK_EVERY_S = 0.5
_LET_GO_WITHIN_S = 5.0


def hold(args: argparse.Namespace) -> int:
    """Run the command, held where that is possible, and end as it ends."""
    why = printable(args.why or " ".join(args.command), _WHY_CHARS)
    holding = None
    try:
        directory = homes.home_dir(args.home)
        place = talk.Place(directory, homes.socket_path(directory))
        holding = Holding(place, printable(who_asks(), _WHO_CHARS), why, args.ttl)
        holding.take(args.timeout)
    except Error as error:
        streams.complain(f"no hold for {args.command[0]}, running it all the same: {error}")
        holding = None
    return child.run(args.command, beside=None if holding is None else holding.keep, after=lambda: let_go(holding))


def printable(text: str, most: int) -> str:
    """Return `text` as the wire takes it: one line, no control characters, at most `most` characters."""
    line = "".join(char if char.isprintable() else " " for char in text).strip() or "no reason given"
    return line if len(line) <= most else line[: most - 1] + "…"


def let_go(holding: Holding | None) -> None:
    """End the hold, if there is one. A daemon that cannot be told notices by itself."""
    if holding is not None:
        with contextlib.suppress(Error):  # the command is done, and its status is what counts
            holding.let_go()


class Holding:
    """One hold, taken again where the daemon was restarted under it."""

    def __init__(self, place: talk.Place, who: str, why: str, ttl_s: float | None) -> None:
        self._place = place
        self._who = who
        self._why = why
        self._ttl_s = ttl_s
        self._link = Link(place)
        self._talk = talk.Talk(place)
        self._hold_id = ""
        self._over = threading.Event()

    def take(self, timeout_s: float) -> None:
        """Take the hold; a daemon that is down is started for it. Raises torpor's errors."""
        try:
            taken = self._link.run(self._talk, self._talk.ask(self._wanted()), Deadline(timeout_s))
        except BaseException:
            self._link.close()  # it may yet be taken, and lives no longer than the connection
            raise
        self._hold_id = taken["hold_id"]

    def keep(self) -> None:
        """Stay until it is over. A hold that ended with its daemon is taken again when there is another.

        That other one is waited for, not started: whoever ended the first had a reason. A hold with a time limit is
        the daemon's own and outlives its process; there is nothing to keep.
        """
        if self._ttl_s is not None:
            return
        again = talk.Talk(self._place, when_down="tell")
        while not self._over.is_set():
            self._link.wait_for_end()
            self._link.close()
            try:
                while not self._over.wait(_LOOK_EVERY_S):
                    if presence.is_up(self._place.home):
                        with contextlib.suppress(Down):  # on its way up or down: look again
                            self._link.run(again, again.ask(self._wanted()), Deadline(_LET_GO_WITHIN_S))
                            break
            except Error as error:
                if not self._over.is_set():
                    streams.complain(f"the hold ended with its daemon, and there is no other: {error}")
                return

    def _wanted(self) -> calls.Call[replies.Acquired]:
        return calls.hold_acquire(self._who, self._why, self._ttl_s, None)

    def let_go(self) -> None:
        """End the hold. Raises torpor's errors."""
        self._over.set()
        if self._ttl_s is None:
            self._link.hang_up()
        else:
            talker = talk.Talk(self._place, when_down="tell")
            link = Link(self._place)
            with contextlib.closing(link):
                link.run(talker, talker.ask(calls.hold_release(self._hold_id)), Deadline(_LET_GO_WITHIN_S))
