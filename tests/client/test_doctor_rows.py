"""What the doctor makes of the clock, the disk, backups, sleep cycles, files that wait and the log: by table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from torpor.doctor import clocks, leftovers, stored

if TYPE_CHECKING:
    from torpor.doctor.rows import Row

NOW_S = 1_795_284_000.0  # 2026-11-21 18:00:00 UTC
DAY_S = 86_400.0
QUARANTINE = {"step": "backup", "failures": 3, "until_ts": "2026-11-22T18:00:00+00:00", "run_id": "sleep-1"}
COMPLETED = {"run_id": "sleep-2", "outcome": "completed", "ended_ts": "2026-11-21T17:00:00+00:00"}
FAILED = {"run_id": "sleep-1", "outcome": "failed", "step": "backup", "error": "no room"}


def seen(row: Row) -> tuple[str, str | None]:
    return row.severity, row.mend


@pytest.mark.parametrize(
    ("wall_s", "latest_s", "severity", "means"),
    [
        (NOW_S, None, "ok", ""),
        (NOW_S, NOW_S + 59, "ok", ""),
        (NOW_S, NOW_S + 3600, "finding", "set back"),
        (5.0, None, "serious", "never set"),
    ],
)
def test_a_clock_that_was_set_back_or_never_set_is_found(
    wall_s: float, latest_s: float | None, severity: str, means: str
) -> None:
    row = clocks.judge_clock(clocks.ClockFacts(wall_s, latest_s, synchronized=True))
    assert row.severity == severity
    assert means in row.means
    assert row.mend == (None if severity == "ok" or sys.platform == "darwin" else "timedatectl set-ntp true")


@pytest.mark.parametrize(
    ("free", "store", "severity"),
    [(1 << 40, 1 << 20, "ok"), (0, 0, "finding"), (2 << 40, 1 << 40, "finding"), (3 << 40, 1 << 40, "ok")],
)
def test_a_disk_with_no_room_for_two_more_copies_is_found(free: int, store: int, severity: str) -> None:
    row = stored.judge_space(stored.SpaceFacts("/h", free, store, 0, 0))
    assert row.severity == severity
    assert ("make room" in row.means) is (severity == "finding")


@pytest.mark.parametrize(
    ("behind_s", "told"), [(None, ("note", None)), (DAY_S, ("ok", None)), (400 * DAY_S, ("finding", "torpor sleep"))]
)
def test_a_store_that_went_on_long_without_a_backup_is_found(
    behind_s: float | None, told: tuple[str, str | None]
) -> None:
    assert seen(stored.judge_backup(stored.BackupFacts("/h/b.db", 0.0, behind_s, store_there=True))) == told


@pytest.mark.parametrize(
    ("quarantine", "last", "severity", "mend"),
    [
        (None, None, "ok", None),
        (None, COMPLETED, "ok", None),
        (None, FAILED, "note", "torpor runs show sleep-1"),
        (QUARANTINE, FAILED, "finding", "torpor runs retry sleep-1"),
        (QUARANTINE, COMPLETED, "finding", "torpor runs retry sleep-1"),
    ],
)
def test_a_quarantine_names_the_run_that_lifts_it(
    quarantine: dict[str, Any] | None, last: dict[str, Any] | None, severity: str, mend: str | None
) -> None:
    row = leftovers.judge_cycle(quarantine, last)
    assert seen(row) == (severity, mend)
    assert ("no room" in row.found) is (last is FAILED), "the error of another run is not this one's"


@pytest.mark.parametrize(
    ("up", "count", "forbidden", "told"),
    [
        (False, 0, (), ("ok", None)),
        (True, 3, (), ("ok", None)),
        (False, 3, (), ("note", "torpor wake")),
        (True, 1, ("wake.d/a.json cannot be removed",), ("finding", None)),
    ],
)
def test_files_that_wait_for_nobody_or_cannot_be_removed_are_found(
    up: bool, count: int, forbidden: tuple[str, ...], told: tuple[str, str | None]
) -> None:
    assert seen(leftovers.judge_waiting(leftovers.WaitingFacts(up, count, signal=False, forbidden=forbidden))) == told


@pytest.mark.parametrize(("size_bytes", "told"), [(0, ("ok", None)), (1 << 40, ("finding", "torpor restart"))])
def test_a_log_that_has_grown_is_found(size_bytes: int, told: tuple[str, str | None]) -> None:
    assert seen(leftovers.judge_log("/h/torpord.log", size_bytes)) == told
