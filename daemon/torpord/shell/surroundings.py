"""What all workers share: the daemon around them, and where their folders are."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio
import structlog

from torpor import wire
from torpord.core.moment import Now
from torpord.core.value import value
from torpord.host.home import refuse_link
from torpord.shell.installed import Installed
from torpord.store.store import Store
from torpord.store.thread import Runner
from torpord.writer import Writer

T = TypeVar("T")

log = structlog.get_logger("torpord.worker")

RETRY_READ_S = 1.0
_WORK_DIR_PREFIX = "run-"
# The service manager's words are for the daemon itself.
_NOT_PASSED_ON = (
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "LISTEN_",
    "TRIGGER_",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MANAGERPID",
    "SYSTEMD_EXEC_PID",
)


@value
class Surroundings:
    """What all workers share. `extra`: what their environment has beside the daemon's own; `installed`: their code."""

    writer: Writer
    store: Store
    runner: Runner
    now: Callable[[], Now]
    flows: Callable[[], Mapping[str, Mapping[str, Any]]]
    home: Path
    extra: Mapping[str, str]
    installed: Installed

    @property
    def places(self) -> Path:
        """Where workers have their folders."""
        return self.home / wire.SPOOL_TMP_NAME

    def work_dir(self, run_id: str) -> Path:
        """Return the folder of a run's worker."""
        return self.places / f"{_WORK_DIR_PREFIX}{run_id}"

    def environment(self) -> dict[str, str]:
        """Return a worker's environment."""
        return environment(self.extra)

    async def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read from the store, however long the disk takes; what is in the way is told once."""
        told = ""
        while True:
            try:
                return await self.runner.run(lambda: read(self.store.connection))
            except sqlite3.Error as error:
                if told != str(error):
                    told = str(error)
                    log.warning("run_not_read", error=told, retry_s=RETRY_READ_S)
                await anyio.sleep(RETRY_READ_S)

    async def clear(self) -> None:
        """Remove what the workers of an earlier daemon left."""
        try:
            refuse_link(self.places)
            left = list(self.places.glob(f"{_WORK_DIR_PREFIX}*"))
        except OSError as error:  # in nobody's way: a run that goes on has its own folder made, and removed
            log.warning("leftovers_not_seen", path=str(self.places), error=str(error))
            return
        if left:
            await self.runner.run(lambda: _remove(left))


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of what the daemon starts: its own, and what is given here."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
    return {**own, **extra}


def _remove(folders: Sequence[Path]) -> None:
    import shutil  # noqa: PLC0415 - with its compressors 400 KB, which a daemon at rest does not pay

    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
