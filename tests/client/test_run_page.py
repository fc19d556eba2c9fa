"""runs show: a page about one run, and why something failed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import FakeDaemon, Visitor
from client.some_runs import call, place, run, step, whole
from torpor import home as homes
from torpor.cli import run_words, streams

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor


def _paged(visitor: Visitor) -> None:
    steps = [
        step(
            1, "read", outcome="failed", next=[], error={"type": "E", "message": "no\nnet", "traceback": "T\nno\nnet"}
        ),
        step(2, "read", attempt=2, outcome="parallel", next=["a", "b"], duration_s=75.0),
        step(3, "a", branch="read:1/a", cpu_s=None, peak_rss_bytes=None),
    ]
    calls = [call(), call(status="begun", result=None), call(status="failed", error={"type": "E", "message": "m"})]
    about = whole(reason="why", purpose="tidy", session_id="s1", metadata={"m": 1}, data={"text": "x" * 500, "n": 3},
                  data_omitted={"huge": 99_000}, result={"ok": True}, places=[place("merge", status="waiting")],
                  error={"type": "E", "message": "m", "state": "read", "branch": ""}, worker_pid=12)  # fmt: skip
    while True:
        request = visitor.request()
        assert request["method"] == "run.get"
        at = int(request["params"].get("cursor", 0))
        page = {"run": about, "steps": steps[at : at + 1], "calls": calls[at : at + 1]}
        visitor.answer(request, {**page, "cursor": str(at + 1) if at < 2 else None})


def test_show_is_a_page_of_all_there_is(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, _paged, _paged):
        status, out, err = torpor("runs", "show", "4f1c2d3e")
        found = json.loads(torpor("runs", "show", "4f1c2d3e", "--json")[1])
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("nightly 4f1c2d3e: running: why, 3 steps done, ")
    for said in (
        "  merge  waits for its next attempt", "  purpose   tidy", "  session   s1", "  worker    pid 12",
        '  metadata  {"m": 1}', '  result    {"ok": true}', "  error     in read: E: m", "  data      n = 3",
        f"  data      huge: 99000 bytes, `torpor runs export 4f1c2d3e --home {home}` has them",
        "  flow      version 2 of nightly",
        "  read              failed  0.250s, cpu 0.12s, peak 31 MB", "      E: no", "      net", "        T",
        "  read (attempt 2)  parallel -> a, b  1m 15s, cpu 0.12s, peak 31 MB",
        "  a                 next -> merge  0.250s", '  fetch {"url": "u"} in read: 7',
        '  fetch {"url": "u"} in read: begun, and without an outcome', '  fetch {"url": "u"} in read: failed: E: m',
    ):  # fmt: skip
        assert said in lines
    assert all(len(line) < 200 for line in lines)
    assert [each["id"] for each in found["steps"]] == [1, 2, 3]
    assert len(found["calls"]) == 3
    assert found["run"]["data"]["text"] == "x" * 500
    assert found["steps"][0]["error"]["traceback"] == "T\nno\nnet"


def _shown(home: pathlib.Path, torpor: Torpor, about: dict[str, Any], *steps: dict[str, Any]) -> list[str]:
    def page(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), {"run": about, "steps": steps, "calls": [], "cursor": None})

    with FakeDaemon(home, page):
        status, out, err = torpor("runs", "show", "4f1c2d3e")
    assert (status, err) == (0, "")
    return out.splitlines()


_FRAMES = "\n".join(["Traceback (most recent call last):", *(f'  File "f.py", in f{number}' for number in range(20))])
_LONG = "psql: " + "word " * 100 + "/a/path/that-is-long/" + "x" * 150
_MESSAGE = f"exit status 2\n{_LONG}\n  hint: \x1b[2Jdo"


def test_a_step_that_failed_tells_all_its_message_and_the_ends_of_the_rest(home: pathlib.Path, torpor: Torpor) -> None:
    error = {"type": "CommandError", "message": _MESSAGE, "traceback": f"{_FRAMES}\nflows.CommandError: {_MESSAGE}\n"}
    output = "\n".join(f"line {number}\tof it" for number in range(30)) + "\n"
    about = whole(
        status="failed",
        error={**error, "state": "read", "branch": ""},
        places=[place(status="failed", error=error)],
    )
    attempts = [
        step(number, outcome="failed", next=[], attempt=number, error=error, output=output) for number in (1, 2)
    ]
    lines = _shown(home, torpor, about, *attempts)
    begin = lines.index("      CommandError: exit status 2")
    end = lines.index(next(line for line in lines[begin:] if line.startswith("      hint:") or "hint: " in line))
    message, rest = lines[begin + 1 : end], lines[end + 1 :]
    assert " ".join(line.strip() for line in message) == _LONG
    assert all(len(line) <= 110 for line in message[:-1])
    assert lines[end].split() == ["hint:", "[2Jdo"]
    assert rest[:13] == ["        …", *(f'          File "f.py", in f{number}' for number in range(8, 20))]
    assert rest[13:27] == ["      said:", "        …", *(f"        line {number} of it" for number in range(18, 30))]
    assert rest[28:] == ["      CommandError: exit status 2 …, as before"]
    assert "  error     in read: CommandError: exit status 2 …" in lines
    assert "  read  failed" in lines


def test_what_no_step_failed_with_is_told_of_the_run(home: pathlib.Path, torpor: Torpor) -> None:
    lines = _shown(home, torpor, whole(error={"type": "FlowError", "message": "no\nsuch", "state": "", "branch": ""}))
    assert lines[lines.index("  error     FlowError: no") + 1] == "            such"


def test_a_message_without_an_end_has_one(home: pathlib.Path, torpor: Torpor) -> None:
    error = {"type": "E", "message": "x" * 9000, "traceback": None}
    lines = _shown(home, torpor, whole(), step(1, outcome="failed", next=[], error=error, output="y" * 9000))
    assert [len(line) for line in lines[-3:]] == [2003, 11, 408]


def test_what_is_to_be_done_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "columns", lambda: 140)
    failed: Any = run(status="failed", error={"type": "E", "message": "word " * 90, "state": "read", "branch": ""})
    line = run_words.ended(failed, homes.home_dir())
    assert len(line) == 140
    assert line.endswith("…: `torpor runs retry 4f1c2d3e` goes on from there")


def test_a_line_is_as_long_as_the_terminal_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    assert streams.fitted("x" * 500) == "x" * 500  # it goes to no terminal
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((20, 5)))
    assert streams.fitted("x" * 20) == "x" * 20
    assert streams.fitted("x" * 21) == "x" * 19 + "…"


def test_a_sleep_cycle_is_said_to_be_one_once(home: pathlib.Path, torpor: Torpor) -> None:
    lines = _shown(home, torpor, whole(purpose="sleep cycle", cycle=True))
    assert [line for line in lines if "sleep cycle" in line] == ["  kind      sleep cycle"]


def test_output_that_the_message_has_is_not_told_twice(home: pathlib.Path, torpor: Torpor) -> None:
    error = {"type": "Failed", "message": "exit status 3: err\nits output ended:\nout\nerr", "traceback": None}
    lines = _shown(home, torpor, whole(), step(1, outcome="failed", next=[], error=error, output="out\nerr\n"))
    assert "      err" in lines
    assert "      said:" not in lines
