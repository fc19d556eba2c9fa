"""`run.*`: each method with good parameters, what each word needs, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from daemon_process import CallRefusedError, LineClient, RunningDaemon
from waiting import until
from wire.runs import TIMERS, ended, flows, imported, pages, refusal, start, version_1

BRIEF = {
    "run_id",
    "flow",
    "status",
    "reason",
    "stopping",
    "purpose",
    "session_id",
    "cycle",
    "created_ts",
    "started_ts",
    "ended_ts",
    "worked_s",
    "steps",
    "max_steps",
    "places",
    "progress",
    "error",
    "worker_pid",
    "places_omitted",
}
WHOLE = BRIEF | {"version", "metadata", "data", "data_omitted", "result", "errors", "origin", "legacy"}
PLACE = {"branch", "state", "visit", "attempt", "status", "retry_at", "since_ts", "error"}
STEP = {
    "id",
    "branch",
    "state",
    "visit",
    "attempt",
    "outcome",
    "next",
    "started_ts",
    "duration_s",
    "cpu_s",
    "peak_rss_bytes",
    "error",
    "output",
}
CALL = {
    "key",
    "branch",
    "state",
    "visit",
    "attempt",
    "tool",
    "args",
    "status",
    "result",
    "error",
    "begun_ts",
    "ended_ts",
}
WORDS = ("pause", "resume", "cancel", "retry", "remove")
# status: the words that are taken, or hold already
TAKEN = {
    "running": {"pause", "resume", "cancel"},
    "paused": {"pause", "resume", "cancel"},
    "completed": {"remove"},
    "failed": {"retry", "remove"},
    "cancelled": {"cancel", "remove"},
}


def in_status(line: LineClient, status: str, folder: Path) -> str:
    """Return a run that is in a status, and stays there."""
    match status:
        case "completed":
            run_id = start(line)
        case "failed":
            run_id = start(line, then="fail", mended=str(folder / "never"))
        case "paused":
            run_id = imported(line, version_1(current_node="work"))
        case _:
            run_id = start(line, then="wait", gate=str(folder / "gate"))
            until(lambda: line.call("run.get", run_id=run_id)["run"]["progress"], what="its step")
            if status == "cancelled":
                line.call("run.cancel", run_id=run_id)
    line.call("wait", run_id=run_id, status=status, timeout_s=10)
    return run_id


def test_a_run_from_its_start_to_its_end(toy: LineClient) -> None:
    said = toy.call(
        "run.start",
        flow="toy",
        data={"then": "call", "visits": 3, "é": [None, 1.5]},
        purpose="to see",
        session_id="s-1",
        max_steps=9,
        metadata={"who": {"a": 1}},
    )
    assert set(said) == {"run_id", "status"}
    assert toy.call("wait", run_id=said["run_id"], timeout_s=10)["status"] == "completed"
    page = toy.call("run.get", run_id=said["run_id"])
    assert set(page) == {"run", "steps", "calls", "cursor"}
    run = page["run"]
    assert set(run) == WHOLE
    assert (run["flow"], run["purpose"], run["session_id"], run["max_steps"]) == ("toy", "to see", "s-1", 9)
    assert (run["status"], run["steps"], run["version"], run["result"]) == ("completed", 4, 3, "done")
    assert (run["metadata"], run["legacy"], run["origin"]) == ({"who": {"a": 1}}, False, said["run_id"])
    assert run["data"] == {"then": "call", "visits": 3, "é": [None, 1.5], "left": 0, "called": {"got": [1]}}
    assert (run["error"], run["errors"], run["data_omitted"]) == (None, [], {})
    assert all(set(place) == PLACE for place in run["places"])
    times = [datetime.fromisoformat(run[name]) for name in ("created_ts", "started_ts", "ended_ts")]
    assert times == sorted(times)

    steps = page["steps"]
    assert all(set(step) == STEP for step in steps)
    assert [(each["state"], each["visit"], each["outcome"]) for each in steps] == [
        ("work", 1, "next"),
        ("work", 2, "next"),
        ("work", 3, "next"),
        ("end", 1, "complete"),
    ]
    assert all(step["peak_rss_bytes"] > 1 << 20 and step["cpu_s"] >= 0 for step in steps)
    (call,) = page["calls"]
    assert set(call) == CALL
    assert (call["state"], call["visit"], call["tool"], call["args"]) == ("work", 3, "tool", {"a": [1]})
    assert (call["status"], call["result"], call["error"]) == ("done", {"got": [1]}, None)
    assert page["cursor"] is None


def test_a_run_that_is_at_work_is_shown_with_its_progress(toy: LineClient, tmp_path: Path) -> None:
    run_id = in_status(toy, "running", tmp_path)
    (run,) = [each for each in toy.call("run.list")["runs"] if each["run_id"] == run_id]
    assert set(run) == BRIEF
    assert run["progress"] == {"": {"done": 1, "of": 3, "note": "waiting"}}
    assert run["worker_pid"] > 1
    (place,) = run["places"]
    assert (place["branch"], place["state"], place["status"]) == ("", "work", "running")
    assert toy.call("status")["runs"]["running"] >= 1
    assert any(run_id in each["who"] for each in toy.call("why")["awake_because"] if each["kind"] == "run")
    error = toy.ask("event", event="force_sleep")["error"]
    assert (error["data"]["name"], error["data"]["busy"][0]["kind"]) == ("conflict", "run")
    toy.call("run.cancel", run_id=run_id)


def test_branches_have_their_own_places_and_names(toy: LineClient) -> None:
    page = ended(toy, start(toy, then="branches"))
    steps = {(each["branch"], each["state"]): each for each in page["steps"]}
    assert set(steps) == {("", "work"), ("work:1/left", "left"), ("work:1/right", "right"), ("", "end")}
    assert [each["branch"] for each in steps["", "work"]["next"]] == ["work:1/left", "work:1/right"]
    assert {key: page["run"]["data"][key] for key in "lr"} == {"l": 1, "r": 2}
    assert [call["branch"] for call in page["calls"]] == ["work:1/right"]


def test_a_failed_run_says_what_was_wrong_and_goes_on_when_it_is_mended(toy: LineClient, tmp_path: Path) -> None:
    run_id = start(toy, then="fail", mended=str(tmp_path / "mended"), visits=2)
    page = ended(toy, run_id, "failed")
    assert (page["run"]["error"]["type"], page["run"]["error"]["state"]) == ("ValueError", "work")
    assert page["run"]["errors"] == [page["run"]["error"]]
    assert "not mended" in page["run"]["reason"]
    last = page["steps"][-1]
    assert (last["outcome"], last["error"]["message"]) == ("failed", "not mended")
    assert "toys.py" in last["error"]["traceback"]
    (tmp_path / "mended").touch()
    assert toy.call("run.retry", run_id=run_id)["run_id"] == run_id
    again = ended(toy, run_id)
    assert (again["run"]["error"], again["run"]["status"]) == (None, "completed")
    assert [each["outcome"] for each in again["steps"]] == ["next", "failed", "next", "complete"]


def test_one_that_waits_for_its_next_attempt_says_when(toy: LineClient) -> None:
    run_id = start(toy, then="later")
    run = until(lambda: waiting_run(toy, run_id), what="a place that waits")
    assert run["status"] in ("running", "pending")
    in_s = (datetime.fromisoformat(run["places"][0]["retry_at"]) - datetime.now().astimezone()).total_seconds()
    assert 3000 < in_s < 3700
    toy.call("run.cancel", run_id=run_id)


def waiting_run(line: LineClient, run_id: str) -> Any:
    run = line.call("run.get", run_id=run_id)["run"]
    return run if run["places"][0]["status"] == "waiting" else None


def test_the_list_is_filtered_and_goes_in_pages(toy: LineClient) -> None:
    ids = [
        toy.call("run.start", flow="other", session_id="of the list", data={"visits": 1})["run_id"] for _ in range(5)
    ]
    for run_id in ids:
        ended(toy, run_id)
    listed = pages(toy, "run.list", session_id="of the list", limit=2)
    assert [run["run_id"] for page in listed for run in page["runs"]] == ids[::-1]
    newest = toy.call("run.list", limit=1)["runs"]
    assert [run["run_id"] for run in newest] == ids[-1:]
    assert {run["flow"] for run in toy.call("run.list", flow="other")["runs"]} == {"other"}
    assert toy.call("run.list", flow="other", status="failed") == {"runs": [], "cursor": None}
    assert toy.call("run.list", session_id="nobody's") == {"runs": [], "cursor": None}


def test_large_values_are_named_and_not_shown(toy: LineClient) -> None:
    run = ended(toy, start(toy, then="large"))["run"]
    assert run["data_omitted"] == {"large": 20_002}
    assert "large" not in run["data"]


@pytest.mark.parametrize("status", TAKEN)
def test_each_word_is_taken_where_it_makes_sense_and_else_a_conflict(
    toy: LineClient, tmp_path: Path, status: str
) -> None:
    for word in WORDS:
        run_id = in_status(toy, status, tmp_path)
        params = {"flow": "toy"} if word == "resume" else {}
        before = toy.call("status")
        reply = toy.ask(f"run.{word}", run_id=run_id, **params)
        if word in TAKEN[status]:
            assert set(reply["result"]) == {"run_id", "status"}
            assert toy.call("status")["wrapper_event_seq"] == before["wrapper_event_seq"] + 1
        else:
            assert (reply["error"]["data"]["name"], reply["error"]["data"]["status"]) == ("conflict", status)
            assert word in reply["error"]["message"]
            assert toy.call("status")["wrapper_event_seq"] == before["wrapper_event_seq"]
        toy.ask("run.cancel", run_id=run_id)


def test_pause_lets_the_step_end_and_resume_goes_on_behind_it(toy: LineClient, tmp_path: Path) -> None:
    run_id = in_status(toy, "running", tmp_path)
    assert toy.call("run.pause", run_id=run_id)["status"] == "running"
    assert toy.call("run.get", run_id=run_id)["run"]["stopping"] == "pause"
    (tmp_path / "gate").touch()
    assert toy.call("wait", run_id=run_id, status="paused", timeout_s=10)["status"] == "paused"
    page = toy.call("run.get", run_id=run_id)
    assert [step["outcome"] for step in page["steps"]] == ["next"]
    assert [place["state"] for place in page["run"]["places"]] == ["end"]
    assert toy.call("run.pause", run_id=run_id)["status"] == "paused"
    toy.call("run.resume", run_id=run_id)
    assert [step["state"] for step in ended(toy, run_id)["steps"]] == ["work", "end"]


def test_a_paused_run_that_is_resumed_before_its_step_has_ended_never_paused(toy: LineClient, tmp_path: Path) -> None:
    run_id = in_status(toy, "running", tmp_path)
    toy.call("run.pause", run_id=run_id)
    toy.call("run.resume", run_id=run_id)
    (tmp_path / "gate").touch()
    assert ended(toy, run_id)["run"]["stopping"] == ""


def test_cancel_ends_it_at_once_and_its_worker(toy: LineClient, tmp_path: Path) -> None:
    run_id = in_status(toy, "running", tmp_path)
    pid = toy.call("run.get", run_id=run_id)["run"]["worker_pid"]
    assert toy.call("run.cancel", run_id=run_id)["status"] == "cancelled"
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])
    page = toy.call("run.get", run_id=run_id)
    assert [step["outcome"] for step in page["steps"]] == ["cancelled"]
    assert page["run"]["ended_ts"]


def test_what_is_removed_is_gone(toy: LineClient) -> None:
    run_id = start(toy, then="call")
    ended(toy, run_id)
    assert toy.call("run.remove", run_id=run_id) == {"run_id": run_id, "status": "removed"}
    for method in ("run.get", "run.export", "run.remove", "run.retry", "wait"):
        assert refusal(toy, method, run_id=run_id) == ("not_found", "run_id")
    assert run_id not in [run["run_id"] for run in toy.call("run.list")["runs"]]


@pytest.mark.parametrize("run_id", ["../x", "/etc/passwd", "..", "x'; DROP TABLE runs; --", "%", "é", "0" * 64])
def test_an_id_is_never_a_path_nor_anything_else(toys: RunningDaemon, toy: LineClient, run_id: str) -> None:
    for method in ("run.get", "run.export", "wait", *(f"run.{word}" for word in WORDS)):
        assert refusal(toy, method, run_id=run_id) == ("not_found", "run_id")
    assert not list((toys.home / "tmp").glob("run-*x*"))


def test_a_flow_that_is_in_no_settings_is_named(toy: LineClient) -> None:
    for flow in ("nosuch", "../toy", "toy:flow", "os:system"):
        assert refusal(toy, "run.start", flow=flow) == ("not_found", "flow")
    run_id = imported(toy, version_1())
    assert refusal(toy, "run.resume", run_id=run_id) == ("invalid_params", "flow")
    assert refusal(toy, "run.resume", run_id=run_id, flow="nosuch") == ("not_found", "flow")
    toy.call("run.cancel", run_id=run_id)


def test_a_run_that_is_to_begin_at_a_state_that_is_in_no_flow_fails_and_names_those_that_are(toy: LineClient) -> None:
    run_id = toy.call("run.start", flow="toy", state="nosuch")["run_id"]
    toy.call("wait", run_id=run_id, status="failed", timeout_s=10)
    error = toy.call("run.get", run_id=run_id)["run"]["error"]
    assert (error["type"], error["state"]) == ("FlowError", "nosuch")
    assert "end" in error["message"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_keys_are_replayed_also_over_a_restart(short_dir: Path, home: Path, end: str) -> None:
    daemon = RunningDaemon.start(home, TIMERS + flows(short_dir, "toy"))
    with daemon.connect() as line:
        first = line.call("run.start", flow="toy", data={"visits": 2}, key="start")
        run_id = first["run_id"]
        ended(line, run_id)
        brought = line.call("run.import", text=version_1(), key="import")
        asked: dict[str, Callable[[LineClient], Any]] = {
            "start": lambda line: line.call("run.start", flow="toy", data={"visits": 2}, key="start"),
            "import": lambda line: line.call("run.import", text=version_1(), key="import"),
            "cancel": lambda line: line.call("run.cancel", run_id=brought["run_id"], key="cancel"),
            "remove": lambda line: line.call("run.remove", run_id=run_id, key="remove"),
        }
        results = {"start": first, "import": brought, "cancel": asked["cancel"](line), "remove": asked["remove"](line)}
        conflict = line.ask("run.start", flow="toy", key="start")["error"]
        assert (conflict["data"]["name"], conflict["data"]["field"]) == ("conflict", "key")
    getattr(daemon, end)()
    with daemon.again().connect() as line:
        before = line.call("status")["ledger_seq"]
        for name, again in asked.items():
            assert again(line) == {**results[name], "replayed": True}
        assert line.call("status")["ledger_seq"] == before
        assert [run["run_id"] for run in line.call("run.list")["runs"]] == [brought["run_id"]]


def test_runs_that_have_not_ended_are_bounded(home: Path) -> None:
    daemon = RunningDaemon.start(home, TIMERS)
    with daemon.connect() as line:
        for number in range(1000):
            line.request("run.import", text=version_1(purpose=str(number)))
            if number % 50 == 49:
                for _ in range(50):
                    assert "result" in line.read_line()
        with pytest.raises(CallRefusedError, match="too_many"):
            line.call("run.import", text=version_1())
        with pytest.raises(CallRefusedError, match="too_many"):
            line.call("run.start", flow="housekeeping")
        found = [run["purpose"] for page in pages(line, "run.list", limit=1000) for run in page["runs"]]
        assert found == [str(number) for number in reversed(range(1000))]
        line.call("run.cancel", run_id=line.call("run.list", limit=1)["runs"][0]["run_id"])
        line.call("run.import", text=version_1())
    daemon.kill()
    assert daemon.again().call("status")["runs"]["paused"] == 1000
