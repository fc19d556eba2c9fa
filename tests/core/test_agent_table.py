"""What agents may say of themselves: every cell of the table, beside one that stands here and is written otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.life import CLIENT, Life, kinds, started
from torpord.core import agent_events as ae
from torpord.core.agent_table import TABLE, needs
from torpord.core.agents import STATUSES, Doing, Status
from torpord.core.draft import Refusal

# What it was, whether it is online, and how it got there.
WAS = ("idle", "busy", "on_call", "headers", "estimated")

# By what it was, and what it says: the status after it; "!" a conflict. Of one that is online; who is offline and says
# anything but "offline" is as it was, with two exceptions below.
AFTER = {
    "idle": {"idle": "idle", "busy": "busy", "on_call": "on_call", "exhausted": "exhausted", "offline": "offline"},
    "busy": {"idle": "idle", "busy": "busy", "on_call": "!", "exhausted": "exhausted", "offline": "offline"},
    "on_call": {"idle": "idle", "busy": "!", "on_call": "on_call", "exhausted": "exhausted", "offline": "offline"},
    "headers": {"idle": "idle", "busy": "!", "on_call": "!", "exhausted": "exhausted", "offline": "offline"},
    "estimated": {"idle": "idle", "busy": "busy", "on_call": "!", "exhausted": "exhausted", "offline": "offline"},
}


# How it is there: heard of, quiet, which is the same with a process that lives, or not at all.
THERE = ("heard", "quiet", "offline")


def one_that_is(was: str, there: str) -> Life:
    life = started()
    life.register(**({"pid": 7, "pid_start": "1"} if there == "quiet" else {}))
    if was in ("headers", "estimated"):
        life.exhaust(3_600.0, was)
    elif was != "idle":
        life.tell(was)
    if there != "heard":
        life.advance(1.0)
        life.pass_("presence_due")
        assert (life.status() == "offline") is (there == "offline")
        assert life.agent().quiet is (there == "quiet")
        assert not life.world.agents.working
    life.advance(1.0)
    return life


@pytest.mark.parametrize("to", STATUSES)
@pytest.mark.parametrize("there", THERE)
@pytest.mark.parametrize("was", WAS)
def test_a_transition(was: str, there: str, to: Status) -> None:
    life = one_that_is(was, there)
    before, world = life.agent(), life.world
    decision = life.do(ae.AgentMoveWanted(CLIENT, "a", to))
    after = AFTER[was][to]
    if there == "offline" and to == "idle" and before.exhaustion:
        after = "exhausted"  # who comes back and does nothing has not said that its quota is there
    if after == "!":
        check_refused(life, decision.reply, was, to)
        assert life.world is world
        return
    assert not isinstance(decision.reply, Refusal)
    assert decision.reply is not None
    assert decision.reply["status"] == life.status() == after
    assert decision.reply["changed"] is (life.agent() is not before)
    same = "exhausted" if before.exhaustion else was
    if there == "heard" and after == same and to != "exhausted":  # another report may move what is known
        assert life.agent() == before
        assert kinds(decision) == ["activity_seen", "agent_seen"]
    assert not life.agent().quiet
    if after == before.status:
        assert life.agent().since_ts == before.since_ts
    else:
        assert life.agent().since_ts == life.now.wall_s


@pytest.mark.parametrize("doing", Doing)
@pytest.mark.parametrize("there", THERE)
@pytest.mark.parametrize("was", WAS)
def test_a_heartbeat_that_says_what_it_does(was: str, there: str, doing: Doing) -> None:
    """The same, but that "idle" never says anything about a quota."""
    life = one_that_is(was, there)
    world = life.world
    decision = life.beat(doing=doing)
    after = "exhausted" if doing == "idle" and life.world.agents.by_id["a"].exhaustion else AFTER[was][doing]
    if after == "!":
        check_refused(life, decision.reply, was, doing)
        assert life.world is world
        return
    assert decision.reply is not None
    assert not isinstance(decision.reply, Refusal)
    assert decision.reply["status"] == life.status() == after


@pytest.mark.parametrize("there", THERE)
@pytest.mark.parametrize("was", WAS)
def test_a_bare_heartbeat_is_always_granted_and_changes_nothing_but_that_it_is_there(
    was: str,
    there: str,
) -> None:
    life = one_that_is(was, there)
    before = life.agent()
    life.beat()
    assert life.status() == ("exhausted" if before.exhaustion else was)
    after = life.agent()
    assert (after.doing, after.exhaustion, after.slots) == (before.doing, before.exhaustion, before.slots)
    assert life.world.agents.seen["a"].wall_s == life.now.wall_s
    assert (after.online, after.quiet) == (True, False)
    assert bool(life.world.agents.working) is (was in ("busy", "on_call"))


def check_refused(life: Life, reply: object, was: str, to: str) -> None:
    assert isinstance(reply, Refusal)
    assert reply.name == "conflict"
    exhausted = was in ("headers", "estimated")
    known = life.agent().exhaustion
    assert reply.data["status"] == ("exhausted" if exhausted else was)
    assert reply.data["needs"] == ["idle"]
    assert (reply.data["until"] is not None) is (reply.data["exhausted_at"] is not None) is exhausted
    assert f"{to} needs idle" in reply.message
    assert (known is not None) is ("until" in reply.message)


def test_the_table_has_every_pair() -> None:
    assert {(was, to) for was, row in TABLE.items() for to in row} == {(a, b) for a in STATUSES for b in STATUSES}


def test_what_a_word_needs() -> None:
    assert needs(Status.BUSY) == needs(Status.ON_CALL) == (Status.IDLE,)


WORDS: dict[str, Callable[[], ae.AgentWord]] = {
    "heartbeat": lambda: ae.AgentBeat(CLIENT, "x"),
    "transition": lambda: ae.AgentMoveWanted(CLIENT, "x", Status.IDLE),
    "forget": lambda: ae.AgentForgetWanted(CLIENT, "x"),
    "slot.add": lambda: ae.SlotWanted(CLIENT, "s", "x", "work", 0.0),
}


@pytest.mark.parametrize("word", WORDS)
def test_who_is_not_known_is_told_to_register(word: str) -> None:
    life = started()
    reply = life.do(WORDS[word]()).reply
    assert isinstance(reply, Refusal)
    assert (reply.name, reply.data["agent_id"]) == ("not_found", "x")
    if word != "forget":
        assert "agent.register comes first" in reply.message


@pytest.mark.parametrize("how", ["beat", "tell"])
def test_idle_finishes_the_slot_that_was_taken_and_offline_keeps_it(how: str) -> None:
    life = started()
    life.register()
    life.slot(0.0)
    life.pass_("slots_due")
    life.take()
    life.tell("offline")
    assert life.agent().slot_id == "s1"
    life.beat()
    assert life.status() == "busy"
    decision = life.beat(doing=Doing.IDLE) if how == "beat" else life.tell("idle")
    assert kinds(decision)[-2:] == ["slot_finished", "agent_doing"]
    assert life.agent().slots == ()
