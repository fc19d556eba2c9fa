"""The machine's clock is never set here: that a step is told is shown only as far as the kernel's word for it goes."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from torpord.host.alarm import Ring, WallAlarm

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.asyncio


@pytest.fixture
def alarm() -> Iterator[WallAlarm]:
    made = WallAlarm()
    yield made
    made.close()


async def test_rings_when_the_wall_clock_says_so(alarm: WallAlarm) -> None:
    due_at = time.time() + 0.05
    with anyio.fail_after(10):
        assert await alarm.wait(due_at) is Ring.DUE
    assert time.time() >= due_at


@pytest.mark.parametrize("at_s", [-1.0, 0.0, 1e-12, 1.0])
async def test_the_past_is_due_at_once(alarm: WallAlarm, at_s: float) -> None:
    with anyio.fail_after(10):
        assert await alarm.wait(at_s) is Ring.DUE


@pytest.mark.parametrize("at_s", [None, 1e12, float("inf")])
async def test_for_ever_can_be_cancelled_and_the_next_wait_is_its_own(alarm: WallAlarm, at_s: float | None) -> None:
    with anyio.move_on_after(0) as scope:
        await alarm.wait(at_s)
    assert scope.cancelled_caught
    with anyio.fail_after(10):
        assert await alarm.wait(time.time() + 0.01) is Ring.DUE


async def test_a_shorter_wait_that_was_cancelled_does_not_end_a_longer_one(alarm: WallAlarm) -> None:
    with anyio.move_on_after(0):
        await alarm.wait(time.time() + 0.02)
    due_at = time.time() + 0.1
    with anyio.fail_after(10):
        await alarm.wait(due_at)
    assert time.time() >= due_at


@pytest.mark.skipif(sys.platform != "linux", reason="a timerfd is Linux's")
async def test_a_cancelled_timer_means_a_step(alarm: WallAlarm, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fd = os.read, alarm._timer.fd  # type: ignore[union-attr]

    def stepped(given: int, size: int) -> bytes:
        if given == fd:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        return real(given, size)

    monkeypatch.setattr("os.read", stepped)
    with anyio.fail_after(10):
        assert await alarm.wait(0) is Ring.STEPPED


@pytest.mark.skipif(sys.platform != "linux", reason="a timerfd is Linux's")
async def test_it_follows_the_wall_clock_and_is_told_of_steps(alarm: WallAlarm) -> None:
    assert alarm._timer is not None
    with anyio.move_on_after(0):
        await alarm.wait(None)
    told = Path(f"/proc/self/fdinfo/{alarm._timer.fd}").read_text()  # noqa: ASYNC240 - from memory
    info = dict(line.split(":", 1) for line in told.splitlines())
    clock_realtime, abstime_and_cancel_on_set = 0, 0o3
    assert int(info["clockid"]) == clock_realtime
    assert int(info["settime flags"], 8) == abstime_and_cancel_on_set
    assert not os.get_inheritable(alarm._timer.fd)


async def test_a_closed_alarm_says_so(alarm: WallAlarm) -> None:
    alarm.close()
    with pytest.raises(ValueError, match="closed"):
        await alarm.wait(None)
