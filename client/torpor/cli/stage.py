"""What the tour is told with: a home of its own, a clock on the left, a follower of the ledger, checks that end it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

from torpor import Client, wire
from torpor.presence import is_up

LIMIT_S = 10.0
_SHOWN = ("sleep_cycle_started", "sleep_cycle_interrupted", "sleep_cycle_done", "step_ended")


class FailedStep(Exception):  # noqa: N818 - it is what happened
    """A step did not do what it says."""


def check(holds: object, otherwise: str) -> None:
    """End the tour where something is not as it was said to be."""
    if not holds:
        raise FailedStep(otherwise)


def until(holds: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> float:
    """Wait for a condition; return how long it took. Raises FailedStep when it takes too long."""
    begun = time.monotonic()
    while not holds():
        check(time.monotonic() - begun < limit_s, f"{what}: not within {limit_s:g} s")
        time.sleep(0.005)
    return time.monotonic() - begun


class Stage:
    """A home in a folder of its own, and everything that speaks with the daemon in it."""

    def __init__(self, settings: str) -> None:
        self.home = tempfile.mkdtemp(prefix="torpor-demo-")
        self.begun = time.monotonic()
        self._lock = threading.Lock()
        self.write(wire.SETTINGS_NAME, settings)

    def write(self, name: str, text: str) -> None:
        """Write a file in the home."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def path(self, *names: str) -> str:
        """Return a path in the home."""
        return os.path.join(self.home, *names)

    def say(self, text: str = "", mark: str = " ") -> None:
        """Print a line with the seconds since the beginning."""
        with self._lock:
            for line in text.splitlines() or [""]:
                stamp = f"{time.monotonic() - self.begun:6.2f} s" if line else " " * 8
                print(f"{stamp} {mark} {line}".rstrip(), flush=True)

    def chapter(self, title: str) -> None:
        """Print a heading."""
        with self._lock:
            print(f"\n{title}\n{'-' * len(title)}", flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Time a step, and print it with what it adds to the list."""
        added: list[str] = []
        begun = time.monotonic()
        yield added
        took_ms = (time.monotonic() - begun) * 1000
        self.say(f"{text:<44} {took_ms:7.1f} ms   {' '.join(added)}".rstrip())

    def run(self, *argv: str, status: int = 0) -> str:
        """Run a command of the tour's against this home; returns what it printed.

        Raises FailedStep where its exit status is not the expected one.
        """
        env = {**os.environ, "TORPOR_HOME": self.home}
        env.pop("TORPOR_SOCKET", None)
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        check(done.returncode == status, f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def shell(self, line: str) -> str:
        """Run a line of shell."""
        return self.run("/bin/sh", "-c", line)

    def torpor(self, *words: str, status: int = 0) -> str:
        """Run the command `torpor`, the one that belongs to this Python."""
        return self.run(*torpor_command(), *words, status=status)

    def end(self) -> None:
        """Stop the daemon if it is up, and remove the home."""
        if is_up(self.home):
            with Client(self.home, timeout=LIMIT_S) as client:
                client.stop()
            until(lambda: not is_up(self.home), "the daemon's end")
        shutil.rmtree(self.home)


def integrity(database: str) -> str:
    """Ask SQLite whether a database that nobody has open is whole: "ok", or what is wrong."""
    import sqlite3  # noqa: PLC0415 - for this one question

    with closing(sqlite3.connect(database)) as db:
        return str(db.execute("PRAGMA integrity_check").fetchone()[0])


def is_gone(pid: int) -> bool:
    """Say whether there is no such process any more, or only what its parent has not collected yet."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except ProcessLookupError:
        return True
    except OSError:  # no /proc
        return False


def torpor_command() -> tuple[str, ...]:
    """Return the command `torpor` of this installation, else this interpreter running the same."""
    script = os.path.join(os.path.dirname(sys.executable), "torpor")
    return (script,) if os.access(script, os.X_OK) else (sys.executable, "-m", "torpor")


def told(record: Mapping[str, Any]) -> str:
    """Tell in a few words what a record of the ledger says."""
    data = record["data"]
    match record["kind"]:
        case "state_transition":
            return f"{data['from']} -> {data['to']} by {data['trigger']}"
        case "started":
            return f"started by {data['start_cause']}, process {data['generation']}"
        case "step_ended":
            leads = ", ".join(each["state"] for each in data["next"]) or data["outcome"]
            return f"step {data['state']} ended after {data['duration_s']:.2f} s: {leads}"
        case "sleep_cycle_started":
            return f"the sleep cycle {'goes on at ' + data['step'] if data['resumed'] else 'begins'}"
        case "sleep_cycle_interrupted":
            return f"the sleep cycle gives way, at {data['step']}"
        case "sleep_cycle_done":
            return f"the sleep cycle is done, {data['worked_s']:.2f} s of work"
        case kind:
            return f"{kind} {data.get('reason', '')}".strip()


class Follower:
    """Prints what happens as it happens, from a subscription that goes on through the daemon's exits."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._client = Client(stage.home)
        self._seen: list[Mapping[str, Any]] = []
        self._news = threading.Condition()
        self._ready = threading.Event()
        self._moved_ts = ""
        threading.Thread(target=self._follow, name="follower", daemon=True).start()
        check(self._ready.wait(LIMIT_S), "the subscription did not begin")

    def _follow(self) -> None:
        # From the first line on: what happened before is told as well, so nothing depends on who was quicker.
        for record in self._client.subscribe(after=0):
            with self._news:
                self._seen.append(record)
                self._news.notify_all()
            self._ready.set()
            self._show(record)

    def _show(self, record: Mapping[str, Any]) -> None:
        if record["kind"] == "state_transition":
            stayed = f" after {self._since(record['ts']):.2f} s in {record['data']['from']}" if self._moved_ts else ""
            self._stage.say(f"{told(record)}{stayed}", mark=">")
        elif record["kind"] in _SHOWN:
            self._stage.say(told(record), mark="*")
        if record["kind"] == "state_transition" or not self._moved_ts:
            self._moved_ts = record["ts"]

    def _since(self, ts: str) -> float:
        return (datetime.fromisoformat(ts) - datetime.fromisoformat(self._moved_ts)).total_seconds()

    def wait_for(self, what: str, holds: Callable[[Mapping[str, Any]], bool], after: int = 0) -> Mapping[str, Any]:
        """Wait for a record behind number `after`. Raises FailedStep."""
        end = time.monotonic() + LIMIT_S
        with self._news:
            while True:
                for record in self._seen:
                    if record["seq"] > after and holds(record):
                        return record
                left_s = end - time.monotonic()
                check(left_s > 0, f"{what}: not within {LIMIT_S:g} s")
                self._news.wait(left_s)

    def transition(self, to: str, after: int = 0) -> Mapping[str, Any]:
        """Wait for the transition to a state."""
        return self.wait_for(
            f"the transition to {to}",
            lambda record: record["kind"] == "state_transition" and record["data"]["to"] == to,
            after,
        )
