"""Runs and the life of the daemon around them: its end while a step runs, a full disk, and what is kept of them."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process.disk import SmallDisk, cpu_s
from process.reading import assert_whole
from process.timers import settings
from waiting import until
from wire.runs import ended, exported, flows, imported, start, version_1

YIELD_S = 0.4
YIELDS = f'[sleep]\nyield_within = "{YIELD_S * 1000:.0f}ms"\n'
# What ending a worker takes besides: three words, each a moment apart, and the exit itself.
MORE_S = 2.0

NOTES = '''
from torpord import Complete, Flow

flow = Flow("notes")


@flow.state(initial=True)
async def work(run):
    """Write a line for each call that is made: the outside counts."""
    n = run.data["n"] = run.data.get("n", 0) + 1

    def note(n, idempotency_key):
        with open(run.data["notes"], "a") as notes:
            notes.write(idempotency_key + "\\n")

    await run.call("note", {"n": n}, note)
    return work if n < run.data["until"] else end


@flow.state
async def end(run):
    return Complete(run.data["n"])
'''


def alive(pid: int) -> bool:
    """Whether a process is there, and not only its entry."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def at_work(line: LineClient, gate: Path) -> tuple[str, int]:
    """Return a run whose step goes on until the gate is there, and its worker."""
    run_id = start(line, then="wait", gate=str(gate))
    until(lambda: line.call("run.get", run_id=run_id)["run"]["progress"], what="its step")
    return run_id, line.call("run.get", run_id=run_id)["run"]["worker_pid"]


@pytest.mark.parametrize("how", ["stop", "SIGTERM", "SIGINT"])
def test_an_end_breaks_a_step_off_in_time_and_the_next_start_goes_on(how: str, short_dir: Path, home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(YIELDS + flows(short_dir, "toy")))
    with daemon.connect() as line:
        run_id, worker = at_work(line, short_dir / "gate")
        begin_s = time.monotonic()
        if how == "stop":
            line.call("stop")
        else:
            daemon.process.send_signal(getattr(signal, how))
        assert daemon.wait_gone() == 0
        assert time.monotonic() - begin_s < YIELD_S + MORE_S
    until(lambda: not alive(worker), what="the worker's end")
    (short_dir / "gate").touch()
    with daemon.again().connect() as line:
        steps = ended(line, run_id)["steps"]
    assert [(step["state"], step["attempt"], step["outcome"]) for step in steps] == [
        ("work", 1, "interrupted"),
        ("work", 2, "next"),
        ("end", 1, "complete"),
    ]
    until(lambda: not list((home / "tmp").glob("run-*")), what="the end of the worker's folder")


def test_a_step_that_ends_in_the_time_it_is_given_is_kept(short_dir: Path, home: Path) -> None:
    daemon = RunningDaemon.start(home, settings('[sleep]\nyield_within = "5s"\n' + flows(short_dir, "toy")))
    with daemon.connect() as line:
        run_id, _ = at_work(line, short_dir / "gate")
        line.call("stop")
        (short_dir / "gate").touch()
        assert daemon.wait_gone() == 0
    with daemon.again().connect() as line:
        steps = ended(line, run_id)["steps"]
    assert [(step["state"], step["attempt"]) for step in steps] == [("work", 1), ("end", 1)]


def test_a_hibernation_waits_for_a_run_and_not_for_one_that_rests(short_dir: Path, home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(flows(short_dir, "toy")))
    with daemon.connect() as line:
        imported(line, version_1())
        run_id, _ = at_work(line, short_dir / "gate")
        said = line.call("hibernate")
        assert [each["run_id"] for each in said["waiting_for"]] == [run_id]
        (short_dir / "gate").touch()
    assert daemon.wait_gone() == 0
    following = daemon.again()
    assert following.call("run.get", run_id=run_id)["run"]["status"] == "completed"
    assert following.call("status")["runs"]["paused"] == 1


