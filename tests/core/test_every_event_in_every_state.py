"""What each event does in each of the four states: its records, its effects and the state after it, as one table.

The four worlds are those of `life.at`: nobody holds anything, in SLEEP the cycle is at its first step, and no deadline
is due. What a hold, a wish or an overrun deadline changes is told by the other files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core.life import CLIENT, POLICY, SHELL, Life, at, kinds
from core.model_worker import ERROR, FLOWS, ModelWorker, failed
from torpord.core import agent_events as ae
from torpord.core import events as ev
from torpord.core import run_events as re
from torpord.core.agents import Agent, Agents, Card, Doing, Seen, Status
from torpord.core.lifecycle import State, Trigger
from torpord.core.policy import Policy
from torpord.core.runs import Place, Run, RunStatus

Cell = tuple[str, str, str]  # records, effects, the state after: names with blanks between
NOTHING = ("", "")
# The cycle is at its first step: it gets its time to end by itself.
INTERRUPTED = "sleep_cycle_interrupted run_stopping"
BROKEN_OFF = "worker_ended step_interrupted run_interrupted"
BEGUN = "run_created sleep_cycle_started run_started"

RISE = {
    "WAKE": ("activity_seen", "", "WAKE"),
    "DROWSY": ("activity_seen state_transition", "RunHook", "WAKE"),
    "SLEEP": (f"activity_seen {INTERRUPTED} state_transition", "YieldWorker RunHook", "WAKE"),
    "HIBERNATION": ("activity_seen state_transition", "RunHook", "WAKE"),
}


def stays(records: str, effects: str = "") -> dict[str, Cell]:
    return {state.value: (records, effects, state.value) for state in State}


def then(cells: dict[str, Cell], record: str, effect: str = "") -> dict[str, Cell]:
    return {
        state: (f"{records} {record}", f"{effects} {effect}".strip(), after)
        for state, (records, effects, after) in cells.items()
    }


def used(cells: dict[str, Cell]) -> dict[str, Cell]:
    """Before a hook runs: it may be one of the new ones."""
    return {
        state: (records, f"UseSettings {effects}".strip(), after) for state, (records, effects, after) in cells.items()
    }


def trigger(name: Trigger) -> Callable[[Life], ev.Event]:
    return lambda _: ev.ClientTrigger(CLIENT, name)


def start(cause: str) -> Callable[[Life], ev.Event]:
    return lambda life: ev.ProcessStarted(SHELL, 7, "0.1.0", cause, "none", "boot-1", life.world.policy)


def settings(policy: Policy, *, by_request: bool) -> Callable[[Life], ev.Event]:
    return lambda _: ev.SettingsRead(CLIENT, policy, ("lifecycle.min_up",), by_request)


def model(life: Life) -> ModelWorker:
    """Return the cycle's worker; where there is none, one of a run that has long ended."""
    return life.workers.get(life.world.cycle.run_id) or ModelWorker("ended", 1, FLOWS["housekeeping"])


def deadline(name: str) -> Callable[[Life], ev.Event]:
    return lambda _: ev.DeadlinePassed({"source": "deadline"}, name)


def knowing(event: ev.Event, **agent: Any) -> Callable[[Life], ev.Event]:
    """Let an agent be known that is heard of just now, without its having used the daemon."""

    def make(life: Life) -> ev.Event:
        known = Agent("a", **{"since_ts": life.now.wall_s, **agent})
        seen = Seen(life.now.awake_s, life.now.wall_s, life.now.awake_s)
        life.world = replace(life.world, agents=Agents.of([known], {"a": seen}))
        return event

    return make


OTHER_SETTINGS = replace(POLICY, min_up_s=6.0)
TRIM = {"branch": "", "state": "trim", "visit": 1, "attempt": 1}
PAUSED = Run("old", "chain", 0.0, (Place("", "b"),), status=RunStatus.PAUSED)
ST = "state_transition"

