"""The one loop that changes anything. Others use these names alone."""

from torpord.writer.asked import Clocks, Shell
from torpord.writer.changes import DRAINING, UNAVAILABLE, Change, Outcome, Ticket
from torpord.writer.loop import MOST_CHANGES_A_TURN, Writer

__all__ = [
    "DRAINING",
    "MOST_CHANGES_A_TURN",
    "UNAVAILABLE",
    "Change",
    "Clocks",
    "Outcome",
    "Shell",
    "Ticket",
    "Writer",
]
