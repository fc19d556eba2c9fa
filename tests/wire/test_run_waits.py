"""`wait` for runs; what a daemon on its way out says of them; and that files may start them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process.wake_files import drop, left
from waiting import until
from wire.runs import TIMERS, ended, flows, imported, start, version_1
from wire.writing import lines, message


def test_it_holds_already(toy: LineClient) -> None:
    run_id = start(toy)
    ended(toy, run_id)
    head = toy.call("status")["ledger_seq"]
    for params in ({}, {"status": "completed"}, {"status": "completed", "timeout_s": 0}):
        assert toy.call("wait", run_id=run_id, **params) == {"run_id": run_id, "status": "completed", "seq": head}


@pytest.mark.parametrize("timeout_s", [0, 0.05])
def test_it_runs_out_of_time_and_says_how_the_run_is(toy: LineClient, timeout_s: float) -> None:
    run_id = imported(toy, version_1())
    began = time.monotonic()
    for params in ({}, {"status": "completed"}, {"status": "running"}):
        error = toy.ask("wait", run_id=run_id, timeout_s=timeout_s, **params)["error"]
        assert (error["code"], error["data"]["name"], error["data"]["status"]) == (-32008, "timeout", "paused")
    assert time.monotonic() - began >= 3 * timeout_s
    toy.call("run.cancel", run_id=run_id)


@pytest.mark.parametrize(("word", "status"), [("run.cancel", "cancelled"), ("run.resume", "running")])
def test_it_is_reached_later_and_answered_out_of_order(
    toys: RunningDaemon, toy: LineClient, word: str, status: str
) -> None:
    run_id = imported(toy, version_1())
    waiting = toy.request("wait", run_id=run_id, status=status, timeout_s=10)
    assert toy.call("status")["state"] == "WAKE"
    toys.call(word, run_id=run_id, **({"flow": "toy"} if word == "run.resume" else {}))
    reply = toy.read_line()
    assert (reply["id"], reply["result"]["status"]) == (waiting, status)
    (record,) = toy.call("log", after=reply["result"]["seq"] - 1, limit=1)["records"]
    assert record["kind"] == ("run_cancelled" if status == "cancelled" else "run_started")
    assert record["data"]["run_id"] == run_id


def test_an_end_that_is_not_the_one_asked_for_is_a_conflict_now_and_later(toys: RunningDaemon, toy: LineClient) -> None:
    run_id = imported(toy, version_1())
    waiting = {toy.request("wait", run_id=run_id, status=status) for status in ("completed", "failed", "running")}
    any_end = toy.request("wait", run_id=run_id)
    toys.call("run.cancel", run_id=run_id)
    replies = {reply["id"]: reply for reply in (toy.read_line() for _ in range(4))}
    assert replies[any_end]["result"]["status"] == "cancelled"
    errors = [replies[each]["error"]["data"] for each in waiting]
    assert [(error["name"], error["status"]) for error in errors] == [("conflict", "cancelled")] * 3
    assert toy.ask("wait", run_id=run_id, status="paused")["error"]["data"]["name"] == "conflict"


def test_one_that_is_removed_while_somebody_waits_had_ended_before(toys: RunningDaemon, toy: LineClient) -> None:
    run_id = start(toy)
    waiting = toy.request("wait", run_id=run_id, timeout_s=10)
    assert toy.read_line()["id"] == waiting
    toys.call("run.remove", run_id=run_id)
    assert toy.ask("wait", run_id=run_id)["error"]["data"]["name"] == "not_found"


def test_who_waits_for_a_run_when_the_daemon_stops_is_told_to_ask_again(short_dir: Path, home: Path) -> None:
    daemon = RunningDaemon.start(home, TIMERS + flows(short_dir, "toy"))
    with daemon.connect() as line, daemon.connect() as other:
        run_id = imported(line, version_1(current_node="work"))
        waiting = line.request("wait", run_id=run_id)
        assert line.call("status")["runs"]["paused"] == 1
        daemon.call("stop")
        reply = line.read_line()
        assert (reply["id"], reply["error"]["data"]["name"]) == (waiting, "draining")
        assert line.at_end()
        assert other.at_end()
    assert daemon.wait_gone() == 0


def test_a_daemon_on_its_way_out_shows_runs_and_takes_no_word_about_them(short_dir: Path, home: Path) -> None:
    """Steps get their time to end: meanwhile it answers. What it does not take is its successor's, and not silence."""
    daemon = RunningDaemon.start(home, TIMERS + flows(short_dir, "toy"))
    with daemon.connect() as line, daemon.connect() as late:
        run_id = start(line, then="wait", gate=str(short_dir / "gate"))
        until(lambda: line.call("run.get", run_id=run_id)["run"]["progress"], what="its step")
        assert daemon.call("stop") == {"state": "WAKE"}
        words = [(f"run.{word}", {"run_id": run_id}) for word in ("pause", "resume", "cancel", "retry", "remove")]
        changes = [("run.start", {"flow": "toy"}), ("run.import", {"text": version_1()}), *words]
        late.send(lines([message(method, method, **params) for method, params in changes]))
        replies = [late.read_line() for _ in changes]
        assert {each["error"]["data"]["name"] for each in replies} == {"draining"}
        assert late.call("run.get", run_id=run_id)["run"]["status"] == "running"
        assert [run["run_id"] for run in late.call("run.list")["runs"]] == [run_id]
    assert daemon.wait_gone() == 0
    with daemon.again().connect() as line:
        (short_dir / "gate").touch()
        steps = ended(line, run_id)["steps"]
        assert [(step["attempt"], step["outcome"]) for step in steps[:2]] == [(1, "interrupted"), (2, "next")]


