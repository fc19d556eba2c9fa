"""The world: all the daemon knows, as one value. `evolve` is the only thing that makes a new one.

It is immutable, so going back to what the store holds after a failed commit is keeping the old reference. Its parts are
small and flat: a part that did not change is the same object, which is how the store knows what to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from torpor import wire
from torpord.core import records as r
from torpord.core import run_records as rr
from torpord.core.agents import Agents
from torpord.core.cycle_history import Cycle, evolve_cycle
from torpord.core.lifecycle import State
from torpord.core.planned_history import Planned, Ways, evolve_planned
from torpord.core.policy import UPKEEP, Policy
from torpord.core.replacing import made, replace
from torpord.core.run_history import evolve_run, shifted
from torpord.core.runs import ENDED, Run, Runs, RunStatus
from torpord.core.value import part


@part
class Process:
    """The daemon process of this generation. `leaving` is how it was told to end, `ended` that it did in order.

    `manager` (one of `wire.MANAGERS`; "" for a start by an older version) has it as `unit`; `timer` is whose timer can
    start it when it is down, "" where nobody's can.
    """

    generation: int = 0
    pid: int = 0
    version: str = ""
    start_cause: str = ""
    supervisor: str = ""
    boot_id: str = ""
    started_ts: float = 0.0
    started_awake_s: float = 0.0
    suspended_s: float = 0.0
    presence_from_awake_s: float = 0.0  # nobody could be heard of before: a start, or the end of a standstill
    leaving: str = ""
    ended: bool = True
    timer: str = ""
    manager: str = ""
    unit: str = ""


@part
class Lifecycle:
    """The state, since when, and what led there. `wish` is a wanted hibernation: "", "idle" or "now"."""

    state: State = State.WAKE
    since_ts: float = 0.0
    since_awake_s: float = 0.0
    reason: str = "new"
    wish: str = ""
    blocked_by: tuple[str, ...] = ()  # what forbids the exit


@part
class Activity:
    """When somebody was last here. `idle_since_awake_s` is that, or the end of the last busy thing, if later."""

    last_ts: float = 0.0
    event_seq: int = 0
    idle_since_awake_s: float = 0.0
    by: Mapping[str, Any] = field(default_factory=dict)  # the cause of the last one


@part
class Hold:
    """Somebody who keeps the daemon awake: for as long as a connection, a very process, or a time."""

    hold_id: str
    who: str
    why: str
    since_ts: float
    until_awake_s: float | None = None
    pid: int | None = None
    pid_start: str | None = None
    connection: int | None = None

    @property
    def bound(self) -> str:
        """What ends it besides its release: "connection", "process" or "time" (which may stand beside "process")."""
        if self.connection is not None:
            return "connection"
        return "process" if self.pid is not None else "time"


@part
class Holds:
    """All holds by id, and when the first of them runs out (awake time)."""

    by_id: Mapping[str, Hold] = field(default_factory=lambda: MappingProxyType({}))
    next_expiry_awake_s: float | None = None

    @staticmethod
    def of(holds: Iterable[Hold]) -> Holds:
        """Build from single holds, as the store gives them."""
        by_id = {hold.hold_id: hold for hold in holds}
        ends = [hold.until_awake_s for hold in by_id.values() if hold.until_awake_s is not None]
        return Holds(MappingProxyType(by_id), min(ends, default=None))

    def with_(self, hold: Hold) -> Holds:
        """Return these and one more. Copies: holds are few (wire.MAX_HOLDS bounds them)."""
        ends = [end for end in (self.next_expiry_awake_s, hold.until_awake_s) if end is not None]
        return Holds(MappingProxyType({**self.by_id, hold.hold_id: hold}), min(ends, default=None))

    def without(self, hold_id: str) -> Holds:
        """Return these without one."""
        gone = self.by_id.get(hold_id)
        rest = {key: hold for key, hold in self.by_id.items() if key != hold_id}
        if gone is None or gone.until_awake_s is None or gone.until_awake_s != self.next_expiry_awake_s:
            return Holds(MappingProxyType(rest), self.next_expiry_awake_s)
        return Holds.of(rest.values())


@part
class Sleep:
    """Why sleep or hibernation waits, and when to look again. Times only, but for `postponed`."""

    postponed: tuple[Mapping[str, Any], ...] = ()
    unreadable: tuple[str, ...] = ()
    recheck_awake_s: float | None = None
    recheck_wall_s: float | None = None
    blocked_recheck_awake_s: float | None = None


@part
class World:
    """Everything the daemon knows."""

    policy: Policy = field(default_factory=Policy)
    process: Process = field(default_factory=Process)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    activity: Activity = field(default_factory=Activity)
    holds: Holds = field(default_factory=Holds)
    cycle: Cycle = field(default_factory=Cycle)
    sleep: Sleep = field(default_factory=Sleep)
    runs: Runs = field(default_factory=Runs)
    agents: Agents = field(default_factory=Agents)
    planned: Planned = field(default_factory=Planned)
    ways: Ways = field(default_factory=Ways)
    ledger_seq: int = 0

    @property
    def busy(self) -> bool:
        """Whether something is going on that the idle time waits for."""
        agents = self.agents
        return bool(self.holds.by_id or agents.working or agents.waking) or any(self.runs.busy)

    @property
    def wanted_wake_ts(self) -> float | None:
        """When the service manager is to start a daemon that is down by then; None: not by a time, or nobody could."""
        process = self.process
        return self.agents.next_wake_ts if process.timer and process.leaving != "stop" else None

    @property
    def cycle_run(self) -> Run | None:
        """The run the sleep cycle is, while it is not done."""
        return self.runs.live.get(self.cycle.run_id)


def evolve(world: World, entry: r.Entry) -> World:
    """Return the world after one record. Pure; every record kind has its arm, and nothing else changes a world."""
    changed = _evolve(world, entry, entry.record)
    if entry.seq is None or entry.seq == changed.ledger_seq:
        return changed
    return replace(changed, ledger_seq=entry.seq)


def _evolve(world: World, entry: r.Entry, record: r.Record) -> World:
    match record:  # first, what comes by the thousand
        case r.ActivitySeen():
            return _active(world, entry, record.count)
        case rr.RunRecord():
            return _run(world, entry, record)
        case r.AgentRecord() | r.PresenceRecord():
            return _agents(world, entry, record)
        case r.StateTransition():
            return _moved(world, entry, record)
        case r.HoldAcquired():
            return replace(world, holds=world.holds.with_(_hold(entry, record)))
        case r.HoldReleased():
            activity = replace(world.activity, idle_since_awake_s=entry.awake_s)
            return replace(world, holds=world.holds.without(record.hold_id), activity=activity)
        case r.Started():
            return _started(world, entry, record)
        case r.StopRequested():
            return replace(world, process=replace(world.process, leaving=record.how))
        case r.Stopped():
            return replace(world, process=replace(world.process, leaving=record.reason, ended=True))
        case r.SettingsLoaded():
            return replace(world, policy=Policy(**record.policy), sleep=Sleep())
        case r.ResumedFromSuspend():
            process = replace(world.process, suspended_s=record.suspended_s, presence_from_awake_s=entry.awake_s)
            return replace(world, process=process)
        case r.ResumedFromStall():
            return replace(world, process=replace(world.process, presence_from_awake_s=entry.awake_s))
        case r.HibernateRequested():
            return replace(world, lifecycle=replace(world.lifecycle, wish="now" if record.now else "idle"))
        case r.HibernateRevoked():
            return replace(world, lifecycle=replace(world.lifecycle, wish=""))
        case r.SleepPostponed():
            return replace(world, sleep=replace(world.sleep, postponed=record.conditions))
        case r.SleepRechecked():
            sleep = replace(
                world.sleep,
                recheck_awake_s=record.next_awake_s,
                recheck_wall_s=record.next_wall_s,
                unreadable=record.unreadable,
            )
            return replace(world, sleep=sleep)
        case r.HibernationBlocked():
            return replace(world, lifecycle=replace(world.lifecycle, blocked_by=record.by))
        case r.HibernationRechecked():
            return replace(world, sleep=replace(world.sleep, blocked_recheck_awake_s=record.next_awake_s))
        case r.WakeAsked() | r.WakeArmed() | r.WakeDisarmed() | r.WakeNotArmed():
            return replace(world, planned=evolve_planned(world.planned, entry, record))
        case r.WakeRechecked():
            # With an answer the way may be free: there is nothing to wait for any more.
            sleep = world.sleep if world.sleep.blocked_recheck_awake_s is None else _looking(world.sleep)
            return replace(world, planned=evolve_planned(world.planned, entry, record), sleep=sleep)
        case r.WayProven(way, took_s):
            version = world.process.version
            return replace(world, ways=world.ways.with_(way, entry.wall_s, version, "wake-test", took_s))
        case r.ShadowRunWarning() | r.WakeRejected() | r.HookFailed():
            return world
        case _:
            kept = (UPKEEP, world.policy.sleep_flow)
            return replace(world, cycle=evolve_cycle(world.cycle, world.cycle_run, entry, record, kept))


def _looking(sleep: Sleep) -> Sleep:
    return replace(sleep, blocked_recheck_awake_s=None)


def _agents(world: World, entry: r.Entry, record: r.AgentRecord | r.PresenceRecord) -> World:
    from torpord.core.agent_history import evolve_agents  # noqa: PLC0415  # most daemons have no agents

    return evolve_agents(world, entry, record)


def _active(world: World, entry: r.Entry, count: int) -> World:
    activity = made(Activity, entry.wall_s, world.activity.event_seq + count, entry.awake_s, entry.cause)
    return replace(world, activity=activity)


def _moved(world: World, entry: r.Entry, record: r.StateTransition) -> World:
    to = State(record.to)
    wish = "" if to in (State.WAKE, State.HIBERNATION) else world.lifecycle.wish
    lifecycle = Lifecycle(to, entry.wall_s, entry.awake_s, record.trigger, wish)
    cycle = replace(world.cycle, phase="none") if to is State.SLEEP else world.cycle
    return replace(world, lifecycle=lifecycle, cycle=cycle, sleep=Sleep())


def _run(world: World, entry: r.Entry, record: rr.RunRecord) -> World:
    before = world.runs.live.get(record.run_id)
    if isinstance(record, rr.RunRemoved):
        runs = world.runs.without(record.run_id) if before else world.runs.counting(RunStatus(record.status), -1)
        return replace(world, runs=runs, cycle=world.cycle.without(record.run_id))
    run = evolve_run(before, entry, record)
    runs = world.runs
    if isinstance(record, rr.RunRetried) and before is None:
        runs = runs.counting(RunStatus.FAILED, -1)
    # The sleep cycle's run is kept when it failed: the next SLEEP goes on with it.
    of_cycle = world.cycle.flow_of(run.run_id) is not None
    kept = run.status is RunStatus.FAILED and run.cycle and of_cycle
    if run.status in ENDED and not kept:
        runs = (runs.without(run.run_id) if before else runs).counting(run.status, 1)
    else:
        runs = runs.with_(run)
    cycle = world.cycle
    if of_cycle:
        cycle = cycle.followed(run, record)
    activity = world.activity
    if before is not None and before.is_busy and not run.is_busy:
        activity = replace(activity, idle_since_awake_s=entry.awake_s)
    seq = world.ledger_seq if entry.seq is None else entry.seq  # here and not behind this: a copy less a step
    return replace(world, runs=runs, cycle=cycle, activity=activity, ledger_seq=seq)


def _hold(entry: r.Entry, record: r.HoldAcquired) -> Hold:
    return Hold(
        hold_id=record.hold_id,
        who=record.who,
        why=record.why,
        since_ts=entry.wall_s,
        until_awake_s=None if record.ttl_s is None else entry.awake_s + record.ttl_s,
        pid=record.pid,
        pid_start=record.pid_start,
        connection=record.connection,
    )


def _started(world: World, entry: r.Entry, record: r.Started) -> World:
    process = Process(
        generation=record.generation,
        pid=record.pid,
        version=record.version,
        start_cause=record.start_cause,
        supervisor=record.supervisor,
        boot_id=record.boot_id,
        started_ts=entry.wall_s,
        started_awake_s=entry.awake_s,
        suspended_s=record.suspended_s,
        presence_from_awake_s=entry.awake_s,
        ended=False,
        timer=record.timer,
        manager=record.manager,
        unit=record.unit,
    )
    shift = record.rebase_s
    holds = world.holds
    if shift:
        holds = Holds.of(
            hold if hold.until_awake_s is None else replace(hold, until_awake_s=hold.until_awake_s + shift)
            for hold in holds.by_id.values()
        )
    agents = world.agents
    if agents.by_id:
        from torpord.core.agent_history import restarted  # noqa: PLC0415  # most daemons have no agents

        another_boot = world.process.boot_id != record.boot_id
        agents = restarted(agents, entry.awake_s, another_boot=another_boot)
    runs = world.runs
    for run in runs.live.values() if shift else ():
        runs = runs.with_(shifted(run, shift))
    first = world.process.generation == 0
    lifecycle = replace(world.lifecycle, wish="", blocked_by=(), since_awake_s=world.lifecycle.since_awake_s + shift)
    activity = replace(world.activity, idle_since_awake_s=world.activity.idle_since_awake_s + shift)
    if first:
        lifecycle = replace(lifecycle, since_ts=entry.wall_s, since_awake_s=entry.awake_s)
        activity = Activity(entry.wall_s, 0, entry.awake_s, entry.cause)
    cycle = replace(world.cycle, phase="none") if world.cycle.phase == "running" else world.cycle
    ways = world.ways
    if record.start_cause in wire.WAYS:
        ways = ways.with_(record.start_cause, entry.wall_s, record.version, "seen")
    return replace(
        world,
        policy=Policy(**record.policy),
        process=process,
        lifecycle=lifecycle,
        activity=activity,
        holds=holds,
        cycle=cycle,
        sleep=Sleep(),
        runs=runs,
        agents=agents,
        planned=Planned(known=not record.wake_file),
        ways=ways,
    )
