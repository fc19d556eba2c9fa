"""The commands of runs: what they ask, what they print, what they exit with."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from client.some_runs import LATER_TS, Shelf, place, run
from torpor import wake
from torpor.cli import show

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor

_A, _B, _C = "4f1c2d3e", "4f1caaaa", "99887766"


def test_ls_is_a_line_a_run(home: pathlib.Path, torpor: Torpor) -> None:
    shelf = Shelf(
        run(_A, places=[place("read", attempt=2), place("embed", branch="read:1/embed")]),
        run(_B, "failed", flow="weekly", error={"type": "ValueError", "message": "no\nsuch"}),
        run(_C, "paused", reason="its state is gone", steps=1),
    )
    with FakeDaemon(home, *[shelf] * 3):
        for line in (["runs"], ["runs", "ls"], ["runs", "--home", str(home)]):
            status, out, err = torpor(*line)
            assert (status, err) == (0, "")
            first, second, third = out.splitlines()
            assert first.startswith(f"{_A}  nightly  running  3 steps")
            assert first.endswith("at read (attempt 2), embed")
            assert second.startswith(f"{_B}  weekly   failed   3 steps")
            assert second.endswith("ValueError: no …")
            assert third.endswith("its state is gone")
            assert " 1 step " in third


def test_ls_asks_for_what_is_wanted_and_says_that_there_is_more(home: pathlib.Path, torpor: Torpor) -> None:
    shelf = Shelf(*[run(f"run-{number:04}") for number in range(70)], a_page=25)
    with FakeDaemon(home, *[shelf] * 4) as daemon:
        assert len(torpor("runs", "ls")[1].splitlines()) == 31
        older = f"there are older ones: `torpor runs ls --limit 0 --home {home}` lists all"
        assert torpor("runs", "ls")[1].splitlines()[-1] == older
        assert len(torpor("runs", "ls", "-n", "0")[1].splitlines()) == 70
        found = json.loads(torpor("runs", "--limit", "2", "--status", "running", "--flow", "nightly", "--json")[1])
    assert [each["run_id"] for each in found["runs"]] == ["run-0000", "run-0001"]
    assert found["more"] is True
    assert daemon.requests[-1]["params"] == {"status": "running", "flow": "nightly"}


def test_no_runs_are_said_to_be_none(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home):
        assert torpor("runs")[:2] == (0, f"no runs yet: `torpor runs start FLOW --home {home}` begins one\n")
        assert torpor("runs", "--status", "failed")[1] == "no runs\n"


@pytest.mark.parametrize("order", ["pause", "resume", "cancel", "retry", "rm"])
def test_an_order_goes_to_the_run_that_is_meant(home: pathlib.Path, torpor: Torpor, order: str) -> None:
    shelf = Shelf(run(_A), run(_B), run(_C))
    told = {"pause": "paused", "resume": "running", "cancel": "cancelled", "retry": "running", "rm": "removed"}[order]
    method = f"run.{'remove' if order == 'rm' else order}"
    for name, meant, asked in ((_A, _A, [method]), ("9988", _C, [method, "run.list", method]),
                               ("last", _A, ["run.list", method])):  # fmt: skip
        with FakeDaemon(home, shelf) as daemon:
            assert torpor("runs", order, name) == (0, f"{meant}: {told}\n", "")
        assert daemon.methods() == asked
        assert daemon.requests[-1]["params"]["run_id"] == meant


def test_an_order_that_is_still_being_carried_out_says_so(home: pathlib.Path, torpor: Torpor) -> None:
    def not_yet(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), {"run_id": _A, "status": "running"})

    with FakeDaemon(home, not_yet, not_yet):
        assert torpor("runs", "pause", _A)[1] == f"{_A}: running, it pauses after the step it is in\n"
        assert torpor("runs", "cancel", _A)[1] == f"{_A}: running, its step is being ended\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("4f1c", "2 runs begin with '4f1c': 4f1c2d3e, 4f1caaaa: write more of the id"),
        ("4f1", "there is no run '4f1': write 4 or more characters of its id"),
        ("abcd", "there is no run whose id begins with 'abcd': `torpor runs --home HOME` lists them"),
        ("../x", "there is no run whose id begins with '../x': `torpor runs --home HOME` lists them"),
    ],
)
def test_a_name_that_means_no_run_or_several_is_65(home: pathlib.Path, torpor: Torpor, name: str, said: str) -> None:
    shelf = Shelf(run(_A), run(_B), a_page=1)
    with FakeDaemon(home, shelf, shelf):
        for line in (["runs", "cancel", name], ["runs", "show", name]):
            assert torpor(*line) == (65, "", f"torpor: {said.replace('HOME', str(home))}\n")


def test_last_where_there_are_none(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, Shelf()):
        status, _, err = torpor("runs", "show", "last")
    assert (status, err) == (65, f"torpor: there are no runs yet: `torpor runs start FLOW --home {home}` begins one\n")


def test_a_refusal_about_something_else_is_passed_on(home: pathlib.Path, torpor: Torpor) -> None:
    def no_flow(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "not_found", field="flow")

    shelf = Shelf(run(_A))
    shelf.refused = {"run.retry": "conflict", "run.resume": "not_found"}
    with FakeDaemon(home, no_flow, shelf, shelf):
        assert torpor("runs", "resume", _A, "--flow", "x") == (65, "", "torpor: no: not_found\n")
        assert torpor("runs", "retry", _A) == (65, "", "torpor: no: conflict\n")  # it ended otherwise, and stays so
        assert torpor("runs", "resume", _A) == (65, "", "torpor: no: not_found\n")


def test_resume_tells_flow_and_state(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, Shelf(run(_A))) as daemon:
        torpor("runs", "resume", _A, "--flow", "f", "--state", "s")
    params = daemon.requests[0]["params"]
    assert {name: params[name] for name in ("run_id", "flow", "state")} == {"run_id": _A, "flow": "f", "state": "s"}


def test_looking_at_runs_wakes_nobody_and_is_3(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch, short_dir: pathlib.Path
) -> None:
    monkeypatch.setattr(wake, "start", lambda *_: pytest.fail("it was woken"))
    write_state(home, current_state="HIBERNATION")
    for line in (["runs"], ["runs", "show", "last"], ["runs", "export", "abcd"]):
        status, out, err = torpor(*line)
        assert (status, out) == (3, "")
        assert err.startswith("torpor: down: ")
        assert len(err.splitlines()) == 1


def test_steering_starts_a_daemon_that_is_down_whatever_the_name(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = FakeDaemon(home, Shelf(run(_A)))
    write_state(home, current_state="HIBERNATION")

    def start(*_: object) -> None:
        daemon.listen()
        daemon.accept()

    monkeypatch.setattr(wake, "start", start)
    assert torpor("runs", "retry", "last")[:2] == (0, f"{_A}: running\n")
    daemon.stop()


def test_start_says_what_was_asked(home: pathlib.Path, torpor: Torpor, short_dir: pathlib.Path) -> None:
    (short_dir / "data.json").write_text('{"from": "file"}')
    line = ["--state", "s", "--purpose", "p", "--session", "i", "--max-steps", "7"]
    with FakeDaemon(home) as daemon:
        assert torpor("runs", "start", "nightly") == (0, "4f1c2d3e: pending\n", "")
        torpor("runs", "start", "nightly", "--data", '{"a": 1.5}', *line)
        torpor("runs", "start", "nightly", "--data", f"@{short_dir}/data.json")
        torpor("runs", "start", "nightly", "--key", "k", "--metadata", '{"m": 1}')
    params = [{**request["params"]} for request in daemon.requests]
    assert [each.pop("key") != "" for each in params] == [True] * 4
    assert params[0] == {"flow": "nightly"}
    assert params[1] == {"flow": "nightly", "data": {"a": 1.5}, "state": "s", "purpose": "p", "session_id": "i",
                         "max_steps": 7}  # fmt: skip
    assert params[2] == {"flow": "nightly", "data": {"from": "file"}}
    assert params[3] == {"flow": "nightly", "metadata": {"m": 1}}
    assert daemon.requests[3]["params"]["key"] == "k"


def test_start_takes_data_from_standard_input(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"a": []}'))
    with FakeDaemon(home) as daemon:
        assert torpor("runs", "start", "nightly", "--data", "@-")[0] == 0
    assert daemon.requests[0]["params"]["data"] == {"a": []}


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (["--data", "{"], 65, "what is in --data is no JSON"),
        (["--data", "[1]"], 65, "no object"),
        (["--metadata", "[1]"], 65, "what is in --metadata is JSON, and no object"),
        (["--data", '{"a": NaN}'], 65, "NaN is no JSON number"),
        (["--data", "@/nowhere/x"], 65, "cannot read /nowhere/x: No such file"),
        (["--data", "@"], 65, "cannot read"),
        (["--max-steps", "many"], 64, "'many' is no number"),
        (["--max-steps", "-1"], 64, "--max-steps"),
    ],
)
def test_what_cannot_be_started_with_is_one_line(
    home: pathlib.Path, torpor: Torpor, line: list[str], status: int, said: str
) -> None:
    with FakeDaemon(home) as daemon:
        found, out, err = torpor("runs", "start", "nightly", *line)
    assert (found, out, daemon.requests) == (status, "", [])
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("ended", "status", "said"),
    [
        (run(status="completed"), 0, "nightly 4f1c2d3e completed: 3 steps, 3.5s\n"),
        (run(status="cancelled", reason="by torpor"), 1, "nightly 4f1c2d3e cancelled: by torpor\n"),
        (run(status="failed", error={"type": "OSError", "message": "a\x1b[2J b", "state": "read", "branch": ""}),
         1, ("nightly 4f1c2d3e failed in read: OSError: a [2J b:"
             " `torpor runs retry 4f1c2d3e --home HOME` goes on from there\n")),
    ],
)  # fmt: skip
def test_waiting_for_the_end_of_what_was_started(
    home: pathlib.Path, torpor: Torpor, ended: dict[str, Any], status: int, said: str
) -> None:
    shelf = Shelf(ended)
    with FakeDaemon(home, *[shelf] * 9) as daemon:
        assert torpor("runs", "start", "nightly", "--wait") == (status, said.replace("HOME", str(home)), "")
        assert daemon.methods()[0] == "run.start"
        found, out, _ = torpor("runs", "start", "nightly", "--wait", "--json")
    assert found == status
    assert json.loads(out)["status"] == ended["status"]


def test_export_and_import_by_file(home: pathlib.Path, torpor: Torpor, short_dir: pathlib.Path) -> None:
    file = short_dir / "run.json"
    with FakeDaemon(home, *[Shelf(run())] * 5) as daemon:
        assert torpor("runs", "export", "last", str(file)) == (0, f"4f1c2d3e: written to {file}\n", "")
        assert json.loads(file.read_text()) == {"run_id": "4f1c2d3e"}
        assert file.stat().st_mode & 0o777 == 0o600
        assert torpor("runs", "export", "4f1c2d3e") == (0, '{"run_id": "4f1c2d3e"}\n', "")
        assert torpor("runs", "export", "4f1c2d3e", "-")[1] == '{"run_id": "4f1c2d3e"}\n'
        status, out, err = torpor("runs", "import", str(file))
    assert (status, err) == (0, "")
    assert out == f"4f1c2d3e: paused: `torpor runs resume 4f1c2d3e --home {home}` lets it go on\n"
    assert json.loads(daemon.requests[-1]["params"]["text"]) == {"run_id": "4f1c2d3e"}
    assert [path.name for path in short_dir.iterdir() if path.suffix == ".part"] == []


def test_import_from_standard_input(home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"run_id": "x"}'))
    with FakeDaemon(home) as daemon:
        assert torpor("runs", "import", "-", "--json")[0] == 0
    assert json.loads(daemon.requests[0]["params"]["text"]) == {"run_id": "x"}


def test_files_that_cannot_be_read_or_written(home: pathlib.Path, torpor: Torpor, short_dir: pathlib.Path) -> None:
    (short_dir / "half").write_text('{"run_id": ')
    (short_dir / "bytes").write_bytes(b"\xff\xfe{")
    for name, said in (("half", "is no JSON"), ("bytes", "cannot read"), ("none", "No such file"), ("", "cannot read")):
        status, out, err = torpor("runs", "import", str(short_dir / name) if name else "")
        assert (status, out) == (65, "")
        assert said in err
        assert len(err.splitlines()) == 1
    with FakeDaemon(home, Shelf(run())):
        status, out, err = torpor("runs", "export", "4f1c2d3e", "/nowhere/run.json")
    assert (status, out) == (74, "")
    assert err == "torpor: cannot write /nowhere/run.json: No such file or directory\n"


def test_status_counts_runs_and_why_names_them(home: pathlib.Path, torpor: Torpor) -> None:
    def because(visitor: Visitor) -> None:
        reason = {"kind": "run", "who": "4f1c2d3e", "why": "nightly runs, at read", "since": None, "until": None}
        visitor.answer(visitor.request(), {**RESULTS["why"], "awake_because": [reason]})

    with FakeDaemon(home, because):
        assert "awake because    run 4f1c2d3e: nightly runs, at read" in torpor("why")[1]
        assert "\n  runs      1 running, 12 completed\n" in torpor("status")[1]


_PLACE = {"run_id": _A, "branch": "", "state": "read", "visit": 1, "attempt": 1}
_TOOK = {"started_ts": 1.0, "duration_s": 0.5, "cpu_s": 0.25, "peak_rss_bytes": 2_000_000}


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("run_created", {"flow": "nightly", "state": "", "purpose": "tidy"}, "nightly, tidy"),
        ("run_created", {"flow": "nightly", "state": "s", "purpose": ""}, "nightly at s"),
        ("run_started", {"worker": 2}, "worker 2"),
        ("flow_loaded", {"version": 3, "initial": "read", "states": 9}, "version 3, 9 states"),
        ("worker_ended", {"worker": 2, "how": "by signal 9", "crashed": True}, "by signal 9"),
        ("step_started", _PLACE | {"visit": 2, "branch": "read:1/a"}, "read (visit 2, in read:1/a)"),
        ("step_ended", _PLACE | _TOOK | {"outcome": "next", "next": [{"branch": "", "state": "merge", "visit": 1}]},
         "read: next -> merge; 0.500s, cpu 0.25s, peak 2 MB"),
        ("step_failed", _PLACE | _TOOK | {"how": "timeout", "error_type": "TimeoutError", "message": "after\n5 s",
                                          "retry_in_s": 2.0}, "read: timeout: TimeoutError: after …; again in 2.0s"),
        ("step_failed", _PLACE | {"how": "retry", "error_type": "Retry", "message": "again after 30 s",
                                  "retry_in_s": 30.0}, "read: again in 30s"),
        ("step_failed", _PLACE | {"how": "failed", "error_type": "E", "message": "m"}, "read: failed: E: m"),
        ("flow_loaded", {"version": 3, "initial": "read", "states": 1}, "version 3, 1 state"),
        ("step_interrupted", _PLACE | _TOOK | {"why": "a request"}, "read: a request"),
        ("call_begun", _PLACE | {"key": "k", "tool": "fetch"}, "read: fetch"),
        ("call_ended", _PLACE | {"key": "k", "ok": False}, "read: call k failed"),
        ("run_joined", {"state": "merge", "visit": 1, "begins": True}, "merge"),
        ("run_paused", {"reason": "its state is gone"}, "its state is gone"),
        ("run_resumed", {"flow": "", "state": "s"}, "state s"),
        ("run_interrupted", {"why": "a request"}, "a request"),
        ("run_completed", {"steps": 4}, "4 steps"),
        ("run_failed", {"error": {"type": "E", "message": "m", "state": "read"}}, "read: E: m"),
        ("run_cancelled", {"reason": ""}, ""),
        ("run_removed", {"status": "failed", "why": "keep"}, "keep"),
        ("run_imported", {"run": {"flow": "", "status": "paused"}}, "without a flow, paused"),
        ("run_not_known_yet", {"something": 1}, ""),
    ],
)  # fmt: skip
def test_a_record_of_a_run_is_one_readable_line(kind: str, data: dict[str, Any], said: str) -> None:
    line = show.record({"seq": 7, "ts": LATER_TS, "kind": kind, "data": {"run_id": _A, **data}, "cause": None})
    assert line.endswith(f"  {kind:<24} {_A}  {said}".rstrip())
    assert "\n" not in line
