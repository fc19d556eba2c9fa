"""Records: each kind is produced, survives the ledger as it is, and none but the smallest few stay out of it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import orjson
import pytest

from core.folding import NOT_IN_THE_LEDGER, fold, in_the_ledger, read_back
from core.life import CLIENT, POLICY, SHELL, Life, at, started
from core.model_worker import STEP
from torpord.core import agent_events as ae
from torpord.core import agent_records as ar
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core import run_events as re
from torpord.core import run_records as rr
from torpord.core.kinds import KINDS, parse
from torpord.core.lifecycle import State, Trigger
from torpord.core.policy import Policy
from torpord.core.world import World, evolve

BATTERY = ev.Condition("power", met=False, found="battery")
UNREADABLE = ev.Condition("max_cpu", met=None, found="")


def a_long_life() -> Life:
    """Live through one of everything."""
    life = at(State.DROWSY, replace(POLICY, shadow_run=True))
    life.pass_("sleep_due", conditions=(BATTERY, UNREADABLE))
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    life.hold("a", ttl_s=60.0, pid=7, pid_start="1")
    life.do(ev.HibernateWanted(CLIENT, now=False))
    life.trigger(Trigger.WAKE_SIGNAL)
    life.pass_("hold_expired")
    for _ in range(3):
        life.trigger(Trigger.FORCE_SLEEP)
        life.step_fails()
        life.advance(3_000.0)
        life.trigger(Trigger.REQUEST_ARRIVED)
    life.trigger(Trigger.FORCE_SLEEP)  # skipped: quarantine
    life.trigger(Trigger.REQUEST_ARRIVED)
    life.advance(86_400.0)
    life.trigger(Trigger.FORCE_SLEEP)
    life.step_ends(1.5)
    life.trigger(Trigger.REQUEST_ARRIVED)
    life.step_ends()
    all_of_runs(life)
    all_of_agents(life)
    life.trigger(Trigger.FORCE_SLEEP)
    life.cycle_completes()
    life.pass_("hibernate_due", forbids_exit=("no wake path is known to work",))
    life.pass_("hibernate_due")
    life.do(ev.SettingsRead(SHELL, Policy(shadow_run=True, power="mains"), ("sleep.when",), by_request=False))
    life.do(ev.SuspendSeen(SHELL, 60.0, 60.0))
    life.do(ev.StallSeen(SHELL, 60.0))
    life.do(ev.FileRejected(SHELL, "x.json", "not JSON"))
    life.do(ev.HookProblem(SHELL, "on_wake", "false", "exit status 1"))
    life.do(ev.StopWanted(CLIENT, "stop"))
    life.do(ev.Leaving(SHELL, "stop"))
    life.start(cause="connect", timer="systemd-user", wake_file=True)
    life.do(ev.WayProven(CLIENT, "connect", 0.25))
    for problem in ("", "no manager", ""):  # nothing, and then a slot
        life.pass_("arm_due")
        life.arms(problem)
        life.register()
        life.slot(6_000.0, f"t{len(life.turns)}")
    return life


def all_of_agents(life: Life) -> None:
    """Let one of everything happen to agents and slots."""
    life.register(wake_command=("echo", "you"), meta='{"m":1}')
    for name in (f"b{i}" for i in range(64)):  # more than are filed exactly
        life.register(name)
    life.register("b2", pid=7, pid_start="1")
    life.slot(0.0)
    life.pass_("slots_due")
    life.do(ae.WakeCommandEnded(SHELL, "a", "s1", "exit status 1"))
    life.advance(60.0)
    life.beat(doing=None)
    life.take()
    life.exhaust(30.0)
    life.pass_("recovery_due")
    life.pass_("presence_due")
    life.tell("idle")
    life.take()
    life.do(ae.SlotFinishWanted(CLIENT, "s1"))
    life.slot(0.0, "s2", "b1")
    life.advance(300.0)
    life.pass_("presence_due")
    life.pass_("slots_due")
    life.beat("b1")
    life.do(ae.SlotCancelWanted(CLIENT, "s2"))
    life.register("b3", wake_command="come")
    life.tell("offline", "b3")
    for slot_id in ("s3", "s4"):  # the second while it is woken for the first
        life.slot(0.0, slot_id, "b3")
        life.pass_("slots_due")
    for _, name in list(life.world.agents.ids):
        life.do(ae.AgentForgetWanted(CLIENT, name))


def all_of_runs(life: Life) -> None:
    """Let one of everything happen to runs."""
    life.run("fork", data={"n": "1"}, metadata='{"m": 2}')
    life.load()
    life.ends()
    left, right = life.of().places[1:]
    worker = life.workers["r1"]
    at_left = {name: worker.steps[left.branch][name] for name in STEP}
    for ok in (None, True):
        life.report(worker, re.CallReported(**worker.names, **at_left, key="k", tool="t", ok=ok, value="7"))
    life.ends(branch=left.branch, set_={"l": "[1]"}, removed=("n",))
    life.order("pause")
    life.fails(branch=right.branch, retries=1)
    life.order("resume")
    life.pass_("retry_due")
    life.load()
    life.dies()
    life.finishes()
    life.run("chain", "r2", purpose="p", session_id="s")
    life.load("r2")
    life.fails("r2")
    life.order("retry", "r2")
    life.load("r2")
    life.order("cancel", "r2")
    life.order("remove", "r2")
    life.do(re.RunImportWanted(CLIENT, replace(life.of("r1"), run_id="r3"), None))


def test_every_kind_is_produced_and_survives_the_ledger() -> None:
    life = a_long_life()
    assert {entry.record.kind for entry in life.entries} == set(KINDS)
    for entry in life.entries:
        again = read_back(entry)
        assert (again.seq, again.wall_s, again.awake_s, again.cause) == (
            entry.seq,
            entry.wall_s,
            entry.awake_s,
            entry.cause,
        )
        assert orjson.dumps(again.record.data()) == orjson.dumps(entry.record.data())
        assert type(read_back(entry).record) is type(entry.record) is KINDS[entry.record.kind]
    assert fold(read_back(entry) for entry in life.entries) == life.world


def test_the_kinds_are_named_after_their_classes_and_none_twice() -> None:
    # By name: a class with slots is made twice, and the one without may live on among the subclasses.
    defined = {cls.__name__ for cls in below(r.Record) if cls.kind}
    named = {"".join(part.title() for part in kind.split("_")): cls for kind, cls in KINDS.items()}
    assert named == {name: getattr(rr, name, None) or getattr(ar, name, None) or getattr(r, name) for name in defined}


def below(cls: type[r.Record]) -> set[type[r.Record]]:
    return {deeper for each in cls.__subclasses__() for deeper in {each, *below(each)}}


def test_the_contracts_kinds_are_there() -> None:
    wanted = {"started", "stopped", "state_transition", "shadow_run_warning", "hold_acquired", "hold_released"}
    wanted |= {"quarantine_entered", "quarantine_lifted", "wake_rejected", "resumed_from_suspend", "resumed_from_stall"}
    wanted |= {"run_created", "run_completed", "run_failed", "step_ended", "step_failed"}
    wanted |= {"agent_registered", "agent_online", "agent_offline", "agent_exhausted", "agent_recovered"}
    wanted |= {"agent_quiet"}
    wanted |= {"slot_added", "slot_offered", "slot_taken", "slot_finished", "slot_deferred", "slot_cancelled"}
    assert wanted <= set(KINDS)


def test_only_times_and_counts_stay_out_of_the_ledger() -> None:
    left_out = {cls.kind for cls in KINDS.values() if not cls.ledgered}
    deferred = {cls.kind for cls in KINDS.values() if cls.deferred}
    assert deferred == {"agent_seen", "presence_looked", "slots_told"}
    rechecked = {"sleep_rechecked", "hibernation_rechecked", "wake_asked", "wake_rechecked"}
    assert left_out == {"activity_seen"} | rechecked | deferred


def test_a_transition_is_shown_as_from_and_to() -> None:
    record = r.StateTransition(from_="WAKE", to="DROWSY", trigger="drowsy_due")
    assert record.data() == {"from": "WAKE", "to": "DROWSY", "trigger": "drowsy_due"}
    assert parse("state_transition", record.data()) == record


def test_a_kind_this_version_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError):
        parse("made_by_a_newer_version", {})


def test_a_record_no_arm_knows_is_an_error() -> None:
    with pytest.raises(AssertionError, match="has no arm"):
        evolve(World(), r.Entry(1, 0.0, 0.0, r.Record()))


def test_a_world_is_never_changed_in_place() -> None:
    world = started().world
    for change in ("world.ledger_seq = 7", "world.lifecycle.state = 1", "world.holds.by_id['x'] = 1"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            exec(change, {"world": world})  # noqa: S102 - fixed text, and an assignment is what is tried
    assert orjson.loads(orjson.dumps(world.lifecycle))["state"] == "WAKE"


def differs(life: Life) -> set[tuple[str, str]]:
    """Name the fields in which the folded ledger differs from the world."""
    folded = fold(read_back(entry) for entry in life.entries if entry.record.ledgered)
    assert in_the_ledger(folded) == in_the_ledger(life.world)
    return {
        (part, name)
        for part, names in NOT_IN_THE_LEDGER.items()
        for name in names
        if getattr(getattr(folded, part), name) != getattr(getattr(life.world, part), name)
    }


def test_each_field_left_out_of_the_folding_must_be() -> None:
    used = started()
    used.advance(1.0)
    used.trigger(Trigger.REQUEST_ARRIVED)

    polled = at(State.DROWSY)
    polled.pass_("sleep_due", conditions=(BATTERY, UNREADABLE))

    windowed = at(State.DROWSY)
    windowed.pass_("sleep_due", conditions=(replace(BATTERY, changes_at_wall_s=windowed.now.wall_s + 9_000.0),))

    blocked = at(State.SLEEP)
    blocked.cycle_completes()
    blocked.pass_("hibernate_due", forbids_exit=("no wake path is known to work",))

    beaten = started()
    beaten.register()
    beaten.advance(1.0)
    beaten.beat()

    refused = started(timer="systemd-user", wake_file=True)
    refused.pass_("arm_due")
    refused.arms("no manager")

    asking = started(timer="systemd-user")
    asking.register()
    asking.slot(60.0)
    asking.pass_("arm_due")

    lives = (beaten, used, polled, windowed, blocked, refused, asking)
    found = set[tuple[str, str]]().union(*map(differs, lives))
    assert found == {(part, name) for part, names in NOT_IN_THE_LEDGER.items() for name in names}


def test_a_part_that_did_not_change_is_the_same_object() -> None:
    """The store writes by it: a heartbeat must not rewrite all holds."""
    life = started()
    life.hold("a")
    before = life.world
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    changed = {name for name in World.__slots__ if getattr(before, name) is not getattr(life.world, name)}
    assert changed == {"activity"}
