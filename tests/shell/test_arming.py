"""Arming: file and timer follow the newest wish, and each wish that was not overtaken is answered once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import pytest
from structlog.testing import capture_logs

from torpord.core.effects import ArmWake
from torpord.core.events import Event, WakeArmed
from torpord.shell import arming
from torpord.shell.arming import CAUSE, Arming
from torpord.shell.starting import planned_at
from waiting import until_async

T = TypeVar("T")
AT_TS = 1_795_275_385.25  # 2026-11-21 15:36:25.25 UTC


class Disk:
    async def run(self, job: Callable[[], T], *, brief: bool = False) -> T:  # noqa: ARG002 - all the same to a fake
        await anyio.lowlevel.checkpoint()
        return job()

    def waiting(self) -> bool:
        return False

    def serve(self) -> None: ...


@dataclass
class FakeTimer:
    """A timer that may take its time, or fail. `told`: each call, and whether `wake.at` was there then."""

    home: Path
    problem: str = ""
    gate: anyio.Event | None = None
    error: Exception | None = None
    kept: bool = False
    told: list[tuple[int | None, bool]] = field(default_factory=list)

    async def set(self, at_s: int) -> str:
        return await self._call(at_s)

    async def clear(self) -> str:
        return await self._call(None)

    async def is_kept(self) -> bool:
        return self.kept

    async def _call(self, at_s: int | None) -> str:
        self.told.append((at_s, planned_at(self.home) is not None))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.problem


class Bench:
    """An `Arming` between a fake timer and a list of its answers."""

    def __init__(self, home: Path, tasks: anyio.abc.TaskGroup) -> None:
        self.home = home
        self.timer = FakeTimer(home)
        self.answers: list[Event] = []
        self.arming = Arming(self.timer, home, Disk(), tasks, self.answers.append)

    async def does(self, at_ts: float | None) -> str:
        """Carry out a wish, and return the problem."""
        before = len(self.answers)
        self.arming.want(ArmWake(at_ts))
        await until_async(lambda: len(self.answers) > before)
        answer = self.answers[-1]
        assert isinstance(answer, WakeArmed)
        assert (answer.cause, answer.at_ts) == (CAUSE, at_ts)
        return answer.problem


@pytest.mark.asyncio
async def test_the_file_is_there_before_the_timer_and_longer(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tmp_path, tasks)
        assert await bench.does(AT_TS) == ""
        assert (tmp_path / "wake.at").read_text() == "2026-11-21T15:36:25.250+00:00\n"
        assert (tmp_path / "wake.at").stat().st_mode & 0o777 == 0o600
        assert planned_at(tmp_path) == AT_TS
        assert await bench.does(None) == ""
        assert not (tmp_path / "wake.at").exists()
        assert await bench.does(None) == "", "nothing was there"
    # Never a moment too soon; the file is there whenever the timer may be.
    assert bench.timer.told == [(1_795_275_386, True), (None, True), (None, False)]


@pytest.mark.asyncio
async def test_of_wishes_that_come_at_once_the_newest_is_carried_out_and_answered(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tmp_path, tasks)
        bench.timer.gate = anyio.Event()
        for at_ts in (AT_TS, None, AT_TS + 60, AT_TS + 30):
            bench.arming.want(ArmWake(at_ts))
            await until_async(lambda: bench.timer.told)
        bench.timer.gate.set()
        await until_async(lambda: bench.answers)
    assert bench.timer.told == [(1_795_275_386, True), (1_795_275_416, True)]
    assert bench.answers == [WakeArmed(CAUSE, AT_TS + 30)]
    assert planned_at(tmp_path) == AT_TS + 30


@pytest.mark.asyncio
async def test_what_goes_wrong_is_the_answer(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tmp_path, tasks)
        bench.timer.problem = "no bus"
        assert await bench.does(AT_TS) == "no bus"
        assert planned_at(tmp_path) == AT_TS, "it is planned all the same: the next boot may bring it"
        assert await bench.does(None) == "no bus"
        assert planned_at(tmp_path) == AT_TS, "a timer may still be there"
        bench.timer.problem = ""
        assert await bench.does(None) == ""


@pytest.mark.asyncio
async def test_a_mistake_is_an_answer_too(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tmp_path, tasks)
        bench.timer.error = ValueError("of ours")
        with capture_logs() as logs:
            assert "of ours" in await bench.does(AT_TS)
        assert [each["event"] for each in logs] == ["internal_error"]
        bench.timer.error = None
        assert await bench.does(AT_TS) == "", "and it goes on"


@pytest.mark.asyncio
async def test_a_home_that_takes_no_file_gets_no_timer(tmp_path: Path) -> None:
    (tmp_path / "wake.at").mkdir()
    (tmp_path / "wake.at/x").touch()
    async with anyio.create_task_group() as tasks:
        bench = Bench(tmp_path, tasks)
        assert "wake.at cannot be written (Is a directory)" in await bench.does(AT_TS)
        assert bench.timer.told == []
        assert "wake.at cannot be removed (Is a directory)" in await bench.does(None)


@pytest.mark.asyncio
async def test_the_end_waits_for_what_is_under_way_and_does_nothing_twice(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tmp_path, tasks)
        bench.timer.gate = anyio.Event()
        bench.arming.want(ArmWake(AT_TS))
        await until_async(lambda: bench.timer.told)
        async with anyio.create_task_group() as end:
            end.start_soon(partial(bench.arming.settle, AT_TS, now_s=AT_TS - 60, stopped=False))
            bench.timer.gate.set()
        assert len(bench.timer.told) == 1
        await bench.arming.settle(None, now_s=AT_TS - 60, stopped=False)
    assert [at_s for at_s, _ in bench.timer.told] == [1_795_275_386, None]
    assert planned_at(tmp_path) is None


@pytest.mark.asyncio
async def test_stopped_by_the_manager_it_leaves_the_timer_to_it(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tmp_path, tasks)
        bench.timer.kept = True
        await bench.arming.settle(AT_TS, now_s=AT_TS - 60, stopped=True)
        assert planned_at(tmp_path) == AT_TS, "for the next boot"
        await bench.arming.settle(None, now_s=AT_TS - 60, stopped=True)
        assert planned_at(tmp_path) == AT_TS, "a timer may be there"
        assert bench.timer.told == []
        await bench.arming.settle(None, now_s=AT_TS, stopped=True)
        assert planned_at(tmp_path) is None, "that one has rung"
        bench.timer.kept = False  # somebody's kill
        await bench.arming.settle(AT_TS + 60, now_s=AT_TS - 60, stopped=True)
    assert bench.timer.told == [(1_795_275_446, True)]


@pytest.mark.asyncio
async def test_the_end_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming, "SETTLE_S", 0.1)
    with capture_logs() as logs:
        async with anyio.create_task_group() as tasks:
            bench = Bench(tmp_path, tasks)
            bench.timer.gate = anyio.Event()
            bench.arming.want(ArmWake(AT_TS))
            await bench.arming.settle(None, now_s=AT_TS - 60, stopped=False)
            tasks.cancel_scope.cancel()
    assert [(each["event"], each["why"]) for each in logs] == [
        ("wake_not_armed", "the service manager took over 0.1 s")
    ]


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2026-11-21T15:36:25.250+00:00\n", AT_TS),
        ("2026-11-21T15:36:25.250Z", AT_TS),
        ("2026-11-21T16:36:25.250+01:00", AT_TS),
        ("", None),
        ("tomorrow", None),
        ("\xff" * 1000, None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_a_file_that_says_no_time_says_none(tmp_path: Path, text: str | bytes, at_s: float | None) -> None:
    (tmp_path / "wake.at").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert planned_at(tmp_path) == at_s


def test_what_is_no_file_says_no_time(tmp_path: Path) -> None:
    assert planned_at(tmp_path) is None
    os.mkfifo(tmp_path / "wake.at")
    assert planned_at(tmp_path) is None
    (tmp_path / "wake.at").unlink()
    (tmp_path / "wake.at").mkdir()
    assert planned_at(tmp_path) is None
