"""The sleep cycle as `torpor sleep` and `torpor status` tell of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from torpor.cli import cycles, show

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor

_THEN = "2999-01-02T15:18:00+00:00"
_AT = show.soon(_THEN)
_FAILED = {"outcome": "failed", "run_id": "4f1c2d3e", "ended_ts": "2026-01-02T03:04:05+00:00", "step": "count",
           "error": "ValueError: no\nsuch"}  # fmt: skip
_PROGRESS = {"phase": "ended", "run_id": "4f1c2d3e", "step": "count", "done": 1, "of": 4}


@pytest.mark.parametrize(
    ("cycle", "progress", "said"),
    [
        (None, None, "SLEEP"),
        ({"skipped": "not due yet", "due_ts": _THEN}, None,
         f"SLEEP: no cycle now, not due yet until {_AT} ([sleep] min_interval)"),
        ({"skipped": "it failed lately", "due_ts": _THEN}, _PROGRESS,
         f"SLEEP: no cycle now, it failed lately until {_AT}: `torpor runs retry 4f1c2d3e --home HOME` tries at once"),
        ({"skipped": "quarantine", "due_ts": _THEN}, None, f"SLEEP: no cycle now, in quarantine until {_AT}"),
        ({"skipped": "its run 4f1c2d3e is paused: asked", "due_ts": None}, None,
         "SLEEP: no cycle now, its run 4f1c2d3e is paused: asked"),
    ],
)  # fmt: skip
def test_a_sleep_without_a_cycle_says_why(
    home: pathlib.Path, torpor: Torpor, cycle: Any, progress: Any, said: str
) -> None:
    def asleep(visitor: Visitor) -> None:
        visitor.answer(visitor.request(), {**RESULTS["event"], "state": "SLEEP", "cycle": cycle})
        visitor.answer(visitor.request(), {**RESULTS["status"], "sleep": {"progress": progress}})

    with FakeDaemon(home, asleep) as daemon:
        assert torpor("sleep") == (0, f"{said.replace('HOME', str(home))}\n", "")
    assert ("status" in daemon.methods()) == (cycle is not None and cycles.has_failed(cycle["skipped"]))


def test_a_sleep_is_one_also_where_nobody_tells_the_run(home: pathlib.Path, torpor: Torpor) -> None:
    def asleep(visitor: Visitor) -> None:
        skipped = {"skipped": "quarantine", "due_ts": None}
        visitor.answer(visitor.request(), {**RESULTS["event"], "state": "SLEEP", "cycle": skipped})
        visitor.refuse(visitor.request()["id"], "internal_error")

    with FakeDaemon(home, asleep):
        assert torpor("sleep") == (0, "SLEEP: no cycle now, in quarantine\n", "")


@pytest.mark.parametrize(
    ("sleep", "said"),
    [
        ({}, []),
        ({"last_cycle": {"outcome": "completed", "run_id": "4f1c2d3e", "ended_ts": None},
          "next": {"reason": "", "due_ts": _THEN}}, ["cycle     4f1c2d3e completed at an unknown time"]),
        ({"last_cycle": {"flow": "words", "outcome": "completed", "run_id": "4f", "ended_ts": None},
          "next": {"reason": "not due yet", "due_ts": _THEN}},
         [f"cycle     words 4f completed at an unknown time, again from {_AT} on"]),
        ({"last_cycle": {**_FAILED, "ended_ts": None}, "progress": _PROGRESS,
          "next": {"reason": "it failed lately", "due_ts": _THEN}},
         [f"cycle     4f1c2d3e failed at an unknown time, again from {_AT} on: in count: ValueError: no …"]),
        ({"last_cycle": {**_FAILED, "ended_ts": None}, "progress": {**_PROGRESS, "phase": "running"},
          "quarantine": {"step": "count", "until_ts": _THEN, "failures": 3},
          "next": {"reason": "quarantine", "due_ts": _THEN}},
         [f"cycle     4f1c2d3e failed at an unknown time, in quarantine until {_AT}: in count: ValueError: no …",
          "at work   1 of 4 done, at count"]),
        ({"progress": _PROGRESS, "next": {"reason": "its run 4f1c2d3e is paused: asked", "due_ts": None}},
         ["cycle     its run 4f1c2d3e is paused: asked", "at work   1 of 4 done, at count, run 4f1c2d3e"]),
    ],
)  # fmt: skip
def test_a_status_has_a_line_for_each_thing(sleep: dict[str, Any], said: list[str]) -> None:
    assert cycles.lines(sleep) == [f"  {line}" for line in said]


def test_a_daemon_that_is_down_tells_of_its_cycle_too(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home, current_state="SLEEP", last_cycle=_FAILED, sleep_cycle_progress=_PROGRESS)
    _, out, _ = torpor("status")
    assert [line.split()[0] for line in out.splitlines()] == ["down:", "cycle", "wakes"]


def test_a_time_that_is_near_has_no_date() -> None:
    now = datetime.now(UTC)
    assert len(show.soon(now.isoformat())) == len("15:18:07")
    assert (
        show.soon((now + timedelta(days=3)).isoformat())[:10]
        == (now + timedelta(days=3)).astimezone().date().isoformat()
    )
    assert show.soon("soon") == "soon"
