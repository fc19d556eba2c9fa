"""agent wrap: another command runs, and torpor knows its agent as busy while it does.

The command starts at once, and what is to be said is said beside it: it must neither wait for torpor nor fail with it,
and where it draws on a terminal, nothing else is to be written there. The agent is bound to this process, so that it is
offline at once if this one is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from torpor import calls, presence, talk, wire
from torpor import home as homes
from torpor.cli import child, parsing, streams
from torpor.deadline import Deadline
from torpor.errors import Down, Error, Refused, Timeout, Unreachable
from torpor.link import Link

if TYPE_CHECKING:
    import argparse

_LEAVE_WITHIN_S = 2.0
_LEAST_S = 0.05  # for a daemon that is up, where all the time went by otherwise
_BEAT_EVERY_S = 40.0  # until the daemon has said how often
_LOOK_EVERY_S = 2.0  # whether a daemon that was stopped is back: a lock that is tried
_BETWEEN_LIVES_S = 0.1
_MOST_PAUSE_S = 600.0  # between two attempts to start one that does not start
_SHOWN_CHARS = 80  # of a name that is none


def wrap(args: argparse.Namespace) -> int:
    """Run the command as the agent, and end as it ends."""
    if not 0 < len(args.name) <= wire.MAX_AGENT_ID_CHARS or not args.name.isprintable():
        wanted = f"1 to {wire.MAX_AGENT_ID_CHARS} characters, none of them a control character"
        streams.complain(f"{args.name[:_SHOWN_CHARS]!a} is no agent's name: {wanted}")
        return parsing.EX_NOT_RUN
    try:
        directory = homes.home_dir(args.home)
        wrapped = Wrapped(talk.Place(directory, homes.socket_path(directory)), args.name, args.timeout)
    except Error as error:
        trouble = error
    else:
        return child.run(args.command, beside=wrapped.keep, after=wrapped.leave)
    return child.run(args.command, beside=None, after=lambda: _tell(args.name, trouble))


def _tell(name: str, trouble: Error) -> None:
    streams.complain(f"agent {name} was not known all the time: {trouble}")


class Wrapped:
    """What is said of one agent while its command runs."""

    def __init__(self, place: talk.Place, name: str, timeout_s: float) -> None:
        self._place = place
        self._name = name
        self._timeout_s = timeout_s
        self._pid: int | None = os.getpid()
        self._sigmask = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # as it is before a command runs
        self._link = Link(place)
        self._over = threading.Event()
        self._settled = threading.Event()  # the thread beside waits for its next turn
        self._is_known = False
        self._status = ""
        self._beat_every_s = _BEAT_EVERY_S
        self._failures = 0  # in a row
        self._trouble: Error | None = None

    def keep(self) -> None:
        """Say that the agent is busy, then that it is there, until it is over. Runs beside the command."""
        try:
            self._speak()
        except Exception as error:  # noqa: BLE001 - a mistake of ours is told as well, but not on the command's screen
            self._trouble = Unreachable(f"torpor made a mistake of its own: {error!r}")
            self._settled.set()

    def _speak(self) -> None:
        while True:
            pause_s = self._turn()
            self._link.close()
            if pause_s:
                self._settled.set()
                if self._over.wait(pause_s):
                    return
                self._settled.clear()

    def _turn(self) -> float:
        """Say what is to be said now, and return how many seconds later it is to be said again; 0: at once."""
        try:
            if self._is_known:
                self._beat()
            else:
                self._begin()
        except Down as error:
            self._trouble = self._trouble or error  # why it does not start tells more
            self._failures += 1
            self._is_known = False
            return self._after_down()
        except Error as error:
            self._trouble = error
            self._failures += 1
            if isinstance(error, Refused) and error.name == "not_found":
                self._is_known = False
            return self._pause_s()
        self._trouble, self._failures = None, 0
        return self._beat_every_s

    def _pause_s(self) -> float:
        """Return how long to wait after a failure: the first is tried again at once."""
        return 0.0 if self._failures <= 1 else min(2.0 ** min(self._failures, 16), _MOST_PAUSE_S)

    def _begin(self) -> None:
        """Make the agent known and busy. Raises torpor's errors."""
        pid = ... if self._pid is None else self._pid
        try:
            done = self._ask(calls.agent_register(self._name, pid=pid))
        except Refused as refusal:
            if self._pid is None or refusal.data.get("field") != "pid":
                raise
            self._pid = None  # it means nothing to a daemon outside this container, or it has no watch left
            done = self._ask(calls.agent_register(self._name))
        self._beat_every_s = done["heartbeat_s"]
        self._is_known = True
        self._be_busy()

    def _beat(self) -> None:
        """Say that it is there. Raises torpor's errors.

        Not that it is busy: that would end the pause of a quota, if somebody reported one that is only estimated. But
        the end of such a pause leaves it idle, and its command runs on.
        """
        before, self._status = self._status, self._ask(calls.agent_heartbeat(self._name, None))["status"]
        if (before, self._status) == ("exhausted", "idle"):
            self._be_busy()

    def _be_busy(self) -> None:
        try:
            self._status = self._ask(calls.agent_heartbeat(self._name, "busy"))["status"]
        except Refused as refusal:
            if refusal.name != "conflict":
                raise
            self._status = str(refusal.data.get("status"))  # its quota is used up, or it is on call: it is there

    def _ask(self, call: calls.Call[Any]) -> dict[str, Any]:
        return _asked(self._place, self._link, call, self._timeout_s)

    def _after_down(self) -> float:
        """Have the daemon started, but for one that was stopped; return how long to wait before asking again."""
        try:
            if presence.is_up(self._place.home):
                self._failures = 0  # it is on its way up or down
                time.sleep(_BETWEEN_LIVES_S)
                return 0.0
            known = presence.last_known(self._place.home)
            if presence.was_stopped(self._place.home, known):
                self._trouble = Down(presence.told_down(self._place.home, known))
                self._failures = 0  # it was not tried
                return _LOOK_EVERY_S
        except Error as error:
            self._trouble = error
            return self._pause_s() or _LOOK_EVERY_S
        self._start()
        return self._pause_s()

    def _start(self) -> None:
        """Have a daemon started by a process of its own.

        Not by this one: while the command runs its signals are blocked here, and a daemon would inherit that.
        """
        command = [sys.executable, "-P", "-m", "torpor", "start", "--home", self._place.home]
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
        try:
            pid = os.posix_spawn(
                command[0], command, os.environ, file_actions=null, setpgroup=0, setsigmask=self._sigmask
            )
        except OSError as error:
            self._trouble = Unreachable(f"cannot run {command[0]} to start torpord: {error.strerror}")
        else:
            _, status = os.waitpid(pid, 0)  # whether it is up is for the next turn to see
            if status:
                start = homes.command("torpor start", self._place.home)
                self._trouble = Unreachable(f"torpord of {self._place.home} does not start: `{start}` says why")

    def leave(self) -> None:
        """Say that the command has ended, within two seconds; then what was in the way."""
        end_s = time.monotonic() + _LEAVE_WITHIN_S
        self._over.set()
        if threading.active_count() == 1 and not self._settled.is_set():
            return  # the command could not be run: nothing was said of it
        is_settled, trouble = self._settled.wait(_LEAVE_WITHIN_S), self._trouble
        if not is_settled and trouble is None:
            trouble = Timeout(f"no answer from {self._place.socket} while the command ran")
        self._link.hang_up()  # a call that is under way fails by that: nothing to be told
        if self._is_known:
            try:
                self._say_goodbye(end_s)
            except Error as error:
                trouble = error
        if trouble is not None:
            _tell(self._name, trouble)

    def _say_goodbye(self, end_s: float) -> None:
        words = (calls.agent_heartbeat(self._name, "idle"), calls.agent_transition(self._name, "offline"))
        with contextlib.closing(Link(self._place)) as link:
            for word in words:
                with contextlib.suppress(Refused):  # forgotten meanwhile
                    _asked(self._place, link, word, max(end_s - time.monotonic(), _LEAST_S))


def _asked(place: talk.Place, link: Link, call: calls.Call[Any], timeout_s: float) -> dict[str, Any]:
    talker = talk.Talk(place, when_down="tell")
    answer: dict[str, Any] = link.run(talker, talker.ask(call), Deadline(timeout_s))
    return answer
