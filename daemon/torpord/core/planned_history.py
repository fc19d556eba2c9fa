"""What the world knows of the service manager's timer for the next planned wake, and of the ways back that work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from torpord.core import records as r
from torpord.core.replacing import replace
from torpord.core.value import part


@part
class Planned:
    """The service manager's timer, as far as is known, and the wish that it is being asked for.

    `known`: what is set is `armed_ts` (None: nothing); else a timer may be set or not. `asked`: an answer is due for
    `asked_ts`. `tried_awake_s`: when it was asked last, and so how new is what is known. `next_awake_s`: it is asked no
    sooner than then; while it is asked, no answer is waited for beyond it.
    """

    armed_ts: float | None = None
    known: bool = True
    problem: str = ""
    tries: int = 0  # in vain, in a row
    asked: bool = False
    asked_ts: float | None = None
    tried_awake_s: float | None = None
    next_awake_s: float = 0.0

    def differs(self, wanted_ts: float | None) -> bool:
        """Whether what is set is not, or not surely, what is wanted."""
        return not self.known or self.armed_ts != wanted_ts

    def attempt_awake_s(self, wanted_ts: float | None) -> float | None:
        """Return when there is something to do about it, by the awake clock; None: nothing."""
        return self.next_awake_s if self.asked or self.differs(wanted_ts) else None


@part
class Ways:
    """The ways back (`wire.WAYS`), each with when it was last seen to work (`ts`), in which version, and how.

    `how`: "seen" where a start came by it, "wake-test" where a test measured it. `took_s`: what that version's last
    test measured, None where there was none.
    """

    proven: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def with_(self, way: str, ts: float, version: str, how: str, took_s: float | None = None) -> Ways:
        """Return these with one that was found to work. Copies: there are a handful."""
        before = self.proven.get(way, {})
        if took_s is None and before.get("version") == version:
            took_s = before["took_s"]
        return Ways({**self.proven, way: {"ts": ts, "took_s": took_s, "how": how, "version": version}})


def evolve_planned(planned: Planned, entry: r.Entry, record: r.Record) -> Planned:
    """Return what is known of the timer after one of its records."""
    match record:
        case r.WakeAsked(at_ts, next_awake_s):
            tried_s = entry.awake_s
            return replace(planned, asked=True, asked_ts=at_ts, tried_awake_s=tried_s, next_awake_s=next_awake_s)
        case r.WakeRechecked(tries, next_awake_s):
            return replace(planned, asked=False, asked_ts=None, tries=tries, next_awake_s=next_awake_s)
        case r.WakeArmed():
            return replace(planned, armed_ts=record.at_ts, known=True, problem="")
        case r.WakeDisarmed():
            return replace(planned, armed_ts=None, known=True, problem="")
        case r.WakeNotArmed():
            return replace(planned, armed_ts=None, known=False, problem=record.why)
        case _:
            raise AssertionError(f"evolve has no arm for the record {record.kind!r}")
