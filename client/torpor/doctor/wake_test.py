"""`torpor doctor wake-test`: it truly hibernates, and comes back by each way there is; each that did so is recorded.

Nothing is forced: while anybody needs the daemon there is no test. What is made for it (a file, an agent with a slot)
is taken away again, also where it is broken off; a daemon that was down is sent down again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from torpor import durations, errors, presence, spool, wire
from torpor import home as homes
from torpor.client import Client
from torpor.doctor import trip
from torpor.doctor.subject import is_ours
from torpor.doctor.trip import NotNow, TooLate
from torpor.doctor.ways import is_managed, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


BACK_S = 15.0
AGENT = "torpor-doctor"
# Between the planning of a slot and its time, beside what the process must stay up: a timer takes 2 s ahead at least.
_MARGINS_S = (3.0, 6.0, 12.0)
_TRIES = 2  # somebody else's client may be quicker once

Verdict = Literal["proven", "failed", "unclear", "absent"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of one way (`wire.WAYS`). `took_s`: from the knock until the daemon was there.

    `unclear`: something else was quicker, twice. `absent`: this home has no such way.
    """

    way: str
    verdict: Verdict
    found: str
    took_s: float | None = None
    means: str = ""
    mend: str | None = None


def ways(home: str, only: str | None) -> tuple[list[str], list[Proof]]:
    """Bring the daemon up, and return the ways to test and those that are not there. Raises NotNow."""
    if not is_ours(home):
        raise errors.NotPermitted(f"{home} is another user's: ask as its owner")
    known = presence.last_known(home)
    if not presence.is_up(home):
        if presence.was_stopped(home, known):
            raise NotNow(presence.told_down(home, known))
        if only and known is not None and only not in of_kind(managed=is_managed(known)):
            return [], [_absent(only, managed=is_managed(known))]  # nobody is woken to say so
    with Client(home) as client:
        client.event("wake_signal")
        status = client.status()
        if "ways_back" not in status:
            restart = homes.command("torpor restart", home)
            raise NotNow(f"torpord {status['version']} runs, which keeps no proof of it: {restart}")
        needed = trip.needs(status, None if status["safe_mode"] else client.why())
        if not needed and (least_s := trip.least_up_s(client)) > trip.DOWN_S:
            needed = [f"it stays up for another {durations.show(least_s)} whoever asks (min_up)"]
        if needed:
            raise NotNow(f"it is needed, or cannot go down: {'; '.join(needed)}")
    managed = is_managed({**status})
    there = of_kind(managed=managed)
    wanted = [only] if only else list(wire.WAYS)
    absent = [_absent(way, managed=managed) for way in wanted if way not in there]
    return [way for way in wanted if way in there], absent


def _absent(way: str, *, managed: bool) -> Proof:
    why = "a service manager holds the socket" if managed else "no service manager starts it"
    return Proof(way, "absent", f"not there: {why}")


def prove(home: str, names: Sequence[str], *, leave_down: bool, back_s: float = BACK_S) -> Iterator[Proof]:
    """Try one way after the other, and wait `back_s` for whoever comes by it.

    Raises NotNow where somebody comes to need the daemon, and the client's errors.
    """
    try:
        for way in names:
            yield _tried(home, way, back_s)
    finally:
        if leave_down:
            with contextlib.suppress(NotNow):  # somebody needs it by now: it is theirs
                trip.down(home)


def _tried(home: str, way: str, back_s: float) -> Proof:
    for _ in range(_TRIES):
        proof = _by_timer(home, back_s) if way == "timer" else by_knock(home, way, back_s)
        if proof.verdict != "unclear":
            break
    if proof.verdict == "proven":
        with Client(home) as client:
            client.way_proven(way, proof.took_s)
    elif not presence.is_up(home):
        with Client(home) as client:  # by the way that is always there, for those that follow
            client.event("wake_signal")
    return proof


