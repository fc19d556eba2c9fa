"""`torpor doctor`: what was looked at, what was found, what it means, what mends it; and its test of the ways back."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from typing import TYPE_CHECKING

import torpor
from torpor import errors, presence, wire
from torpor import home as homes
from torpor.cli import exits, show, streams
from torpor.doctor.report import examine
from torpor.doctor.subject import ASK_S

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from torpor.doctor.rows import Row
    from torpor.doctor.wake_test import Proof

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
        print("\n".join(line for row in report.rows for line in lines(row, report.subject.home)))
    return FOUND_SOMETHING if report.has_findings else wire.EX_OK


def lines(row: Row, home: str) -> list[str]:
    """Return a row for people: a line of what was found, and of what is no good, two more."""
    told = [
        f"{'mended' if row.fix == 'done' else row.severity:{_SEVERITY_CHARS}}{row.id:{_ID_CHARS}}{_one_line(row.found)}"
    ]
    if row.severity == "ok":
        return told
    more = (("means", row.means), ("mend", row.mend))
    told += [f"{'':{_SEVERITY_CHARS}}{name:{_ID_CHARS}}{_one_line(text)}" for name, text in more if text]
    if row.fix == "would":
        told[-1] += f"    (`{homes.command('torpor doctor --fix', home)}` does it)"
    return told


def wake_test(args: argparse.Namespace) -> int:
    """Have the daemon go down and come back by each way; exit 0, 1 where one failed, 75 where it is needed."""
    from torpor.doctor import trip, wake_test  # noqa: PLC0415 - a look at what is there does without

    home = homes.home_dir(args.home)
    found: list[Proof] = []
    problem, status = "", wire.EX_TEMPFAIL
    try:
        with wake_test.alone(home), _ended_politely():
            for proof in _tested(home, args):
                found.append(proof)
                if not args.json:
                    print("\n".join(proof_lines(proof)), flush=True)
    except trip.NotNow as needed:
        problem = f"no test now: {needed}"
    except errors.Error as error:
        problem, status = str(error), exits.status_of(error)
    if args.json:
        rows = [dataclasses.asdict(proof) for proof in found]
        show.print_json({"home": home, "version": torpor.__version__, "ways": rows, "problem": problem or None})
    if problem:
        streams.complain(problem)
        return status
    if args.only and found[0].verdict == "absent":
        return wire.EX_UNAVAILABLE
    return FOUND_SOMETHING if any(proof.verdict == "failed" for proof in found) else wire.EX_OK


def _tested(home: str, args: argparse.Namespace) -> Iterator[Proof]:
    from torpor.doctor import wake_test  # noqa: PLC0415 - as its caller

    was_up = presence.is_up(home)
    names, absent = wake_test.ways(home, args.only)
    if names and not args.json:
        print(f"it goes down and comes back: {', '.join(names)}; with the usual settings some 6 s each", flush=True)
    yield from absent
    yield from wake_test.prove(
        home, names, leave_down=not was_up and presence.is_up(home), back_s=min(args.timeout, wake_test.BACK_S)
    )


@contextlib.contextmanager
def _ended_politely() -> Iterator[None]:
    """Have who is told to end, or whose terminal goes, end as by Ctrl-C: what was made is taken away."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def proof_lines(proof: Proof) -> list[str]:
    """Return what came of one way, for people."""
    told = [f"{proof.verdict:{_SEVERITY_CHARS}}{proof.way:{_ID_CHARS}}{_one_line(proof.found)}"]
    more = (("means", proof.means), ("mend", proof.mend))
    return told + [f"{'':{_SEVERITY_CHARS}}{name:{_ID_CHARS}}{_one_line(text)}" for name, text in more if text]


def _one_line(text: str) -> str:
    """Return a text as one line that a terminal takes as text: what others wrote may hold anything."""
    return " ".join("".join(each if each.isprintable() else "?" for each in line) for line in text.splitlines())
