"""A line of the doctor's report, and the check that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torpor.doctor.subject import Subject

Severity = Literal["ok", "note", "finding", "serious"]
# With one of these the report's exit status is 1. A note is worth knowing, and nothing has to be done about it.
FINDINGS = ("finding", "serious")


@dataclass(frozen=True, slots=True)
class Row:
    """What one check found. `means` never says `found` again; `mend` is one line for a shell.

    `fix`: None where `--fix` has nothing to do here, "would" where it has, "done" where it did.
    """

    id: str
    looked_at: str
    found: str
    severity: Severity = "ok"
    means: str = ""
    mend: str | None = None
    fix: Literal["would", "done"] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `row` looks and judges; `fix` mends what a row of fix "would" tells, and says what it did.

    Both may raise OSError or torpor's own errors, `row` whatever else: the report goes on. `is_alone`: `fix` is to run
    while nobody spawns a daemon; else it may talk to one, or takes that lock itself.
    """

    id: str
    row: Callable[[Subject], Row]
    fix: Callable[[Subject], str] | None = None
    is_alone: bool = True
