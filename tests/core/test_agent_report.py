"""What the daemon says of agents and slots: which keep it awake, which it stays for, and what fits into a reply."""

from __future__ import annotations

from typing import Any

import pytest

from core.life import FIRST_WALL_S, Life, started
from core.some_agents import WAKE_UP, AgentLife, granted
from torpord.core import agent_report, report
from torpord.core.agents import Doing, Status
from torpord.core.decide import busy_because


def life_with(*names: str) -> tuple[Life, AgentLife]:
    life = started()
    agents = AgentLife(life)
    for name in names:
        agents.register(name)
    return life, agents


def awake(life: Life) -> list[dict[str, Any]]:
    found = report.why(life.world, life.now)["awake_because"]
    assert isinstance(found, list)
    return found


def test_why_names_who_works_since_when_and_with_what() -> None:
    life, agents = life_with("a", "b", "c")
    life.advance(10.0)
    agents.beat("b", Doing.ON_CALL)
    agents.add("s", agent_id="a")
    agents.take("s")
    life.advance(20.0)
    since = report.iso(FIRST_WALL_S + 10.0)
    assert awake(life) == [
        {"kind": "agent", "who": "a", "why": "it is busy with slot s (work)", "since": since, "until": None},
        {"kind": "agent", "who": "b", "why": "it is on call", "since": since, "until": None},
    ]
    assert report.next_state(life.world, life.now)["blocked_by"] == [
        "a: it is busy with slot s (work)",
        "b: it is on call",
    ]


@pytest.mark.parametrize(("command", "shown"), [("bring it up", "bring it up"), (WAKE_UP, "bring it up")])
def test_why_names_a_wake_command(command: str | tuple[str, ...], shown: str) -> None:
    life, agents = life_with()
    agents.register("a", wake_command=command)
    agents.says(Status.OFFLINE)
    agents.add("s")
    life.pass_("slots_due")
    assert agents.agent().waking == "s"
    (reason,) = awake(life)
    assert (reason["kind"], reason["who"], reason["since"]) == ("wake_command", "a", None)
    assert reason["why"] == f"its wake command runs: {shown}"
    agents.woken()
    assert [each["kind"] for each in awake(life)] == ["activity"]


@pytest.mark.parametrize("count", [150, 1_100])
def test_of_many_who_work_the_first_by_name_are_named(count: int) -> None:
    names = [f"{number:04}" for number in range(count)]
    life, agents = life_with(*reversed(names))
    for name in names[50:]:
        agents.beat(name, Doing.BUSY)
    assert [each["who"] for each in awake(life)] == names[50:150]
    assert [each["agent_id"] for each in busy_because(life.world)] == names[50:150]
    *named, more = report.next_state(life.world, life.now)["blocked_by"]
    assert named == [f"{name}: it is busy" for name in names[50:53]]
    assert more == f"and {count - 53} more agents"


@pytest.mark.parametrize(("count", "more"), [(2, []), (3, []), (4, ["and 1 more agent"]), (5, ["and 2 more agents"])])
def test_what_waits_for_agents_names_three(count: int, more: list[str]) -> None:
    life, agents = life_with(*map(str, range(count - 1)))
    for number in range(count - 1):
        agents.beat(str(number), Doing.BUSY)
    agents.register("x", wake_command="up")
    agents.says(Status.OFFLINE, "x")
    agents.add("s", agent_id="x")
    life.pass_("slots_due")
    assert agents.agent("x").waking
    blocked = report.next_state(life.world, life.now)["blocked_by"]
    assert [each for each in blocked if each.startswith("and ")] == more
    assert len(blocked) == min(count, 3) + len(more)


