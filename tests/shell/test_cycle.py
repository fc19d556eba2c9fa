"""The sleep cycle's runner, where the end of a step cannot be recorded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from shell.virtual_time import jumps, pass_s, run
from torpord.core.draft import Refusal
from torpord.core.events import CycleStepEnded, CycleStepFailed, Event
from torpord.core.moment import Now
from torpord.shell.cycle import SleepCycle
from torpord.store import housekeeping


class Writer:
    """Refuses the end of every step in one way, for so many times."""

    def __init__(self, refusal: Refusal, times: int = 1_000_000) -> None:
        self.world = SimpleNamespace(
            cycle=SimpleNamespace(phase="running", next_step="trim"), policy=SimpleNamespace(ledger_keep_s=1.0)
        )
        self.refusal = refusal
        self.left = times
        self.told: list[Event] = []

    async def apply(self, event: Event) -> Any:
        await anyio.lowlevel.checkpoint()
        self.told.append(event)
        if isinstance(event, CycleStepEnded) and self.left:
            self.left -= 1
            return self.refusal
        self.world.cycle.phase = "ended"
        self.world.cycle.next_step = ""
        return {}


class Runner:
    async def run(self, job: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return job()

    def waiting(self) -> bool:
        return False

    def serve(self) -> None:
        return


async def through(writer: Writer, seconds: float) -> None:
    cycle = SleepCycle(writer, SimpleNamespace(), Runner(), lambda: Now(0.0, 0.0))  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cycle.run)
        cycle.start("trim")
        await pass_s(seconds)
        tasks.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def quick_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "STEPS", dict.fromkeys(housekeeping.STEPS, lambda _upkeep: {}))


def test_an_end_that_can_never_be_recorded_is_a_failure_and_no_loop() -> None:
    writer = Writer(Refusal("internal_error", "surrogates not allowed"))
    run(lambda: through(writer, 3600))
    ended, failed = writer.told
    assert isinstance(ended, CycleStepEnded)
    assert isinstance(failed, CycleStepFailed)
    assert "surrogates not allowed" in failed.error


def test_an_end_that_cannot_be_recorded_yet_is_told_again_until_it_is() -> None:
    async def main() -> None:
        writer = Writer(Refusal("storage_unavailable", "full"), times=5)
        begun = jumps()
        await through(writer, 3600)
        assert [type(event) for event in writer.told] == [CycleStepEnded] * 6
        assert jumps() - begun <= 7  # a second apart, not a turn of the loop

    run(main)
