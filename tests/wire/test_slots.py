"""Slots over the wire: offered when they are due, taken once, finished, deferred, cancelled; and as planned wakes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from daemon_process import CallRefusedError, LineClient, RunningDaemon
from process.trap import Trap
from torpor import wire
from waiting import until
from wire.agents import SLOT, WORD, added, ahead, until_s
from wire.runs import TIMERS, pages


@pytest.fixture
def agent(line: LineClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an agent that is idle, and of this test alone."""
    agent_id = f"agent of {request.node.name}"[:128]
    line.call("agent.register", agent_id=agent_id)
    yield agent_id
    if "result" in line.ask("agent.get", agent_id=agent_id):
        line.call("agent.forget", agent_id=agent_id)


def _refused(line: LineClient, method: str, **params: Any) -> dict[str, Any]:
    with pytest.raises(CallRefusedError) as refused:
        line.call(method, **params)
    data = refused.value.error["data"]
    assert isinstance(data, dict)
    return data


def _slot(line: LineClient, slot_id: str) -> dict[str, Any] | None:
    found = [slot for page in pages(line, "slot.list") for slot in page["slots"] if slot["slot_id"] == slot_id]
    return found[0] if found else None


def test_what_is_added_is_shown(line: LineClient, agent: str) -> None:
    at = ahead(600)
    given = {"type": "on_call", "duration_s": 60.5, "priority": -3, "payload": {"task": ["é", None]}}
    said = line.call("slot.add", agent_id=agent, at=at, **given)
    assert set(said) == {"slot_id", "due_ts", "armed", "status"}
    assert (said["armed"], said["status"]) == (False, "planned")
    shown = _slot(line, said["slot_id"])
    assert shown is not None
    assert set(shown) == SLOT
    assert {name: shown[name] for name in given} == given
    assert (shown["agent_id"], shown["at"], shown["due_ts"]) == (agent, said["due_ts"], said["due_ts"])
    assert abs(until_s(shown["at"]) - 600) < 5
    assert (shown["offers"], shown["offered_again_ts"], shown["taken_ts"]) == (0, None, None)
    whole = line.call("agent.get", agent_id=agent)["agent"]
    assert whole["slots"] == [shown]
    listed = {each["agent_id"]: each for each in line.call("agent.list")["agents"]}[agent]
    assert (listed["slots"], listed["next_slot_ts"]) == (1, shown["due_ts"])
    (record,) = line.call("log", kinds=["slot_added"])["records"][-1:]
    assert (record["data"]["slot_id"], record["data"]["at_ts"]) == (said["slot_id"], shown["at"])


def test_one_that_is_due_is_offered_with_the_next_word_and_not_again_at_once(line: LineClient, agent: str) -> None:
    low, high = added(line, agent, priority=-1), added(line, agent, priority=1, payload=[1])
    later = added(line, agent, 600)
    said = line.call("agent.heartbeat", agent_id=agent)
    assert set(said) == WORD
    assert [slot["slot_id"] for slot in said["slots"]] == [high, low]
    assert said["due"] == 2
    for slot in said["slots"]:
        assert set(slot) == SLOT
        assert (slot["status"], slot["offers"]) == ("offered", 1)
        assert 50 < until_s(slot["offered_again_ts"]) <= 60
    again = line.call("agent.heartbeat", agent_id=agent)
    assert (again["slots"], again["due"]) == ([], 2)
    assert [slot["slot_id"] for slot in line.call("slot.list", agent_id=agent, status="planned")["slots"]] == [later]
    # Who comes back hears of all that is due.
    line.call("agent.transition", agent_id=agent, to="offline")
    back = line.call("agent.heartbeat", agent_id=agent)
    assert [slot["slot_id"] for slot in back["slots"]] == [high, low]


def test_it_is_offered_to_a_subscription_in_its_moment(daemon: RunningDaemon) -> None:
    with daemon.connect() as follower, daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        follower.call("subscribe", kinds=["slot_offered"])
        slot_id = added(line, "a", 0.2)
        data = follower.read_line()["params"]["data"]
        assert (data["agent_id"], data["slot_id"], data["offers"], data["via"]) == ("a", slot_id, 1, "agent")


