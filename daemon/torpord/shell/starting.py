"""The first thing a process tells the writer: that it has the home, what started it, and who ended in the meantime."""

from __future__ import annotations

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

log = structlog.get_logger("torpord")

_MOST_TIME_CHARS = 64


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
    """Say what started this process, as far as can be told: "manual" where nothing else was found.

    systemd names the unit that started the service (TRIGGER_UNIT, since 251; of sockets it says nothing). That is
    taken out of the environment: it is nobody else's.
    """
    trigger = [os.environ.pop(name) for name in list(os.environ) if name.startswith("TRIGGER_")]
    if spawned:
        return "spawn"
    if supervisor == "none":
        return "manual"
    # First of all: a service manager starts again what died, and who connects meanwhile did not start it.
    # After a reboot nothing of that kind is known, and whoever came is the cause.
    if not world.process.ended and world.process.boot_id == processes.boot_id():
        return "crash"
    if listener.is_inherited and _readable(listener):
        return "connect"
    if any(each.endswith(".timer") for each in trigger):
        return "timer"
    planned_ts = planned_at(home)
    is_due = planned_ts is not None and planned_ts <= now_s and not trigger
    if is_due and supervisor == "launchd":
        return "timer"  # its job can touch wake.signal, and no more
    if (home / wire.WAKE_SIGNAL_NAME).exists():
        return "wake.signal"
    if any((home / wire.SPOOL_NAME).iterdir()):
        return "wake.d"
    return "timer" if is_due else "manual"


def planned_at(home: Path) -> float | None:
    """Return the time in `wake.at`; None where it is not there, or says none."""
    try:
        with (home / wire.WAKE_AT_NAME).open() as file:
            return datetime.fromisoformat(file.read(_MOST_TIME_CHARS).strip()).timestamp()
    except (OSError, ValueError):
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
