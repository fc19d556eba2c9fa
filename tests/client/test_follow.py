"""runs follow: on a terminal and not, through the daemon's lives, asking no more than it must."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from client.some_runs import TS, Shelf, place, run
from client.terminal import Terminal
from torpor import presence
from torpor.cli import bars, run_views, runs, show
from waiting import until

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor

_ID = "4f1c2d3e"


class Work:
    """A daemon with one run, which the test changes: a scene for any number of connections.

    `answered`: the methods of which the answers are on their way; whoever changes the run now changes none of them.
    """

    def __init__(self, found: dict[str, Any], after: int = 7) -> None:
        self.shelf = Shelf(found)
        self.answered: list[str] = []
        self.after = after
        self._subscribers: list[Visitor] = []

    def __call__(self, visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            if request["method"] == "subscribe":
                visitor.answer(request, {"next": self.after})
                self._subscribers.append(visitor)
                self.answered.append("subscribe")
                visitor.daemon.ended.wait()
            elif request["method"] == "status":
                visitor.answer(request, {**RESULTS["status"], "ledger_seq": self.after})
            else:
                self.shelf.answer(visitor, request)
            self.answered.append(request["method"])

    def becomes(self, found: dict[str, Any]) -> None:
        self.shelf.runs = [found]

    def records(self, kind: str, **data: Any) -> None:
        (subscriber,) = until(lambda: self._subscribers)
        self.after += 1
        record = {"seq": self.after, "ts": TS, "kind": kind, "data": {"run_id": _ID, **data}, "cause": None}
        subscriber.send({"jsonrpc": "2.0", "method": "record", "params": record})


class Following:
    """`torpor runs follow`, or another of them, in a thread; how it ended, once it has."""

    def __init__(self, torpor: Torpor, *line: str) -> None:
        self._ended: list[tuple[int, str, str]] = []
        self._thread = threading.Thread(target=self._run, args=(torpor, line), daemon=True)
        self._thread.start()

    def _run(self, torpor: Torpor, line: tuple[str, ...]) -> None:
        self._ended.append(torpor("runs", *line))

    def end(self) -> tuple[int, str, str]:
        self._thread.join(20)
        (ended,) = self._ended
        return ended


def _progress(done: float, of: float | None = 10, note: str | None = None) -> dict[str, Any]:
    return {"": {"done": done, "of": of, "note": note}}


def test_elsewhere_it_is_a_line_a_change(home: pathlib.Path, torpor: Torpor) -> None:
    work = Work(run(progress=_progress(1)))
    with FakeDaemon(home, *[work] * 9) as daemon:
        following = Following(torpor, "follow", _ID)
        work.records("step_started", branch="", state="read", visit=1, attempt=1)
        until(lambda: daemon.methods().count("run.list") > 1)
        work.becomes(run(progress=_progress(5.5, note="half")))
        count = daemon.methods().count("run.list")
        until(lambda: daemon.methods().count("run.list") > count + 1)
        work.becomes(run(status="completed"))
        work.records("run_completed", steps=3)
        status, out, err = following.end()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("nightly 4f1c2d3e: running, 3 steps done, ")
    assert lines[1].startswith("  read  ██░░░░░░░░░░░░░░░░░░░░░░  10%  1 of 10  ")
    told = [line.split("  ", 1)[1] for line in lines[2:-1]]
    assert sorted(told) == ["progress          read: 1 of 10", "progress          read: 5.5 of 10, half",
                            "run_completed     3 steps", "step_started      read"]  # fmt: skip
    assert lines[-1] == "nightly 4f1c2d3e completed: 3 steps, 3.5s"
    assert daemon.methods().count("run.get") == 3  # what is meant, the first look, and the last, when none is running
    assert [each["params"]["after"] for each in daemon.requests if each["method"] == "subscribe"] == [7]


def test_another_end_is_1(home: pathlib.Path, torpor: Torpor) -> None:
    for found, said in ((run(status="failed", error={"type": "E", "message": "m"}), "failed: E: m"),
                        (run(status="cancelled"), "cancelled")):  # fmt: skip
        with FakeDaemon(home, *[Work(found)] * 9):
            status, out, _ = Following(torpor, "follow", "last" if said == "cancelled" else _ID).end()
        assert status == 1
        assert said in out


def test_starting_and_following(home: pathlib.Path, torpor: Torpor) -> None:
    work = Work(run(status="completed"))
    with FakeDaemon(home, lambda visitor: visitor.answer(visitor.request()), *[work] * 9) as daemon:
        assert torpor("runs", "start", "nightly", "--follow")[:2] == (0, "nightly 4f1c2d3e completed: 3 steps, 3.5s\n")
    assert daemon.methods()[0] == "run.start"


def test_waiting_tells_of_a_pause_and_of_the_end_and_asks_only_when_something_happened(
    home: pathlib.Path, torpor: Torpor
) -> None:
    work = Work(run())
    begin = lambda visitor: visitor.answer(visitor.request())  # noqa: E731 - one line is what it is
    with FakeDaemon(home, begin, *[work] * 9) as daemon:
        following = Following(torpor, "start", "nightly", "--wait")
        until(lambda: {"subscribe", "run.get"} <= set(work.answered))
        work.becomes(run(status="paused", reason="its state is gone"))
        work.records("run_paused", reason="its state is gone")
        until(lambda: work.answered.count("run.get") == 2)  # behind the list of those that run, where it is no more
        work.becomes(run(status="completed"))
        work.records("run_completed", steps=3)
        status, out, err = following.end()
    assert (status, out) == (0, "nightly 4f1c2d3e completed: 3 steps, 3.5s\n")
    assert err == (
        "torpor: run 4f1c2d3e is paused (its state is gone): waiting until it goes on,"
        f" `torpor runs resume 4f1c2d3e --home {home}`\n"
    )
    assert daemon.methods().count("run.list") == 1


def test_waiting_that_runs_out_is_75(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, *[Work(run())] * 9):
        status, out, err = torpor("runs", "start", "nightly", "--wait", "--timeout", "0.4")
    assert (status, out, err) == (75, "", "torpor: 0.4s passed, and run 4f1c2d3e has not ended\n")


def test_json_is_the_run_whenever_it_has_changed(home: pathlib.Path, torpor: Torpor) -> None:
    work = Work(run(progress=_progress(1)))
    with FakeDaemon(home, *[work] * 9) as daemon:
        following = Following(torpor, "follow", _ID, "--json")
        until(lambda: daemon.methods().count("run.list") > 2)
        work.becomes(run(status="failed"))
        work.records("run_failed", error={})
        status, out, err = following.end()
    assert (status, err) == (1, "")
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["running", "failed"]


def test_a_daemon_that_goes_down_is_waited_for_and_not_woken(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FakeDaemon(home, *[Work(run(places=[place(status="waiting", retry_at=TS)]))] * 9)
    first.listen()
    first.accept()
    following = Following(torpor, "follow", _ID)
    until(lambda: "subscribe" in first.methods())
    first.stop(current_state="HIBERNATION")
    told: list[str] = []
    monkeypatch.setattr(run_views, "say_down", told.append)
    looks: list[str] = []
    mark = presence.mark
    monkeypatch.setattr(presence, "mark", lambda of: (looks.append(of), mark(of))[1])
    with FakeDaemon(home, locks=False) as asleep:  # the service manager's socket, and nobody behind it
        count = len(looks)
        until(lambda: len(looks) > count + 3)
        until(lambda: told)
        assert asleep.visits == 0
    work = Work(run(status="completed"))
    write_state(home, pid=1)
    with FakeDaemon(home, *[work] * 9):
        work.records("started")
        work.records("run_completed", steps=3)
        status, out, err = following.end()
    assert status == 0
    assert (err, len(told)) == ("", 1)
    assert out.splitlines()[-1] == "nightly 4f1c2d3e completed: 3 steps, 3.5s"
    assert "run_completed" in out


def test_a_daemon_that_is_down_at_the_beginning_is_waited_for(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, current_state="HIBERNATION")
    for more in ([], ["--json"]):
        status, out, err = torpor("runs", "follow", "last", "--timeout", "0.3", *more)
        assert (status, out) == (75, "")
        assert len(err.splitlines()) == 2
        assert err.startswith("torpor: down: HIBERNATION since")
        assert err.splitlines()[0].endswith(": waiting until then")
    following = Following(torpor, "follow", "last")
    with FakeDaemon(home, *[Work(run(status="completed"))] * 9):
        assert following.end()[0] == 0


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_time_that_runs_out_is_75(home: pathlib.Path, torpor: Torpor, more: list[str]) -> None:
    with FakeDaemon(home, *[Work(run())] * 9):
        status, _, err = torpor("runs", "follow", _ID, "--timeout", "0.4", *more)
    assert (status, err) == (75, "torpor: 0.4s passed, and run 4f1c2d3e has not ended\n")


def test_a_run_that_was_removed_is_65(home: pathlib.Path, torpor: Torpor) -> None:
    work = Work(run(status="paused", places=[]))
    with FakeDaemon(home, *[work] * 9) as daemon:
        following = Following(torpor, "follow", _ID)
        until(lambda: "subscribe" in daemon.methods())
        work.shelf.runs = []
        work.records("run_removed", why="asked")
        status, _, err = following.end()
    assert (status, err) == (65, "torpor: no: not_found\n")


def _on_terminal(home: pathlib.Path) -> Terminal:
    return Terminal([sys.executable, "-m", "torpor", "runs", "follow", _ID, "--home", str(home)])


def test_on_a_terminal_it_is_drawn_in_place(home: pathlib.Path) -> None:
    branches = [place("read", status="forked"), place("embed", branch="read:1/embed"),
                place("index", branch="read:1/index", status="at_join")]  # fmt: skip
    work = Work(run(places=branches, progress={"read:1/embed": {"done": 12, "of": 24, "note": None}}))
    with FakeDaemon(home, *[work] * 9), _on_terminal(home) as terminal:
        terminal.until("████████████░░░░░░░░░░░░  50%  12 of 24".encode())
        terminal.until(b"\x1b[3A")  # drawn again, over the three lines
        assert b"index  done, waits for the other branches" in terminal.said
        work.becomes(run(status="failed", error={"type": "E", "message": "m"}))
        work.records("run_failed", error={})
        assert terminal.status() == 1
    retry = f"`torpor runs retry 4f1c2d3e --home {home}`"
    assert terminal.said.endswith(f"\x1b[?7hnightly 4f1c2d3e failed: E: m: {retry} goes on from there\r\n".encode())


def test_on_a_terminal_nothing_is_asked_where_nothing_happens(home: pathlib.Path) -> None:
    work = Work(run(status="paused", reason="its state is gone", places=[place(status="ready")]))
    with FakeDaemon(home, *[work] * 9) as daemon, _on_terminal(home) as terminal:
        for _ in range(3):
            terminal.until(b"paused: its state is gone")
            terminal.said = b""
        assert sorted(daemon.methods()) == ["run.get", "run.get", "status", "subscribe"]
        terminal.press(b"\x03")
        assert terminal.status() == 130
    assert b"Traceback" not in terminal.said


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        ({"done": 3, "of": None, "note": "x"}, "running  3, x  "),
        ({"done": 30, "of": 10, "note": None}, "#" * 24 + " 100%  30 of 10  "),
        ({"done": -1, "of": 10, "note": "a\x1b[Ab"}, "." * 24 + "   0%  -1 of 10, a [Ab  "),
        ({"done": 3, "of": 0, "note": None}, "running  3  "),
    ],
)
def test_a_bar_takes_what_a_step_says_of_itself(progress: Any, said: str) -> None:
    found: Any = run(progress={"": progress})
    assert bars.lines(found, encoding="ascii")[1].startswith(f"  read  {said}")


def test_the_head_tells_what_becomes_of_it() -> None:
    found: Any = run(stopping="pause", steps=1)
    assert bars.head(found).startswith("nightly 4f1c2d3e: running, pauses after its step, 1 step done, ")
    done: Any = run(status="completed", places=[place(status="at_join")])
    assert bars.lines(done) == ["nightly 4f1c2d3e: completed, 3 steps done, 3.5s"]


def test_a_place_that_waits_says_for_what() -> None:
    found: Any = run(places=[place(status="waiting", attempt=2, retry_at="2999-01-01T00:00:00+00:00",
                                   error={"type": "E", "message": "m"}),
                             place("", status="ready"), place("", status="failed")], progress=_progress(1))  # fmt: skip
    first, second, third = bars.lines(found)[1:]
    assert first.startswith("  read (attempt 2)   again in ")
    assert first.endswith(" after E: m")
    assert second == "  the initial state  ready"
    assert third == "  the beginning      failed"


def test_branches_have_their_short_names_where_one_parallel_is_open() -> None:
    texts = place("texts", branch="gather:1/texts", status="at_join")
    pictures = place("scale", branch="gather:1/pictures", status="ready")
    found: Any = run(places=[place("gather", status="forked"), texts, pictures])
    assert bars.lines(found)[1:] == ["  texts                done, waits for the other branches",
                                     "  scale (in pictures)  ready"]  # fmt: skip
    found["places"].append(place("scale", branch="other:1/pictures", status="ready"))
    assert [line.split("  ")[1] for line in bars.lines(found)[1:]] == [
        "texts (in gather:1/texts)", "scale (in gather:1/pictures)", "scale (in other:1/pictures)",
    ]  # fmt: skip
    nameless = place("", branch="gather:1/texts", status="at_join")
    failed = place("scale", branch="gather:1/pictures", status="failed", error={"type": "E", "message": "m"})
    ended: Any = run(status="failed", places=[nameless, failed], error={"type": "E", "message": "m"})
    assert bars.lines(ended)[1:] == ["  texts                done", "  scale (in pictures)  failed"]
    assert len(bars.lines(run(status="cancelled", places=[texts]))) == 1  # type: ignore[arg-type]


def test_a_run_that_waits_says_until_when() -> None:
    then = "2999-01-02T15:18:00+00:00"
    waiting = place(status="waiting", attempt=2, retry_at=then)
    later = place("b", status="waiting", retry_at="2999-01-03T00:00:00+00:00")
    said = f"waits until {show.soon(then)}"
    found: Any = run(places=[place(status="forked"), later, waiting, place("c", status="at_join")])
    assert bars.waits_until(found) == said
    assert f": running, {said}, 3 steps" in bars.head(found)
    assert bars.waits_until({**found, "places": [waiting, place("d")]}) == ""
    assert bars.waits_until({**found, "status": "paused"}) == ""
    assert runs._where(found) == f"{said}, at b, read (attempt 2)"


def test_a_daemon_that_is_down_says_which_time_is_missed(home: pathlib.Path, torpor: Torpor) -> None:
    then = "2999-01-02T15:18:00+00:00"
    write_state(home, resumes_ts=then)
    said = f"  runs      1 run or more wants to go on at {show.soon(then)}"
    assert torpor("status")[1].splitlines()[1:] == [f"{said}; nothing is planned to wake it"]
    write_state(home, resumes_ts=then, next_wake_ts=then)
    assert torpor("status")[1].splitlines()[1:] == [said, f"  wakes     {show.moment(then)} as planned"]
