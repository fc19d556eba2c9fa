"""What is left in the home while the daemon is at work on what was left before."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from shell.virtual_time import run
from torpor import wire
from torpord.core.lifecycle import State
from torpord.shell.spool import Spool


@pytest.mark.parametrize(("then", "taken"), [(State.SLEEP, 2), (State.WAKE, 1)])
def test_a_signal_touched_behind_a_sleep_in_the_same_batch_is_another(then: State, taken: int, tmp_path: Path) -> None:
    """Who was told that it sleeps, and touches then, wants it awake; touched while it is awake it has what it wants."""
    signal = tmp_path / wire.WAKE_SIGNAL_NAME
    signal.touch()
    world = SimpleNamespace(lifecycle=SimpleNamespace(state=State.SLEEP))
    states = [then, State.WAKE]

    async def apply(_event: Any) -> None:
        world.lifecycle.state = states.pop(0)
        if len(states) == 1:
            os.utime(signal, (2e9, 2e9))

    desk: Any = SimpleNamespace(writer=SimpleNamespace(apply=apply), world=world)

    async def main() -> None:
        with anyio.fail_after(10):
            await Spool(tmp_path, desk).take()

    run(main)
    assert 2 - len(states) == taken
    assert world.lifecycle.state is State.WAKE
    assert not signal.exists()
