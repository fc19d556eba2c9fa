"""The first thing a process tells the writer: that it has the home, what started it, and who ended in the meantime."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

import torpor
from torpor import wire
from torpord.core.events import ProcessStarted
from torpord.core.policy import Policy
from torpord.core.world import World
from torpord.host import processes
from torpord.host.listen import Listener

log = structlog.get_logger("torpord")


def process_started(world: World, policy: Policy, cause: str, supervisor: str) -> ProcessStarted:
    """Build the event of this start. Looks at each process that a hold or an agent hangs on."""
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
    )


def start_cause(world: World, listener: Listener, home: Path, supervisor: str, *, spawned: bool) -> str:
    """Say what started this process, as far as can be told: "manual" where nothing else was found."""
    if spawned:
        return "spawn"
    if supervisor != "none":
        # First of all: a service manager starts again what died, and who connects meanwhile did not start it.
        # After a reboot nothing of that kind is known, and whoever came is the cause.
        if not world.process.ended and world.process.boot_id == processes.boot_id():
            return "crash"
        if listener.is_inherited and _readable(listener):
            return "connect"
        if (home / wire.WAKE_SIGNAL_NAME).exists():
            return "wake.signal"
        if any((home / wire.SPOOL_NAME).iterdir()):
            return "wake.d"
    return "manual"


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
