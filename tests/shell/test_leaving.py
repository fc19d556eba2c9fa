"""The last look of the exit is the last: nobody's turn comes between it and the point of no return."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from torpord.core.lifecycle import State
from torpord.shell import workers
from torpord.shell.leaving import Exit
from torpord.shell.workers import Workers


@dataclass
class Around:
    """All that the exit asks, played: `arrives` is when a request comes. Who looks for work lets it be served."""

    arrives: str
    state: State = State.HIBERNATION
    unread: bool = False
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writer = SimpleNamespace(wants_store=False, close=lambda: self.done.append("closed"), finish=self._finish)
        self.spool = SimpleNamespace(take=self._take, waiting=lambda: False, postponed=False, stuck={})
        self.stop_accepting = self.unlink = self.shut = self.close = lambda: None
        self.is_inherited = False

    @property
    def world(self) -> Any:
        return SimpleNamespace(
            lifecycle=SimpleNamespace(state=self.state),
            process=SimpleNamespace(leaving=""),
            policy=SimpleNamespace(yield_within_s=0.0),
        )

    def _at(self, what: str) -> None:
        self.unread = self.unread or what == self.arrives

    async def _take(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def _finish(self, _: object) -> bool:
        return True

    async def settle(self, *_: object) -> None:
        await anyio.lowlevel.checkpoint()
        self._at("settle")

    def accept_waiting(self) -> int:
        return 0

    def has_work(self) -> bool:
        found, self.unread = self.unread, False
        if found:
            self.state = State.WAKE
        return found

    async def drain(self, *_: object) -> None:
        assert not self.unread, "a request that was there before the point of no return"

    async def farewell(self) -> None:
        self.done.append("gone")


class ItsDesk:
    """The desk of what is around."""

    def __init__(self, around: Around) -> None:
        self.writer = around.writer
        self._around = around

    @property
    def world(self) -> Any:
        return self._around.world

    def drain(self, reason: str) -> None:
        assert reason == "hibernate"


def an_exit(around: Any) -> Exit:
    desk: Any = ItsDesk(around)
    hooks: Any = SimpleNamespace(settle=around._take)
    return Exit(desk, around, around, around.spool, hooks, around, around.farewell)


@pytest.mark.asyncio
async def test_what_comes_while_workers_end_takes_the_hibernation_back() -> None:
    around = Around("settle")
    leaving = an_exit(around)
    leaving.wanted("hibernate")
    with anyio.move_on_after(0.2):
        await leaving.run()
    assert around.done == []
    assert around.state is State.WAKE


@pytest.mark.asyncio
async def test_without_work_it_goes() -> None:
    around = Around("never")
    leaving = an_exit(around)
    leaving.wanted("hibernate")
    assert await leaving.run() == "hibernate"
    assert around.done == ["closed", "gone"]


@pytest.mark.asyncio
@pytest.mark.parametrize("wanted", [True, False])
async def test_workers_of_who_took_the_exit_back_are_not_broken_off(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SETTLE_S", 0.0)
    monkeypatch.setattr(workers, "of_this_process", lambda: None)
    anything: Any = None
    all_of_them = Workers(anything, anything, anything, anything, anything, anything, {})
    all_of_them._none_left = anyio.Event()
    broken_off: list[bool] = []

    def stop(*, broken_off: bool, to: list[bool] = broken_off) -> None:
        to.append(broken_off)
        all_of_them._none_left.set()

    all_of_them._by_run = {"r": SimpleNamespace(stop=stop)}  # type: ignore[dict-item]
    await all_of_them.settle(0.0, lambda: wanted)
    assert broken_off == ([True] if wanted else [])
