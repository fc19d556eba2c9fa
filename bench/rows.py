"""A row of the table: what was promised, what was found of either side, and whether that is met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(slots=True)
class Row:
    """`ours` and `theirs` have a figure a round, taken in turns; the ratio is that of their medians.

    No `theirs`: what would be beside is not on this machine, and the bound is a count.
    """

    what: str
    beside: str
    unit: str
    sense: str
    bound: float
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours as a multiple of theirs. Where theirs is 0, or none, the bound is a count: ours itself."""
        theirs = statistics.median(self.theirs) if self.theirs else 0
        return statistics.median(self.ours) / theirs if theirs else statistics.median(self.ours)

    @property
    def is_met(self) -> bool:
        """Whether the promise is kept."""
        return self.ratio >= self.bound if self.sense == AT_LEAST else self.ratio <= self.bound

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Row:
        """Give a row back that was kept as `document` gives it."""
        sense, bound = kept["promised"].rsplit(" ", 1)
        rounds = (kept[side]["rounds"] for side in ("ours", "theirs"))
        return cls(kept["what"], kept["beside"], kept["unit"], sense, float(bound), *rounds, kept["note"])

    def document(self) -> dict[str, Any]:
        """Give it as it is kept."""
        return {
            "what": self.what,
            "beside": self.beside,
            "unit": self.unit,
            "ours": {"median": statistics.median(self.ours), "rounds": self.ours},
            "theirs": {"median": statistics.median(self.theirs) if self.theirs else None, "rounds": self.theirs},
            "ratio": round(self.ratio, 3),
            "promised": f"{self.sense} {self.bound:g}",
            "met": self.is_met,
            "note": self.note,
        }


def number(value: float) -> str:
    """Write a figure with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""
    lines = [
        "| what | torpor | beside | | unit | ratio | promised | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ours, theirs = (number(statistics.median(each)) if each else "not measured" for each in (row.ours, row.theirs))
        met = "met" if row.is_met else "**not met**"
        promised = f"{row.sense} {row.bound:g}"
        cells = (row.what, ours, theirs, row.beside, row.unit, number(row.ratio), promised, met)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
