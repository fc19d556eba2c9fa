"""What the store keeps of agents and slots: rows that are, after each commit, what the world has of them."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.histories import lives_of_agents
from core.life import Life, started
from store.living import a_store, assert_stored, batches, commit, store_of
from torpord.core.agents import Agents, Card, Doing, Exhaustion, Seen, SlotState
from torpord.store.store import StoreUnreadableError

# A history is some forty commits: a tenth of a second.
some = settings(
    max_examples=40, deadline=None, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow]
)


@some
@given(lives_of_agents, st.integers(1, 4))
def test_after_each_commit_the_store_has_the_world(life: Life, at_once: int) -> None:
    with a_store() as store:
        store.load()
        for number, turns in enumerate(batches(life.turns, at_once)):
            commit(store, turns)
            if number % 5 == 0:
                assert_stored(store, turns[-1].decision.world)
        assert_stored(store, life.world)


def everything() -> Life:
    """A life in which every field of an agent and of a slot says something."""
    life = started()
    life.register("a", parent_id="b", pid=7, pid_start="77", wake_command=("wake", "it"), meta='{"x":1}')
    life.register("b", wake_command="wake")
    life.register("c")
    life.slot(0.0, "s1", "a", type="on_call", duration_s=60.0, priority=-3, payload='[1,"\\u2026"]')
    life.slot(0.0, "s2", "b")
    life.slot(500.0, "s3", "a")
    life.beat("a")
    life.take("s1")
    life.pass_("slots_due")
    life.exhaust(300.0, agent_id="c", reason="billing")
    life.slot(10.0, "s4", "c")
    life.exhaust(400.0, agent_id="c")
    return life


def test_each_field_comes_back(record_property: object) -> None:
    life = everything()
    with a_store() as store:
        found = store_of(store, life).load().agents
        assert_stored(store, life.world)
    assert found.by_id["a"].doing is Doing.ON_CALL
    assert found.by_id["a"].slots == ("s1", "s3")
    assert found.by_id["a"].slot_id == "s1"
    assert found.by_id["a"].card == Card("b", 7, "77", ("wake", "it"), '{"x":1}')
    assert found.by_id["b"].waking == "s2"
    ends_ts = life.now.wall_s + 400.0
    assert found.by_id["c"].exhaustion == Exhaustion(life.now.wall_s, "rate_limit", ends_ts, "headers")
    assert found.slots["s1"].state is SlotState.TAKEN
    assert found.slots["s2"].offers == 1
    assert found.slots["s4"].until_ts == ends_ts
    assert [slot_id for _, slot_id in found.wakes] == ["s4", "s3"]


def test_who_is_quiet_is_so_in_the_store() -> None:
    life = started()
    life.register("a", pid=7, pid_start="77")
    life.beat("a", Doing.BUSY)
    life.register("b", pid=8, pid_start="88")
    life.pass_("presence_due")
    life.beat("b")
    with a_store() as store:
        found = store_of(store, life).load().agents
        assert_stored(store, life.world)
    assert (found.by_id["a"].quiet, found.by_id["b"].quiet) == (True, False)
    assert (list(found.silent.keys()), list(found.working.keys())) == (["a"], [])
    assert [name for _, name in found.presence] == ["b"]


def test_presence_counts_from_the_start_that_is_stored() -> None:
    life = everything()
    life.advance(50.0)
    life.beat("c")
    with a_store() as store:
        agents = store_of(store, life).load().agents
    floor_s = life.world.process.presence_from_awake_s
    assert agents.seen["c"] == Seen(0.0, life.now.wall_s, floor_s)
    assert list(agents.presence) == [(floor_s, name) for name in "abc"]


def test_an_offer_is_taken_back_by_the_next_start() -> None:
    life = everything()
    assert life.world.agents.slots["s2"].state is SlotState.OFFERED
    with a_store() as store:
        store_of(store, life)
        before = len(life.turns)
        life.start()
        assert life.world.agents.slots["s2"].state is SlotState.PLANNED
        commit(store, life.turns[before:])
        assert_stored(store, life.world)


def test_rows_that_are_none_are_told(tmp_path: object) -> None:
    for damage in ("UPDATE agents SET doing = 'dancing'", "DELETE FROM presence", "UPDATE slots SET state = 'x'"):
        with a_store() as store:
            store_of(store, everything()).connection.execute(damage)
            with pytest.raises(StoreUnreadableError, match="does not parse"):
                store.load()
            assert gc.isenabled()


def test_a_store_without_agents_has_none() -> None:
    with a_store() as store:
        assert store_of(store, started()).load().agents == Agents()


def test_what_a_record_changes_without_naming_it_is_stored() -> None:
    """Each turn is a batch of its own: no other record brings the rows along."""
    life = started()
    life.register("a")
    life.slot(100.0, "s1")
    life.slot(200.0, "s2")
    life.pass_("slots_due")
    assert not life.world.agents.slots["s1"].told
    life.beat("a")
    assert life.world.agents.slots["s1"].told
    life.exhaust(1000.0)
    assert life.world.agents.slots["s2"].until_ts is not None
    life.tell("idle")
    assert life.world.agents.slots["s2"].until_ts is None
    life.pass_("presence_due")
    life.pass_("slots_due")
    assert life.world.agents.slots["s2"].state is SlotState.WAITING
    life.register("a", wake_command="wake")
    assert life.world.agents.slots["s2"].state is not SlotState.WAITING
    with a_store() as store:
        for turn in life.turns:
            commit(store, [turn])
            assert_stored(store, turn.decision.world)
