"""A daemon's life in virtual time: a world, a clock that only the test moves, and everything that was ever decided.

The core needs nothing else, so a test reads as a story: `life = at(State.SLEEP)`, `life.advance(300)`, `life.do(...)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from torpord.core import events as ev
from torpord.core.deadlines import Clock, Deadline, deadlines
from torpord.core.decide import decide
from torpord.core.descent import CYCLE_STEPS
from torpord.core.draft import Decision
from torpord.core.effects import Effect
from torpord.core.lifecycle import State, Trigger
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.records import Entry, StateTransition
from torpord.core.world import World

# Whole numbers of seconds that a float holds exactly: no test of ours is about rounding. 2023-11-14, some hours up.
FIRST_AWAKE_S = 20_000.0
FIRST_WALL_S = 1_700_000_000.0

CLIENT = {"source": "client", "pid": 4711, "program": "make", "by": "an agent"}
DUE = {"source": "deadline"}
SHELL = {"source": "daemon"}

E = TypeVar("E", bound=Effect)


@dataclass(frozen=True, slots=True)
class Turn:
    """One decision with all that went into it."""

    before: World
    event: ev.Event
    now: Now
    decision: Decision


@dataclass(slots=True)
class Life:
    """All of one daemon's life. `last` is the newest decision."""

    world: World = field(default_factory=World)
    now: Now = field(default_factory=lambda: Now(FIRST_AWAKE_S, FIRST_WALL_S))
    turns: list[Turn] = field(default_factory=list)

    def do(self, event: ev.Event) -> Decision:
        """Decide an event, now."""
        decision = decide(self.world, event, self.now)
        self.turns.append(Turn(self.world, event, self.now, decision))
        self.world = decision.world
        return decision

    def advance(self, awake_s: float, wall_s: float | None = None) -> None:
        """Let time pass; the wall clock goes with it unless it is told another way."""
        wall_s = awake_s if wall_s is None else wall_s
        self.now = replace(self.now, awake_s=self.now.awake_s + awake_s, wall_s=self.now.wall_s + wall_s)

    def trigger(self, trigger: Trigger) -> Decision:
        """Send a client's trigger."""
        return self.do(ev.ClientTrigger(CLIENT, trigger))

    def start(self, policy: Policy | None = None, *, cause: str = "spawn", **fields: Any) -> Decision:
        """Start a process in this home; in the same boot unless it is told another."""
        boot_id = self.world.process.boot_id or "boot-1"
        values = {"pid": 100, "version": "0.1.0", "supervisor": "none", "boot_id": boot_id, **fields}
        return self.do(ev.ProcessStarted(SHELL, start_cause=cause, policy=policy or self.world.policy, **values))

    def hold(self, hold_id: str, **fields: Any) -> Decision:
        """Acquire a hold; it hangs on connection 1 unless it is told what else ends it."""
        bound = fields or {"connection": 1}
        return self.do(ev.HoldRequested(CLIENT, hold_id, who=f"who-{hold_id}", why=f"why-{hold_id}", **bound))

    def release(self, hold_id: str) -> Decision:
        """Release a hold."""
        return self.do(ev.HoldReleaseRequested(CLIENT, hold_id))

    def due(self) -> list[Deadline]:
        """Return the deadlines that have passed."""
        return [deadline for deadline in deadlines(self.world) if deadline.is_due(self.now)]

    def reach(self, name: str) -> Deadline:
        """Let time pass until a deadline of the world, if it has not come yet."""
        deadline = next(each for each in deadlines(self.world) if each.name == name)
        by_awake = deadline.clock is Clock.AWAKE
        self.advance(max(0.0, deadline.at_s - (self.now.awake_s if by_awake else self.now.wall_s)))
        return deadline

    def pass_(self, name: str, **facts: Any) -> Decision:
        """Let time pass until a deadline of the world, and decide it with these facts."""
        self.reach(name)
        return self.do(ev.DeadlinePassed({**DUE, "deadline": name}, name, **facts))

    def step_ends(self, duration_s: float = 1.0, result: Mapping[str, Any] | None = None) -> Decision:
        """End the step the cycle is at."""
        return self.do(ev.CycleStepEnded(SHELL, self.world.cycle.next_step, duration_s, result or {}))

    def step_fails(self, error: str = "disk I/O error") -> Decision:
        """Let the step the cycle is at fail."""
        return self.do(ev.CycleStepFailed(SHELL, self.world.cycle.next_step, error))

    def cycle_completes(self) -> None:
        """End the steps the running cycle still has."""
        for _ in CYCLE_STEPS:
            if self.world.cycle.phase == "running":
                self.step_ends()
        assert self.world.cycle.phase != "running", "it has more steps than there are"

    @property
    def state(self) -> State:
        """The state it is in."""
        return self.world.lifecycle.state

    @property
    def entries(self) -> list[Entry]:
        """Every record there ever was, with its place."""
        return [entry for turn in self.turns for entry in turn.decision.entries]


def kinds(decision: Decision) -> list[str]:
    """Name the records of a decision, in order."""
    return [entry.record.kind for entry in decision.entries]


def moves(decision: Decision) -> list[str]:
    """Name the transitions of a decision, in order: `FROM>TO by trigger`."""
    records = [entry.record for entry in decision.entries]
    return [f"{r.from_}>{r.to} by {r.trigger}" for r in records if isinstance(r, StateTransition)]


def record(decision: Decision, kind: str) -> dict[str, Any]:
    """Return the data of the only record of this kind in a decision."""
    (found,) = [entry.record.data() for entry in decision.entries if entry.record.kind == kind]
    return found


def effects(decision: Decision, kind: type[E]) -> list[E]:
    """Return the effects of this type in a decision."""
    return [effect for effect in decision.effects if isinstance(effect, kind)]


def started(policy: Policy | None = None) -> Life:
    """Begin a life: the very first start, in WAKE."""
    life = Life()
    life.start(policy)
    return life


def at(state: State, policy: Policy | None = None) -> Life:
    """Begin a life and let its deadlines bring it to a state. In SLEEP the cycle runs, and is at its first step."""
    life = started(policy)
    if state is State.WAKE:
        return life
    life.pass_("drowsy_due")
    if state is State.DROWSY:
        return life
    life.pass_("sleep_due")
    assert life.world.cycle.next_step == CYCLE_STEPS[0]
    if state is State.SLEEP:
        return life
    life.cycle_completes()
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION
    return life
