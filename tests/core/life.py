"""A daemon's life in virtual time: a world, a clock that only the test moves, and everything that was ever decided.

The core needs nothing else, so a test reads as a story: `life = at(State.SLEEP)`, `life.advance(300)`, `life.do(...)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from core.model_worker import CYCLE, FLOWS, ModelWorker, failed, visits_so_far
from torpord.core import agent_events as ae
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import run_events as re
from torpord.core.agents import Agent, Doing, Status
from torpord.core.deadlines import Clock, Deadline, deadlines
from torpord.core.decide import decide
from torpord.core.draft import Decision
from torpord.core.effects import Effect
from torpord.core.lifecycle import State, Trigger
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.records import Entry, Started, StateTransition
from torpord.core.recovery import Recovery
from torpord.core.run_history import evolve_run
from torpord.core.run_records import RunRecord, RunRemoved
from torpord.core.runs import MAIN, Place, Run
from torpord.core.world import World

# Whole numbers of seconds that a float holds exactly: no test of ours is about rounding. 2023-11-14, some hours up.
FIRST_AWAKE_S = 20_000.0
FIRST_WALL_S = 1_700_000_000.0

CLIENT = {"source": "client", "pid": 4711, "program": "make", "by": "an agent"}
DUE = {"source": "deadline"}
SHELL = {"source": "daemon"}


def shifted(run: Run, shift_s: float) -> Run:
    """Return a run whose waiting places wait by a clock that is this much ahead."""
    times = [None if place.retry_awake_s is None else place.retry_awake_s + shift_s for place in run.places]
    places = tuple(replace(place, retry_awake_s=at_s) for place, at_s in zip(run.places, times, strict=True))
    return replace(run, places=places)


# The default settings, and every flow there is here.
POLICY = Policy(flows=tuple(sorted(FLOWS)))

E = TypeVar("E", bound=Effect)


@dataclass(frozen=True, slots=True)
class Turn:
    """One decision with all that went into it."""

    before: World
    event: ev.Event
    now: Now
    decision: Decision


class Life:
    """All of one daemon's life.

    `workers`: those of its runs, the newest of each. `stored`: every run that was not removed, as the store keeps it.
    """

    def __init__(self) -> None:
        self.world = World()
        self.now = Now(FIRST_AWAKE_S, FIRST_WALL_S)
        self.turns: list[Turn] = []
        self.workers: dict[str, ModelWorker] = {}
        self.former: list[ModelWorker] = []
        self.stored: dict[str, Run] = {}

    def __repr__(self) -> str:
        return f"<a life of {len(self.turns)} turns>"  # all of it would drown what a failing test shows

    def do(self, event: ev.Event) -> Decision:
        """Decide an event, now, and carry out what concerns workers."""
        if isinstance(event, re.StoredRunEvent) and event.stored is None:
            event = replace(event, stored=self.stored.get(event.run_id))
        decision = decide(self.world, event, self.now)
        self._store(decision)
        self.turns.append(Turn(self.world, event, self.now, decision))
        self.world = decision.world
        if isinstance(event, ev.ProcessStarted):
            self.workers, self.former = {}, []
        self._perform(decision)
        return decision

    def _store(self, decision: Decision) -> None:
        for entry in decision.entries:
            record = entry.record
            if isinstance(record, RunRemoved):
                self.stored.pop(record.run_id, None)
            elif isinstance(record, RunRecord):
                self.stored[record.run_id] = evolve_run(self.stored.get(record.run_id), entry, record)
            elif isinstance(record, Started):  # a reboot moves the times of those that wait, without a record of each
                self.stored |= {
                    run_id: shifted(self.stored[run_id], record.rebase_s) for run_id in self.world.runs.live
                }

    def _perform(self, decision: Decision) -> None:
        for effect in decision.effects:
            match effect:
                case fx.StartWorker():
                    run = self.stored[effect.run_id]
                    visits = visits_so_far(self.entries, run)
                    worker = ModelWorker(run.run_id, effect.worker, FLOWS[run.flow], visits)
                    if effect.run_id in self.workers:
                        self.former.append(self.workers[effect.run_id])
                    self.workers[effect.run_id] = worker
                case fx.BeginSteps():
                    self.workers[effect.run_id].begin(effect.steps, effect.join)
                case fx.YieldWorker():
                    self.workers[effect.run_id].word = "yield"
                case fx.StopWorker():
                    worker = self.workers.pop(effect.run_id)
                    assert worker.number == effect.worker
                    worker.word = "cancel" if effect.broken_off else "exit"
                    self.former.append(worker)

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
        return self.do(ev.ProcessStarted(SHELL, start_cause=cause, policy=policy or self._policy(), **values))

    def _policy(self) -> Policy:
        return self.world.policy if self.world.process.generation else POLICY

    def arms(self, problem: str = "") -> Decision:
        """Let the service manager answer the last wish for a timer."""
        assert self.world.planned.asked
        return self.do(ev.WakeArmed(SHELL, self.world.planned.asked_ts, problem))

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

    def next_deadline(self) -> Deadline:
        """Return the deadline that comes first, as the writer takes them; there is one."""
        return next(iter(self.due()), None) or min(deadlines(self.world), key=self.left_s)

    def left_s(self, deadline: Deadline) -> float:
        """Say in how many seconds a deadline is due; less than none for one that has passed."""
        return deadline.at_s - (self.now.awake_s if deadline.clock is Clock.AWAKE else self.now.wall_s)

    def reach(self, name: str) -> Deadline:
        """Let time pass until a deadline of the world, if it has not come yet; of several, until the first."""
        deadline = min((each for each in deadlines(self.world) if each.name == name), key=self.left_s)
        self.advance(max(0.0, self.left_s(deadline)))
        return deadline

    def pass_(self, name: str, **facts: Any) -> Decision:
        """Let time pass until a deadline of the world, and decide it with these facts."""
        self.reach(name)
        return self.do(ev.DeadlinePassed({**DUE, "deadline": name}, name, **facts))

    # Runs.

    def run(self, flow: str = "chain", run_id: str = "r1", **fields: Any) -> Decision:
        """Start a run."""
        return self.do(re.RunWanted(CLIENT, run_id, flow, **fields))

    def order(self, order: str, run_id: str = "r1", **fields: Any) -> Decision:
        """Send a client's word about a run: pause, resume, cancel, retry or remove."""
        return self.do(re.RunOrdered(CLIENT, run_id, order=order, **fields))

    def of(self, run_id: str = "r1") -> Run:
        """Return a run as it is."""
        return self.stored[run_id]

    def at(self, run_id: str = "r1", branch: str = MAIN) -> Place:
        """Return where a branch of a run stands."""
        place = self.of(run_id).place(branch)
        assert place is not None
        return place

    def load(self, run_id: str = "r1") -> Decision:
        """Let the run's worker have its flow."""
        worker = self.workers[run_id]
        worker.loaded = True
        return self.report(worker, worker.load())

    def report(self, worker: ModelWorker, event: re.WorkerEvent) -> Decision:
        """Decide what a worker says, and let it go on as it is answered."""
        decision = self.do(event)
        reply = decision.reply
        if isinstance(event, re.StepReported):
            worker.steps.pop(event.branch, None)
        elif isinstance(event, re.JoinReported):
            worker.join = None
        if isinstance(reply, Mapping) and "steps" in reply and worker.word in ("", "yield"):
            worker.begin(reply["steps"], reply["join"])
        return decision

    def ends(self, run_id: str = "r1", branch: str = MAIN, **said: Any) -> Decision:
        """End the step a branch is at."""
        worker = self.workers[run_id]
        return self.report(worker, worker.report(branch, **said))

    def fails(self, run_id: str = "r1", branch: str = MAIN, retries: int = 0, **said: Any) -> Decision:
        """Let the step a branch is at fail."""
        return self.ends(run_id, branch, outcome=failed(retries), **said)

    def merges(self, run_id: str = "r1", **said: Any) -> Decision:
        """Let the run's branches be merged."""
        worker = self.workers[run_id]
        return self.report(worker, worker.merged(**said))

    def dies(self, run_id: str = "r1", how: str = "signal 9", **more: Any) -> Decision:
        """Let the run's worker die."""
        return self.do(self.workers.pop(run_id).gone(how, **more))

    def goes_on(self, run_id: str = "r1") -> Decision | None:
        """Let the run's worker do the next thing it has to do; None where it has none."""
        worker = self.workers.get(run_id)
        if worker is None or worker.rests:
            return None
        if not worker.loaded:
            return self.load(run_id)
        return self.merges(run_id) if worker.join is not None else self.ends(run_id, next(iter(worker.steps)))

    def finishes(self, run_id: str = "r1") -> Run:
        """Let the run's worker do all it has to do."""
        for _ in range(100):
            if self.goes_on(run_id) is None:
                return self.of(run_id)
        raise AssertionError("it has more steps than any flow of ours")

    def all_finish(self) -> None:
        """Let every worker do all it has to do, also those that are started meanwhile."""
        for _ in range(500):
            if all(self.goes_on(run_id) is None for run_id in list(self.workers)):
                return
        raise AssertionError("the workers never come to rest")

    # Agents.

    def register(self, agent_id: str = "a", **said: Any) -> Decision:
        """Let an agent register."""
        return self.do(ae.AgentRegisterWanted(CLIENT, agent_id, **said))

    def beat(self, agent_id: str = "a", doing: Doing | None = None) -> Decision:
        """Send an agent's heartbeat."""
        return self.do(ae.AgentBeat(CLIENT, agent_id, doing))

    def tell(self, to: str, agent_id: str = "a", **said: Any) -> Decision:
        """Send an agent's word about itself."""
        return self.do(ae.AgentMoveWanted(CLIENT, agent_id, Status(to), **said))

    def exhaust(self, in_s: float, source: str = "headers", agent_id: str = "a", **said: Any) -> Decision:
        """Report that an agent's quota is used up, until so long from now."""
        return self.tell("exhausted", agent_id, recovery=Recovery(self.now.wall_s + in_s, source), **said)

    def slot(self, in_s: float, slot_id: str = "s1", agent_id: str = "a", **said: Any) -> Decision:
        """Plan a slot, of work unless it is told another."""
        return self.do(
            ae.SlotWanted(CLIENT, slot_id, agent_id, **{"type": "work", **said}, at_ts=self.now.wall_s + in_s)
        )

    def take(self, slot_id: str = "s1") -> Decision:
        """Let a slot be taken."""
        return self.do(ae.SlotTakeWanted(CLIENT, slot_id))

    def agent(self, agent_id: str = "a") -> Agent:
        """Return an agent as it is."""
        return self.world.agents.by_id[agent_id]

    def status(self, agent_id: str = "a") -> str:
        """Return an agent's status."""
        return self.agent(agent_id).status.value

    # The sleep cycle, which is a run.

    @property
    def cycle_works(self) -> bool:
        """Whether the cycle has a step that can end."""
        run_id = self.world.cycle.run_id
        if self.world.cycle.phase != "running" or run_id not in self.workers:
            return False
        if not self.workers[run_id].loaded:
            self.load(run_id)
        return run_id in self.workers and bool(self.workers[run_id].steps)

    def cycle_worker(self) -> ModelWorker:
        """Return the running cycle's worker; it has loaded the flow."""
        run_id = self.world.cycle.run_id
        if not self.workers[run_id].loaded:
            self.load(run_id)
        return self.workers[run_id]

    def step_ends(self, duration_s: float = 1.0) -> Decision:
        """End the step the cycle is at."""
        worker = self.cycle_worker()
        return self.ends(worker.run_id, next(iter(worker.steps)), duration_s=duration_s)

    def step_fails(self, retries: int = 0) -> Decision:
        """Let the step the cycle is at fail."""
        worker = self.cycle_worker()
        return self.fails(worker.run_id, next(iter(worker.steps)), retries=retries)

    def cycle_completes(self) -> None:
        """End the steps the running cycle still has; those behind a pause that it may wait for are not begun.

        Where the sleep has another flow to do, that is then the running cycle.
        """
        if self.world.cycle.phase == "running":
            run = self.finishes(self.world.cycle.run_id)
            cycle = self.world.cycle
            ended = cycle.phase != "running" or cycle.run_id != run.run_id
            assert ended or run.only_waits or self.world.process.leaving

    @property
    def step(self) -> str:
        """The state the unfinished cycle is at; "" where there is none."""
        run = self.world.cycle_run
        return run.at if run else ""

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


def started(policy: Policy = POLICY, **fields: Any) -> Life:
    """Begin a life: the very first start, in WAKE."""
    life = Life()
    life.start(policy, **fields)
    return life


def at(state: State, policy: Policy = POLICY) -> Life:
    """Begin a life and let its deadlines bring it to a state. In SLEEP the cycle runs, and is at its first step."""
    life = started(policy)
    if state is State.WAKE:
        return life
    life.pass_("drowsy_due")
    if state is State.DROWSY:
        return life
    life.pass_("sleep_due")
    life.load(life.world.cycle.run_id)
    assert life.step == CYCLE[0]
    if state is State.SLEEP:
        return life
    life.cycle_completes()
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION
    return life


def asleep_with(flow: str) -> Life:
    """Begin a life in SLEEP with another flow than the upkeep, which is done: that flow's cycle has its worker."""
    life = at(State.DROWSY, replace(POLICY, sleep_flow=flow))
    life.pass_("sleep_due")
    life.cycle_completes()
    assert life.world.cycle.flow == flow
    life.load(life.world.cycle.run_id)
    return life
