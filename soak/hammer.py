"""10,000 clients around the instant of hibernation, for each kind of socket: each gets one answer, and counts once.

They come in waves. Each wave is one daemon's end: it is asked to hibernate until it is gone, and within some dozen
milliseconds on the way all clients come: some connect long before and send then, some connect then, some are torpor's
own client. Before the point of no return they take the hibernation back, and it is asked for again. Where the daemon
is gone the next is started as that kind of socket has it. `wrapper_event_seq` in an answer is the event's own number:
of N clients all numbers from 1 to N must have been given, each to one.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torpor
from daemon_process import LineClient
from process.reading import assert_whole, ledger
from process.timers import settings
from soak import doors
from soak.calling import DOWN, GONE, Caller
from torpord.core import records
from waiting import until

CLIENTS = 10_000
A_WAVE = 50
SPREAD_S = 0.01
WAVE_LIMIT_S = 60.0
# What is said to be near a daemon's end, in seconds before and after it.
NEAR_S = (0.005, 0.025, 0.1)


@dataclass(slots=True)
class Answered:
    """One client: when it first asked (wall clock), the number it was given, and what it met on the way."""

    at_s: float
    answered_s: float
    number: int
    ways: Counter[str]


@dataclass(slots=True)
class Hammer:
    """Wave after wave at one door."""

    door: doors.Door
    dice: Random
    answers: list[Answered] = field(default_factory=list)
    down_s: list[float] = field(default_factory=list)  # how long an end took since the last answer before it

    @property
    def socket(self) -> Path:
        """Where everybody knocks."""
        return self.door.home / "torpor.sock"

    def wave(self, clients: int, pool: ThreadPoolExecutor) -> None:
        """Let one daemon go down among so many clients. Raises what a client raised."""
        with self._observer() as observer:
            # On the way down somewhere, or behind its end.
            at_s = self.dice.uniform(0, 1.6) * statistics.median(self.down_s[-9:] or [0.2])
            all_there = threading.Barrier(clients + 1)
            first = len(self.answers)
            came = [
                pool.submit(self._come, first + n, max(0.0, self.dice.gauss(at_s, SPREAD_S)), all_there)
                for n in range(clients)
            ]
            all_there.wait(WAVE_LIMIT_S)
            began_s = time.time()
            until(lambda: self._gone(observer), limit_s=WAVE_LIMIT_S, what="the end of the daemon")
            ended_s = time.time()
        answers = [each.result(WAVE_LIMIT_S) for each in came]
        last_s = max((each.answered_s for each in answers if each.answered_s < ended_s), default=began_s)
        self.down_s.append(ended_s - max(began_s, last_s))
        self.answers += answers

    def _observer(self) -> LineClient:
        """Return a connection that is served: it ends when the daemon does."""
        return until(self._served, limit_s=WAVE_LIMIT_S, what="a daemon")

    def _served(self) -> LineClient | None:
        caller = Caller("observer", self.socket, self.door.start, self.dice, fickle=0)
        caller.look("status")
        return caller.line

    def _gone(self, observer: LineClient) -> bool:
        with suppress(*GONE, *DOWN, BlockingIOError):
            observer.request("hibernate", now=True)
            observer.read_line()
            return False
        return True

    def _come(self, number: int, at_s: float, all_there: threading.Barrier) -> Answered:
        """Be one client."""
        key = {"event": "request_arrived", "key": f"client-{number}"}
        early = LineClient(self.socket) if number % 3 == 0 else None
        all_there.wait(WAVE_LIMIT_S)
        threading.Event().wait(at_s)
        asked_at = time.time()
        if number % 3 == 1 and self.door.own_clients:
            with torpor.Client(self.door.home, timeout=WAVE_LIMIT_S) as client:
                said = client.event(**key)
            return Answered(asked_at, time.time(), said["wrapper_event_seq"], Counter({"by torpor's client": 1}))
        caller = Caller("", self.socket, self.door.start, Random(number), line=early, fickle=1, hasty=0)
        said = caller.ask("event", **key)
        return Answered(asked_at, time.time(), said["wrapper_event_seq"], caller.ways)

    def told(self) -> dict[str, Any]:
        """Return what was counted. Raises AssertionError where a client counts twice, or not at all."""
        numbers = sorted(each.number for each in self.answers)
        assert numbers == list(range(1, len(numbers) + 1)), _odd(numbers)
        lines = ledger(self.door.home)
        ends_s = [line.wall_s for line in lines if isinstance(line.record, records.Stopped)]
        lives = [line.record for line in lines if isinstance(line.record, records.Started)]
        assert len(lives) == len(ends_s), [life for life in lives if life.after_crash]
        nearest = [min((abs(each.at_s - end_s) for end_s in ends_s), default=9.0) for each in self.answers]
        return {
            "clients": len(numbers),
            "lives": len(lives),
            "ends": len(ends_s),
            "near_an_end": {f"{near_s * 1000:g} ms": sum(each <= near_s for each in nearest) for near_s in NEAR_S},
            "ways": dict(sorted(sum((each.ways for each in self.answers), Counter[str]()).items())),
            "going_down_s": {"median": round(statistics.median(self.down_s), 3), "longest": round(max(self.down_s), 3)},
        }


def _odd(numbers: list[int]) -> str:
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    never = sorted(set(range(1, len(numbers) + 1)) - set(numbers))
    return f"given to two: {twice[:9]}, to nobody: {never[:9]}, of {len(numbers)}"


def run(
    opened: AbstractContextManager[doors.Door],
    *,
    clients: int,
    a_wave: int = A_WAVE,
    for_s: float = 86_400.0,
    seed: int = 0,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Hammer at one door. Raises AssertionError where a client gets silence, or counts otherwise than once."""
    end_at = time.monotonic() + for_s
    with opened as door, ThreadPoolExecutor(a_wave) as pool:
        hammer = Hammer(door, Random(seed))
        while len(hammer.answers) < clients and time.monotonic() < end_at:
            hammer.wave(min(a_wave, clients - len(hammer.answers)), pool)
            note(f"{door.kind}: {len(hammer.answers)} clients, {len(hammer.down_s)} ends")
        caller = Caller("last", hammer.socket, door.start, hammer.dice)
        status = caller.look("status")
        assert status["wrapper_event_seq"] == len(hammer.answers), status
        caller.look("stop")
        caller.hang_up()
        until(door.is_down, limit_s=WAVE_LIMIT_S, what="the end")
        assert_whole(door.home)
        return hammer.told() | {"seed": seed}


def soak(for_s: float) -> dict[str, Any]:
    """Hammer at all three, a third of the time each, or until all clients have come."""
    seed = time.time_ns() % 1_000_000
    with tempfile.TemporaryDirectory(prefix="tp-", dir="/tmp") as name:
        text = settings()
        opened = (doors.own(Path(name, "own"), text), doors.inherited(Path(name, "held"), text), doors.systemd(text))
        return {
            kind: run(each, clients=CLIENTS, for_s=for_s / 3, seed=seed, note=_say)
            for kind, each in zip(("own", "inherited", "systemd"), opened, strict=True)
        }


def _say(text: str) -> None:
    print(text, flush=True)
