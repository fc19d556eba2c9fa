"""The composition root: builds everything, connects it, and nothing else does."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup

import torpor
from torpor import wire
from torpord import config
from torpord.control.connection import Connection
from torpord.control.desk import Desk, Identity
from torpord.control.ledger import Tail
from torpord.control.params import RefusedError
from torpord.control.server import Server
from torpord.core import effects as fx
from torpord.core.draft import Refusal
from torpord.core.events import Cause, DeadlinePassed, SettingsRead, StopWanted
from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.records import AgentRecord, Entry, HoldReleased, StateTransition, StopRequested
from torpord.core.run_history import run_status
from torpord.core.run_records import RunRecord
from torpord.core.world import World
from torpord.host import listen
from torpord.host.clock import SystemClock
from torpord.host.faults import SetupError
from torpord.host.resources import raise_descriptor_limit, usage
from torpord.log import configure
from torpord.shell import conditions, record_log, settings_look, start_up
from torpord.shell.errands import Errands
from torpord.shell.holders import Holders
from torpord.shell.hooks import Hooks
from torpord.shell.installed import of_this_process
from torpord.shell.leaving import Exit
from torpord.shell.lookout import Lookout, WallDeadline
from torpord.shell.opening import opened
from torpord.shell.spool import Spool
from torpord.shell.start_up import AGAIN, Ground, Options, Trial, become_again, read_settings
from torpord.shell.starting import process_started, start_cause
from torpord.shell.statefile import StateFile, StateKeeper, document
from torpord.shell.succession import reason_behind
from torpord.shell.workers import Workers
from torpord.store.store import Line, Store
from torpord.store.thread import StoreThread
from torpord.writer import Writer

__all__ = ["AGAIN", "Daemon", "Options", "become_again", "run"]

log = structlog.get_logger("torpord")


# The parts of the world that lifecycle_state.json shows something of, beside the next planned wake.
_IN_STATE_FILE = ("lifecycle", "activity", "process", "cycle", "policy", "runs")


async def run(options: Options) -> str:
    """Live one life: returns why it ended. Raises SetupError where it cannot begin."""
    # The world has no cycles. The collector's look at all of it, which with 100,000 agents holds everybody up for a
    # fifth of a second, comes ten times as rarely as by itself; and that at what is new, which a batch of some hundred
    # requests would bring about again and again, as well.
    gc.set_threshold(7000, 10, 10)
    return await start_up.live(options, _life)


async def _life(ground: Ground) -> str:
    options, starts = ground.options, ground.starts
    settings = ground.settings
    if settings is None:
        starts.about_to(f"settings {options.settings.name}")
        settings = read_settings(options)
    configure(settings.log_level, settings.log_format)
    starts.phase("store")
    starts.about_to(f"store {wire.STORE_NAME}")
    async with opened(options.home / wire.STORE_NAME, new_store=options.new_store) as (store, world, runner):
        starts.phase("serving")
        return await Daemon(ground, settings, ground.door(), store, runner).live(world)


class Daemon:
    """One life of one daemon. It is the shell that the writer tells what became true and what to do."""

    def __init__(
        self,
        ground: Ground,
        settings: config.Settings,
        listener: listen.Listener,
        store: Store,
        runner: StoreThread,
    ) -> None:
        self._ground = ground
        self._options = ground.options
        self._starts = ground.starts
        self._settings = settings
        self._lock = ground.lock
        self._fresh = settings  # read again; in force once that is durable
        self._listener = listener
        self._store = store
        self._runner = runner
        self._notifier = ground.notifier
        self._supervisor, self._manager = ground.supervisor, ground.manager
        self._clock = SystemClock()
        self._installed = of_this_process()
        self._identity = Identity(torpor.__version__, os.getpid(), str(self._options.home), os.getuid())

    async def live(self, world: World) -> str:
        """Serve until an exit is decided and carried out. Raises SetupError where the start cannot be stored."""
        self._build(world)
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._holders = Holders(self._writer, tasks)
            self._server = Server(self._listener, self._identity.uid, tasks, self._connection, self._clock.awake_s)
            self._exit = Exit(
                self._desk, self._server, self._listener, self._spool, self._hooks, self._workers, self._farewell
            )
            await self._workers.run(tasks)
            with _signals() as signals:
                tasks.start_soon(self._writer.run)
                refusal = await self._begin(world)
                if refusal is None:
                    reason = await self._serve(tasks, signals)
                else:
                    await self._exit.turn_away("its start cannot be stored")
                tasks.cancel_scope.cancel()
        if refusal is not None:  # raised out here: a task group would wrap it in a group
            message = f"the start cannot be stored in {self._options.home}: {refusal.message}"
            raise SetupError(wire.EX_TEMPFAIL, message)
        return reason_behind(self._ground, self._writer.world, self._installed) if reason == "hibernate" else reason

    async def _serve(self, tasks: TaskGroup, signals: AsyncIterator[signal.Signals]) -> str:
        duties = (
            self._server.run,
            self._hooks.run,
            self._keeper.run,
            self._lookout.run,
            self._wall.run,
        )
        for duty in duties:
            tasks.start_soon(duty)
        tasks.start_soon(self._hear, signals)
        tasks.start_soon(self._notifier.keep_watchdog)
        await self._spool.take()
        self._notifier.ready(self._told())
        if self._desk.trial is not None:
            tasks.start_soon(self._trial.run)
        return await self._exit.run()

    def _build(self, world: World) -> None:
        raise_descriptor_limit()
        self._writer = Writer(self._store, self._runner, self._clock, self, world)
        self._tail = Tail(world.ledger_seq)
        self._desk = Desk(
            self._identity,
            self._writer,
            self._store,
            self._runner,
            self._tail,
            self._clock.now,
            self._reread,
            self._usage,
        )
        self._trial = self._desk.trial = Trial(self._starts, self._over)
        self._spool = Spool(self._options.home, self._desk)
        self._desk.stuck = lambda: self._spool.stuck
        self._desk.look_at_settings = lambda: settings_look.look(self._options)
        extra = self._extra = {"TORPOR_HOME": str(self._options.home), "TORPOR_SOCKET": self._listener.path}
        self._hooks = Hooks(lambda: self._settings.hooks, extra)
        self._hooks.writer = self._writer
        self._errands = Errands(
            self._writer, self._runner, lambda: self._tasks, self._options.home, self._manager, extra
        )
        self._workers = Workers(
            self._writer,
            self._store,
            self._runner,
            self._clock.now,
            lambda: self._settings.flows,
            self._options.home,
            extra,
        )
        self._desk.workers = self._workers
        self._keeper = StateKeeper(StateFile(self._options.home), self._runner, self._state)
        self._lookout = Lookout(self._options.home, self._desk, self._spool, self._keeper, self._check_places)
        self._wall = WallDeadline(self._writer.look_again)

    def _connection(self, number: int, sock: socket.socket, cause: Cause) -> Connection:
        return Connection(number, sock, self._desk, cause)

    def _over(self) -> None:
        """Hear that this start lives: nothing is noted any more."""
        self._desk.trial = None

    async def _begin(self, world: World) -> Refusal | None:
        """Record the start; only then is anybody served. Returns why it cannot be stored, if so."""
        options, supervisor = self._options, self._supervisor
        now_s = self._clock.now().wall_s
        cause = start_cause(world, self._listener, options.home, supervisor, now_s, spawned=options.spawned)
        event = process_started(world, self._settings.policy, cause, supervisor, self._manager, options.home)
        outcome = await self._writer.apply(event)
        if isinstance(outcome, Refusal):
            return outcome
        await self._keeper.begin()
        return None

    # What the writer asks and tells (writer.Shell).

    def facts(self, deadline: str, now: Now) -> DeadlinePassed:
        """Read what a due deadline needs to know."""
        forbids = conditions.all_that_forbids(self._spool.stuck)
        return conditions.passed(deadline, self._writer.world.policy, now, self._clock.local_minute, forbids)

    def committed(self, entries: Sequence[Entry], lines: Sequence[Line], before: World, after: World) -> None:
        """Tell everybody who follows: the log, the subscribers, the waiting, the state file."""
        self._tail.add(lines)
        record_log.write(entries, details=self._settings.log_level == "debug")
        for entry in entries:
            if entry.seq is None:
                continue
            if isinstance(entry.record, StateTransition):
                self._desk.reached(State(entry.record.to), entry.seq)
            elif isinstance(entry.record, RunRecord):
                self._desk.run_changed(entry.record.run_id, run_status(entry.record), entry.seq)
            elif isinstance(entry.record, AgentRecord):
                self._agent_changed(entry.record, entry.seq)
            elif isinstance(entry.record, HoldReleased):
                self._holders.forget("hold", entry.record.hold_id)
            elif isinstance(entry.record, StopRequested):
                # That it is to stay down must be known before the answer is: the process may die on its way out.
                self._keeper.told_to_end(entry.record.how)
        self._moved(before, after)

    def reread(self, before: World, after: World) -> None:
        """Take up what the store turned out to hold. A batch of replies alone is none of this: it changed nothing."""
        if after.ledger_seq != self._tail.head:
            self._tail.reset(after.ledger_seq)
        self._workers.reconcile()
        self._holders.reconcile()
        self._errands.reconcile()
        self._desk.runs_reread()
        for agent_id in self._desk.agent_watchers:
            self._desk.agent_changed(AgentRecord(agent_id), after.ledger_seq)
        if before.lifecycle.state is not after.lifecycle.state:
            self._desk.reached(after.lifecycle.state, after.ledger_seq)
        if before.process.leaving != after.process.leaving:
            self._keeper.told_to_end(after.process.leaving)
        self._moved(before, after)

    def _agent_changed(self, record: AgentRecord, seq: int) -> None:
        agent = self._writer.world.agents.by_id.get(record.agent_id)
        if agent is None or agent.said.pid is None:
            self._holders.forget("agent", record.agent_id)
        self._errands.agent_moved(record.agent_id, record.kind)
        if self._desk.agent_watchers:
            self._desk.agent_changed(record, seq)

    def _moved(self, before: World, after: World) -> None:
        moved = before.lifecycle is not after.lifecycle
        # What heartbeats bring comes by the thousand, and the file shows nothing of most of it.
        was, now = before.agents, after.agents
        shown = was.next_wake_ts != now.next_wake_ts or was.recoveries is not now.recoveries
        if shown or any(getattr(before, part) is not getattr(after, part) for part in _IN_STATE_FILE):
            self._keeper.mark(urgent=moved)
        if moved:
            self._notifier.status(self._told())

    def perform(self, effects: Sequence[fx.Effect]) -> None:
        """Begin to carry out what was decided."""
        for effect in effects:
            if self._desk.trial is not None:
                self._note_risk(effect)
            match effect:
                case fx.GoDown():
                    self._exit.wanted(effect.reason)
                case fx.StartWorker():
                    self._workers.start(effect)
                case fx.BeginSteps():
                    self._workers.begin(effect)
                case fx.YieldWorker():
                    self._workers.warn(effect)
                case fx.StopWorker():
                    self._workers.stop(effect)
                case fx.RunHook():
                    self._hooks.want(effect)
                case fx.WatchProcess() | fx.WatchAgent():
                    self._holders.watch(effect)
                case fx.RunWakeCommand():
                    self._errands.wake(effect)
                case fx.ArmWake():
                    self._errands.arm(effect)
                case fx.UseSettings():
                    self._use_settings()

    def _note_risk(self, effect: fx.Effect) -> None:
        match effect:
            case fx.RunHook() if self._settings.hooks.get(effect.hook):
                self._trial.about_to(f"hook {effect.hook}")
            case fx.BeginSteps():
                run = self._writer.world.runs.live.get(effect.run_id)
                states = ", ".join(str(step["state"]) for step in effect.steps) or effect.join
                self._trial.about_to(f"flow {run.flow if run else effect.run_id}, state {states}")

    def rearmed(self, wall_s: float | None) -> None:
        """Set the alarm of the wall clock."""
        self._wall.set(wall_s)

    # Duties of its own.

    def _state(self) -> Mapping[str, Any]:
        return document(self._writer.world, self._identity.pid)

    def _usage(self) -> Mapping[str, Any]:
        return {"installed": self._installed.view(), **usage()}

    def _told(self) -> str:
        world = self._writer.world
        return f"{world.lifecycle.state}, {len(world.holds.by_id)} holds"

    def _use_settings(self) -> None:
        self._settings = self._fresh
        configure(self._fresh.log_level, self._fresh.log_format)

    def _reread(self) -> tuple[Policy, tuple[str, ...]]:
        """Read the settings for a reload. Raises RefusedError where they are bad; then the old ones stay."""
        try:
            fresh = config.load(self._options.settings, required=self._options.settings_named)
        except SetupError as error:
            message = f"{error}; the settings in force stay"
            raise RefusedError(Refusal("conflict", message, {"file": str(self._options.settings)})) from error
        self._fresh = fresh
        return fresh.policy, config.changed(self._settings, fresh)

    async def _check_places(self) -> None:
        """Make sure that others still find the home and the socket here."""
        if self._desk.draining:
            return
        # Before the lock: a home that goes in between takes both along, and then it is the lock that tells.
        socket_gone = not self._listener.is_inherited and self._listener.is_lost()
        if not self._lock.is_still_ours():
            # Another daemon may have the home by now, and closing SQLite would remove its WAL by the path.
            why = "the home or its lock was removed or replaced: it ends at once, and touches nothing that lies there"
            log.critical("home_gone", home=str(self._options.home), why=why)
            os._exit(wire.EX_CONFIG)
        if socket_gone:
            # Nobody could reach it, and it would go on for ever: the next client finds it down, and starts another.
            log.error("socket_gone", path=self._listener.path)
            await self._leave_by_signal({"source": "socket", "name": self._listener.path})

    async def _farewell(self) -> None:
        """Tell the service manager and the observers, last of all."""
        await self._errands.settle(self._clock.now().wall_s)
        world = self._writer.world
        self._notifier.stopping(f"{world.lifecycle.state}, {world.process.leaving}")
        await self._keeper.write(document(world, None))

    async def _hear(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            cause = {"source": "signal", "name": number.name}
            if number == signal.SIGHUP:
                await self._reload(cause)
                continue
            log.info("signal", name=number.name)
            await self._leave_by_signal(cause)

    async def _leave_by_signal(self, cause: Cause) -> None:
        outcome = await self._writer.apply(StopWanted(cause, "signal"))
        if isinstance(outcome, Refusal):
            # The disk is full, or it is leaving already: it goes all the same.
            self._exit.wanted("signal")

    async def _reload(self, cause: Mapping[str, Any]) -> None:
        self._notifier.reloading()
        try:
            policy, names = self._reread()
        except RefusedError as refused:
            log.warning("settings_not_reloaded", why=refused.refusal.message)
        else:
            outcome = await self._writer.apply(SettingsRead(cause, policy, names, by_request=False))
            if isinstance(outcome, Refusal):
                log.warning("settings_not_reloaded", why=outcome.message)
            else:
                log.info("settings_reloaded", changed=names)
        self._notifier.ready(self._told())


def _signals() -> Any:
    return anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
