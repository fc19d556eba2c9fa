"""What a start tells observers, on a disk that does not take it just then: it is told when the disk does."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson

from shell.bench_writer import Disk
from shell.virtual_time import pass_s, run
from torpor import wire
from torpord.shell.statefile import ACTIVITY_S, StateFile, StateKeeper


class FailingFile(StateFile):
    """A disk that takes nothing for a while."""

    fails = True

    def write(self, body: Mapping[str, Any]) -> None:
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().write(body)

    def unsay_stopped(self) -> bool:
        return not self.fails and super().unsay_stopped()


def test_a_start_is_told_when_the_disk_takes_it(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / wire.STOPPED_NAME).touch()
        file = FailingFile(tmp_path)
        keeper = StateKeeper(file, Disk(), lambda: {"pid": 1})  # type: ignore[arg-type]
        await keeper.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            await pass_s(2 * ACTIVITY_S)
            file.fails = False
            await pass_s(ACTIVITY_S)
            tasks.cancel_scope.cancel()
        assert orjson.loads((tmp_path / wire.STATE_NAME).read_bytes()) == {"pid": 1}
        assert not (tmp_path / wire.STOPPED_NAME).exists()

    run(main)


def test_a_stop_that_is_said_meanwhile_stays(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / wire.STOPPED_NAME).touch()
        file = FailingFile(tmp_path)
        keeper = StateKeeper(file, Disk(), lambda: {"pid": 1})  # type: ignore[arg-type]
        await keeper.begin()
        file.fails = False
        keeper.told_to_end("stop")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            await pass_s(2 * ACTIVITY_S)
            tasks.cancel_scope.cancel()
        assert (tmp_path / wire.STOPPED_NAME).exists()

    run(main)
