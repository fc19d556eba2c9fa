"""Who says nothing while its process lives: there, and keeping nobody awake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import CLIENT, POLICY, SHELL, Life, effects, kinds, record, started
from core.some_agents import pass_all
from torpord.core import agent_events as ae
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.agents import Agents, Doing
from torpord.core.deadlines import deadlines
from torpord.core.lifecycle import State

TIMEOUT_S = POLICY.heartbeat_timeout_s


def tied(doing: Doing = Doing.IDLE) -> Life:
    """Return a life with an agent whose process is watched, and that was not heard of for its time."""
    life = started()
    life.register(pid=7, pid_start="1")
    life.beat(doing=doing)
    decision = life.pass_("presence_due")
    assert kinds(decision) == ["agent_quiet"]
    return life


@pytest.mark.parametrize("doing", Doing)
def test_who_says_nothing_while_its_process_lives_is_there_and_keeps_nobody_awake(doing: Doing) -> None:
    """A coding agent that waits for its user sends nothing, nor does one in the midst of a long tool."""
    life = started()
    life.register(pid=7, pid_start="1")
    life.beat(doing=doing)
    before = life.agent()
    life.pass_("presence_due")
    agent = life.agent()
    assert agent == replace(before, quiet=True)
    assert not life.world.busy
    assert (len(life.world.agents.presence), len(life.world.agents.tied)) == (0, 1)
    assert not [deadline for deadline in deadlines(life.world) if deadline.name == "presence_due"]
    if doing is not Doing.IDLE:
        assert life.world.activity.idle_since_awake_s == life.now.awake_s
    life.advance(1e6)
    assert "presence_due" not in [deadline.name for deadline in life.due()]
    assert life.status() == doing


def test_one_forgotten_at_work_keeps_nobody_awake_for_ever() -> None:
    life = tied(Doing.BUSY)
    for _ in range(40):
        life.advance(60.0)
        for deadline in life.due():
            life.do(ev.DeadlinePassed({"source": "deadline"}, deadline.name))
    assert life.state in (State.SLEEP, State.HIBERNATION)
    assert life.status() == "busy"
    assert kinds(life.beat())[:1] == ["activity_seen"]
    assert life.state is State.WAKE
    assert life.world.busy


def test_any_word_of_one_that_is_quiet_is_presence_again() -> None:
    life = tied()
    decision = life.beat()
    assert record(decision, "agent_online") == {"agent_id": "a", "how": "heartbeat"}
    assert not life.agent().quiet
    life.advance(TIMEOUT_S - 1.0)
    assert life.due() == []
    assert kinds(life.pass_("presence_due")) == ["agent_quiet"]
    for word in (life.register, lambda: life.tell("busy"), lambda: life.exhaust(60.0)):
        word()
        assert not life.agent().quiet
        life.pass_("presence_due")
        assert life.agent().quiet
    assert life.status() == "exhausted"
    life.pass_("recovery_due")
    assert (life.status(), life.agent().quiet) == ("idle", True), "its quota comes back without a word of it"


@pytest.mark.parametrize("end", ["process", "said", "forgotten"])
def test_one_that_is_quiet_goes_as_others_do(end: str) -> None:
    life = tied(Doing.BUSY)
    idle_since_s = life.world.activity.idle_since_awake_s
    life.advance(10.0)
    if end == "process":
        life.do(ae.AgentProcessEnded(SHELL, "a", 7, "1"))
        assert (life.status(), life.agent().quiet, life.agent().card) == ("offline", False, None)
        assert life.world.activity.idle_since_awake_s == idle_since_s, "it had not been reckoned with"
    elif end == "said":
        life.tell("offline")
        assert (life.status(), life.agent().quiet, life.agent().card) == ("offline", False, None)
    else:
        life.do(ae.AgentForgetWanted(CLIENT, "a"))
        assert len(life.world.agents.by_id) == 0
    assert len(life.world.agents.tied) == len(life.world.agents.silent) == 0


def test_a_quiet_one_is_offered_its_slots_as_any_that_is_there() -> None:
    life = tied()
    life.slot(0.0)
    assert record(life.pass_("slots_due"), "slot_offered")["via"] == "agent"
    assert life.agent().quiet, "to be offered something is no word of it"
    reply = life.beat().reply
    assert isinstance(reply, dict)
    assert [slot["slot_id"] for slot in reply["slots"]] == ["s1"]


def test_the_wake_command_of_a_quiet_one_is_run_where_it_does_nothing() -> None:
    for doing, via in ((Doing.IDLE, "command"), (Doing.BUSY, "agent")):
        life = started()
        life.register(pid=7, pid_start="1", wake_command="true")
        life.beat(doing=doing)
        life.pass_("presence_due")
        life.slot(0.0)
        assert record(life.pass_("slots_due"), "slot_offered")["via"] == via


def test_a_start_leaves_a_quiet_one_quiet_while_its_process_lives() -> None:
    life = tied(Doing.BUSY)
    decision = life.start(cause="crash")
    assert (life.status(), life.agent().quiet, life.world.busy) == ("busy", True, False)
    assert effects(decision, fx.WatchAgent) == [fx.WatchAgent("a", 7, "1")]
    life.advance(TIMEOUT_S)
    assert "presence_due" not in [deadline.name for deadline in life.due()]
    life.start(cause="crash", dead_agents=("a",))
    assert (life.status(), life.agent().quiet) == ("offline", False)


def test_one_whose_process_nobody_watches_goes_by_its_time_out() -> None:
    life = started()
    life.register(pid=7, pid_start="1", meta="1")
    life.do(ae.AgentProcessUnwatched(SHELL, "a", 7, "0"))
    assert life.agent().said.pid == 7, "that was another one"
    decision = life.do(ae.AgentProcessUnwatched(SHELL, "a", 7, "1"))
    assert record(decision, "agent_registered")["pid"] is None
    assert (life.agent().said.pid, life.agent().said.meta, life.status()) == (None, "1", "idle")
    assert kinds(life.pass_("presence_due")) == ["agent_offline"]


def test_one_that_was_quiet_has_no_time_left_without_its_process_and_all_of_it_after_a_start() -> None:
    life = tied()
    life.do(ae.AgentProcessUnwatched(SHELL, "a", 7, "1"))
    assert (life.status(), life.agent().quiet) == ("idle", False)
    pass_all(life)
    assert life.status() == "offline"
    life = tied()
    life.start(cause="crash")
    life.do(ae.AgentProcessUnwatched(SHELL, "a", 7, "1"))
    life.advance(TIMEOUT_S - 1.0)
    pass_all(life)
    assert life.status() == "idle"
    life.advance(1.0)
    pass_all(life)
    assert life.status() == "offline"


def test_a_process_that_ends_after_its_agent_went_is_not_waited_for_again() -> None:
    """No time-out takes one from its process any more; a store of before may have some that were."""
    life = started()
    life.register(pid=7, pid_start="1")
    gone = replace(life.agent(), online=False)
    seen = life.world.agents.seen["a"]
    life.world = replace(life.world, agents=Agents.of([gone], {"a": seen}))
    life.do(ae.AgentProcessEnded(SHELL, "a", 7, "1"))
    assert life.agent().card is None
    life.beat()
    life.start(cause="crash", dead_agents=("a",))
    assert life.status() == "idle"
