"""What most daemons never do: loaded when it is first asked for, so that one at rest does not hold it.

Where it cannot be loaded (no descriptor is left to read it with, say), whoever waits for it is told so at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from anyio.abc import TaskGroup

from torpor import wire
from torpord.core import effects as fx
from torpord.core.events import WakeArmed
from torpord.core.report import iso
from torpord.host.unit_name import Manager
from torpord.store.thread import Runner
from torpord.writer import Writer

if TYPE_CHECKING:
    from torpord.shell.arming import Arming
    from torpord.shell.waking import Waking

log = structlog.get_logger("torpord.errands")

# From its last words until the service manager has seen that a process is gone, on a machine with much to do.
ENDS_WITHIN_S = 3.0


class Errands:
    """Wake commands of agents, and the service manager's timer."""

    def __init__(
        self,
        writer: Writer,
        runner: Runner,
        tasks: Callable[[], TaskGroup],
        home: Path,
        manager: Manager,
        extra: Mapping[str, str],
    ) -> None:
        self._writer = writer
        self._runner = runner
        self._tasks = tasks
        self._home = home
        self._manager = manager
        self._extra = extra
        self._waking: Waking | None = None
        self._arming: Arming | None = None

    def wake(self, effect: fx.RunWakeCommand) -> None:
        """Run an agent's wake command."""
        from torpord.core.agent_events import WakeCommandEnded  # noqa: PLC0415 - it is there: it decided the effect

        try:
            from torpord.shell.waking import Waking  # noqa: PLC0415
        except (ImportError, OSError) as error:
            cause, problem = {"source": "wake_command"}, f"it cannot be started: {error}"
            self._writer.owe(WakeCommandEnded(cause, effect.agent_id, effect.slot_id, problem))
            return
        if self._waking is None:
            self._waking = Waking(self._writer, self._tasks(), self._extra)
        self._waking.start(effect)

    def agent_moved(self, agent_id: str, kind: str) -> None:
        """Hear of an agent's record."""
        if self._waking is not None and kind in ("agent_wake_ended", "agent_forgotten"):
            self._waking.forget(agent_id)

    def reconcile(self) -> None:
        """Hear that the store was read anew."""
        if self._waking is not None:
            self._waking.reconcile()

    def arm(self, effect: fx.ArmWake) -> None:
        """Have the service manager set its timer; at the end of the process that is for `settle`."""
        if self._writer.world.process.leaving:
            return
        try:
            arming = self._armed()
        except (ImportError, OSError) as error:
            self._writer.owe(WakeArmed({"source": "timer"}, effect.at_ts, f"it cannot be asked: {error}"))
            return
        arming.want(effect)

    async def settle(self, now_s: float) -> None:
        """Leave the timer as it is wanted by a daemon that is down: of what was asked for, some may be open."""
        world = self._writer.world
        self._come_back_for(None if world.process.leaving else world.wanted_wake_ts, now_s)
        if world.process.timer and (world.planned.asked or world.planned.differs(world.wanted_wake_ts)):
            by_signal = world.process.leaving == "signal"
            try:
                arming = self._armed()
            except (ImportError, OSError) as error:
                log.warning("wake_not_armed", at=iso(world.wanted_wake_ts), why=f"it cannot be asked: {error}")
                return
            await arming.settle(world.wanted_wake_ts, now_s=now_s, stopped=by_signal)

    def _come_back_for(self, at_ts: float | None, now_s: float) -> None:
        """Have the service manager start the next process at once, where the timer would ring while this one ends.

        What rings at a process that is there does nothing; a file is looked at again when it is gone.
        """
        if at_ts is not None and at_ts <= now_s + ENDS_WITHIN_S:
            log.info("wake_is_near", at=iso(at_ts))
            try:
                (self._home / wire.WAKE_SIGNAL_NAME).touch(mode=0o600)
            except OSError as error:
                log.warning("wake_may_be_late", at=iso(at_ts), error=str(error))

    def _armed(self) -> Arming:
        if self._arming is None:
            from torpord.host.timers import NoTimer, timer_of  # noqa: PLC0415
            from torpord.shell.arming import Arming  # noqa: PLC0415

            # Without one it is still asked to clear it, where an earlier life left its `wake.at` behind.
            takes = bool(self._writer.world.process.timer)
            timer = timer_of(self._manager, self._home, os.environ) if takes else NoTimer()
            self._arming = Arming(timer, self._home, self._runner, self._tasks(), self._writer.owe)
        return self._arming
