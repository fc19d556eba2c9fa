"""Runs of toy flows under a real daemon: started, followed over its deaths, and held against what the outside saw."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from daemon_process import LineClient, RunningDaemon
from process.flows.outside import marks
from process.reading import assert_whole, ledger
from process.timers import settings
from torpord.core import run_records as rr
from waiting import until as until_within

GONE = (EOFError, BrokenPipeError, ConnectionResetError, ConnectionRefusedError, FileNotFoundError)
FLOWS = Path(__file__).with_name("flows")
FINISHED = {"next", "parallel", "at_join", "complete"}
BROKEN_OFF = {"crashed", "interrupted"}
MOST_DEATHS = 100
# Workers are low in priority: beside other work on the machine they may have to wait long for a processor.
until = functools.partial(until_within, limit_s=30.0)


def flow_settings(*flows: str, path: Path = FLOWS, more: str = "", **lifecycle: str) -> str:
    """Return settings with these flows, each "module:flow" under its flow's name."""
    tables = [f'[flows.{each.partition(":")[2]}]\npython = "{each}"\npath = "{path}"\n' for each in flows]
    return settings("\n".join([*tables, more]), **lifecycle)


@dataclass(frozen=True, slots=True)
class History:
    """All that `run.get` tells of a run."""

    run: dict[str, Any]
    steps: list[dict[str, Any]]
    calls: list[dict[str, Any]]

    @property
    def outcomes(self) -> list[str]:
        """Every attempt as "state.visit.attempt outcome"."""
        return [f"{each['state']}.{each['visit']}.{each['attempt']} {each['outcome']}" for each in self.steps]

    def visits(self) -> dict[tuple[str, str, int], list[dict[str, Any]]]:
        """The attempts by visit: branch, state, visit."""
        found: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
        for step in self.steps:
            found[step["branch"], step["state"], step["visit"]].append(step)
        return dict(found)


def history(client: LineClient | RunningDaemon, run_id: str) -> History:
    """Read a run, page by page."""
    found = client.call("run.get", run_id=run_id)
    steps, calls = list(found["steps"]), list(found["calls"])
    while found["cursor"]:
        found = client.call("run.get", run_id=run_id, cursor=found["cursor"])
        steps += found["steps"]
        calls += found["calls"]
    return History(found["run"], steps, calls)


def start(daemon: RunningDaemon, flow: str, folder: Path | None = None, **data: Any) -> str:
    """Start a run; `folder` is its outside."""
    if folder is not None:
        folder.mkdir(exist_ok=True)
        data["folder"] = str(folder)
    return str(daemon.call("run.start", flow=flow, data=data)["run_id"])


def status_at_end(daemon: RunningDaemon, run_id: str, limit_s: float = 30.0) -> str:
    """Wait for a run's end. Raises one of GONE where the daemon dies before."""
    with daemon.connect() as client:
        request_id = client.request("wait", run_id=run_id, timeout_s=limit_s)
        reply = client.read_line(limit_s + 5)
        assert reply["id"] == request_id
        assert "result" in reply, f"{reply}; {history(daemon, run_id)}"
        return str(reply["result"]["status"])


def history_at_end(daemon: RunningDaemon, run_id: str, limit_s: float = 30.0) -> History:
    """Wait for a run's end, and read it."""
    status_at_end(daemon, run_id, limit_s)
    return history(daemon, run_id)


def carried(daemon: RunningDaemon, run_ids: Iterable[str]) -> tuple[RunningDaemon, int]:
    """Start the daemon again as often as it dies, until the runs have ended; returns the last one, and the deaths."""
    deaths = 0
    while deaths < MOST_DEATHS:
        with contextlib.suppress(*GONE):
            for run_id in run_ids:
                status_at_end(daemon, run_id)
            return daemon, deaths
        daemon.wait_gone()
        deaths += 1
        assert_whole(daemon.home)
        # What is looked at here is the runs: five starts in a row that die before they answered lead to safe mode.
        (daemon.home / "starts.json").unlink(missing_ok=True)
        daemon = daemon.again(wait=False)
        with contextlib.suppress(AssertionError):  # it may die before it has answered anybody
            daemon.wait_ready()
    raise AssertionError(f"no end after {deaths} deaths")


def assert_once(found: History, folder: Path, home: Path) -> None:
    """Check a completed run against the outside: each step finished once, nothing left out, each effect had once.

    An effect whose outcome was not recorded may be had again under its key, and the outside sees one of them. One that
    was recorded, and a step that finished, are never begun again after that.
    """
    assert found.run["status"] == "completed", found.run
    _assert_steps(found, folder)
    _assert_calls(found, folder)
    run_id = found.run["run_id"]
    finished_ts, recorded_ts = {}, {}
    for entry in ledger(home):
        record = entry.record
        if isinstance(record, rr.StepEnded) and record.run_id == run_id:
            place = (record.branch, record.state, record.visit)
            assert place not in finished_ts, f"{place} finished twice"
            finished_ts[place] = entry.wall_s
        elif isinstance(record, rr.CallEnded) and record.run_id == run_id:
            assert record.key not in recorded_ts, f"the call {record.key} was recorded twice"
            recorded_ts[record.key] = entry.wall_s
    for each in marks(folder, "begin"):
        place = (each["branch"], each["state"], each["visit"])
        assert each["ts"] <= finished_ts[place], f"{place} ran again after it had finished"
    for each in marks(folder, "effect"):
        assert each["ts"] <= recorded_ts[each["key"]], f"the recorded call {each['key']} was made again"


def _assert_steps(found: History, folder: Path) -> None:
    begun = Counter((e["branch"], e["state"], e["visit"], e["attempt"]) for e in marks(folder, "begin"))
    assert set(begun.values()) == {1}, "an attempt began twice"
    visits = found.visits()
    assert {place[:3] for place in begun} == set(visits)
    for place, steps in visits.items():
        # An attempt that was begun is told of, and the last one finished; but for what began in the very last instant.
        assert [step["attempt"] for step in steps] == list(range(1, len(steps) + 1)), (place, steps)
        assert [step["outcome"] in FINISHED for step in steps] == [False] * (len(steps) - 1) + [True], (place, steps)
        assert {each[3] for each in begun if each[:3] == place} <= set(range(1, len(steps) + 1)), place
        assert (*place, len(steps)) in begun, place


def _assert_calls(found: History, folder: Path) -> None:
    effects = Counter(each["key"] for each in marks(folder, "effect"))
    calls = {call["key"]: call for call in found.calls}
    assert len(calls) == len(found.calls)
    assert set(effects) == set(calls)
    assert {call["status"] for call in found.calls} <= {"done"}


def repeated(folder: Path) -> list[str]:
    """Return the keys whose effect was had more than once: begun, not recorded, begun again."""
    return [key for key, count in Counter(e["key"] for e in marks(folder, "effect")).items() if count > 1]


def lives(pid: int) -> bool:
    """Whether a process is there and is no zombie: one of those waits only for its parent."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def assert_whole_after(daemon: RunningDaemon) -> None:
    """End a daemon, and check what it leaves."""
    assert daemon.stop() == 0
    assert_whole(daemon.home)
