"""Runs that fail: each says why, hurts nobody else, and goes on after a retry with only what had not finished."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from daemon_process import CallRefusedError, RunningDaemon
from process.flow_runs import assert_whole_after, flow_settings, history, history_at_end, start, until
from process.flows.outside import marks

YIELD = '[sleep]\nyield_within = "0.3s"'


@pytest.mark.parametrize("killed", [False, True])
def test_only_what_had_not_finished_runs_again(killed: bool, home: Path, short_dir: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("faulty:failing", more=YIELD))
    folder = short_dir / "out"
    run_id = start(daemon, "failing", folder)
    found = history_at_end(daemon, run_id)
    assert found.run["status"] == "failed"
    assert (found.run["error"]["type"], found.run["error"]["state"]) == ("ValueError", "broken")
    assert found.run["errors"] == [found.run["error"]]
    ended = {step["state"]: step["outcome"] for step in found.steps}
    assert ended == {
        "first": "next",
        "fork": "parallel",
        "quick": "at_join",
        "broken": "failed",
        "slow": "interrupted",
        "polite": "next",
    }
    slow = next(step for step in found.steps if step["state"] == "slow")
    broken = next(step for step in found.steps if step["state"] == "broken")
    assert slow["duration_s"] < broken["duration_s"] + 0.3 + 2, "it had yield_within, and no more"
    if killed:
        daemon.kill()
        daemon = daemon.again()
    (folder / "mended").touch()
    assert daemon.call("run.retry", run_id=run_id)["status"] == "running"
    found = history_at_end(daemon, run_id)
    assert (found.run["status"], found.run["error"]) == ("completed", None)
    assert found.run["result"] == ["broken", "first", "folder", "polite", "quick", "slow"]
    begun = Counter(each["state"] for each in marks(folder, "begin"))
    assert begun == {"first": 1, "fork": 1, "quick": 1, "broken": 2, "slow": 2, "polite": 1, "further": 1, "meet": 1}
    effects = Counter(each["key"] for each in marks(folder, "effect"))
    assert sorted(effects.values()) == [1, 1, 1], "what a failed attempt had recorded is not made again"
    assert_whole_after(daemon)


def test_branches_that_write_the_same_key(home: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("faulty:merging"))
    found = history_at_end(daemon, start(daemon, "merging", one=[1], other=[1]))
    assert (found.run["status"], found.run["result"]) == ("completed", [1])
    for other in ([2], True, 1.0):
        found = history_at_end(daemon, start(daemon, "merging", one=1, other=other))
        assert (found.run["status"], found.run["error"]["type"]) == ("failed", "MergeConflict")
        told = "the branches apart:1/one and apart:1/other wrote different values under 'differs': "
        assert found.run["error"]["message"].startswith(told)
    assert_whole_after(daemon)


ODD = {
    "a number": "returns returned 42 (int)",
    "nothing": "returns returned None (NoneType)",
    "no state": "returns returned 'nowhere': that is no state of flow odd",
    "no JSON": "the result of the run is not JSON",
    "a great result": "the result of the run has 10000002 bytes as JSON, over the limit of 1048576",
    "great data": "run.data (most of it in 'great', 10000011 bytes) has",
    "great call": "the result of the call 'large' has 10000002 bytes as JSON, over the limit of 1048576",
    "great arguments": "the arguments of the call 'large' has 10000011 bytes as JSON, over the limit of 1048576",
    "a loop": "20 steps were done",
    "a parallel of nothing": "returned a Parallel of nothing",
    "a failure": "as it says",
    "a great error": "yyyy",
    "an odd pause": "returned Retry(after=-5): not a duration",
    "an exit": "bye",
}
# What the check of the flow would see, if it stood in the code.
NAMED = {"nowhere": "nowhere", "none": []}


def test_what_a_state_returns_may_be_anything(home: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("faulty:odd"))
    run_ids = {}
    for what in ODD:
        run = daemon.call("run.start", flow="odd", data={**NAMED, "what": what}, max_steps=20)
        run_ids[what] = run["run_id"]
    for what, run_id in run_ids.items():
        found = history_at_end(daemon, run_id)
        assert found.run["status"] == "failed", what
        assert ODD[what] in found.run["error"]["message"], what
        assert len(found.run["error"]["message"]) < 5000
        assert len(found.steps) == (20 if what == "a loop" else 1)
        assert found.run["data"] == {**NAMED, "what": what}
    retried = run_ids["a loop"]
    daemon.call("run.retry", run_id=retried)
    assert len(history_at_end(daemon, retried).steps) == 40, "a retry has all of its steps again"
    assert_whole_after(daemon)


def test_max_steps_while_a_branch_is_at_work(home: Path, short_dir: Path) -> None:
    """What the end of the run breaks off is told, and done again after a retry."""
    path = short_dir / "own"
    path.mkdir()
    (path / "given.py").write_text(SPENT)
    daemon = RunningDaemon.start(home, flow_settings("given:spent", path=path, more=YIELD))
    run_id = daemon.call("run.start", flow="spent", max_steps=6)["run_id"]
    found = history_at_end(daemon, run_id)
    assert (found.run["status"], found.run["error"]["type"]) == ("failed", "MaxSteps")
    assert found.outcomes[-1] == "patient.1.1 interrupted"
    (path / "given.py").write_text(SPENT.replace("await asyncio.Event().wait()", "pass"))
    daemon.call("run.retry", run_id=run_id)
    found = history_at_end(daemon, run_id, limit_s=10)
    assert found.run["status"] == "completed"
    assert found.outcomes[-1] == "over.1.1 complete"
    assert "patient.1.2 at_join" in found.outcomes
    assert_whole_after(daemon)


SPENT = """
import asyncio
from torpord import Complete, Flow, Parallel, Run
spent = Flow("spent")

