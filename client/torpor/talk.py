"""The client's rules as generators without I/O: what is asked, what each failure means, when to ask again.

A generator yields *steps*; whoever drives it performs them, blocking (`link`) or with asyncio (`aio_link`), and sends
the outcome in, or throws what went wrong: OSError, EOFError, and the built-in TimeoutError when the call's deadline has
passed. So the rule for clients (`client/PROTOCOL.md`) exists once:

    connect: ENOENT, ECONNREFUSED   the daemon is down: a looking call says so, any other starts it
             EACCES, EPERM          not allowed: say so; nothing is started, nothing is removed
             EAGAIN                 the backlog is full: wait, again
    after:   EOF, ECONNRESET, EPIPE the daemon went away: connect again, ask again with the same key
             `draining`             the same
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from torpor import calls, messages, presence
from torpor.errors import Down, NotPermitted, ProtocolError, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torpor.replies import Record

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.1
# Whoever only looks keeps away from a daemon on its way down. That takes milliseconds from here; where it takes so
# long, a look that starts the next one is the lesser evil.
_LOOK_FOR_ITS_END_EVERY_S = 0.01
_LONGEST_END_S = 2.0
# How often a subscriber looks whether the daemon is back: a stat, at its own cost and not the daemon's.
_LOOK_EVERY_S = 0.25
# A state file that could not be written must not keep a subscriber away for ever: then it tries the lock all the same.
_LOOK_ANYWAY_EVERY = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Which daemon: its home, and the path of its control socket."""

    home: str
    socket: str


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect where that is not done yet. Outcome: whether the connection is new."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Give the connection up."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send one line."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for one line. Outcome: the line. `endless`: also beyond the deadline, as a subscription does."""

    endless: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait. `endless`: also beyond the deadline."""

    pause_s: float
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Start a daemon (`wake.start`). Outcome: the last words of one that ended and is worth another try, else ""."""

    place: Place


@dataclass(frozen=True, slots=True)
class Renew:
    """Begin the time of the deadline anew: each reconnection of a subscription is a call of its own."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand a record to the subscriber."""

    record: Record


WhenDown: TypeAlias = Literal["start", "insist", "tell"]
Step: TypeAlias = Connect | Disconnect | Send | Receive | Pause | Start | Renew | Deliver


def is_lost(error: BaseException) -> bool:
    """Say whether the connection is gone, so that asking again on a new one is right."""
    return isinstance(error, EOFError | ConnectionResetError | BrokenPipeError | ConnectionAbortedError) or (
        isinstance(error, OSError) and error.errno == errno.ENOTCONN
    )