def test_why_names_who_works_and_is_quiet_and_does_not_count_it() -> None:
    life, agents = life_with("b")
    agents.register("a", pid=7, pid_start="1")
    agents.beat("a", Doing.BUSY)
    seen = report.iso(life.now.wall_s)
    life.pass_("presence_due")
    assert life.world.agents.by_id["a"].quiet
    found = report.why(life.world, life.now)
    assert [each for each in found["awake_because"] if each["kind"] == "agent"] == []
    assert found["quiet"] == [
        {
            "kind": "agent",
            "who": "a",
            "why": "it is busy and quiet: its process lives, and nothing was heard of it in time",
            "since": seen,
            "until": None,
        }
    ]
    agents.says(Status.IDLE, "a")
    life.pass_("presence_due")
    assert report.why(life.world, life.now)["quiet"] == [], "of one that does nothing nobody asks"


def test_who_is_out_of_quota_is_counted_also_offline() -> None:
    life, agents = life_with("a", "b", "c")
    assert report.recovering(life.world) == {"count": 0, "next_ts": None}
    agents.says(Status.EXHAUSTED, "a", in_s=900.0)
    agents.says(Status.EXHAUSTED, "b", in_s=600.0)
    agents.says(Status.OFFLINE, "b")
    assert report.recovering(life.world) == {"count": 2, "next_ts": report.iso(FIRST_WALL_S + 600.0)}


def test_a_planned_wake_is_told_from_all_else_that_forbids_the_exit() -> None:
    life, agents = life_with("a")
    agents.add("s", 3_600.0)
    due_ts = report.iso(agents.slot().due_s)
    life.pass_("drowsy_due")
    life.pass_("sleep_due")
    life.load(life.world.cycle.run_id)
    life.cycle_completes()
    life.pass_("hibernate_due", forbids_exit=("a file that cannot be removed",))
    found = report.why(life.world, life.now)["not_yet_because"]
    assert [(each["kind"], each["who"], each["until"]) for each in found] == [
        ("forbidden", "exit", None),
        ("planned", "a", due_ts),
    ]
    assert found[1]["why"] == "slot s is due then, and nothing could start the daemon"


def test_a_word_counts_what_waits_to_be_taken_however_the_clock_was_set() -> None:
    life, agents = life_with("a")
    agents.add("offered")
    agents.add("ahead", 600.0)
    life.pass_("slots_due")
    life.advance(10.0, -8 * 3_600.0)
    assert granted(agents.beat())["due"] == 1
    agents.take("offered")
    assert granted(agents.beat())["due"] == 0


def test_an_agent_is_shown_with_its_three_facts() -> None:
    life, agents = life_with("a")
    agents.add("s", 600.0)
    agents.add("t", 300.0)
    agents.says(Status.EXHAUSTED, in_s=450.0)
    agents.says(Status.OFFLINE)
    shown = agent_report.agent_view(life.world, agents.agent(), {"a": ["h"]})
    recovery = report.iso(FIRST_WALL_S + 450.0)
    assert (shown["status"], shown["online"], shown["doing"], shown["recovery_at"]) == (
        "offline",
        False,
        "idle",
        recovery,
    )
    assert (shown["exhaust_reason"], shown["recovery_source"]) == ("rate_limit", "recovery_at")
    assert (shown["slots"], shown["next_slot_ts"], shown["holds"]) == (2, recovery, ["h"])
    assert shown["source"] == "make"


def test_a_reply_shows_as_many_slots_as_it_has_room_for_and_one_in_any_case() -> None:
    life, agents = life_with("a")
    for number in range(agent_report.MOST_SLOTS_SHOWN + 1):
        agents.add(f"{number:03}", 60.0)
    small = life.world.agents.slots.values()
    assert len(agent_report.slot_views(small, life.world, life.now)) == agent_report.MOST_SLOTS_SHOWN
    life, agents = life_with("a")
    for number in range(3):
        agents.add(f"{number}", 60.0, payload=f'"{"é" * 200_000}"')
    large = life.world.agents.slots.values()
    assert len(agent_report.slot_views(large, life.world, life.now)) == 1
