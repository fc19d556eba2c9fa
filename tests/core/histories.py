"""Random histories: lives in which anything happens in any order, at any time, to whatever is there at that moment.

A history is a list of small tuples, `(what, a, b)`; the numbers choose among what the world offers when its turn comes
(which hold, which deadline, which facts). So every history makes sense, and a failing one shrinks to a short story.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from core import agent_words, run_moves
from core.life import CLIENT, DUE, POLICY, SHELL, Life
from torpord.core import events as ev
from torpord.core.deadlines import deadlines
from torpord.core.lifecycle import CLIENT_TRIGGERS, Trigger
from torpord.core.policy import Policy

Move = tuple[str, int, int]

# All of tests/core has 25 s on a slow machine; a history of this length takes about 5 ms. No deadline for a single
# example: the machine may be busy with something else.
tried = settings(
    max_examples=110, deadline=None, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow]
)

POLICIES = (
    POLICY,
    replace(POLICY, shadow_run=True, sleep_flow="fork"),
    replace(
        POLICY, drowsy_after_s=10.0, sleep_after_s=10.0, hibernate_grace_s=0.0, min_up_s=0.0, sleep_min_interval_s=0.0
    ),
    replace(POLICY, drowsy_after_s=600.0, sleep_after_s=60.0, hibernate_grace_s=1_000.0, min_up_s=3_000.0),
    Policy(),  # in which most flows are gone
)
PASSES_S = (0.0, 1.0, 5.0, 60.0, 299.0, 300.0, 1_500.0, 1_800.0, 4_000.0, 100_000.0)
WALL_STEPS_S = (0.0, 0.0, 0.0, 0.0, 1.0, 3_600.0, -3_600.0, 90_000.0, -400 * 86_400.0)
CAUSES = ("spawn", "connect", "wake.signal", "crash", "crash", "crash", "manual", "wake.d")
TIMERS = ("", "", "systemd-user", "launchd")
OF_AGENTS = ("recovery_due", "presence_due", "slots_due", "offers_due", "turn_due")
FORBIDS: tuple[tuple[str, ...], ...] = ((), (), ("no way back",), ("no way back", "wake.d/x.json"), ("wake.d/x.json",))


def conditions(life: Life, choice: int) -> tuple[ev.Condition, ...]:
    """Read the conditions of sleep in one of several ways. A window opens in the future, as it is read that way."""
    met = ev.Condition("power", met=True, found="mains")
    battery = ev.Condition("power", met=False, found="battery")
    busy = ev.Condition("max_cpu", met=False, found="90 %")
    unknown = ev.Condition("max_cpu", met=None, found="")
    window = ev.Condition("between", met=False, found="12:00", changes_at_wall_s=life.now.wall_s + 600.0 * (choice + 1))
    ways = ((), (met,), (battery,), (window,), (battery, busy), (window, unknown), (window, battery), (met, unknown))
    return ways[choice % len(ways)]


def _hold(life: Life, a: int, b: int) -> None:
    hold_id = f"h{len(life.turns)}"  # the daemon's ids are never used twice
    ttl_s = PASSES_S[1 + b % 9]
    ways = (
        {"connection": 1 + b % 2},
        {"ttl_s": ttl_s},
        {"pid": 7 + b, "pid_start": "1"},
        {"pid": 7 + b, "pid_start": "1", "ttl_s": ttl_s},
        {"connection": 1 + b % 2, "ttl_s": ttl_s},
    )
    life.hold(hold_id, **ways[a % len(ways)])


def a_hold(life: Life, choice: int) -> str:
    """Choose one of the holds there are; "none" where there is none, and sometimes where there is."""
    ids = [*life.world.holds.by_id, "none"]
    return ids[choice % len(ids)]


def _next_deadline(life: Life, a: int, b: int) -> None:
    names = sorted({deadline.name for deadline in deadlines(life.world)})
    if names:
        life.pass_(names[a % len(names)], conditions=conditions(life, b), forbids_exit=FORBIDS[b % len(FORBIDS)])


def _any_deadline(life: Life, a: int, b: int) -> None:
    names = ("hold_expired", "drowsy_due", "sleep_due", "hibernate_due", "retry_due", "cycle_due", "arm_due")
    names = (*names, *OF_AGENTS)
    name = names[a % len(names)]
    facts = {"conditions": conditions(life, b), "forbids_exit": FORBIDS[b % len(FORBIDS)]}
    life.do(ev.DeadlinePassed({**DUE, "deadline": name}, name, **facts))  # type: ignore[arg-type]


def _start(life: Life, a: int, b: int) -> None:
    dead = tuple(hold_id for i, hold_id in enumerate(life.world.holds.by_id) if b >> i & 1)
    gone = tuple(sorted(life.world.agents.tied.keys()))[: b % 3]
    told = {"timer": TIMERS[b % len(TIMERS)], "wake_file": bool(a % 3)}
    life.start(cause=CAUSES[a % len(CAUSES)], dead_holds=dead, dead_agents=gone, **told)


def _reboot(life: Life, a: int, b: int) -> None:
    life.now = replace(life.now, awake_s=10.0 + b)
    dead = tuple(hold_id for hold_id, hold in life.world.holds.by_id.items() if hold.pid is not None)
    gone = tuple(sorted(life.world.agents.tied.keys()))
    boot_id = f"boot-{len(life.turns)}"
    life.start(cause=CAUSES[a % len(CAUSES)], boot_id=boot_id, dead_holds=dead, dead_agents=gone)


def _arm(life: Life, a: int, b: int) -> None:
    """Let the service manager answer, mostly: well, badly, or what was asked before."""
    planned = life.world.planned
    if planned.asked and a % 5:
        life.arms(("", "", "no manager", "it does not show it")[b % 4])
    elif not a % 5:
        life.do(ev.WakeArmed(SHELL, planned.armed_ts, ("", "late")[b % 2]))


def _step(life: Life, a: int, _: int) -> None:
    if life.cycle_works:
        if a % 4:
            life.step_ends(3.0)
        else:
            life.step_fails(retries=a % 3)


def _cycle(life: Life, a: int, _: int) -> None:
    if a % 3:
        life.cycle_completes()
        return
    for _ in range(1 if a else 3):  # failing, and again when it may be tried again: three in a row are quarantine
        if life.cycle_works:
            life.step_fails()
            life.advance(3_000.0)
            life.trigger(Trigger.REQUEST_ARRIVED)
            life.trigger(Trigger.FORCE_SLEEP)


def _used_in_sleep(life: Life, a: int, b: int) -> None:
    life.advance(PASSES_S[a % 4])
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    life.cycle_completes()
    if b % 2:
        _next_deadline(life, a, 0)


def _leave(life: Life, a: int, b: int) -> None:
    life.do(ev.Leaving(SHELL, ("hibernate", "stop")[a % 2]))
    if b:  # at once, mostly: until then there is little that can happen
        _start(life, a, b)


def _settings(life: Life, a: int, b: int) -> None:
    life.do(ev.SettingsRead(CLIENT, POLICIES[a % len(POLICIES)], ("x",), by_request=bool(b % 2)))


def _sundry(life: Life, a: int, b: int) -> None:
    ways: tuple[ev.Event, ...] = (
        ev.SuspendSeen(SHELL, PASSES_S[b], 1_000.0 * b),
        ev.StallSeen(SHELL, PASSES_S[b]),
        ev.FileRejected(SHELL, "x.json", "not JSON"),
        ev.HookProblem(SHELL, "on_wake", "false", "exit status 1"),
        ev.ConnectionClosed(SHELL, 1 + b % 2),
        ev.HolderEnded(SHELL, a_hold(life, b)),
    )
    life.do(ways[a % len(ways)])


def _pass(life: Life, a: int, b: int) -> None:
    awake_s = PASSES_S[a % len(PASSES_S)]
    life.advance(awake_s, awake_s + WALL_STEPS_S[b % len(WALL_STEPS_S)])


_TRIGGERS = sorted(CLIENT_TRIGGERS)

# what: how it is done, and how often it comes. A life of deadlines and steps goes deep; the rest disturbs it. The first
# is what a failing history shrinks to: letting no time pass.
WAYS: dict[str, tuple[Callable[[Life, int, int], object], int]] = {
    "pass": (_pass, 4),
    "next_deadline": (_next_deadline, 10),
    "step": (_step, 4),
    "cycle": (_cycle, 5),
    "trigger": (lambda life, a, _: life.trigger(_TRIGGERS[a % 4]), 3),
    "used_in_sleep": (_used_in_sleep, 3),
    "hold": (_hold, 2),
    "release": (lambda life, a, _: life.release(a_hold(life, a)), 2),
    "hibernate": (lambda life, a, _: life.do(ev.HibernateWanted(CLIENT, now=bool(a % 2))), 2),
    "sundry": (_sundry, 2),
    "arm": (_arm, 2),
    "start": (_start, 2),
    "any_deadline": (_any_deadline, 1),
    "settings": (_settings, 1),
    "stop": (lambda life, a, _: life.do(ev.StopWanted(CLIENT, ("stop", "signal")[a % 2])), 1),
    "leave": (_leave, 1),
    "reboot": (_reboot, 1),
    **run_moves.WAYS,
    **agent_words.WAYS,
}


def _moves(runs: int = 1) -> st.SearchStrategy[Move]:
    """Give moves in which those of runs come so many times as often as they do by themselves."""
    names = [what for what, (_, often) in WAYS.items() for _ in range(often * (runs if what in run_moves.WAYS else 1))]
    return st.tuples(st.sampled_from(names), st.integers(0, 9), st.integers(0, 9))


def _moves_of_agents() -> st.SearchStrategy[Move]:
    """Give moves of agents, and of what concerns them: time, deadlines, starts."""
    names = [what for what, (_, often) in agent_words.WAYS.items() for _ in range(often)]
    names += ["pass", "pass", "next_deadline", "next_deadline", "next_deadline", "start", "reboot", "any_deadline"]
    names += ["hibernate", "trigger", "hold", "release", "cycle", "settings", "sundry", *["arm"] * 8]
    return st.tuples(st.sampled_from(names), st.integers(0, 9), st.integers(0, 9))


def play(policy: int, moves: list[Move]) -> Life:
    """Live a history from the first start on."""
    life = Life()
    life.start(POLICIES[policy])
    for what, a, b in moves:
        WAYS[what][0](life, a, b)
    return life


# With no least size Hypothesis makes lists of five, and none of them gets beyond its first sleep.
lives: st.SearchStrategy[Life] = st.builds(
    play, st.integers(0, len(POLICIES) - 1), st.lists(_moves(), min_size=25, max_size=60)
)
# What is about runs needs lives in which they come far: past their failures, retries and joins.
lives_of_runs: st.SearchStrategy[Life] = st.builds(
    play, st.integers(0, len(POLICIES) - 1), st.lists(_moves(runs=5), min_size=25, max_size=60)
)


def play_with_agents(policy: int, moves: list[Move]) -> Life:
    """Live a history in which four agents are there from the first start on, under a manager or under none."""
    life = play(policy, [])
    _start(life, 0, len(moves))
    agent_words.all_register(life)
    for what, a, b in moves:
        WAYS[what][0](life, a, b)
    return life


lives_of_agents: st.SearchStrategy[Life] = st.builds(
    play_with_agents, st.integers(0, len(POLICIES) - 1), st.lists(_moves_of_agents(), min_size=25, max_size=60)
)
