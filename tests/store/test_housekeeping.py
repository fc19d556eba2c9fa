"""The built-in maintenance beside a store that is opened anew: neither keeps the other from its work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from torpord.store import housekeeping, opening
from torpord.store.store import Store, StoreError

T = TypeVar("T")

SLICES = 4


class Between:
    """Runs a job between the first two slices of a longer one."""

    def __init__(self, job: Callable[[], object]) -> None:
        self._job: Callable[[], object] | None = job
        self._looks = 0

    async def run(self, job: Callable[[], T], *, brief: bool = False) -> T:  # noqa: ARG002 - as a runner has it
        return job()

    def waiting(self) -> bool:
        return False

    def serve(self) -> None:
        self._looks += 1
        if self._looks > 1 and self._job is not None:  # the first look is before the step
            job, self._job = self._job, None
            job()


def test_a_store_that_is_opened_anew_waits_for_no_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that is copied from keeps the file locked, also when it was closed: until the copy is given up."""
    monkeypatch.setattr(opening, "_connect", partial(opening._connect, timeout=0.0))
    store = Store(tmp_path / "torpor.db")
    lines = [(seq, 1e9, 0.0, "x", "x" * 4000, "{}") for seq in range(1, SLICES * housekeeping.PAGES_A_SLICE)]
    store.connection.execute("BEGIN")
    store.connection.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", lines)
    store.connection.execute("COMMIT")
    refused: list[str] = []

    def reopen() -> None:
        try:
            store.reopen()
        except StoreError as error:
            refused.append(str(error))

    work = housekeeping.Upkeep(store, Between(reopen), 2e9, 1e9, lambda: False)
    with pytest.raises(StoreError, match="opened anew while it was copied"):
        housekeeping.run("backup", work)
    assert refused == [f"{store.path}: database is locked"]
    store.reopen()
    assert store.load().ledger_seq == len(lines)
    store.close()
