"""A life under a service manager, which takes timers or does not: what the tests of the planned wake say to it."""

from __future__ import annotations

from core.life import CLIENT, POLICY, SHELL, Life, effects, kinds, started
from core.some_agents import AgentLife
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.deadlines import deadlines
from torpord.core.draft import Decision
from torpord.core.lifecycle import State

FAR_S = 86_400.0
REACH_S = POLICY.planned_reach_s
UNIT = {"supervisor": "systemd", "manager": "systemd-user", "unit": "torpord", "timer": "systemd-user"}


def managed(in_s: float | None = FAR_S, **fields: object) -> tuple[Life, AgentLife]:
    """Return a life whose service manager takes timers, with a slot so far ahead."""
    life = started(cause="connect", **{**UNIT, **fields})
    agents = AgentLife(life)
    agents.register()
    if in_s is not None:
        agents.add(in_s=in_s)
    return life, agents


def wished(decision: Decision) -> list[float | None]:
    return [effect.at_ts for effect in effects(decision, fx.ArmWake)]


def follows(life: Life, problem: str = "") -> list[float | None]:
    """Let the timer follow, and say what was wished."""
    wishes = wished(life.pass_("arm_due"))
    life.arms(problem)
    return wishes


def arm_due(life: Life) -> float | None:
    """Return in how many seconds there is something to do about the timer."""
    left = [life.left_s(deadline) for deadline in deadlines(life.world) if deadline.name == "arm_due"]
    return left[0] if left else None


def to_the_end_of_its_cycle(life: Life) -> None:
    """Go down as far as there is nothing left to do."""
    life.advance(10.0)
    life.tell("offline")
    life.do(ev.HibernateWanted(CLIENT, now=False))
    life.load(life.world.cycle.run_id)
    life.cycle_completes()
    life.reach("hibernate_due")
    assert life.state is State.SLEEP


def goes(life: Life) -> Decision:
    return life.do(ev.DeadlinePassed(SHELL, "hibernate_due"))


def follows_well(life: Life) -> Decision:
    life.pass_("arm_due")
    return life.arms()


def record_of(decision: Decision, kind: str) -> bool:
    return kind in kinds(decision)