TABLE: dict[str, tuple[Callable[[Life], ev.Event], dict[str, Cell]]] = {
    "request_arrived": (trigger(Trigger.REQUEST_ARRIVED), RISE),
    "wake_signal": (trigger(Trigger.WAKE_SIGNAL), RISE),
    "heartbeat_refresh": (
        trigger(Trigger.HEARTBEAT_REFRESH),
        stays("activity_seen") | {"DROWSY": (f"activity_seen {ST}", "RunHook", "WAKE")},
    ),
    "force_sleep": (
        trigger(Trigger.FORCE_SLEEP),
        stays("")
        | {
            "WAKE": (f"{ST} {ST} {BEGUN}", "RunHook RunHook StartWorker", "SLEEP"),
            "DROWSY": (f"{ST} {BEGUN}", "RunHook StartWorker", "SLEEP"),
        },
    ),
    "hold.acquire": (lambda _: ev.HoldRequested(CLIENT, "h", "who", "why", connection=1), then(RISE, "hold_acquired")),
    "hold.release of none": (lambda _: ev.HoldReleaseRequested(CLIENT, "nobody's"), stays("")),
    "a connection without holds closes": (lambda _: ev.ConnectionClosed(SHELL, 99), stays("")),
    "the holder of nothing ends": (lambda _: ev.HolderEnded(SHELL, "nobody's"), stays("")),
    "hibernate": (
        lambda _: ev.HibernateWanted(CLIENT, now=False),
        stays("hibernate_requested")
        | {
            "WAKE": (f"hibernate_requested {ST} {ST} {BEGUN}", "RunHook RunHook StartWorker", "SLEEP"),
            "DROWSY": (f"hibernate_requested {ST} {BEGUN}", "RunHook StartWorker", "SLEEP"),
        },
    ),
    "hibernate now": (
        lambda _: ev.HibernateWanted(CLIENT, now=True),
        {
            "WAKE": (f"hibernate_requested {ST} {ST} sleep_cycle_skipped", "RunHook RunHook", "SLEEP"),
            "DROWSY": (f"hibernate_requested {ST} sleep_cycle_skipped", "RunHook", "SLEEP"),
            "SLEEP": (f"hibernate_requested {INTERRUPTED} sleep_cycle_skipped", "YieldWorker", "SLEEP"),
            "HIBERNATION": ("hibernate_requested", "", "HIBERNATION"),
        },
    ),
    "stop": (
        lambda _: ev.StopWanted(CLIENT, "stop"),
        stays("stop_requested", "GoDown") | {"SLEEP": (f"stop_requested {INTERRUPTED}", "YieldWorker GoDown", "SLEEP")},
    ),
    "reload of the same": (settings(POLICY, by_request=True), used(RISE)),
    "reload of others": (settings(OTHER_SETTINGS, by_request=True), used(then(RISE, "settings_loaded"))),
    "SIGHUP with the same": (settings(POLICY, by_request=False), used(stays(""))),
    "SIGHUP with others": (settings(OTHER_SETTINGS, by_request=False), used(stays("settings_loaded"))),
    "drowsy_due too early": (deadline("drowsy_due"), stays("")),
    "sleep_due too early": (deadline("sleep_due"), stays("")),
    "hibernate_due too early": (deadline("hibernate_due"), stays("")),
    "hold_expired too early": (deadline("hold_expired"), stays("")),
    "run.start": (lambda _: re.RunWanted(CLIENT, "r", "chain"), then(RISE, "run_created run_started", "StartWorker")),
    "run.start of no flow": (lambda _: re.RunWanted(CLIENT, "r", "nobody's"), stays("")),
    "run.import": (lambda _: re.RunImportWanted(CLIENT, PAUSED, None), then(RISE, "run_imported")),
    "run.pause of none": (lambda _: re.RunOrdered(CLIENT, "nobody's", order="pause"), stays("")),
    "run.remove of one that has ended": (
        lambda _: re.RunOrdered(CLIENT, "old", replace(PAUSED, status=RunStatus.FAILED), "remove"),
        then(RISE, "run_removed"),
    ),
    "a run is kept no longer": (
        lambda _: re.RunExpired(SHELL, "old", replace(PAUSED, status=RunStatus.COMPLETED)),
        stays("run_removed"),
    ),
    "a worker loaded": (lambda life: model(life).load(), stays("") | {"SLEEP": ("flow_loaded", "", "SLEEP")}),
    "a worker cannot load": (
        lambda life: re.WorkerCannotLoad(**model(life).names, error=ERROR),
        stays("") | {"SLEEP": ("step_interrupted run_failed sleep_cycle_failed", "StopWorker", "SLEEP")},
    ),
    "a worker is of another version": (
        lambda life: re.WorkerOutdated(**model(life).names, why="another version"),
        stays("")
        | {
            "SLEEP": ("step_interrupted run_interrupted sleep_cycle_skipped hibernate_requested", "StopWorker", "SLEEP")
        },
    ),
    "a step ends": (
        lambda life: model(life).report_of(TRIM, outcome={"next": "checkpoint", "visit": 1}),
        stays("") | {"SLEEP": ("step_ended", "", "SLEEP")},
    ),
    "a step fails": (
        lambda life: model(life).report_of(TRIM, outcome=failed()),
        stays("") | {"SLEEP": ("step_failed run_stopping run_failed sleep_cycle_failed", "StopWorker", "SLEEP")},
    ),
    "a call begins": (
        lambda life: re.CallReported(**model(life).names, **TRIM, key="k", tool="t", ok=None, value="{}"),
        stays("") | {"SLEEP": ("call_begun", "", "SLEEP")},
    ),
    "branches that are none are merged": (lambda life: re.JoinReported(**model(life).names), stays("")),
    "a worker dies": (
        lambda life: model(life).gone(),
        stays("") | {"SLEEP": ("worker_ended step_failed run_started", "StartWorker", "SLEEP")},
    ),
    "agent.register": (lambda _: ae.AgentRegisterWanted(CLIENT, "b"), then(RISE, "agent_registered")),
    "agent.heartbeat of nobody": (lambda _: ae.AgentBeat(CLIENT, "b"), stays("")),
    "agent.heartbeat": (knowing(ae.AgentBeat(CLIENT, "a")), stays("agent_seen")),
    "agent.heartbeat busy": (knowing(ae.AgentBeat(CLIENT, "a", Doing.BUSY)), then(RISE, "agent_seen agent_doing")),
    "agent.heartbeat of one that was at work": (
        knowing(ae.AgentBeat(CLIENT, "a"), online=False, doing=Doing.BUSY),
        then(RISE, "agent_online"),
    ),
    "agent.heartbeat idle of one that was at work": (
        knowing(ae.AgentBeat(CLIENT, "a", Doing.IDLE), online=False, doing=Doing.BUSY),
        stays("agent_doing agent_online"),
    ),
    "agent.transition": (
        knowing(ae.AgentMoveWanted(CLIENT, "a", Status.EXHAUSTED)),
        then(RISE, "agent_seen agent_exhausted"),
    ),
    "agent.transition to the same": (knowing(ae.AgentMoveWanted(CLIENT, "a", Status.IDLE)), then(RISE, "agent_seen")),
    "agent.forget": (knowing(ae.AgentForgetWanted(CLIENT, "a")), then(RISE, "agent_forgotten")),
    "an agent's process ends": (
        knowing(ae.AgentProcessEnded(SHELL, "a", 7, "1"), card=Card(pid=7, pid_start="1")),
        stays("agent_offline"),
    ),
    "an agent's process cannot be watched": (
        knowing(ae.AgentProcessUnwatched(SHELL, "a", 7, "1"), card=Card(pid=7, pid_start="1"), doing=Doing.BUSY),
        stays("agent_registered"),
    ),
    "another process of an agent cannot": (
        knowing(ae.AgentProcessUnwatched(SHELL, "a", 7, "1"), card=Card(pid=7, pid_start="2")),
        stays(""),
    ),
    "agent.heartbeat of one that was quiet at work": (
        knowing(ae.AgentBeat(CLIENT, "a"), quiet=True, doing=Doing.BUSY, card=Card(pid=7, pid_start="1")),
        then(RISE, "agent_online"),
    ),
    "agent.heartbeat idle of one that was quiet at work": (
        knowing(ae.AgentBeat(CLIENT, "a", Doing.IDLE), quiet=True, doing=Doing.BUSY, card=Card(pid=7, pid_start="1")),
        stays("agent_doing agent_online"),
    ),
    "agent.heartbeat of one that was quiet": (
        knowing(ae.AgentBeat(CLIENT, "a"), quiet=True, card=Card(pid=7, pid_start="1")),
        stays("agent_online"),
    ),
    "agent.transition offline of one that was quiet": (
        knowing(ae.AgentMoveWanted(CLIENT, "a", Status.OFFLINE), quiet=True, card=Card(pid=7, pid_start="1")),
        then(RISE, "agent_seen agent_offline"),
    ),
    "another process of an agent ends": (
        knowing(ae.AgentProcessEnded(SHELL, "a", 7, "1"), card=Card(pid=7, pid_start="2")),
        stays(""),
    ),
    "an agent was silent for very long": (
        knowing(ae.AgentsExpired(SHELL, ("a", "b")), online=False, since_ts=0.0),
        stays("agent_forgotten"),
    ),
    "an agent is there again": (knowing(ae.AgentsExpired(SHELL, ("a",)), since_ts=0.0), stays("")),
    "a wake command ends": (
        knowing(ae.WakeCommandEnded(SHELL, "a", "s"), waking="s"),
        stays("agent_wake_ended"),
    ),
    "slot.add": (knowing(ae.SlotWanted(CLIENT, "s", "a", "work", 9e9)), stays("")),
    "slot.take of none": (lambda _: ae.SlotTakeWanted(CLIENT, "none"), stays("")),
    "slot.finish of none": (lambda _: ae.SlotFinishWanted(CLIENT, "none"), stays("")),
    "slot.cancel of none": (lambda _: ae.SlotCancelWanted(CLIENT, "none"), stays("")),
    "presence_due too early": (knowing(ev.DeadlinePassed({"source": "deadline"}, "presence_due")), stays("")),
    "a suspend": (lambda _: ev.SuspendSeen(SHELL, 60.0, 60.0), stays("resumed_from_suspend")),
    "a stop of the process": (lambda _: ev.StallSeen(SHELL, 60.0), stays("resumed_from_stall")),
    "a timer that nobody asked for": (lambda _: ev.WakeArmed(SHELL, 9e9), stays("")),
    "way.proven": (lambda _: ev.WayProven(CLIENT, "spawn", 0.4), then(RISE, "way_proven")),
    "way.proven of another way": (lambda _: ev.WayProven(CLIENT, "connect", 0.4), stays("")),
    "a bad file": (lambda _: ev.FileRejected(SHELL, "x.json", "not JSON"), stays("wake_rejected")),
    "a bad hook": (lambda _: ev.HookProblem(SHELL, "on_wake", "false", "exit status 1"), stays("hook_failed")),
    "the end": (lambda _: ev.Leaving(SHELL, "signal"), stays("stopped")),
    "a start": (
        start("connect"),
        {state.value: (f"started activity_seen {ST}", "RunHook", "WAKE") for state in State}
        | {"WAKE": ("started activity_seen", "", "WAKE")}
        | {"SLEEP": (f"started {BROKEN_OFF} activity_seen {ST}", "RunHook", "WAKE")},
    ),
    "a start after a crash": (
        start("crash"),
        stays("started")
        | {
            "SLEEP": (f"started {BROKEN_OFF} sleep_cycle_started run_started", "StartWorker", "SLEEP"),
            "HIBERNATION": (f"started activity_seen {ST}", "RunHook", "WAKE"),
        },
    ),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("name", TABLE)
def test_an_event_in_a_state(name: str, state: State) -> None:
    make, cells = TABLE[name]
    life = at(state)
    decision = life.do(make(life))
    found = (
        " ".join(kinds(decision)),
        " ".join(type(effect).__name__ for effect in decision.effects),
        decision.world.lifecycle.state.value,
    )
    assert found == cells[state.value]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("name", TABLE)
def test_what_is_recorded_carries_the_time_and_the_cause(name: str, state: State) -> None:
    life = at(state)
    life.advance(3.0, 4.0)
    event = TABLE[name][0](life)
    for entry in life.do(event).entries:
        assert (entry.awake_s, entry.wall_s, entry.cause) == (life.now.awake_s, life.now.wall_s, event.cause)


def test_the_table_has_every_kind_of_event() -> None:
    life = at(State.SLEEP)
    # By name: a class with slots is made twice, and the first stays among the subclasses until it is collected.
    names = {type(make(life)).__name__ for make, _ in TABLE.values()}
    assert names == leaves(ev.Event)


def leaves(cls: type[ev.Event]) -> set[str]:
    """Name the classes of events that have none below them."""
    below = [each for each in cls.__subclasses__() if each.__name__ != cls.__name__]
    roots = {each.__name__ for each in below if each.__subclasses__()}
    return {name for each in below for name in (leaves(each) or {each.__name__})} - roots


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("name", [t for t in Trigger if t != "force_sleep"])
def test_a_triggers_reply_says_where_it_led_and_what_it_counted(name: Trigger, state: State) -> None:
    life = at(state)
    decision = life.trigger(name)
    counted = 1 if name in ("request_arrived", "heartbeat_refresh", "wake_signal") else 0
    assert decision.reply == {
        "state": life.state,
        "seq": life.world.ledger_seq,
        "changed": life.state is not state,
        "wrapper_event_seq": counted,
    }
    if not counted:  # deadlines and the cycle have guards, and a client has none to give
        assert decision.entries == ()


def test_activity_counts_and_sets_its_time_also_where_nothing_moves() -> None:
    life = at(State.SLEEP)
    since = life.world.lifecycle.since_ts
    life.advance(10.0)
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    assert life.world.activity.last_ts == life.now.wall_s
    assert life.world.activity.event_seq == 1
    assert life.world.activity.by == CLIENT
    assert life.world.lifecycle.since_ts == since
    assert all(entry.seq is None for entry in life.turns[-1].decision.entries), "a heartbeat writes no history"


def test_staying_is_no_transition() -> None:
    life = at(State.WAKE)
    since = life.world.lifecycle
    life.advance(10.0)
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert life.world.lifecycle == since
