"""The first thing a process tells the writer: that it has the home, what started it, and who ended in the meantime."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

import structlog

import torpor
from torpor import wire
from torpord.core.events import ProcessStarted
from torpord.core.policy import Policy
from torpord.core.world import World
from torpord.host import processes
from torpord.host.listen import Listener
from torpord.host.unit_name import Manager, takes_timers
from torpord.store.existence import is_there

log = structlog.get_logger("torpord")

_MOST_TIME_BYTES = 64
# From the time in `wake.at` until this process looks: the timer's accuracy and its rounding, and a slow start.
_RINGS_WITHIN_S = 10.0


def process_started(
    world: World, policy: Policy, cause: str, supervisor: str, manager: Manager, home: Path
) -> ProcessStarted:
    """Build the event of this start. Looks at each process that a hold or an agent hangs on, and for a timer."""
    holds = {hold.hold_id: (hold.pid, hold.pid_start) for hold in world.holds.by_id.values() if hold.pid is not None}
    agents = {agent_id: world.agents.by_id[agent_id].said for agent_id in world.agents.tied}
    tied = {agent_id: (card.pid, card.pid_start) for agent_id, card in agents.items()}
    # Each once: a program with many agents names its own for all of them.
    dead = {process for process in {*holds.values(), *tied.values()} if not lives(*process)}
    return ProcessStarted(
        {"source": cause, "pid": os.getppid()},
        pid=os.getpid(),
        version=torpor.__version__,
        start_cause=cause,
        supervisor=supervisor,
        boot_id=processes.boot_id(),
        policy=policy,
        dead_holds=tuple(hold_id for hold_id, process in holds.items() if process in dead),
        dead_agents=tuple(sorted(agent_id for agent_id, process in tied.items() if process in dead)),
        timer=manager.kind if takes_timers(manager, os.environ) else "",
        manager=manager.kind,
        unit=manager.unit,
        wake_file=os.path.lexists(home / wire.WAKE_AT_NAME),
    )


def start_cause(world: World, listener: Listener, home: Path, supervisor: str, now_s: float, *, spawned: bool) -> str:
    """Say what started this process, as far as can be told: "manual" where nothing else was found."""
    rang_ts = _rang_ts()
    if spawned:
        return "spawn"
    if supervisor == "none":
        return "manual"
    # First of all: a service manager starts again what died, and who connects meanwhile did not start it.
    # After a reboot nothing of that kind is known, and whoever came is the cause.
    if not world.process.ended and world.process.boot_id == processes.boot_id():
        return "crash"
    planned_ts = planned_at(home)
    late_s = -1.0 if planned_ts is None else now_s - planned_ts
    # At its very time it is the timer's start, whoever else has come until this line was reached.
    if rang_ts > world.process.started_ts or 0 <= late_s <= _RINGS_WITHIN_S:
        return "timer"
    if listener.is_inherited and _readable(listener):
        return "connect"
    if late_s >= 0 and supervisor == "launchd":
        return "timer"  # its job can touch wake.signal, and no more
    with contextlib.suppress(OSError):  # what the disk does not show now is taken when it does
        if is_there(home / wire.WAKE_SIGNAL_NAME):
            return "wake.signal"
        if any((home / wire.SPOOL_NAME).iterdir()):
            return "wake.d"
    return "timer" if late_s >= 0 else "manual"


def _rang_ts() -> float:
    """Return when a timer of systemd's (since 251) rang for this service; 0 where it tells of none.

    It may have been for an earlier start: systemd 252 tells of the first one as long as the unit is loaded, and of no
    other. Of sockets it tells nothing, and of files not when. All of it is taken out of the environment.
    """
    told = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("TRIGGER_")}
    rang_us = told.get("TRIGGER_TIMER_REALTIME_USEC", "")
    return int(rang_us) / 1e6 if rang_us.isdecimal() else 0.0


def planned_at(home: Path) -> float | None:
    """Return the time in `wake.at`; None where it is not there, or says none."""
    try:
        # A pipe of that name would keep this start waiting for a writer.
        file = os.open(home / wire.WAKE_AT_NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return datetime.fromisoformat(os.read(file, _MOST_TIME_BYTES).decode().strip()).timestamp()
        finally:
            os.close(file)
    except (OSError, ValueError, OverflowError):
        return None


def lives(pid: int | None, start: str | None) -> bool:
    """Whether that very process has not ended. Where it cannot be told it counts as alive."""
    if pid is None or start is None:
        return False
    try:
        return processes.is_alive(processes.ProcessIdentity(pid, start))
    except OSError as error:
        # Not known is not dead: it is watched, and its end is told when it can be seen.
        log.warning("cannot_look_at_process", pid=pid, error=str(error))
        return True


def _readable(listener: Listener) -> bool:
    import select  # noqa: PLC0415 - once a life

    poll = select.poll()
    poll.register(listener.sock, select.POLLIN)
    return bool(poll.poll(0))
