"""What code in a worker does wrong hurts its own run: the daemon answers meanwhile, and the other runs go on."""

from __future__ import annotations

import time
from pathlib import Path

from daemon_process import RunningDaemon
from process.flow_runs import assert_once, assert_whole_after, flow_settings, history, history_at_end, start, until

# what the first attempt does: what is said of it
DEATHS = {
    "exit": "exit status 3",
    "segv": "signal 11",
    "killed as for want of memory": "signal 9",
    "close the pipe": "signal 9",
    "nonsense": "it broke the protocol of the pipe: a line that is no message",
    "a long line": "it broke the protocol of the pipe: the worker sent a line of over 4194304 bytes",
    "a deep line": "it broke the protocol of the pipe: a line that is no message",
    "a deep result": "it broke the protocol of the pipe: a 'ended' that is none",
    "a visit beyond SQLite": "it broke the protocol of the pipe: a 'ended' that is none",
    "memory beyond JSON": "it broke the protocol of the pipe: a 'ended' that is none",
    "no progress": "it broke the protocol of the pipe: a progress that is none",
}
OVERTIME = ("sleep", "spin", "hold the interpreter", "stop", "flood")
SOON_S = 2.0


def answers_soon(daemon: RunningDaemon) -> None:
    begin_s = time.monotonic()
    daemon.call("status")
    assert time.monotonic() - begin_s < SOON_S


def test_a_worker_that_dies(home: Path, short_dir: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("mischief:mischief", "toy:calls"))
    run_ids = {do: start(daemon, "mischief", do=do) for do in DEATHS}
    steady = start(daemon, "calls", short_dir / "out", until=7)
    until(lambda: answers_soon(daemon) or not daemon.call("status")["runs"]["running"], limit_s=30)
    for do, run_id in run_ids.items():
        found = history(daemon, run_id)
        assert found.outcomes == ["act.1.1 crashed", "act.1.2 next", "over.1.1 complete"], (do, found)
        assert DEATHS[do] in found.steps[0]["error"]["message"]
        assert (found.run["status"], found.run["result"]) == ("completed", do)
        assert found.steps[0]["cpu_s"] > 0
        assert found.steps[0]["peak_rss_bytes"] > 1 << 20
    assert "Segmentation fault" in history(daemon, run_ids["segv"]).steps[0]["output"]
    assert_once(history_at_end(daemon, steady), short_dir / "out", home)
    assert_whole_after(daemon)


def test_a_worker_that_does_not_end_in_time(home: Path, short_dir: Path) -> None:
    more = '[sleep]\nyield_within = "0.2s"'
    daemon = RunningDaemon.start(home, flow_settings("mischief:bounded", "toy:calls", more=more))
    run_ids = {do: start(daemon, "bounded", do=do) for do in (*OVERTIME, "memory")}
    steady = start(daemon, "calls", short_dir / "out", until=7)
    until(lambda: answers_soon(daemon) or not daemon.call("status")["runs"]["running"], limit_s=30)
    for do, run_id in run_ids.items():
        found = history(daemon, run_id)
        first = "failed" if do == "memory" else "timeout"
        assert found.outcomes == [f"try_it.1.1 {first}", "try_it.1.2 next", "well.1.1 complete"], (do, found)
        assert found.steps[0]["error"]["type"] == ("MemoryError" if do == "memory" else "StepTimeoutError")
    assert history(daemon, run_ids["flood"]).steps[0]["output"].endswith("y" * 10_000)
    assert_once(history_at_end(daemon, steady), short_dir / "out", home)
    assert_whole_after(daemon)


def test_what_a_step_used_is_in_the_step(home: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("mischief:burning"))
    (step,) = history_at_end(daemon, start(daemon, "burning")).steps
    assert 0.3 <= step["cpu_s"] < 5
    assert 64 << 20 <= step["peak_rss_bytes"] < 512 << 20
    assert step["duration_s"] >= 0.3


def test_a_worker_that_dies_again_and_again(home: Path) -> None:
    path = home.parent / "own"
    path.mkdir()
    (path / "given.py").write_text(DYING)
    daemon = RunningDaemon.start(home, flow_settings("given:dying", path=path))
    found = history_at_end(daemon, start(daemon, "dying"))
    assert found.outcomes == ["first.1.1 next", *(f"second.1.{n} crashed" for n in range(1, 6))]
    error = found.run["error"]
    assert (found.run["status"], error["type"], error["state"]) == ("failed", "WorkerDied", "second")
    assert "5 times" in error["message"]
    assert "said before" in error["message"]
    (path / "given.py").write_text(DYING.replace("os._exit(9)", "pass"))
    daemon.call("run.retry", run_id=found.run["run_id"])
    found = history_at_end(daemon, found.run["run_id"])
    assert found.outcomes[6:] == ["second.1.6 complete"]
    assert_whole_after(daemon)


DYING = """
import os
from torpord import Complete, Flow, Run
dying = Flow("dying")

@dying.state(initial=True)
async def first(run: Run):
    return second

@dying.state
async def second(run: Run):
    print("said before")
    os._exit(9)
    return Complete()
"""