def test_housekeeping_forgets_runs_by_age_and_number(short_dir: Path, home: Path) -> None:
    keeps = '[runs]\nkeep = "30d"\nkeep_count = 4\n[sleep]\nmin_interval = "1h"\n'
    daemon = RunningDaemon.start(home, settings(keeps + flows(short_dir, "toy"), min_up="1h"))
    with daemon.connect() as line:
        document = exported(line, _completed(line))
        now = time.time()
        days_ago = [100, 60, 31, 29, 5, 4, 3, 2, 1]
        ids = {days: imported(line, _ended_at(document, now - days * 86_400)) for days in days_ago}
        paused = imported(line, version_1())
        line.call("event", event="force_sleep")
        until(lambda: line.call("status")["sleep"]["last_cycle"], what="the cycle")
        cycle = line.call("status")["sleep"]["last_cycle"]
        assert cycle["outcome"] == "completed"
        gone = {ids[days] for days in (100, 60, 31, 29, 5, 4)}
        assert cycle["result"]["expire_runs"] == {"runs": len(gone), "agents": 0}
        left = {run["run_id"] for run in line.call("run.list")["runs"]}
        assert not left & gone
        assert {ids[days] for days in (3, 2, 1)} | {paused, cycle["run_id"]} <= left
        removed = line.call("log", kinds=["run_removed"])["records"]
        assert {each["data"]["run_id"] for each in removed} == gone
        counts = line.call("status")["runs"]
    daemon.stop()
    with contextlib.closing(sqlite3.connect(home / "torpor.db")) as db:
        for table in ("runs", "run_data", "steps", "calls"):
            assert not gone & {run_id for (run_id,) in db.execute(f"SELECT run_id FROM {table}")}  # noqa: S608
    world = assert_whole(home)
    assert world.runs.counts() == counts


def _completed(line: LineClient) -> str:
    run_id = start(line, then="call")
    ended(line, run_id)
    return run_id


def _ended_at(document: dict[str, object], ts: float) -> str:
    run = document["run"]
    assert isinstance(run, dict)
    return json.dumps({**document, "run": {**run, "ended_ts": ts}})


def test_on_a_full_disk_a_run_waits_and_then_goes_on_and_does_each_thing_once(
    roomy_disk: SmallDisk, short_dir: Path
) -> None:
    (short_dir / "notes.py").write_text(NOTES)
    text = settings(f'[flows.notes]\npython = "notes:flow"\npath = "{short_dir}"\n')
    daemon = RunningDaemon.start(roomy_disk.home, text)
    notes, steps = short_dir / "notes.txt", 400
    notes.touch()
    with daemon.connect() as line, daemon.connect() as looker:
        data = {"notes": str(notes), "until": steps}
        run_id = line.call("run.start", flow="notes", data=data)["run_id"]
        for least in (20, 80):
            until(lambda least=least: len(notes.read_text().splitlines()) > least, what="some steps")
            roomy_disk.fill()
            until(lambda: looker.ask("run.pause", run_id="0", key="k")["error"]["data"]["name"] != "", what="an answer")
            until(lambda: _stands(notes), what="the run to wait for room")
            before_s, begin_s = cpu_s(daemon.pid), time.monotonic()
            until(lambda begin_s=begin_s: time.monotonic() > begin_s + 1.2)
            assert cpu_s(daemon.pid) - before_s < 0.15  # tried again now and then, and not all the time
            run = looker.call("run.get", run_id=run_id)["run"]
            assert run["status"] == "running"
            assert run["steps"] < steps
            roomy_disk.free()
        page = ended(line, run_id)
        assert page["run"]["result"] == steps
    made = notes.read_text().splitlines()
    assert (len(made), len(set(made))) == (steps, steps)
    assert daemon.stop() == 0
    assert_whole(roomy_disk.home)


def _stands(notes: Path) -> bool:
    """Whether no line has come for a while."""
    before, begin_s = notes.stat().st_size, time.monotonic()
    until(lambda: time.monotonic() > begin_s + 0.5 or notes.stat().st_size > before)
    return notes.stat().st_size == before