def test_a_file_starts_a_run_once_and_a_bad_one_is_put_aside(toys: RunningDaemon, toy: LineClient) -> None:
    for _ in range(2):
        drop(toys.home, "a-run.json", "run.start", flow="toy", session_id="by file", key="a run by file")
        until(lambda: left(toys.home) == [], what="the file to be taken")
    (run,) = toy.call("run.list", session_id="by file")["runs"]
    assert ended(toy, run["run_id"])["run"]["result"] == "done"
    bad = {
        "no-flow.json": ("run.start", {"flow": "nosuch"}),
        "a-look.json": ("run.list", {}),
        "a-piece.json": ("run.import", {"text": "{", "more": True}),
        "no-document.json": ("run.import", {"text": "{}"}),
        "a-path.json": ("run.cancel", {"run_id": "../../x"}),
    }
    for name, (method, params) in bad.items():
        drop(toys.home, name, method, **params)
    until(lambda: left(toys.home) == [], what="the files to be put aside")
    aside = {path.name for path in (toys.home / "wake.rejected").iterdir()}
    assert {name for name in bad if any(name in each and not each.endswith(".why") for each in aside)} == set(bad)
    drop(toys.home, "import.json", "run.import", text=version_1(session_id="imported by file"))
    until(lambda: toy.call("run.list", session_id="imported by file")["runs"], what="the run")


def test_a_run_wakes_a_daemon_that_sleeps_and_looking_at_it_does_not(short_dir: Path, home: Path) -> None:
    timers = '[lifecycle]\ndrowsy_after = "200ms"\nsleep_after = "400ms"\nmin_up = "1h"\n'
    daemon = RunningDaemon.start(home, timers + flows(short_dir, "toy"))
    with daemon.connect() as line:
        run_id = imported(line, version_1())
        looks = (("run.list", {}), ("run.get", {"run_id": run_id}), ("run.export", {"run_id": run_id}))

        def asleep() -> bool:
            for method, params in looks:
                line.call(method, **params)
            line.ask("wait", run_id=run_id, timeout_s=0)
            return str(line.call("status")["state"]) == "SLEEP"

        until(asleep, what="sleep under eyes")
        for word, params in (("run.pause", {"run_id": run_id}), ("run.start", {"flow": "toy"})):
            line.call(word, **params)
            assert line.call("status")["state"] == "WAKE"
            until(asleep, what="sleep again")