@spent.state(initial=True)
async def fork(run: Run):
    return Parallel((looping, patient), join="over")

@spent.state
async def looping(run: Run):
    return looping if run.visit < 8 else "over"

@spent.state
async def patient(run: Run):
    await asyncio.Event().wait()
    return "over"

@spent.state
async def over(run: Run):
    return Complete()
"""


def test_a_flow_whose_code_changes_under_it(home: Path, short_dir: Path) -> None:
    path = short_dir / "own"
    path.mkdir()
    (path / "given.py").write_text(CHANGING)
    daemon = RunningDaemon.start(home, flow_settings("given:changing", path=path))
    folder = short_dir / "out"
    run_id = start(daemon, "changing", folder)
    until((folder / "waits").exists)
    daemon.call("run.pause", run_id=run_id)
    (folder / "go").touch()
    until(lambda: history(daemon, run_id).run["status"] == "paused", what="the pause")

    (path / "given.py").write_text(CHANGING.replace("finish", "the_end"))
    daemon.call("run.resume", run_id=run_id)
    until(lambda: "no state 'finish'" in history(daemon, run_id).run["reason"], what="the pause, with its reason")
    assert history(daemon, run_id).run["status"] == "paused"

    go_on = "run.resume"
    for text, told in (("def broken(:", "syntax error"), ("import nonesuch", "needs 'nonesuch'"), ("", "neither in")):
        (path / "given.py").write_text(text)
        if not text:
            (path / "given.py").unlink()
        daemon.call(go_on, run_id=run_id)
        found = history_at_end(daemon, run_id)
        assert (found.run["status"], found.run["error"]["state"]) == ("failed", "finish")
        assert told in found.run["error"]["message"]
        go_on = "run.retry"

    (path / "given.py").write_text(CHANGING)
    daemon.call("run.retry", run_id=run_id)
    found = history_at_end(daemon, run_id)
    assert (found.run["status"], found.outcomes) == ("completed", ["first.1.1 next", "finish.1.1 complete"])
    assert_whole_after(daemon)


CHANGING = """
from pathlib import Path
import asyncio
from torpord import Complete, Flow, Run
changing = Flow("changing")

@changing.state(initial=True)
async def first(run: Run):
    folder = Path(run.data["folder"])
    (folder / "waits").touch()
    while not (folder / "go").exists():
        await asyncio.sleep(0.01)
    return "finish"

@changing.state
async def finish(run: Run):
    return Complete()
"""


def test_an_id_is_never_a_path(home: Path, short_dir: Path) -> None:
    (short_dir / "x").mkdir()
    daemon = RunningDaemon.start(home, flow_settings("toy:chain"))
    for run_id in ("../x", "../../etc/passwd", "/etc/passwd", "x\0y", ".", ""):
        for method in ("run.get", "run.export", "run.cancel", "run.retry", "run.remove", "run.pause", "run.resume"):
            with pytest.raises(CallRefusedError) as refused:
                daemon.call(method, run_id=run_id)
            assert refused.value.name in ("not_found", "invalid_params")
    for flow in ("../x", "nonesuch"):
        with pytest.raises(CallRefusedError, match=r"not_found|invalid_params"):
            daemon.call("run.start", flow=flow)
    run_id = daemon.call("run.start", flow="chain", state="../x", data={"folder": str(short_dir / "x")})["run_id"]
    until(lambda: history(daemon, run_id).run["status"] in ("paused", "failed"))
    assert "../x" in history(daemon, run_id).run["reason"]
    assert_whole_after(daemon)
