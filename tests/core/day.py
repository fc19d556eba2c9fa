"""A day of several agents in virtual time: who is there beats by itself, and what is due passes when it is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.life import SHELL, Life
from torpord.core import agent_events as ae
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.agents import Doing, Status
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State
from torpord.core.moment import Now
from torpord.core.records import Entry
from torpord.core.recovery import Recovery

BEAT_EVERY_S = 50.0  # not a divisor of the time-out, and often enough
FIRST_DAY_S = datetime(2026, 1, 15, tzinfo=UTC).timestamp()


class Day:
    """One daemon's day, told by the clock on the wall: "09:30:05", and "27:00" is three the next morning.

    `alive`: agents whose program runs, and beats. `down`: the daemon is not there; idle agents' beats do not wake it.
    """

    def __init__(self, begins: str) -> None:
        self.life = Life()
        self.life.now = Now(20_000.0, FIRST_DAY_S + clock_s(begins))
        self.alive: set[str] = set()
        self.down = True
        self.beats = 0
        self.looks: list[str] = []
        self._beat_s = self.life.now.awake_s

    def start(self, cause: str, **fields: Any) -> None:
        """Start a daemon."""
        self.life.start(cause=cause, **fields)
        self.down = False

    def go(self, to: str) -> None:
        """Let time pass until then, with all that is due and all beats on the way."""
        to_s = FIRST_DAY_S + clock_s(to)
        while self.life.now.wall_s < to_s:
            left_s = [to_s - self.life.now.wall_s, self._beat_s - self.life.now.awake_s]
            if not self.down:
                left_s += [self.life.left_s(deadline) for deadline in deadlines(self.life.world)]
            self.life.advance(max(0.0, min(left_s)))
            self._due()
            if self.life.now.awake_s >= self._beat_s:
                self._beat_s += BEAT_EVERY_S
                self._all_beat()
        self._due()

    def suspend(self, to: str) -> None:
        """Let the machine sleep until then: the awake clock stands."""
        asleep_s = FIRST_DAY_S + clock_s(to) - self.life.now.wall_s
        self.life.advance(0.0, asleep_s)
        self.life.now = replace(self.life.now, suspended_s=self.life.now.suspended_s + asleep_s)
        self.life.do(ev.SuspendSeen(SHELL, asleep_s, self.life.now.suspended_s))
        self._due()

    # What agents say. Each returns the reply, and whoever says something runs.

    def registers(self, agent_id: str, **card: Any) -> Any:
        """Let an agent register, and beat from now on."""
        self.alive.add(agent_id)
        return self._says(ae.AgentRegisterWanted(program(agent_id), agent_id, **card))

    def beat(self, agent_id: str, doing: str | None = None) -> Any:
        """Let an agent beat once; from now on it does so by itself."""
        self.alive.add(agent_id)
        return self._says(ae.AgentBeat(program(agent_id), agent_id, Doing(doing) if doing else None))

    def moves(self, agent_id: str, to: str, **said: Any) -> Any:
        """Let an agent say what it is; one that says it is offline beats no more."""
        if to == "offline":
            self.alive.discard(agent_id)
        return self._says(ae.AgentMoveWanted(program(agent_id), agent_id, Status(to), **said))

    def reports(
        self, agent_id: str, until: str, source: str, *, force: bool = False, reason: str = "rate_limit"
    ) -> Any:
        """Let an agent report that its quota is used up until then."""
        recovery = Recovery(FIRST_DAY_S + clock_s(until), source)
        return self.moves(agent_id, "exhausted", reason=reason, recovery=recovery, force=force)

    def plans(self, agent_id: str, slot_id: str, at: str, type_: str = "work") -> Any:
        """Add a slot."""
        return self._says(ae.SlotWanted(program("planner"), slot_id, agent_id, type_, FIRST_DAY_S + clock_s(at)))

    def takes(self, agent_id: str, slot_id: str) -> Any:
        """Let an agent take a slot."""
        self.alive.add(agent_id)
        return self._says(ae.SlotTakeWanted(program(agent_id), slot_id, agent_id))

    def finishes(self, agent_id: str, slot_id: str) -> Any:
        """Let an agent finish a slot."""
        self.alive.add(agent_id)
        return self._says(ae.SlotFinishWanted(program(agent_id), slot_id))

    def cancels(self, slot_id: str) -> Any:
        """Have a slot cancelled."""
        return self._says(ae.SlotCancelWanted(program("planner"), slot_id))

    def forgets(self, agent_id: str) -> Any:
        """Have an agent forgotten."""
        self.alive.discard(agent_id)
        return self._says(ae.AgentForgetWanted(program("planner"), agent_id))

    def process_ends(self, agent_id: str, pid: int, start: str) -> None:
        """End the process that an agent named as its own: it beats no more."""
        self.alive.discard(agent_id)
        self.life.do(ae.AgentProcessEnded({"source": "process", "pid": pid}, agent_id, pid, start))

    def wake_command_ends(self, agent_id: str, slot_id: str, problem: str = "") -> None:
        """End an agent's wake command."""
        self.life.do(ae.WakeCommandEnded(SHELL, agent_id, slot_id, problem))

    def vanishes(self, agent_id: str) -> None:
        """Let an agent's program go silent: it says nothing any more, and nobody says so."""
        self.alive.discard(agent_id)

    def _says(self, event: ev.Event) -> Any:
        assert not self.down, "who wakes the daemon is told by the test"
        return self.life.do(event).reply

    def _due(self) -> None:
        while not self.down and (due := self.life.due()):
            self.life.pass_(due[0].name)
            if self.life.world.cycle.phase == "running":
                self.life.cycle_completes()
            if self.life.state is State.HIBERNATION:
                self.life.do(ev.Leaving(SHELL, "hibernate"))
                self.down = True

    def _all_beat(self) -> None:
        for agent_id in sorted(self.alive):
            if not self.down:
                self.beats += 1
                reply = self.beat(agent_id)
                assert not isinstance(reply, Refusal)

    # What became of it.

    def statuses(self) -> dict[str, str]:
        """Say of each agent that is known how it is."""
        agents = self.life.world.agents
        return {agent_id: agents.by_id[agent_id].status.value for _, agent_id in agents.ids}

    def recovers(self, agent_id: str) -> str:
        """Say until when an agent is exhausted."""
        exhaustion = self.life.world.agents.by_id[agent_id].exhaustion
        assert exhaustion is not None
        return clock(exhaustion.recovery_ts)

    def look(self) -> None:
        """Write down how the daemon and everybody is."""
        statuses = self.statuses()
        groups = [(status, [each for each in statuses if statuses[each] == status]) for status in map(str, Status)]
        said = " ".join(f"{status}={','.join(who)}" for status, who in groups if who)
        self.looks.append(f"{clock(self.life.now.wall_s)} {self.life.state} {said}")

    def wake_commands(self) -> list[tuple[str, str]]:
        """Name the wake commands that were run, each with the slot it was run for."""
        found = [
            each for turn in self.life.turns for each in turn.decision.effects if isinstance(each, fx.RunWakeCommand)
        ]
        return [(effect.agent_id, effect.slot_id) for effect in found]

    def ledger(self) -> list[str]:
        """Give what the ledger holds of the day, a line a record: when, whose, what, and what else it says."""
        return [line(entry) for entry in self.life.entries if entry.record.ledgered]


