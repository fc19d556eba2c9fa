"""`torpor doctor`: what was looked at, what was found, what it means, and the command that mends it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torpor
from torpor import home as homes
from torpor import wire
from torpor.cli import show
from torpor.doctor.report import examine
from torpor.doctor.subject import ASK_S

if TYPE_CHECKING:
    import argparse

    from torpor.doctor.rows import Row

# Said by the report as a whole; that doctor itself could not run has the statuses of every command.
FOUND_SOMETHING = 1
_SEVERITY_CHARS, _ID_CHARS = 9, 13


def doctor(args: argparse.Namespace) -> int:
    """Print the report; exit 0, or 1 where something is to be done."""
    report = examine(homes.home_dir(args.home), fix=args.fix, ask_s=min(args.timeout, ASK_S))
    if args.json:
        show.print_json(
            {
                "home": report.subject.home,
                "version": torpor.__version__,
                "up": report.subject.up,
                "rows": [dataclasses.asdict(row) for row in report.rows],
                "fixed": list(report.fixed),
            }
        )
    else:
        print("\n".join(line for row in report.rows for line in lines(row)))
    return FOUND_SOMETHING if report.has_findings else wire.EX_OK


def lines(row: Row) -> list[str]:
    """Return a row for people: a line of what was found, and of what is no good, two more."""
    told = [
        f"{'mended' if row.fix == 'done' else row.severity:{_SEVERITY_CHARS}}{row.id:{_ID_CHARS}}{_one_line(row.found)}"
    ]
    if row.severity == "ok":
        return told
    more = (("means", row.means), ("mend", row.mend))
    told += [f"{'':{_SEVERITY_CHARS}}{name:{_ID_CHARS}}{_one_line(text)}" for name, text in more if text]
    if row.fix == "would":
        told[-1] += "    (`torpor doctor --fix` does it)"
    return told


def _one_line(text: str) -> str:
    """Return a text as one line that a terminal takes as text: what others wrote may hold anything."""
    return " ".join("".join(each if each.isprintable() else "?" for each in line) for line in text.splitlines())
