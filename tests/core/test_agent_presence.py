"""Who is there: heartbeats of one and of many, silence, processes that end, and what of it is a use of the daemon."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.life import CLIENT, POLICY, SHELL, Life, at, effects, kinds, record, started
from core.some_agents import pass_all
from torpord.core import agent_events as ae
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.agents import MOST_EXACT, SLICE, Agents, Doing
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State, Trigger

TIMEOUT_S = POLICY.heartbeat_timeout_s


def there(life: Life) -> set[str]:
    return {agent_id for agent_id, agent in life.world.agents.by_id.items() if agent.online}


def test_one_never_heard_of_is_nobody() -> None:
    life = started()
    world = life.world
    reply = life.beat("x").reply
    assert isinstance(reply, Refusal)
    assert (reply.name, reply.data) == ("not_found", {"agent_id": "x"})
    assert life.world is world


def test_a_doubled_heartbeat_is_one() -> None:
    life = started()
    life.register()
    life.beat()
    before = life.world
    life.beat()
    assert life.world == before


def test_a_thousand_heartbeats_write_no_history() -> None:
    life = started()
    life.register()
    seq = life.world.ledger_seq
    for _ in range(1_000):
        life.advance(0.001)
        assert [entry.record.deferred for entry in life.beat().entries] == [True]
    assert life.world.ledger_seq == seq
    assert len(life.world.agents.presence) == 1


def test_silence_ends_presence_and_a_word_brings_it_back_with_what_it_was() -> None:
    life = started()
    life.register()
    life.tell("on_call")
    decision = life.pass_("presence_due")
    assert record(decision, "agent_offline") == {"agent_id": "a", "how": "timeout", "reason": ""}
    assert (life.status(), life.agent().source) == ("offline", "deadline")
    assert not life.world.busy
    life.advance(500.0)
    assert kinds(life.beat()) == ["activity_seen", "agent_online"]
    assert (life.status(), life.agent().source) == ("on_call", "make")
    assert life.world.busy


def test_an_editor_that_is_open_and_idle_keeps_nobody_awake() -> None:
    life = started()
    life.register()
    for _ in range(100):
        life.beat()
        life.advance(60.0)
        for deadline in life.due():
            life.do(ev.DeadlinePassed({"source": "deadline"}, deadline.name))
    assert life.state in (State.SLEEP, State.HIBERNATION)
    assert life.status() == "idle"


@pytest.mark.parametrize("doing", [Doing.BUSY, Doing.ON_CALL])
def test_one_that_works_keeps_it_awake_and_each_beat_counts(doing: Doing) -> None:
    life = started()
    life.register()
    life.beat(doing=doing)
    seq = life.world.activity.event_seq
    for count in range(1, 50):
        life.advance(60.0)
        life.beat()
        assert life.world.activity.event_seq == seq + count
        assert life.world.activity.last_ts == life.now.wall_s
        assert life.due() == []
    assert life.state is State.WAKE
    assert [deadline.name for deadline in life.due()] == []


def test_who_wants_it_to_sleep_is_told_which_agents_are_at_work() -> None:
    life = started()
    for name in ("a", "b", "c", "d"):
        life.register(name)
        life.tell("busy", name)
    life.tell("idle", "d")
    refused = life.trigger(Trigger.FORCE_SLEEP).reply
    assert isinstance(refused, Refusal)
    assert [(each["kind"], each["agent_id"]) for each in refused.data["busy"]] == [("agent", name) for name in "abc"]
    assert all(name in refused.message for name in ("a (", "b (", "c ("))
    waits = life.do(ev.HibernateWanted(CLIENT, now=False)).reply
    assert isinstance(waits, dict)
    assert len(waits["waiting_for"]) == 3
    life.tell("idle", "a")
    life.pass_("presence_due")
    assert life.state is State.SLEEP, "the last of them is gone: the wish is carried out"


def test_the_idle_time_starts_when_the_last_one_ends_its_work() -> None:
    life = started()
    for name in ("a", "b"):
        life.register(name)
        life.tell("busy", name)
    life.advance(60.0)
    life.beat("b")
    life.tell("idle", "a")
    life.advance(TIMEOUT_S)
    pass_all(life)
    assert life.status("b") == "offline"
    assert life.world.activity.idle_since_awake_s == life.now.awake_s


def test_a_childs_end_is_its_own() -> None:
    life = started()
    life.register()
    life.tell("busy")
    life.register("a/1", parent_id="a")
    life.tell("busy", "a/1")
    for end in (lambda: life.tell("offline", "a/1"), lambda: life.do(ae.AgentForgetWanted(CLIENT, "a/1"))):
        before = life.agent()
        end()
        assert life.agent() is before
    assert life.status() == "busy"


def test_registering_again_changes_what_is_said_and_nothing_else() -> None:
    life = started()
    first = life.register(wake_command="true", meta='{"m":1}', parent_id="p").reply
    assert isinstance(first, dict)
    assert (first["changed"], first["heartbeat_s"]) == (True, TIMEOUT_S / 3)
    life.tell("busy")
    decision = life.register()
    assert "agent_registered" not in kinds(decision)
    assert isinstance(decision.reply, dict)
    assert decision.reply["changed"] is False
    life.register(wake_command=None)
    card = life.agent().said
    assert (card.wake_command, card.meta, card.parent_id) == (None, '{"m":1}', "p")
    assert life.status() == "busy"
    life.register(meta=None, parent_id=None)
    assert life.agent().card is None


def test_the_end_of_its_process_is_seen_at_once() -> None:
    life = started()
    assert effects(life.register(pid=7, pid_start="1"), fx.WatchAgent) == [fx.WatchAgent("a", 7, "1")]
    assert effects(life.register(pid=7, pid_start="1"), fx.WatchAgent) == []
    life.tell("busy")
    life.do(ae.AgentProcessEnded(SHELL, "a", 7, "0"))
    assert life.status() == "busy", "that was another process, with the same number"
    decision = life.do(ae.AgentProcessEnded(SHELL, "a", 7, "1"))
    assert record(decision, "agent_offline")["how"] == "process_ended"
    assert len(life.world.agents.tied) == 0
    assert not life.world.busy


def test_a_start_finds_who_is_gone_and_watches_the_others() -> None:
    life = started()
    for pid, name in enumerate(("a", "b", "c"), 7):
        life.register(name, pid=pid, pid_start="1")
        life.tell("busy", name)
    life.tell("offline", "c")
    decision = life.start(cause="crash", dead_agents=("a", "c"))
    assert kinds(decision)[:2] == ["started", "agent_offline"]
    assert effects(decision, fx.WatchAgent) == [fx.WatchAgent("b", 8, "1")]
    assert [life.status(name) for name in ("a", "b", "c")] == ["offline", "busy", "offline"]


def test_only_those_are_forgotten_that_have_been_silent_for_long_and_have_nothing_to_do() -> None:
    life = started(replace(POLICY, ledger_keep_s=1_000.0))
    for name in ("gone", "there", "has a slot", "lately"):
        life.register(name)
    life.slot(9e5, agent_id="has a slot")
    life.tell("offline", "gone")
    life.tell("offline", "has a slot")
    life.advance(1_001.0)
    life.tell("offline", "lately")
    life.beat("there")
    decision = life.do(ae.AgentsExpired(SHELL, ("gone", "has a slot", "lately", "there", "nobody")))
    assert [e.record.data() for e in decision.entries] == [{"agent_id": "gone", "how": "expired"}]


def test_whoever_is_heard_of_wakes_nobody_in_sleep_but_who_says_that_it_works() -> None:
    life = at(State.SLEEP)
    life.register()
    assert life.state is State.WAKE, "to register is a request"
    life = at(State.DROWSY)
    life.world = replace(life.world, agents=_known("a"))
    life.beat()
    assert life.state is State.DROWSY
    life.beat(doing=Doing.BUSY)
    assert life.state is State.WAKE


def _known(name: str) -> Agents:
    life = started()
    life.register(name)
    return life.world.agents


# Many: presence is looked at when its time comes, and not with each heartbeat.

MANY = MOST_EXACT + 6
beats = st.lists(st.tuples(st.sampled_from([0.1, 1 / 3, 10.0, 45.0, 100.0]), st.integers(0, 2**MANY - 1)), max_size=12)


@settings(max_examples=30, deadline=None)
@given(beats)
def test_among_many_each_is_offline_when_it_was_silent_for_its_time_and_no_sooner(
    rounds: list[tuple[float, int]],
) -> None:
    life = started()
    last: dict[str, float] = {}
    for place in range(MANY):
        life.register(f"a{place}")
        last[f"a{place}"] = life.now.awake_s
    for pause_s, who in rounds:
        life.advance(pause_s)
        pass_all(life)
        assert there(life) == {name for name, seen_s in last.items() if seen_s + TIMEOUT_S > life.now.awake_s}
        for place in range(MANY):
            if who >> place & 1:
                life.beat(f"a{place}")
                last[f"a{place}"] = life.now.awake_s


def test_many_that_time_out_at_once_do_so_slice_by_slice() -> None:
    life = started()
    count = 3 * SLICE + 1
    for place in range(count):
        life.register(f"a{place}")
    life.reach("presence_due")
    found = []
    while there(life):
        found.append(len(life.pass_("presence_due").entries))
    assert found == [SLICE, SLICE, SLICE, 1]
    assert life.world.agents.counts[0] == count


def test_many_that_are_there_are_looked_at_slice_by_slice_and_write_no_history() -> None:
    life = started()
    for place in range(SLICE + 1):
        life.register(f"a{place}")
    life.advance(60.0)
    for place in range(SLICE + 1):
        life.beat(f"a{place}")
    seq = life.world.ledger_seq
    life.advance(60.0)
    pass_all(life)
    assert len(there(life)) == SLICE + 1
    assert life.world.ledger_seq == seq
    assert life.turns[-1].decision.entries[0].record.data() == {"agent_ids": ("a99",)}
