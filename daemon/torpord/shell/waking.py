"""Wake commands: a slot is due, its agent is not there, and it said by which command it comes. A few at a time.

How many, and whose turn it is, the core decides. Here is counted what really runs: the command of an agent that was
forgotten meanwhile is in no world any more, and another may have to wait for its end.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import orjson
import structlog
from anyio.abc import TaskGroup

from torpord.core.agent_events import WakeCommandEnded
from torpord.core.agents import MOST_WAKING
from torpord.core.effects import RunWakeCommand
from torpord.core.offering import errand
from torpord.shell.commands import run_command
from torpord.shell.surroundings import environment
from torpord.writer import Writer

log = structlog.get_logger("torpord.waking")

# It is to start an agent and end: one that stays is a mistake, and the daemon is awake meanwhile.
LIMIT_S = 60.0


class Waking:
    """Runs them. Each is told `{"agent_id", "slots"}` on its standard input; what it starts goes on without us."""

    def __init__(self, writer: Writer, tasks: TaskGroup, extra: Mapping[str, str]) -> None:
        self._writer = writer
        self._tasks = tasks
        self._extra = extra
        self._turn = anyio.Semaphore(MOST_WAKING)
        self._asked: dict[str, str] = {}

    def start(self, effect: RunWakeCommand) -> None:
        """Run an agent's wake command, if it is wanted when its turn comes.

        Asked again, it is run once: also when it has ended and that is not stored.
        """
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
        problem = ""
        async with self._turn:
            # As the world is now: it may have had to wait, and what it was decided for may be done or gone by then.
            wanted = errand(self._writer.world, effect.agent_id, effect.slot_id)
            if wanted is not None:
                own = {"TORPOR_AGENT_ID": effect.agent_id, "TORPOR_SLOT_ID": wanted.slot_id}
                told = orjson.dumps({"agent_id": effect.agent_id, "slots": wanted.slots}) + b"\n"
                env = environment({**self._extra, **own})
                problem = await run_command(wanted.command, told, env, LIMIT_S, reap_group=False)
        if problem:
            log.warning("wake_command_failed", agent_id=effect.agent_id, slot_id=effect.slot_id, problem=problem)
        cause = {"source": "wake_command", "name": effect.agent_id}
        self._writer.owe(WakeCommandEnded(cause, effect.agent_id, effect.slot_id, problem))
