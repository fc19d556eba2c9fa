"""Who makes the mixed load. A unit of work leaves nothing behind, and knows how many of its requests are activity."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from datetime import UTC, datetime
from random import Random

from daemon_process import CallRefusedError, LineClient
from process.flows.outside import marks
from process.patience import Spawner
from process.wake_files import drop, drop_text, left
from soak.calling import DOWN, GONE, Caller
from waiting import until

FILE_LIMIT_S = 300.0
RUN_LIMIT_S = 600.0
WAIT_S = 10.0
# The last takes a hibernation back: too many of them, and there is none.
EVENTS = (*("request_arrived", "heartbeat_refresh") * 10, "wake_signal")


class Worker:
    """One thread's part in the load. `counted` is what its finished units add to the daemon's `wrapper_event_seq`."""

    pause_s = 0.05
    keeps_busy = False  # what it does keeps the daemon from hibernating

    def __init__(self, name: str, spawner: Spawner, seed: int) -> None:
        self.name = name
        self.counted = 0
        self.did: Counter[str] = Counter()
        self.spawner = spawner
        self.home = spawner.daemon.home
        self.dice = Random(f"{seed}-{name}")
        self.caller = Caller(name, spawner.daemon.socket, spawner.start, self.dice)
        self.number = 0

    def unit(self) -> None:
        """Do one piece of work, whole."""
        raise NotImplementedError

    def change(self, method: str, /, **params: object) -> dict[str, object]:
        """Ask for a change that counts as activity."""
        found = self.caller.change(method, **params)
        self.counted += 1
        self.did[method] += 1
        return found


class Events(Worker):
    """Sends events."""

    pause_s = 0.02

    def unit(self) -> None:
        """Some on a row."""
        for _ in range(self.dice.randint(1, 20)):
            self.change("event", event=self.dice.choice(EVENTS))


class Files(Worker):
    """Leaves files in `wake.d/`, some that are no events, and touches `wake.signal`."""

    pause_s = 0.1
    signals = 0.1  # how often, of 1, it touches wake.signal

    def unit(self) -> None:
        """A few files; waits until they are taken, so that the daemon may be down meanwhile and must come back."""
        for _ in range(self.dice.randint(1, 5)):
            self.number += 1
            if self.dice.random() < 0.1:
                drop_text(self.home, f"{self.number}.json", "no event")
                self.did["bad file"] += 1
            else:
                drop(self.home, f"{self.number}.json")
                self.counted += 1
                self.did["file"] += 1
        if self.dice.random() < self.signals:
            (self.home / "wake.signal").touch()
            self.counted += 1
            self.did["wake.signal"] += 1
        until(self._taken, limit_s=FILE_LIMIT_S, what="the files to be taken")
        for path in (self.home / "wake.rejected").iterdir():
            path.unlink()

    def _taken(self) -> bool:
        """Look; and do what a service manager's path unit does where the daemon is down."""
        if not left(self.home) and not (self.home / "wake.signal").exists():
            return True
        self.spawner.start()
        return False


class Agents(Worker):
    """An agent's day: it comes, works, takes a slot, runs out of quota, recovers, and is forgotten."""

    pause_s = 0.1
    keeps_busy = True
    beats = 10  # how often it says at most that it is at work

    def unit(self) -> None:
        """One agent."""
        self.number += 1
        agent = {"agent_id": f"{self.name}-{self.number}"}
        self.change("agent.register", **agent, meta={"cwd": "/src"})
        for _ in range(self.dice.randint(1, self.beats)):
            self.change("agent.heartbeat", **agent, doing="busy")
        self.change("agent.transition", **agent, to="idle")
        at = datetime.fromtimestamp(time.time() - 1, UTC).isoformat()
        slot_id = self.change("slot.add", **agent, type="work", at=at, payload={"n": self.number})["slot_id"]
        self.change("slot.take", slot_id=slot_id)
        self.change("slot.finish", slot_id=slot_id)
        later = datetime.fromtimestamp(time.time() + 86_400, UTC).isoformat()
        planned = self.change("slot.add", **agent, type="on_call", at=later)["slot_id"]
        if self.dice.random() < 0.5:
            self.change("slot.cancel", slot_id=planned)
        self.change("agent.transition", **agent, to="exhausted", retry_after=360)
        self.change("agent.transition", **agent, to="idle")
        self.change("agent.forget", **agent)


class Holds(Worker):
    """Takes holds of each kind, and gives them back."""

    pause_s = 0.1
    keeps_busy = True

    def unit(self) -> None:
        """One of each."""
        hold = {"who": self.name, "why": "the load"}
        timed = self.change("hold.acquire", **hold, ttl_s=600)["hold_id"]
        bound = self.change("hold.acquire", **hold, pid=os.getpid())["hold_id"]
        for hold_id in (timed, bound):
            self.change("hold.release", hold_id=hold_id)
        self.change("hold.acquire", **hold, ttl_s=0.05)  # this one goes by itself


class Runs(Worker):
    """Starts a run with calls, waits for its end, looks at what it did outside, and removes it."""

    pause_s = 0.5
    keeps_busy = True

    def unit(self) -> None:
        """One run: each step finished once, each call recorded once, nothing of it left."""
        self.number += 1
        folder = self.home.parent / f"{self.home.name}-{self.name}-{self.number}"
        folder.mkdir()
        flow = self.dice.choice(("chain", "calls", "branches"))
        data = {"folder": str(folder), "until": 2}
        run_id = str(self.change("run.start", flow=flow, data=data)["run_id"])
        until(lambda: self._ended(run_id), limit_s=RUN_LIMIT_S, what=f"the end of {flow}")
        found = self.caller.look("run.get", run_id=run_id)
        assert found["run"]["status"] == "completed", found
        finished = Counter((s["branch"], s["state"], s["visit"]) for s in found["steps"] if s["outcome"] in _FINISHED)
        assert set(finished.values()) == {1}, finished
        assert {(e["branch"], e["state"], e["visit"]) for e in marks(folder, "begin")} == set(finished)
        effects = Counter(each["key"] for each in marks(folder, "effect"))
        assert set(effects) == {call["key"] for call in found["calls"]}
        self.did["effects had again"] += effects.total() - len(effects)
        self.change("run.remove", run_id=run_id)
        shutil.rmtree(folder)

    def _ended(self, run_id: str) -> bool:
        try:
            self.caller.look("wait", run_id=run_id, timeout_s=WAIT_S)
        except CallRefusedError as error:
            if error.name != "timeout":
                raise
            return False
        return True


_FINISHED = {"next", "parallel", "at_join", "complete"}


class Looks(Worker):
    """Looks at everything, and never at a daemon that is down."""

    pause_s = 0.1
    methods = ("status", "why", "doctor", "log", "hold.list", "agent.list", "slot.list", "run.list")

    def unit(self) -> None:
        """One look, on a connection of its own; sometimes one that is left without a word."""
        method = self.dice.choice(self.methods)
        try:
            with LineClient(self.spawner.daemon.socket) as line:
                line.request(method)
                if self.dice.random() < 0.8:
                    reply = line.read_line()
                    assert "result" in reply or reply["error"]["data"]["name"] == "draining", reply
                    self.did[method] += 1
        except (*GONE, *DOWN, BlockingIOError) as error:
            self.caller.ways[type(error).__name__] += 1
