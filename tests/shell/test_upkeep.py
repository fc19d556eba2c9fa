"""The upkeep of the daemon's own store: a disk that fails is told to the cycle, and is no mistake of the daemon's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shell.bench_writer import Disk
from shell.virtual_time import LoopClock, run
from torpord.core.world import World
from torpord.shell import upkeep
from torpord.store import housekeeping
from torpord.store.store import Store, StoreError


@pytest.mark.parametrize("step", ["expire_runs", *housekeeping.STEPS])
def test_a_step_on_a_store_that_is_not_open_fails_in_words(tmp_path: Path, step: str) -> None:
    store = Store(tmp_path / "torpor.db")
    store.connection.close()

    async def main() -> None:
        around: Any = SimpleNamespace(
            store=store, runner=Runner(), writer=SimpleNamespace(world=World()), now=LoopClock().now
        )
        with pytest.raises(StoreError, match=f"^{step}: "):
            await upkeep.do(step, around, lambda: False)

    run(main)


class Runner(Disk):
    """Nobody else is there."""

    def serve(self) -> None:
        """Have nothing to run."""
