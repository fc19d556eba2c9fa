"""`kill -9` of daemon and worker at each named point of a run: nothing finished runs again, and nothing is left out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.flow_runs import (
    BROKEN_OFF,
    FINISHED,
    History,
    assert_once,
    assert_whole_after,
    carried,
    flow_settings,
    history,
    history_at_end,
    lives,
    repeated,
    start,
    until,
)
from process.reading import assert_whole
from process.trap import Trap
from torpord.points import POINTS

TOYS = ("toy:chain", "toy:calls", "toy:branches")
OF_DAEMON = [name for name in POINTS if name.startswith(("writer.", "store."))]
OF_WORKER = [name for name in POINTS if name.startswith(("worker.", "call."))]
# Of a chain and branches without calls these are the steps; with calls each of them is passed some times as often.
STEPS = [name for name in OF_WORKER if name.startswith("worker.")]
# how long a run is, and its visits and effects, by flow
SHAPES = {"chain": (12, 14, 0), "calls": (5, 8, 13), "branches": (2, 17, 14)}


def check(found: History, folder: Path, home: Path) -> None:
    until_, visits, effects = SHAPES[found.run["flow"]]
    assert found.run["data"]["n"] >= until_
    assert (len(found.visits()), len(found.calls)) == (visits, effects)
    assert {step["outcome"] for step in found.steps} <= FINISHED | BROKEN_OFF
    assert_once(found, folder, home)


def broken_off(found: History) -> list[str]:
    return [step["outcome"] for step in found.steps if step["outcome"] in BROKEN_OFF]


# Behind a start come, each a batch of its own: the start, the flow loaded, then what the steps say.
@pytest.mark.parametrize(("flows", "nth"), [(SHAPES, 1), (SHAPES, 3), (SHAPES, 6), (["calls"], 4), (["branches"], 5)])
def test_the_daemon_at_each_point(flows: Iterable[str], nth: int, home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", dict.fromkeys(OF_DAEMON, "kill"), nth=nth, armed=False)
    daemon = RunningDaemon.start(home, flow_settings(*TOYS), launcher=trap.launcher)
    run_ids = {flow: start(daemon, flow, short_dir / flow, until=SHAPES[flow][0]) for flow in flows}
    trap.arm()
    daemon, deaths = carried(daemon, run_ids.values())
    assert deaths == len(OF_DAEMON)
    found = {flow: history(daemon, run_id) for flow, run_id in run_ids.items()}
    assert daemon.stop() == 0
    for flow in flows:
        check(found[flow], short_dir / flow, home)


# Five deaths without a step's end between are too many: of branches, a first passage of all points would be that.
DYING = [
    *(("chain", STEPS, nth) for nth in (1, 2)),
    *(("calls", OF_WORKER, nth) for nth in (1, 2)),
    *(("branches", points, 1) for points in (OF_WORKER[:3], OF_WORKER[3:])),
    *(("branches", OF_WORKER, nth) for nth in (2, 3)),
]


def test_the_worker_at_each_point(home: Path, short_dir: Path) -> None:
    """Every run dies once at each point, at another passage of it; all of them at once under one daemon."""
    daemon = RunningDaemon.start(home, flow_settings(*TOYS))
    folders = [short_dir / str(number) for number in range(len(DYING))]
    run_ids = [
        start(daemon, flow, folder, until=SHAPES[flow][0], snares=dict.fromkeys(points, nth))
        for folder, (flow, points, nth) in zip(folders, DYING, strict=True)
    ]
    for folder, run_id, (flow, points, _) in zip(folders, run_ids, DYING, strict=True):
        found = history_at_end(daemon, run_id)
        check(found, folder, home)
        assert [name for name in points if not (folder / name).exists()] == []
        assert set(broken_off(found)) == {"crashed"}
        if flow == "calls":  # one after the other: only the call in the window is made again
            assert len(repeated(folder)) == 1
    assert_whole_after(daemon)


@pytest.mark.parametrize("flow", ["calls", "branches"])
def test_the_daemon_while_the_worker_is_at_each_point(flow: str, home: Path, short_dir: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings(*TOYS))
    folder = short_dir / "out"
    run_id = start(daemon, flow, folder, until=SHAPES[flow][0], snares=dict.fromkeys(OF_WORKER, 2), how="hold")
    left = set(OF_WORKER)
    while left:
        at = until(lambda: next((name for name in left if (folder / name).exists()), None), what=f"one of {left}")
        left.discard(at)
        daemon.kill()
        pid = int((folder / at).read_text())
        until(lambda pid=pid: not lives(pid), what="the end of the worker")  # type: ignore[misc]
        assert_whole(home)
        daemon = daemon.again()
    found = history_at_end(daemon, run_id)
    check(found, folder, home)
    assert set(broken_off(found)) == {"interrupted"}
    if flow == "calls":
        assert len(repeated(folder)) == 1
    assert_whole_after(daemon)
