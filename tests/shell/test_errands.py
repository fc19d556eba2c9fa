"""The last words about the timer: what is left for the next process, and what it is started by."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn, cast

import pytest
from structlog.testing import capture_logs

from torpord.core.agents import Agent, Agents, Seen, Slot
from torpord.core.effects import ArmWake
from torpord.core.events import Event
from torpord.core.planned_history import Planned
from torpord.core.world import Process, World
from torpord.host.unit_name import NONE
from torpord.shell.errands import ENDS_WITHIN_S, Errands
from torpord.store.thread import Runner
from torpord.writer import Writer

AT_S = 1_795_275_385.0


@dataclass
class Owed:
    world: World
    events: list[Event] = field(default_factory=list)

    def owe(self, event: Event) -> None:
        self.events.append(event)


def world(timer: str = "systemd-user", leaving: str = "") -> World:
    agents = Agents.of(
        [Agent("a", online=False, slots=("s",))], {"a": Seen(0.0, 0.0, 0.0)}, [Slot("s", "a", "work", AT_S)]
    )
    process = Process(generation=1, timer=timer, leaving=leaving)
    return World(process=process, agents=agents, planned=Planned(armed_ts=AT_S))


def errands(home: Path, found: World) -> Errands:
    def nobody() -> NoReturn:
        raise AssertionError("nothing is to be started")

    return Errands(cast("Writer", Owed(found)), cast("Runner", None), nobody, home, NONE, {})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("timer", "leaving", "left_s", "comes_back"),
    [
        ("systemd-user", "", ENDS_WITHIN_S + 1, False),
        ("systemd-user", "", ENDS_WITHIN_S - 1, True),
        ("systemd-user", "", -1.0, True),
        ("systemd-user", "signal", 1.0, False),
        ("", "", 1.0, False),
    ],
)
async def test_a_wake_that_would_ring_while_it_ends_has_the_next_process_started_at_once(
    tmp_path: Path, timer: str, leaving: str, left_s: float, *, comes_back: bool
) -> None:
    await errands(tmp_path, world(timer, leaving)).settle(AT_S - left_s)
    assert (tmp_path / "wake.signal").exists() is comes_back


@pytest.mark.asyncio
async def test_where_that_file_cannot_be_made_the_log_says_so(tmp_path: Path) -> None:
    with capture_logs() as logs:
        await errands(tmp_path / "gone", world()).settle(AT_S)
    assert [each["event"] for each in logs] == ["wake_is_near", "wake_may_be_late"]


def test_on_the_way_out_the_timer_is_for_the_last_words(tmp_path: Path) -> None:
    errands(tmp_path, world(leaving="stop")).arm(ArmWake(None))


@pytest.mark.asyncio
async def test_a_package_that_is_gone_by_then_keeps_no_process_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torpord.shell.arming", None)
    asked = world("systemd-user", "signal")
    unsettled = replace(asked, planned=replace(asked.planned, armed_ts=None))
    with capture_logs() as logs:
        await errands(tmp_path, unsettled).settle(AT_S - 60)
    assert [each["event"] for each in logs] == ["wake_not_armed"]
