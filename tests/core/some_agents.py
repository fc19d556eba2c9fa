"""Agents and slots in a life: what their tests say to it, and what must hold in every world that has any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.life import CLIENT, Life
from torpord.core import agent_events as ae
from torpord.core import events as ev
from torpord.core.agents import Agent, Agents, Doing, Slot, SlotState, Status
from torpord.core.draft import Decision, Refusal
from torpord.core.recovery import Recovery
from torpord.core.world import World

WAKE_UP = ("bring", "it", "up")


class AgentLife:
    """Words of agents about themselves, and of whoever plans work for them, said to a life."""

    def __init__(self, life: Life) -> None:
        self.life = life

    def register(self, agent_id: str = "a", **card: Any) -> Decision:
        return self.life.do(ae.AgentRegisterWanted(CLIENT, agent_id, **card))

    def beat(self, agent_id: str = "a", doing: Doing | None = None) -> Decision:
        return self.life.do(ae.AgentBeat(CLIENT, agent_id, doing))

    def says(self, to: Status, agent_id: str = "a", *, in_s: float | None = None, **more: Any) -> Decision:
        recovery = None if in_s is None else Recovery(self.life.now.wall_s + in_s, "recovery_at")
        return self.life.do(ae.AgentMoveWanted(CLIENT, agent_id, to, recovery=recovery, **more))

    def add(self, slot_id: str = "s", in_s: float = 0.0, agent_id: str = "a", **more: Any) -> Decision:
        values = {"type": "work", **more}
        return self.life.do(ae.SlotWanted(CLIENT, slot_id, agent_id, at_ts=self.life.now.wall_s + in_s, **values))

    def take(self, slot_id: str = "s", agent_id: str | None = None) -> Decision:
        return self.life.do(ae.SlotTakeWanted(CLIENT, slot_id, agent_id))

    def finish(self, slot_id: str = "s") -> Decision:
        return self.life.do(ae.SlotFinishWanted(CLIENT, slot_id))

    def cancel(self, slot_id: str = "s") -> Decision:
        return self.life.do(ae.SlotCancelWanted(CLIENT, slot_id, "no more wanted"))

    def woken(self, problem: str = "", agent_id: str = "a") -> Decision:
        """End the agent's wake command."""
        slot_id = self.agent(agent_id).waking
        assert slot_id is not None
        return self.life.do(ae.WakeCommandEnded({"source": "wake_command"}, agent_id, slot_id, problem))

    def agent(self, agent_id: str = "a") -> Agent:
        return self.life.world.agents.by_id[agent_id]

    def slot(self, slot_id: str = "s") -> Slot:
        return self.life.world.agents.slots[slot_id]

    def state(self, slot_id: str = "s") -> SlotState:
        return self.slot(slot_id).state


def refused(decision: Decision) -> Refusal:
    """Return the refusal a decision is; it leaves nothing behind."""
    assert isinstance(decision.reply, Refusal), decision.reply
    assert (decision.entries, decision.effects) == ((), ())
    return decision.reply


def granted(decision: Decision) -> Mapping[str, Any]:
    """Return the reply of a request that was granted."""
    assert isinstance(decision.reply, Mapping), decision.reply
    return decision.reply


def told(decision: Decision) -> list[str]:
    """Return the slots a reply tells its agent of, in its order."""
    return [slot["slot_id"] for slot in granted(decision)["slots"]]


def assert_in_step(world: World) -> None:
    """Check that all that follows from agents and slots is what a look at each of them finds."""
    agents = world.agents
    rebuilt = Agents.of(agents.by_id.values(), dict(agents.seen.items()), agents.slots.values())
    assert rebuilt == agents
    for slot in agents.slots.values():
        owner = agents.by_id[slot.agent_id]
        assert slot.slot_id in owner.slots
        assert (slot.state is SlotState.TAKEN) is (owner.slot_id == slot.slot_id), slot
        assert slot.again_awake_s is not None or slot.state is not SlotState.OFFERED, slot
        assert slot.again_awake_s is None or slot.state in (SlotState.OFFERED, SlotState.QUEUED), slot
    for agent in agents.by_id.values():
        live = [agents.slots[slot_id] for slot_id in agent.slots]
        assert agent.slots == tuple(slot.slot_id for slot in sorted(live, key=lambda each: (each.at_ts, each.slot_id)))
        assert agent.exhaustion is None or agent.slot_id is None


def pass_all(life: Life) -> None:
    """Let every time-out be decided that has come, as the writer does: slice by slice."""
    for _ in range(1_000):
        due = [deadline for deadline in life.due() if deadline.name == "presence_due"]
        if not due:
            return
        life.do(ev.DeadlinePassed({"source": "deadline", "deadline": "presence_due"}, "presence_due"))
    raise AssertionError("a time-out that is due for ever")


def gone(life: Life, agents: AgentLife, agent_id: str = "a") -> None:
    agents.register(agent_id, wake_command=WAKE_UP)
    agents.says(Status.OFFLINE, agent_id)