def test_from_taken_to_finished(line: LineClient, agent: str) -> None:
    first, second = added(line, agent, -5), added(line, agent, type="on_call")
    taken = line.call("slot.take", slot_id=first, agent_id=agent)
    assert set(taken) == WORD | {"slot"}
    assert (taken["status"], taken["changed"], taken["slot"]["status"]) == ("busy", True, "taken")
    assert abs(until_s(taken["slot"]["taken_ts"])) < 5
    assert line.call("agent.get", agent_id=agent)["agent"]["slot_id"] == first
    more = line.call("slot.finish", slot_id=first)
    assert set(more) == WORD
    # Another one is due: it stays busy until it takes that, or says that it is idle.
    assert (more["status"], [slot["slot_id"] for slot in more["slots"]]) == ("busy", [second])
    assert line.call("agent.transition", agent_id=agent, to="idle")["status"] == "idle"
    assert line.call("slot.take", slot_id=second)["status"] == "on_call"
    assert line.call("slot.finish", slot_id=second)["status"] == "idle"
    assert line.call("slot.list", agent_id=agent)["slots"] == []
    for slot_id in (first, second, "0"):
        for method in ("slot.take", "slot.finish", "slot.cancel"):
            data = _refused(line, method, slot_id=slot_id)
            assert (data["name"], data["slot_id"]) == ("not_found", slot_id)


def test_to_say_idle_finishes_what_was_taken(line: LineClient, agent: str) -> None:
    slot_id = added(line, agent)
    line.call("slot.take", slot_id=slot_id)
    assert line.call("agent.heartbeat", agent_id=agent, doing="idle")["status"] == "idle"
    assert _slot(line, slot_id) is None


def test_why_it_cannot_be_taken(line: LineClient, agent: str) -> None:
    due, ahead_of_time, other = added(line, agent), added(line, agent, 600), added(line, agent)
    assert _refused(line, "slot.take", slot_id=due, agent_id="somebody else")["name"] == "not_found"
    early = _refused(line, "slot.take", slot_id=ahead_of_time)
    assert (early["name"], early["status"]) == ("conflict", "planned")
    assert 590 < until_s(early["due_ts"]) <= 600
    assert _refused(line, "slot.finish", slot_id=due)["name"] == "conflict"
    line.call("slot.take", slot_id=due)
    twice = _refused(line, "slot.take", slot_id=due)
    assert (twice["name"], twice["status"]) == ("conflict", "taken")
    assert abs(until_s(twice["taken_ts"])) < 5
    assert _refused(line, "slot.take", slot_id=other)["has"] == due


