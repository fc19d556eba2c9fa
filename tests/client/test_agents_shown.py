"""Agents as people are shown them: the table, one of them, and who is there in a status."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from client.some_agents import Room, agent, slot, ts
from torpor.cli import look, show

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor

AT = datetime(2026, 11, 21, 15, 20, tzinfo=UTC)


def _some() -> Room:
    room = Room(
        agent("claude-code:3f2a", "busy", 242, slot_id="91ab", slots=1),
        agent("codex", "exhausted", 3780, recovery_at=ts(600), recovery_source="message", slots=2, next_slot_ts=ts(0)),
        agent("editor", "idle", 720, holds=["h1", "gone"]),
        agent("night", "offline", 3600, slots=1, next_slot_ts=ts(0)),
        agent("old", "offline", 4000.0),
    )
    room.holds = [{"hold_id": "h1", "who": "editor", "why": "keep up", "since_ts": ts(0), "until_ts": None,
                   "bound": "connection", "pid": None}]  # fmt: skip
    return room


def test_the_table(home: pathlib.Path, torpor: Torpor) -> None:
    room = _some()
    with FakeDaemon(home, *[room] * 5):
        status, out, err = torpor("agent")
        assert (status, err) == (0, "")
        heading, *rows, gone = out.splitlines()
        assert heading.split() == ["AGENT", "STATUS", "SINCE", "UNTIL", "SOURCE", "HOLDS"]
        until = show.soon(room.agents["codex"]["recovery_at"])[:5]
        for row, parts in zip(
            rows,
            (
                ["claude-code:3f2a", "busy", "4m 2s", "torpor", "slot 91ab (work)"],
                ["codex", "exhausted", "1h 3m", until, "(message)", "2 slots"],
                ["editor", "idle", "12m", 'hold "keep up", hold "gone"'],
                ["night", "offline", "1h", "due now (slot)", "1 slot"],
            ),
            strict=True,
        ):
            assert all(part in row for part in parts), row
        assert gone == (
            f"1 more offline for over an hour: `torpor agent ls --all --home {home}` lists them,"
            f" `torpor agent forget NAME --home {home}` ends that"
        )
        assert "old" in torpor("agent", "ls", "--all")[1]
        assert torpor("agent", "ls", "--status", "on_call")[1] == "no agent is on_call\n"
        found = json.loads(torpor("agent", "ls", "--json")[1])
        assert [len(found["agents"]), found["long_offline"]] == [4, 1]
        assert torpor("agent", "ls", "--status", "busy")[1].count("\n") == 2
    with FakeDaemon(home, Room()):
        assert torpor("agent")[1] == f"no agents yet: `torpor agent beat NAME --home {home}` makes one known\n"


ID = "claude-code:3f2a1b2c-0d4e-4f6a-8b9c-0123456789ab"


def _out_of_quota() -> Room:
    return Room(
        agent("codex", "offline", 9999.0, recovery_at=ts(600), recovery_source="message"),
        agent("gone", "offline", 9999.0),
        agent("late", "exhausted", recovery_at=ts(1200)),
    )


def test_who_is_out_of_quota_is_seen_also_while_it_is_offline(home: pathlib.Path, torpor: Torpor) -> None:
    room = _out_of_quota()
    back = show.soon(room.agents["codex"]["recovery_at"])
    with FakeDaemon(home, *[room] * 5):
        for line in (["agent"], ["agent", "ls", "--status", "exhausted"], ["status"]):
            out = torpor(*line)[1]
            (told,) = [each for each in out.splitlines() if each.split()[0] == "codex"]
            assert f"offline, exhausted  2h 46m  {back} (message)" in told
            assert "gone" not in out.split()
        assert f"  quota     2 used up, the next is back {back}" in out.splitlines()
        assert "more: `torpor agent" not in out
        found = json.loads(torpor("agent", "ls", "--status", "exhausted", "--json")[1])["agents"]
        assert [each["agent_id"] for each in found] == ["codex", "late"]
        assert torpor("agent", "show", "codex")[1].startswith("codex: offline, exhausted since")
    room = Room(agent("codex", "exhausted", recovery_at=ts(-1)))
    with FakeDaemon(home, *[room] * 2):
        assert "  quota     1 used up, back now" in torpor("status")[1].splitlines()
        assert "due now" in torpor("agent")[1]
    write_state(home, recovering={"count": 1, "next_ts": ts(-1)})
    assert "  quota     1 used up, back now" in torpor("status")[1].splitlines()


def test_what_is_due_is_never_told_as_still_to_come(home: pathlib.Path, torpor: Torpor) -> None:
    past = ts(-5)
    codex = agent("codex", "idle", next_slot_ts=past, slots=1)
    room = Room(codex, slots=[slot("91ab", at=past, due_ts=past)])
    room.wakes_ts = past
    with FakeDaemon(home, *[room] * 4):
        assert "  wakes     due now (slot 91ab of codex)" in torpor("status")[1].splitlines()
        assert "due now (slot)" in torpor("agent")[1]
        assert "91ab: work, due now, planned" in torpor("agent", "show", "codex")[1]
    found: Any = {"kind": "planned", "who": "codex", "why": "a slot", "since": None, "until": past}
    assert look._reason(found) == "planned codex: a slot, due now"
    nxt: Any = {"state": "DROWSY", "at": past, "blocked_by": []}
    assert look._next(nxt) == "DROWSY due now"
    write_state(home, next_wake_ts=past)
    assert "  wakes     due now, at the next start" in torpor("status")[1].splitlines()


def test_why_names_the_silent_ones_apart(home: pathlib.Path, torpor: Torpor) -> None:
    def answer(visitor: Visitor) -> None:
        reason = {"kind": "agent", "who": "codex", "why": "it was busy and quiet", "since": ts(-60), "until": None}
        visitor.answer(visitor.request(), {**RESULTS["why"], "quiet": [reason]})

    with FakeDaemon(home, answer):
        assert "  silent           agent codex: it was busy and quiet, since" in torpor("why")[1]


def test_a_daemon_that_cannot_be_asked_for_them_is_asked_for_all(home: pathlib.Path, torpor: Torpor) -> None:
    room = _out_of_quota()
    known = room.answer

    def answer(visitor: Visitor, request: dict[str, Any]) -> None:
        if "exhausted" in request["params"]:
            visitor.refuse(request["id"], "invalid_params", field="exhausted")
        else:
            known(visitor, request)

    room.answer = answer  # type: ignore[method-assign]
    with FakeDaemon(home, room):
        found = json.loads(torpor("agent", "ls", "--status", "exhausted", "--json")[1])["agents"]
    assert [each["agent_id"] for each in found] == ["codex", "late"]


def test_the_table_fits_a_terminal_with_ids_that_a_machine_made(home: pathlib.Path, torpor: Torpor) -> None:
    room = Room(
        agent(ID, "busy", quiet=True, seen_ts=ts(-750), meta={"cwd": "/home/you/torpor/"}),
        agent("東京", recovery_at=None),
    )
    with FakeDaemon(home, *[room] * 2):
        for line in (["agent"], ["status"]):
            heading, one, other = [
                each for each in torpor(*line)[1].splitlines() if each.split()[0] in ("AGENT", ID[:20], "東京")
            ]
            assert one.split() == [ID[:20], "busy", "(silent", "12m)", "1m", "torpor", "torpor"]
            assert heading.split() == ["AGENT", "STATUS", "SINCE", "UNTIL", "FOLDER", "SOURCE", "HOLDS"]
            assert other.index("idle") == heading.index("STATUS") - 2  # two characters are four cells
            assert max(map(len, (heading, one, other))) <= 80


def test_a_list_goes_through_all_pages_also_empty_ones(home: pathlib.Path, torpor: Torpor) -> None:
    agents = [agent(f"a{number}", "busy" if number == 11 else "idle") for number in range(12)]
    with FakeDaemon(home, *[Room(*agents, a_page=3)] * 2):
        assert len(json.loads(torpor("agent", "ls", "--json")[1])["agents"]) == 12
        (found,) = json.loads(torpor("agent", "ls", "--status", "busy", "--json")[1])["agents"]
    assert found["agent_id"] == "a11"


def test_all_of_one_agent(home: pathlib.Path, torpor: Torpor) -> None:
    room = Room(
        agent("codex", "exhausted", recovery_at=ts(600), recovery_source="headers", exhausted_at=ts(-60), pid=7,
              exhaust_reason="billing", parent_id="boss", holds=["h1"], wake_command=["run", "it"], meta={"cwd": "/x"}),
        slots=[slot("91ab", due_s=600, priority=3, duration_s=3600.0)],
    )  # fmt: skip
    room.holds = [{"hold_id": "h1", "why": "indexing"}]
    with FakeDaemon(home, *[room] * 2):
        _, out, err = torpor("agent", "show", "codex")
        assert err == ""
        for said in ("codex: exhausted since", "(headers), billing since", "boss", "pid 7", '["run", "it"]', '"/x"',
                     "h1: indexing", "91ab: work, due", "priority 3, for 1h"):  # fmt: skip
            assert said in out
        assert json.loads(torpor("agent", "show", "codex", "--json")[1])["pid"] == 7


def test_status_shows_who_is_there(home: pathlib.Path, torpor: Torpor) -> None:
    room = _some()
    room.wakes_ts = ts(3600)
    room.slots = [slot("77cd", "night"), {**slot("91ab", "night"), "due_ts": room.wakes_ts}]
    with FakeDaemon(home, *[room] * 2) as daemon:
        _, out, err = torpor("status")
        assert err == ""
        lines = out.splitlines()
        assert "  agents    1 busy, 1 exhausted, 1 idle, 2 offline" in lines
        at = lines.index("  agents    1 busy, 1 exhausted, 1 idle, 2 offline")
        assert [line.split()[0] for line in lines[at + 1 : at + 5]] == ["AGENT", "claude-code:3f2a", "codex", "editor"]
        assert 'hold "keep up"' in out
        assert "(slot 91ab of night)" in out
        asked = len(daemon.methods())
        assert json.loads(torpor("status", "--json")[1])["agents"]["offline"] == 2
        assert daemon.methods()[asked:] == ["status"]


def test_the_table_has_a_line_each_on_a_narrow_terminal_too(
    home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torpor.cli.streams.columns", lambda: 50)
    with FakeDaemon(home, *[_some()] * 2):
        status, table = torpor("status")[1].splitlines(), torpor("agent")[1].splitlines()[:-1]
    at = status.index("  agents    1 busy, 1 exhausted, 1 idle, 2 offline")
    assert {len(line) for line in (*status[at + 1 : at + 5], *table[:5])} <= set(range(51))
    assert all(line.endswith("…") for line in (status[at + 2], table[1]))


def test_status_shows_ten_at_most_and_asks_no_more_than_it_must(home: pathlib.Path, torpor: Torpor) -> None:
    many = [agent(f"a{number:02}", "busy") for number in range(30)]
    with FakeDaemon(home, *[Room(*many)] * 1) as daemon:
        out = torpor("status")[1]
    assert "    and 20 more: `torpor agent --home /somewhere` lists them" in out.splitlines()
    assert daemon.methods() == ["status", "agent.list"]
    with FakeDaemon(home, Room(*[agent(f"a{number:02}", "offline") for number in range(30)])) as daemon:
        assert "  agents    30 offline" in torpor("status")[1].splitlines()
    assert daemon.methods() == ["status"]
    with FakeDaemon(home) as daemon:  # an older one, which knows no agents
        assert "agents" not in torpor("status")[1]
    assert daemon.methods() == ["status"]


def test_a_status_among_very_many_gives_up_looking_for_the_few(home: pathlib.Path, torpor: Torpor) -> None:
    away = [agent(f"a{number}", "offline") for number in range(60)]
    with FakeDaemon(home, Room(*away, agent("z", "busy"), a_page=1)) as daemon:
        out = torpor("status")[1]
    assert "    and 1 more: `torpor agent --home /somewhere` lists them" in out.splitlines()
    assert daemon.methods().count("agent.list") == 50
