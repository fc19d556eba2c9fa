"""An hour of everything at once, with churn: connections, files, agents, runs, hibernations.

The load comes in tides. While it is high all workers work; at the ebb each ends the unit it has in hand, and then what
is there before and after must agree: what counts as activity with `wrapper_event_seq`, the ledger with who followed it,
and what the daemon holds (descriptors, threads, children, files) with the first ebb.

Two daemons: one hibernates for real and is started again by its clients, some hundred lives; one only says so
(`shadow_run`), and has to go on as the same process without growing.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from daemon_process import LineClient, RunningDaemon, end_all
from process.flow_runs import flow_settings
from process.patience import Spawner
from process.reading import assert_whole
from soak import census, workers
from soak.calling import DOWN, GONE
from waiting import until

FLOWS = ("toy:chain", "toy:calls", "toy:branches")
KINDS = (workers.Events, workers.Events, workers.Files, workers.Agents, workers.Holds, workers.Runs, workers.Looks)
REST_LIMIT_S = 60.0
# Who has a unit in hand ends it, however often its daemon goes down meanwhile.
EBB_LIMIT_S = 600.0
FEWEST_TIDES = 2
# How much slower everybody is who goes on while the daemon is asked to hibernate: it would never come to it.
LULL = 10
# What a process may have grown over: an interpreter's heap breathes, by pages that are half in use.
ROOM_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """How long it goes, and how often what happens."""

    for_s: float
    tide_s: float
    hibernate_every_s: tuple[float, float]
    kinds: tuple[type[workers.Worker], ...] = KINDS


@dataclass(slots=True)
class Ebb:
    """What was found at one ebb."""

    after_s: float
    counted: int
    ledger_seq: int
    generation: int
    census: census.Census


@dataclass(slots=True)
class Follower:
    """Follows the ledger over all lives, and sees that there is no gap and no repeat."""

    spawner: Spawner
    last: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    subscriptions: int = 0
    enough: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Follow, from life to life; never starts a daemon."""
        while not self.enough.wait(0.02):
            try:
                with LineClient(self.spawner.daemon.socket) as line:
                    line.request("subscribe", after=self.last)
                    self.subscriptions += 1
                    self._read(line)
            except (*GONE, *DOWN, BlockingIOError):
                continue

    def _read(self, line: LineClient) -> None:
        while not self.enough.is_set():
            try:
                message = line.read_line(0.5)
            except TimeoutError:
                continue
            if message.get("method") == "record":
                seq = message["params"]["seq"]
                assert seq == self.last + 1, f"line {seq} came behind {self.last}"
                self.last = seq
                self.kinds[message["params"]["kind"]] += 1
            elif message.get("method") == "bye":
                return


class Load:
    """Everybody who uses one daemon."""

    def __init__(self, home: Path, size: Size, seed: int, *, shadow_run: bool) -> None:
        more = '[sleep]\nmin_interval = "20s"\n'
        lifecycle = {"shadow_run": "true"} if shadow_run else {}
        daemon = RunningDaemon.start(home, flow_settings(*FLOWS, more=more, **lifecycle))
        self.home = home
        self.shadow_run = shadow_run
        self.spawner = Spawner(daemon)
        self.follower = Follower(self.spawner)
        self.ebbs: list[Ebb] = []
        self._size = size
        self.dice = Random(seed)
        numbers = itertools.count(1)
        self.workers = [kind(f"{kind.__name__.lower()}{next(numbers)}", self.spawner, seed) for kind in size.kinds]
        self.ebbing = threading.Event()
        self._lull = threading.Event()

    def high_tide(self, pool: ThreadPoolExecutor) -> None:
        """Let everybody work for one tide. Raises what a worker raised."""
        self.ebbing.clear()
        busy = [pool.submit(self._work, worker) for worker in self.workers]
        busy.append(pool.submit(self.disturb))
        end_at = time.monotonic() + self._size.tide_s
        try:
            until(lambda: time.monotonic() > end_at or any(_failed(each) for each in busy), limit_s=86_400)
        finally:
            self.ebbing.set()
        for each in busy:
            each.result(EBB_LIMIT_S)

    def _work(self, worker: workers.Worker) -> None:
        while not self.ebbing.wait(
            worker.pause_s * worker.dice.uniform(0.5, 1.5) * (LULL if self._lull.is_set() else 1)
        ):
            if not (worker.keeps_busy and self._lull.is_set()):
                worker.unit()
        worker.caller.hang_up()

    def disturb(self) -> None:
        """Have the daemon go down in the middle of it, again and again, until the ebb."""
        while not self.ebbing.wait(self.dice.uniform(*self._size.hibernate_every_s)):
            self._lull.set()
            generation, asked = self.follower.kinds["started"], self.follower.kinds["shadow_run_warning"]
            # Asked again and again: what comes meanwhile may take it back.
            while not self.ebbing.wait(0.05) and not self._went_down(generation, asked):
                self._ask_for_it()
            self._lull.clear()

    def _went_down(self, lives: int, warnings: int) -> bool:
        kinds = self.follower.kinds
        return kinds["shadow_run_warning"] > warnings if self.shadow_run else kinds["started"] > lives

    def _ask_for_it(self) -> None:
        with suppress(*GONE, *DOWN, BlockingIOError), LineClient(self.spawner.daemon.socket) as line:
            line.ask("hibernate", now=True)

    def rest(self, began_at: float) -> Ebb:
        """Wait until nothing is left of the tide, and look whether all counts agree."""
        self.spawner.start()
        daemon = self.spawner.daemon
        daemon.wait_ready()
        with LineClient(daemon.socket) as line:
            until(lambda: _at_rest(line.call("status"), daemon.pid), limit_s=REST_LIMIT_S, what="rest")
            status = line.call("status")
            found = census.take(daemon.pid, self.home)  # while this connection is there, and sure to be counted
        counted = sum(each.counted for each in self.workers)
        assert status["wrapper_event_seq"] == counted, (status["wrapper_event_seq"], counted)
        until(lambda: self.follower.last >= status["ledger_seq"], what="the follower at the end of the ledger")
        assert not list(self.home.parent.glob(f"{self.home.name}-*")), "a run left its folder"
        ebb = Ebb(time.monotonic() - began_at, counted, status["ledger_seq"], status["generation"], found)
        self.ebbs.append(ebb)
        return ebb

    def told(self) -> dict[str, Any]:
        """Return what was done and found."""
        total: Counter[str] = sum((each.did for each in self.workers), Counter())
        ways: Counter[str] = sum((each.caller.ways for each in self.workers), Counter())
        return {
            "shadow_run": self.shadow_run,
            "lives": self.ebbs[-1].generation if self.ebbs else 0,
            "hibernations": self.follower.kinds["shadow_run_warning" if self.shadow_run else "stopped"],
            "counted": sum(each.counted for each in self.workers),
            "done": dict(sorted(total.items())),
            "ways": dict(sorted(ways.items())),
            "records": dict(sorted(self.follower.kinds.items())),
            "subscriptions": self.follower.subscriptions,
            "ebbs": [asdict(each) for each in self.ebbs],
        }