def test_of_many_takers_one_gets_it(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        slot_id = added(line, "a")
        replies: list[dict[str, Any]] = []

        def take(number: int) -> None:
            replies.append(daemon.ask("slot.take", slot_id=slot_id, key=f"taker {number}"))

        takers = [threading.Thread(target=take, args=(number,)) for number in range(20)]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
        names = [reply["error"]["data"]["name"] for reply in replies if "error" in reply]
        assert names == ["conflict"] * 19
        taken = line.call("log", kinds=["slot_taken"])["records"]
        assert len(taken) == 1


def test_taken_over_one_key_is_taken_once_and_by_its_taker(line: LineClient, agent: str) -> None:
    slot_id = added(line, agent)
    first = line.call("slot.take", slot_id=slot_id, key="mine")
    assert line.call("slot.take", slot_id=slot_id, key="mine") == {**first, "replayed": True}
    assert _refused(line, "slot.take", slot_id=slot_id, key="another")["name"] == "conflict"


def test_an_exhausted_agents_slots_are_deferred_to_its_recovery(line: LineClient, agent: str) -> None:
    taken, due, later = added(line, agent), added(line, agent), added(line, agent, 3600)
    line.call("slot.take", slot_id=taken)
    until_ts = line.call("agent.transition", agent_id=agent, to="exhausted", retry_after=600)["recovery_at"]
    shown = {slot["slot_id"]: slot for slot in line.call("agent.get", agent_id=agent)["agent"]["slots"]}
    assert {slot["status"] for slot in shown.values()} == {"planned"}
    assert [shown[each]["due_ts"] for each in (taken, due)] == [until_ts] * 2
    assert shown[later]["due_ts"] == shown[later]["at"]
    added_now = line.call("slot.add", agent_id=agent, type="work", at=ahead(-1))
    assert added_now["due_ts"] == until_ts
    assert _refused(line, "slot.take", slot_id=due)["agent_status"] == "exhausted"
    assert (line.call("agent.heartbeat", agent_id=agent)["slots"]) == []
    back = line.call("agent.transition", agent_id=agent, to="idle")
    assert {slot["slot_id"] for slot in back["slots"]} == {taken, due, added_now["slot_id"]}
    assert line.call("slot.take", slot_id=taken)["status"] == "busy"


def test_an_offline_agents_slots_wait_for_it(line: LineClient, agent: str) -> None:
    line.call("agent.transition", agent_id=agent, to="offline")
    slot_id = added(line, agent)
    until(lambda: (_slot(line, slot_id) or {})["status"] == "waiting", what="the slot to wait")
    back = line.call("agent.heartbeat", agent_id=agent)
    assert [(slot["slot_id"], slot["status"]) for slot in back["slots"]] == [(slot_id, "offered")]


def test_cancelling_one_ends_what_its_agent_does_for_it(line: LineClient, agent: str) -> None:
    waits, taken = added(line, agent, 600), added(line, agent)
    line.call("slot.take", slot_id=taken)
    for slot_id in (waits, taken):
        assert line.call("slot.cancel", slot_id=slot_id, reason="no need") == {"slot_id": slot_id, "cancelled": True}
    assert line.call("agent.get", agent_id=agent)["agent"]["status"] == "idle"
    records = line.call("log", kinds=["slot_cancelled"])["records"][-2:]
    assert [(each["data"]["how"], each["data"]["reason"]) for each in records] == [("asked", "no need")] * 2


def test_to_forget_an_agent_cancels_its_slots(line: LineClient, agent: str) -> None:
    slot_ids = {added(line, agent), added(line, agent, 600)}
    line.call("agent.forget", agent_id=agent)
    records = line.call("log", kinds=["slot_cancelled", "agent_forgotten"])["records"][-3:]
    assert {each["data"].get("slot_id") for each in records[:2]} == slot_ids
    assert records[2]["data"] == {"agent_id": agent, "how": "asked"}
    assert line.call("status")["next_wake_ts"] is None


def test_as_many_slots_as_an_agent_may_have(line: LineClient, agent: str) -> None:
    for _ in range(wire.MAX_AGENT_SLOTS):
        added(line, agent, 3600)
    assert _refused(line, "slot.add", agent_id=agent, type="work", at=ahead(60))["name"] == "too_many"
    listed = [slot["slot_id"] for page in pages(line, "slot.list", agent_id=agent, limit=300) for slot in page["slots"]]
    assert listed == sorted(set(listed))
    assert len(listed) == wire.MAX_AGENT_SLOTS
    assert len(line.call("agent.get", agent_id=agent)["agent"]["slots"]) == 100


def test_pages_lose_and_repeat_nothing_while_slots_come_and_go(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        ids: list[str] = []
        for name in ("a", "b b", "c", "d"):
            line.call("agent.register", agent_id=name)
            ids += sorted(added(line, name, 600) for _ in range(20 if name != "c" else 0))
        seen: list[str] = []
        for number, page in enumerate(pages(line, "slot.list", limit=7)):
            seen += [slot["slot_id"] for slot in page["slots"]]
            line.call("slot.cancel", slot_id=ids[number])
            added(line, "a", 600)
            if number == 4:  # in the midst of its slots
                line.call("agent.forget", agent_id="b b")
        known = set(ids[:20] + ids[40:])
        assert [each for each in seen if each in known] == [each for each in ids if each in known]
        assert len(seen) == len(set(seen))
        assert line.call("slot.list", agent_id="c") == {"slots": [], "cursor": None}


def test_large_ones_come_in_replies_that_fit(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        ids = {added(line, "a", payload="x" * (wire.MAX_PAYLOAD_BYTES - 2)) for _ in range(40)}
        heard: set[str] = set()
        while heard != ids:
            line.request("agent.heartbeat", agent_id="a")
            raw = line.read_bytes_line()
            assert raw is not None
            assert len(raw) < wire.MAX_PAGE_BYTES
            said = json.loads(raw)["result"]
            assert said["due"] == 40
            assert said["slots"]
            heard |= {slot["slot_id"] for slot in said["slots"]}
        assert sum(len(page["slots"]) for page in pages(line, "slot.list", limit=1000)) == 40


def test_the_next_planned_wake_is_in_the_status_and_in_the_file(home: Path, short_dir: Path) -> None:
    # The five seconds of each of the three writes are `test_who_is_out_of_quota_is_never_hidden`'s.
    soon = Trap(short_dir / "trap", constants={"torpord.shell.statefile:ACTIVITY_S": 0.05})
    daemon = RunningDaemon.start(home, launcher=soon.launcher)

    def in_file() -> Any:
        return json.loads((daemon.home / "lifecycle_state.json").read_text())["next_wake_ts"]

    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        assert line.call("status")["next_wake_ts"] is None
        far, near = added(line, "a", 7200), added(line, "a", 600)
        at = {slot["slot_id"]: slot["due_ts"] for slot in line.call("slot.list")["slots"]}
        assert line.call("status")["next_wake_ts"] == at[near]
        until(lambda: in_file() == at[near], what="the nearer one in the file")
        line.call("slot.cancel", slot_id=near)
        assert line.call("status")["next_wake_ts"] == at[far]
        until(lambda: in_file() == at[far], what="the one that is left in the file")
        added(line, "a")
        line.call("agent.heartbeat", agent_id="a")
        assert line.call("status")["next_wake_ts"] == at[far]  # what was offered is planned no more
        line.call("slot.cancel", slot_id=far)
        until(lambda: in_file() is None, what="no planned wake in the file")


def test_one_within_reach_keeps_it_in_sleep_and_why_says_so(home: Path) -> None:
    daemon = RunningDaemon.start(home, TIMERS)
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        slot_id = added(line, "a", 600)
        line.call("hibernate")

        def forbids() -> list[dict[str, Any]]:
            return [each for each in line.call("why")["not_yet_because"] if each["kind"] == "planned"]

        until(forbids, what="what forbids the exit")
        (reason,) = forbids()
        due_ts = line.call("status")["next_wake_ts"]
        assert (reason["kind"], reason["who"], reason["until"]) == ("planned", "a", due_ts)
        assert reason["why"] == f"slot {slot_id} is due then, and nothing could start the daemon"
        assert datetime.fromisoformat(reason["since"])
        assert line.call("status")["state"] == "SLEEP"
        line.call("slot.cancel", slot_id=slot_id)
        line.call("hibernate")
        assert line.at_end()
    assert daemon.wait_gone() == 0


def test_one_beyond_reach_does_not(home: Path) -> None:
    daemon = RunningDaemon.start(home, TIMERS)
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        added(line, "a", 2 * 3600)
        wake = line.call("status")["next_wake_ts"]
        line.call("hibernate")
        assert line.at_end()
    assert daemon.wait_gone() == 0
    assert json.loads((home / "lifecycle_state.json").read_text())["next_wake_ts"] == wake


def test_killed_with_one_offered_it_is_offered_again(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        slot_id = added(line, "a")
        assert [slot["slot_id"] for slot in line.call("agent.heartbeat", agent_id="a")["slots"]] == [slot_id]
    daemon.kill()
    with daemon.again().connect() as line:
        said = line.call("agent.heartbeat", agent_id="a")
        assert [(slot["slot_id"], slot["offers"]) for slot in said["slots"]] == [(slot_id, 2)]
        assert line.call("slot.take", slot_id=slot_id)["slot"]["status"] == "taken"