def program(agent_id: str) -> dict[str, Any]:
    """Give a cause: a client that is named as its agent."""
    return {"source": "client", "pid": 4711, "program": agent_id}


def clock_s(text: str) -> float:
    """Read a time of day."""
    hours, minutes, seconds = (*map(int, text.split(":")), 0)[:3]
    return hours * 3600.0 + minutes * 60 + seconds


def clock(wall_s: float) -> str:
    """Show a time as that of the first day."""
    minutes, seconds = divmod(round(wall_s - FIRST_DAY_S), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def line(entry: Entry) -> str:
    """Show a record in a line; what is empty, false or of no interest here is left out."""
    data = entry.record.data()
    said = [
        f"{name}={clock(value) if name.endswith('_ts') and isinstance(value, float) else value}"
        for name, value in data.items()
        if name in INTERESTING and value not in (None, "", False)
    ]
    return " ".join([clock(entry.wall_s), entry.record.kind, *filter(None, [data.get("agent_id")]), *said])


INTERESTING = {
    "how", "doing", "slot_id", "reason", "recovery_ts", "recovery_source", "moved", "until_ts", "offers", "via",
    "pause_s", "type", "at_ts", "parent_id", "pid", "wake_command", "problem", "from", "to", "trigger", "start_cause",
    "asleep_s", "generation",
}  # fmt: skip