@contextlib.contextmanager
def alone(home: str) -> Iterator[None]:
    """Be the only test of this home: two would wake what the other sends down. Raises NotNow, BadHome."""
    try:
        fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield  # the first start makes it
        return
    except OSError as error:
        raise errors.BadHome(f"home {home}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise NotNow("another test is at it") from None
    else:
        yield
    finally:
        os.close(fd)


def by_knock(home: str, way: str, back_s: float) -> Proof:
    """Have it go down, do what is to bring it back, and see whether it does. Raises NotNow."""
    left = ""
    generation = trip.down(home)
    begun_s = time.monotonic()
    try:
        if way in ("connect", "spawn"):
            with Client(home) as client:
                client.event("wake_signal")
        elif way == "wake.signal":
            left = trip.touch(home)
        else:
            key = f"wake-test:{os.urandom(8).hex()}"
            left = spool.drop(home, "event", {"event": "heartbeat_refresh", "key": key})
        came = trip.back(home, generation, back_s)
        took_s = time.monotonic() - begun_s
    except OSError as error:
        found, mend = f"nothing can be left in {home}: {error.strerror}", homes.command("torpor doctor", home)
        return Proof(way, "failed", found, mend=mend)
    finally:
        if left:
            _take_away(home, left)
    return judged(home, way, generation, took_s if came else None)


def _take_away(home: str, path: str) -> None:
    """Remove what was left and nobody took; a daemon that is up does so by itself."""
    if not presence.is_up(home):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _by_timer(home: str, back_s: float) -> Proof:
    for margin_s in _MARGINS_S:
        try:
            return _by_slot(home, margin_s, back_s)
        except TooLate:
            continue
    found = f"it was still up when the slot was due, {_MARGINS_S[-1]:g} s after it could go"
    return Proof("timer", "unclear", found, means="it was not seen whether the timer wakes it")


def _by_slot(home: str, margin_s: float, back_s: float) -> Proof:
    """Plan work a moment ahead, and see whether the service manager's timer is there for it. Raises TooLate."""
    try:
        with Client(home) as client:
            client.agent_register(AGENT)
            at_s = time.time() + margin_s + trip.least_up_s(client)
            at = datetime.fromtimestamp(at_s, UTC).isoformat()
            if not client.slot_add(AGENT, "work", at)["armed"]:
                means = "a slot that is due while it is down waits until something else wakes it"
                found = "the service manager takes no timer from it"
                mend = homes.command("torpor log --kind wake_not_armed -n 1", home)
                return Proof("timer", "failed", found, means=means, mend=mend)
        generation = trip.down(home, by_wall_s=at_s)
        came = trip.back(home, generation, max(0.0, at_s - time.time()) + back_s)
        return judged(home, "timer", generation, max(0.0, time.time() - at_s) if came else None)
    finally:
        with Client(home) as client, contextlib.suppress(errors.Refused):  # it never came to be known
            client.agent_forget(AGENT)


def judged(home: str, way: str, generation: int, took_s: float | None) -> Proof:
    """Compare what was done with what the daemon says started it; `took_s` None: nothing came."""
    if took_s is None:
        means = "nobody is woken by it; what was left for it was taken away again"
        log = shlex.quote(os.path.join(home, wire.LOG_NAME))
        mend = f"tail -n 5 {log}" if way == "spawn" else homes.command("torpor service status", home)
        return Proof(way, "failed", "no daemon came up in time", means=means, mend=mend)
    with Client(home) as client:
        status = client.status()
    cause = status["start_cause"]
    if cause == way and status["generation"] == generation + 1:
        return Proof(way, "proven", f"back in {took_s:.2f} s", took_s)
    if cause in ("connect", "spawn"):
        means = "somebody connected first: try again when it is quiet"
        return Proof(way, "unclear", f"something else woke it: {cause}", means=means)
    means = "it came back, and not for what was left for it"
    mend = homes.command("torpor service status", home)
    return Proof(way, "failed", f"something else woke it: {cause}", means=means, mend=mend)