class Talk:
    """One talk with one daemon. `obstacle` is what stood in the way last, for the one who says that time ran out."""

    def __init__(self, place: Place, *, name: str | None = None, when_down: WhenDown = "start") -> None:
        """`name`: introduce oneself on each new connection.

        `when_down`, for calls that change something: "start" it, but not after `torpor stop`; "insist" and start it
        then, too; "tell", and raise Down at once where nobody listens, for a caller who has another way to be heard.
        """
        self._place = place
        self._name = name
        self._when_down = when_down
        self._number = 0
        self._pause_s = _FIRST_PAUSE_S
        self._last_words = ""  # of a daemon that was started, and told to try again
        self._parted: object = None  # the pid of a daemon that said it goes
        self.obstacle = "nothing has answered yet"

    def reach(self, *, looks: bool = False) -> Generator[Step, Any, None]:
        """Be connected. Raises Down, Unreachable, NotPermitted, ProtocolError."""
        while True:
            if looks:
                yield from self._seen_up()
            try:
                if (yield Connect()) and self._name is not None:
                    yield from self._exchange(calls.hello(self._name))
            except TimeoutError:
                raise
            except messages.Draining:
                yield from self._drained()
            except (EOFError, OSError) as error:
                if isinstance(error, OSError) and not is_lost(error):
                    yield from self._not_connected(error, looks=looks)
                else:
                    yield from self._again("the daemon went away")
            except (ProtocolError, Refused):
                yield Disconnect()  # an introduction that failed has to be made again
                raise
            else:
                return

    def ask(self, call: calls.Call[Any]) -> Generator[Step, Any, dict[str, Any]]:
        """Ask until there is an answer. Raises what `reach` raises, and Refused."""
        while True:
            yield from self.reach(looks=call.looks)
            self.obstacle = f"{self._place.socket} does not answer {call.method}"
            try:
                return (yield from self._exchange(call))
            except messages.Draining:
                yield from self._drained()
            except (EOFError, OSError) as error:
                if not is_lost(error):
                    raise
                yield from self._again("the daemon closed the connection before it answered")

    def wait(self, state: str, timeout_s: float | None) -> Generator[Step, Any, dict[str, Any]]:
        """Ask to be told when `state` holds. A daemon that went down in that state, or is down in it, counts."""
        try:
            return (yield from self.ask(calls.wait(state, timeout_s)))
        except Down:
            if presence.state_when_down(self._place.home) == state:
                return {"state": state, "seq": None}
            raise

    def follow(self, after: int | None, kinds: Iterable[str] | None) -> Generator[Step, Any, None]:
        """Deliver all records after position `after`, else from now on, through any number of the daemon's lives.

        No record is missed or delivered twice: each new connection goes on where the last one ended. A daemon that is
        down at the very beginning is Down; later on it is waited for, and never woken.
        """
        kinds = None if kinds is None else list(kinds)
        subscribed = yield from self.ask(calls.subscribe(after, kinds))
        seen: int = subscribed["next"] if after is None else after
        while True:
            try:
                line = yield Receive(endless=True)
            except (EOFError, OSError) as error:
                if not is_lost(error):
                    raise
                yield Disconnect()
                yield from self._subscribe_again(seen, kinds)
                continue
            message = messages.decode(line)
            if messages.is_parting(message):
                self._parts()
            record = messages.record_in(message)
            if record is not None and record["seq"] > seen:
                seen = record["seq"]
                yield Deliver(record)

    def _subscribe_again(self, seen: int, kinds: Iterable[str] | None) -> Generator[Step, Any, None]:
        while True:
            yield Renew()
            mark = presence.mark(self._place.home)
            try:
                yield from self.ask(calls.subscribe(seen, kinds))
            except Down:
                for _ in range(_LOOK_ANYWAY_EVERY):
                    yield Pause(_LOOK_EVERY_S, endless=True)
                    if presence.mark(self._place.home) != mark:
                        break
            else:
                return

    def _drained(self) -> Generator[Step, Any, None]:
        self._parts()
        yield from self._again("the daemon is going down")

    def _parts(self) -> None:
        self._parted = (presence.last_known(self._place.home) or {}).get("pid")

    def _seen_up(self) -> Generator[Step, Any, None]:
        """See a daemon that is up and not on its way down, before a look connects to it. Raises Down.

        It holds its lock to the very last. Until then a service manager's socket takes connections already, each for
        the next daemon: a look at that moment would start it, and with a subscriber nothing would ever stay down.
        """
        home = self._place.home
        for _ in range(round(_LONGEST_END_S / _LOOK_FOR_ITS_END_EVERY_S)):
            if not presence.is_up(home):
                raise Down(presence.told_down(home, presence.last_known(home)))
            if not presence.is_leaving(presence.last_known(home), self._parted):
                break
            yield Pause(_LOOK_FOR_ITS_END_EVERY_S)
        self._parted = None

    def _exchange(self, call: calls.Call[Any]) -> Generator[Step, Any, dict[str, Any]]:
        self._number += 1
        number = self._number
        try:
            yield Send(messages.encode(number, call.method, call.params))
        except TimeoutError:
            yield Disconnect()  # half a line may be under way, and nothing can follow it
            raise
        except OSError as error:
            # Read on: what the daemon said before it hung up (`draining`, `too_many`) is still there to be read.
            if not is_lost(error):
                raise
        while True:
            try:
                result = messages.result_for(number, messages.decode((yield Receive())))
            except ProtocolError:
                yield Disconnect()
                raise
            if result is not None:
                self._pause_s = _FIRST_PAUSE_S
                self._last_words = ""
                return result

    def _not_connected(self, error: OSError, *, looks: bool) -> Generator[Step, Any, None]:
        path = self._place.socket
        match error.errno:
            case errno.ENOENT | errno.ECONNREFUSED:
                yield from self._no_listener(looks=looks)
            case errno.EACCES | errno.EPERM:
                raise NotPermitted(
                    f"may not connect to {path} ({error.strerror}): only its owner and root may, and a sandbox around"
                    " this process must let it through"
                ) from error
            case errno.EAGAIN:
                yield from self._again(f"more callers wait at {path} than it takes")
            case _:
                raise Unreachable(f"cannot connect to {path}: {error.strerror or error}") from error

    def _no_listener(self, *, looks: bool) -> Generator[Step, Any, None]:
        home = self._place.home
        if self._when_down == "tell":
            raise Down(f"down: nobody listens on {self._place.socket}")
        if presence.is_up(home):
            # Between two lives: it has the lock and no socket yet, or no socket any more.
            lock = f"a daemon holds the lock of {home} and does not listen on {self._place.socket}"
            yield from self._again(lock)
            return
        known = presence.last_known(home)
        if looks or (presence.was_stopped(home, known) and self._when_down != "insist"):
            raise Down(presence.told_down(home, known))
        self.obstacle = f"torpord is being started for {home}{self._last_words}"
        if told := (yield Start(self._place)):
            self._last_words = f"; the last one ended, and said: {told}"
            yield from self._again(f"torpord does not stay up in {home}{self._last_words}")

    def _again(self, obstacle: str) -> Generator[Step, Any, None]:
        self.obstacle = obstacle
        yield Disconnect()
        yield Pause(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
