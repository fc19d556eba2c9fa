"""How a run that is followed is shown: redrawn on a terminal, a line a change elsewhere, JSON for programs."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, Protocol

from torpor import home as homes
from torpor.cli import bars, run_words, show, streams

if TYPE_CHECKING:
    from torpor.replies import Record
    from torpor.run_replies import Run, RunPlace

_NOT_IN_BRIEF = {"version", "metadata", "data", "data_omitted", "result", "errors", "origin", "legacy"}
_ERASE = "\x1b[J"
# A line that is too long is cut by the terminal: wrapped, it would be two, and the next drawing begin too low.
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


class View(Protocol):
    """What a follower tells. `show`: the run as it is now, again and again; `end`: as it has ended."""

    def show(self, run: Run) -> None:
        """Tell how the run is."""

    def record(self, record: Record) -> None:
        """Tell what happened to it."""

    def down(self, text: str) -> None:
        """Tell that the daemon is down, and so the run at rest."""

    def end(self, run: Run) -> None:
        """Tell how it ended."""


class Screen:
    """A drawing that is replaced by the next, below whatever the terminal showed before."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._drawn = 0

    def show(self, run: Run) -> None:
        """Draw the run."""
        self._draw(bars.lines(run, encoding=sys.stdout.encoding))

    def record(self, record: Record) -> None:
        """Nothing: the next drawing shows what came of it."""

    def down(self, text: str) -> None:
        """Draw why there is nothing to see."""
        self._draw([text])

    def end(self, run: Run) -> None:
        """Leave one line."""
        self._draw([])
        print(run_words.ended(run, self._home), flush=True)

    def _draw(self, lines: list[str]) -> None:
        columns, rows = shutil.get_terminal_size()
        room = max(rows - 1, 1)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"  and {len(lines) - room + 1} more"]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        told = "".join(f"{line[: columns - 1]}\r\n" for line in lines)
        sys.stdout.write(f"{_NO_WRAP}{up}\r{_ERASE}{told}{_WRAP}")
        sys.stdout.flush()
        self._drawn = len(lines)


class Lines:
    """A line a change: the ledger's records, and each tenth of a step's way."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._is_first = True
        self._tenths: dict[tuple[str, str, int, int], int] = {}
        self._is_down = False
        self._places: list[RunPlace] = []

    def show(self, run: Run) -> None:
        """Print where it stands, the first time; then what the ledger does not tell."""
        self._is_down = False
        if self._is_first:
            self._is_first = False
            print("\n".join(bars.lines(run, encoding=sys.stdout.encoding)), flush=True)
        self._places = run["places"]
        for place in self._places:
            progress = run["progress"].get(place["branch"])
            if progress is None or place["status"] != "running":
                continue
            step = (place["branch"], place["state"], place["visit"], place["attempt"])
            tenth = bars.tenth(progress)
            if self._tenths.get(step) != tenth:
                self._tenths[step] = tenth
                told = f"{run_words.place(place, self._places)}: {bars.measure(progress)}"
                print(f"{show.clock()}  progress          {told}", flush=True)

    def record(self, record: Record) -> None:
        """Print it."""
        told = run_words.record(record["kind"], record["data"], self._places)
        print(f"{show.clock(record['ts'])}  {record['kind']:<16}  {told}".rstrip(), flush=True)

    def down(self, text: str) -> None:
        """Say so on standard error, once: what is printed is about the run."""
        if not self._is_down:
            self._is_down = True
            say_down(text)

    def end(self, run: Run) -> None:
        """Print how it ended."""
        print(run_words.ended(run, self._home), flush=True)


class JsonLines:
    """The run in brief, as `run.list` has it, whenever it is another than before."""

    def __init__(self) -> None:
        self._told: dict[str, Any] = {}
        self._is_down = False

    def show(self, run: Run) -> None:
        """Print it where it has changed."""
        self._is_down = False
        brief = _brief(run)
        if brief != self._told:
            self._told = brief
            show.print_json(brief)

    def record(self, record: Record) -> None:
        """Nothing: the run that is told next has changed by it."""

    def down(self, text: str) -> None:
        """Say so on standard error, once: the run has not changed by it."""
        if not self._is_down:
            self._is_down = True
            say_down(text)

    def end(self, run: Run) -> None:
        """Print it as it ended."""
        self.show(run)


class Quiet:
    """Nothing until the end, but for what would keep that from coming: a pause, and its reason, on standard error."""

    def __init__(self, home: str, *, as_json: bool) -> None:
        self._home = home
        self._as_json = as_json
        self._told = ""

    def show(self, run: Run) -> None:
        """Say that the run is paused, once."""
        told = ""
        if run["status"] == "paused":
            why = run_words.one_line(run["reason"] or "no reason given")
            resume = homes.command(f"torpor runs resume {run['run_id']}", self._home)
            told = f"run {run['run_id']} is paused ({why}): waiting until it goes on, `{resume}`"
        if told and told != self._told:
            streams.complain(told)
        self._told = told

    def record(self, record: Record) -> None:
        """Nothing."""

    def down(self, text: str) -> None:
        """Nothing: it goes on when there is a daemon."""

    def end(self, run: Run) -> None:
        """Print how it ended."""
        show.print_json(_brief(run)) if self._as_json else print(run_words.ended(run, self._home), flush=True)


def say_down(text: str) -> None:
    """Say that the daemon is down, and that it is waited for."""
    streams.complain(f"{text}: waiting until then")


def _brief(run: Run) -> dict[str, Any]:
    """Return a run as `run.list` has it, also where `run.get` told it: it would seem to have changed."""
    return {name: value for name, value in run.items() if name not in _NOT_IN_BRIEF}
