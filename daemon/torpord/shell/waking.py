"""Wake commands: a slot is due, its agent is not there, and it said by which command it comes. A few at a time."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import orjson
import structlog
from anyio.abc import TaskGroup

from torpord.core.agent_events import WakeCommandEnded
from torpord.core.effects import RunWakeCommand
from torpord.shell.commands import run_command
from torpord.shell.surroundings import environment
from torpord.writer import Writer

log = structlog.get_logger("torpord.waking")

# It is to start an agent and end: one that stays is a mistake, and the daemon is awake meanwhile.
LIMIT_S = 60.0
MOST_AT_ONCE = 4


class Waking:
    """Runs them. Each is told `{"agent_id", "slots"}` on its standard input; what it starts goes on without us."""

    def __init__(self, writer: Writer, tasks: TaskGroup, extra: Mapping[str, str]) -> None:
        self._writer = writer
        self._tasks = tasks
        self._extra = extra
        self._turn = anyio.Semaphore(MOST_AT_ONCE)
        self._asked: dict[str, str] = {}

    def start(self, effect: RunWakeCommand) -> None:
        """Run an agent's wake command. Asked again, it is run once: also when it has ended and that is not stored."""
        if self._asked.get(effect.agent_id) != effect.slot_id:
            self._asked[effect.agent_id] = effect.slot_id
            self._tasks.start_soon(self._run, effect)

    def forget(self, agent_id: str) -> None:
        """Hear that a command's end is durable: the next one is another."""
        self._asked.pop(agent_id, None)

    def reconcile(self) -> None:
        """Forget those the world knows nothing of: the store was read anew, and their end may have been in it."""
        by_id = self._writer.world.agents.by_id
        for agent_id, slot_id in list(self._asked.items()):
            agent = by_id.get(agent_id)
            if agent is None or agent.waking != slot_id:
                self.forget(agent_id)

    async def _run(self, effect: RunWakeCommand) -> None:
        own = {"TORPOR_AGENT_ID": effect.agent_id, "TORPOR_SLOT_ID": effect.slot_id}
        told = orjson.dumps({"agent_id": effect.agent_id, "slots": effect.slots}) + b"\n"
        async with self._turn:
            env = environment({**self._extra, **own})
            problem = await run_command(effect.command, told, env, LIMIT_S, reap_group=False)
        if problem:
            log.warning("wake_command_failed", agent_id=effect.agent_id, slot_id=effect.slot_id, problem=problem)
        cause = {"source": "wake_command", "name": effect.agent_id}
        self._writer.owe(WakeCommandEnded(cause, effect.agent_id, effect.slot_id, problem))