def _failed(each: Future[None]) -> bool:
    return each.done() and each.exception() is not None


def _at_rest(status: dict[str, Any], pid: int) -> bool:
    live = {name: count for name, count in status["runs"].items() if name in ("pending", "running") and count}
    return not (status["holds"] or live or any(status["agents"].values()) or census.children(pid))


def assert_no_growth(ebbs: list[Ebb]) -> dict[str, Any]:
    """Compare one life's ebbs: all that is held is the same, and the heap no larger at the end than early on.

    Early on is the second quarter: in the first it fills its caches, and the collector of cycles, which looks rarely,
    has not come round. So the heap is compared where there are four ebbs, and the short version says nothing about it.
    """
    first, *others = ebbs
    for other in others:
        assert other.census.held() == first.census.held(), (first.census.held(), other.census.held())
    measured = [each.census.anonymous_bytes for each in ebbs]
    quarter = len(ebbs) // 4
    if quarter == 0:
        return {}
    early, late = statistics.median(measured[quarter : 2 * quarter]), statistics.median(measured[-quarter:])
    assert late <= early + ROOM_BYTES, f"its heap was {early} bytes and is {late}: {measured}"
    return {"anonymous_bytes_early": early, "anonymous_bytes_late": late}


def _line(name: str, ebb: Ebb) -> str:
    held = f"heap {ebb.census.anonymous_bytes >> 10} KiB, {ebb.census.threads} threads, {ebb.census.descriptors}"
    return f"{ebb.after_s:6.0f} s {name}: {ebb.counted} counted, life {ebb.generation}, {held}"


@contextmanager
def loads(folder: Path, size: Size, seed: int) -> Iterator[list[Load]]:
    """Both daemons, and everybody who uses them."""
    made = [Load(folder / name, size, seed, shadow_run=name == "stays") for name in ("leaves", "stays")]
    with ThreadPoolExecutor() as pool:
        following = [pool.submit(load.follower.run) for load in made]
        try:
            yield made
        finally:
            for load in made:
                load.follower.enough.set()
        for each in following:
            each.result(10)


def run(folder: Path, size: Size, seed: int, note: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Go through the tides. Raises AssertionError where anything disagrees."""
    began_at = time.monotonic()
    with (
        loads(folder, size, seed) as made,
        ThreadPoolExecutor(2 * len(size.kinds) + 4) as pool,
        ThreadPoolExecutor(2) as seas,
    ):
        # Two at least, on however slow a machine: one ebb agrees with itself.
        while time.monotonic() - began_at < size.for_s or len(made[0].ebbs) < FEWEST_TIDES:
            for each in [seas.submit(load.high_tide, pool) for load in made]:
                each.result()
            for load in made:
                note(_line(load.home.name, load.rest(began_at)))
        grown = assert_no_growth(next(load.ebbs for load in made if load.shadow_run))
        found = {load.home.name: load.told() for load in made}
    for load in made:
        assert load.spawner.daemon.stop() == 0
        assert_whole(load.home)
        assert load.spawner.daemon.log_lines()[-1].get("level") != "error"
    return {**found, **grown, "seed": seed}


def soak(for_s: float) -> dict[str, Any]:
    """Run the long one."""
    seed = time.time_ns() % 1_000_000
    with tempfile.TemporaryDirectory(prefix="tp-", dir="/tmp") as name:
        folder = Path(name)
        try:
            return run(folder, Size(for_s, tide_s=50.0, hibernate_every_s=(2.0, 8.0)), seed, note=_say)
        finally:
            for home in ("leaves", "stays"):
                end_all(folder / home)


def _say(text: str) -> None:
    print(text, flush=True)
