"""All checks in their order, and what `--fix` does about them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torpor import home as homes
from torpor import wire
from torpor.deadline import Deadline
from torpor.doctor import answering, clocks, leftovers, places, starts, stored, subject, units, ways
from torpor.doctor.rows import FINDINGS, Check, Row
from torpor.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torpor.doctor.subject import Subject

_LOOK_EVERY_S = 0.05

CHECKS: tuple[Check, ...] = (
    *places.CHECKS,
    *answering.CHECKS,
    *stored.CHECKS,
    *units.CHECKS,
    *ways.CHECKS,
    *clocks.CHECKS,
    *starts.CHECKS,
    *leftovers.CHECKS,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, a row a check, and the ids of the rows that `--fix` mended."""

    subject: Subject
    rows: tuple[Row, ...]
    fixed: tuple[str, ...]

    @property
    def has_findings(self) -> bool:
        """Whether something is to be done."""
        return any(row.severity in FINDINGS for row in self.rows)


def examine(home: str, *, fix: bool, ask_s: float = subject.ASK_S, checks: Sequence[Check] = CHECKS) -> Report:
    """Look at `home`, and wait at most `ask_s` for each answer; with `fix` mend what is safe to mend.

    Never wakes a daemon, and never raises for what it finds.
    """
    found = subject.meet(home, ask_s)
    rows = [_row(check, found) for check in checks]
    wanted = [number for number, row in enumerate(rows) if fix and row.fix == "would"]
    if not wanted:
        return Report(found, tuple(_addressed(row, home) for row in rows), ())
    for number in wanted:
        rows[number] = _mended(checks[number], found, rows[number])
    # What was mended may be what others complained of: those are looked at once more.
    found = subject.meet(home, ask_s)
    rows = [row if number in wanted else _row(checks[number], found) for number, row in enumerate(rows)]
    fixed = tuple(row.id for row in rows if row.fix == "done")
    return Report(found, tuple(_addressed(row, home) for row in rows), fixed)


def _addressed(row: Row, home: str) -> Row:
    """Have a command of torpor's own mean this home, also as the last one of several."""
    before, and_then, last = (row.mend or "").rpartition("&& ")
    if not last.startswith("torpor ") or "--home" in last:
        return row
    return replace(row, mend=f"{before}{and_then}{homes.command(last, home)}")


def _row(check: Check, found: Subject) -> Row:
    try:
        row = check.row(found)
        # Root looks at anybody's home, and mends nothing where somebody else decides what a name leads to.
        return row if found.is_ours else replace(row, fix=None)
    except Exception as error:  # noqa: BLE001 - one check that fails is a finding of its own, and not the end of the report
        return Row(check.id, check.id, f"cannot be looked at: {type(error).__name__}: {error}", "serious")


def _mended(check: Check, found: Subject, before: Row) -> Row:
    """Mend one thing and look at it again. A mending that fails is a finding with its error."""
    assert check.fix is not None  # noqa: S101 - a row says "would" only where the check has one; for the type checker
    try:
        with _alone(found) if check.is_alone else contextlib.nullcontext():
            did = check.fix(found)
    except (OSError, Error) as error:
        told = f"{before.found}; --fix failed: {str(error) or 'no time was left'}"
        return replace(before, found=told, severity="serious" if before.severity == "serious" else "finding", fix=None)
    after = _row(check, subject.meet(found.home, found.ask_s))
    return replace(after, found=f"{did}; now {after.found}", fix="done" if after.fix != "would" else None)


@contextlib.contextmanager
def _alone(found: Subject) -> Iterator[None]:
    """Have the home to oneself: no client spawns a daemon meanwhile, and no other doctor mends. Raises TimeoutError."""
    try:
        fd = os.open(found.path(wire.SPAWN_LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield  # a home that takes no file: each mending says so by itself
        return
    try:
        deadline = Deadline(found.ask_s)
        while not _locked(fd):
            deadline.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
