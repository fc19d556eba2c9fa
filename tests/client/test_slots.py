"""Slots: what each method says on the wire, with both clients, and what the commands make of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import FakeDaemon, write_state
from client.some_agents import Room, agent, slot
from torpor import wake
from torpor.cli import typed
from torpor.errors import Down

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Ask, Torpor

AT = datetime(2026, 11, 22, 3, tzinfo=timezone(timedelta(hours=1)))
_CHANGES: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("slot_add", ("codex", "work", AT), {}, "slot.add",
     {"agent_id": "codex", "type": "work", "at": "2026-11-22T03:00:00+01:00"}),
    (
        "slot_add",
        ("codex", "on_call", "2026-11-22T03:00:00Z"),
        {"duration_s": 60.0, "priority": -3, "payload": [None]},
        "slot.add",
        {"agent_id": "codex", "type": "on_call", "at": "2026-11-22T03:00:00Z", "duration_s": 60.0, "priority": -3,
         "payload": [None]},
    ),
    ("slot_take", ("91ab",), {}, "slot.take", {"slot_id": "91ab"}),
    ("slot_take", ("91ab",), {"agent_id": "codex"}, "slot.take", {"slot_id": "91ab", "agent_id": "codex"}),
    ("slot_finish", ("91ab",), {}, "slot.finish", {"slot_id": "91ab"}),
    ("slot_cancel", ("91ab",), {"reason": "rain"}, "slot.cancel", {"slot_id": "91ab", "reason": "rain"}),
]  # fmt: skip
_LOOKS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("slot_list", (), {}, "slot.list", {}),
    ("slot_list", (), {"agent_id": "codex", "status": "planned", "cursor": "0", "limit": 3}, "slot.list",
     {"agent_id": "codex", "status": "planned", "cursor": "0", "limit": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "args", "more", "said", "params"), [*_CHANGES, *_LOOKS])
def test_what_each_says(
    home: pathlib.Path, ask: Ask, method: str, args: Any, more: Any, said: str, params: dict[str, Any]
) -> None:
    with FakeDaemon(home, Room(agent("codex"), slots=[slot("91ab")])) as daemon:
        assert isinstance(ask(home, method, *args, **more), dict)
    (request,) = daemon.requests
    key = request["params"].pop("key", None)
    assert (request["method"], request["params"]) == (said, params)
    assert (key is not None) == ((method, args, more, said, params) in _CHANGES)


def test_a_key_of_the_callers_is_taken(home: pathlib.Path, ask: Ask) -> None:
    with FakeDaemon(home, Room(agent("codex"))) as daemon:
        ask(home, "slot_add", "codex", "work", AT, key="mine")
    assert daemon.requests[0]["params"]["key"] == "mine"


def test_looking_starts_nobody(home: pathlib.Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "start", lambda *_: pytest.fail("it was woken"))
    write_state(home, current_state="HIBERNATION")
    with FakeDaemon(home, locks=False) as socket_of_the_service_manager, pytest.raises(Down):
        ask(home, "slot_list")
    assert socket_of_the_service_manager.visits == 0


@pytest.mark.parametrize("known", [True, False])
def test_a_slot_makes_its_agent_known(home: pathlib.Path, torpor: Torpor, known: bool) -> None:
    with FakeDaemon(home, Room(*[agent("night")] if known else [])) as daemon:
        status, out, err = torpor("slot", "add", "night")
        assert (status, out, err) == (0, "57279a8941a3a528: due now\n", "")
        assert ("agent.register" in daemon.methods()) == (not known)
        params = daemon.requests[-1]["params"]
        assert params["type"] == "work"
        assert abs(datetime.fromisoformat(params["at"]) - datetime.now(UTC)) < timedelta(seconds=20)


def test_all_that_can_be_said_of_a_slot(home: pathlib.Path, torpor: Torpor, tmp_path: pathlib.Path) -> None:
    (tmp_path / "task.json").write_text('{"task": [1]}')
    line = ["slot", "add", "night", "--type", "on_call", "--at", "2h", "--for", "30m", "--priority", "-3", "--payload",
            f"@{tmp_path}/task.json", "--key", "mine"]  # fmt: skip
    with FakeDaemon(home, *[Room(agent("night"))] * 2) as daemon:
        status, out, err = torpor(*line)
        assert (status, err, len(out.splitlines())) == (0, "", 1)
        assert out.endswith("; where torpor is down by then, at its next start\n")
        assert json.loads(torpor(*line, "--json")[1])["slot_id"] == "57279a8941a3a528"
    params = daemon.requests[0]["params"]
    at = datetime.fromisoformat(params.pop("at")) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < at <= timedelta(hours=2)
    assert params == {"agent_id": "night", "type": "on_call", "duration_s": 1800.0, "priority": -3,
                      "payload": {"task": [1]}, "key": "mine"}  # fmt: skip


def test_one_is_named_by_its_first_characters(home: pathlib.Path, torpor: Torpor) -> None:
    room = Room(agent("codex"), slots=[slot("91ab0001"), slot("91ab0002"), slot("77cd0003")], a_page=1)
    with FakeDaemon(home, *[room] * 9):
        assert torpor("slot", "take", "77cd")[1] == "77cd0003: taken, codex: busy\n"
        assert torpor("slot", "finish", "77cd0003")[1] == "codex: idle\n"
        assert torpor("slot", "cancel", "91ab0001", "--reason", "rain")[1] == "91ab0001: cancelled\n"
        status, _, err = torpor("slot", "take", "91ab")
        assert (status, "91ab0001, 91ab0002" in err) == (65, True)
        assert torpor("slot", "take", "91a")[0] == 65
        assert torpor("slot", "take", "ffff")[0] == 65
        assert json.loads(torpor("slot", "take", "77cd", "--json")[1])["slot"]["slot_id"] == "77cd0003"


def test_one_that_is_taken_is_65(home: pathlib.Path, torpor: Torpor) -> None:
    room = Room(slots=[slot("91ab0001", status="taken")])
    room.refused["slot.take"] = ("conflict", {"status": "taken"})
    with FakeDaemon(home, room) as daemon:
        assert torpor("slot", "take", "91ab0001")[0] == 65
    assert daemon.methods() == ["slot.take"]


def test_the_list_has_the_next_one_first(home: pathlib.Path, torpor: Torpor) -> None:
    slots = [slot("a1", due_s=600, priority=3), slot("b2", "night", due_s=60, duration_s=1800.0, type="on_call"),
             slot("c3", due_s=-60, status="waiting")]  # fmt: skip
    with FakeDaemon(home, *[Room(slots=slots, a_page=2)] * 3):
        heading, *rows = torpor("slot")[1].splitlines()
        assert heading.split() == ["SLOT", "AGENT", "TYPE", "DUE", "STATUS", "PRIORITY", "FOR"]
        assert [row.split()[0] for row in rows] == ["c3", "b2", "a1"]
        assert rows[0].endswith("waiting")
        assert rows[0].split()[3] == "now"
        assert rows[1].endswith("30m")
        assert rows[2].endswith("3")
        (only,) = json.loads(torpor("slot", "ls", "--agent", "night", "--json")[1])["slots"]
        assert only["slot_id"] == "b2"
        assert torpor("slot", "ls", "--agent", "nobody")[1] == "no slots of nobody\n"
    with FakeDaemon(home, Room()):
        assert torpor("slot")[1] == f"no slots: `torpor slot add NAME --at T --home {home}` plans one\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [(["add"], 64), (["add", "codex", "--at", "yesterday"], 64), (["add", "codex", "--type", "play"], 64),
     (["add", "codex", "--priority", "high"], 64), (["add", "codex", "--payload", "{"], 65),
     (["add", "codex", "--payload", "@/nowhere/at-all"], 65), (["take"], 64)],
)  # fmt: skip
def test_what_cannot_be_meant(torpor: Torpor, line: list[str], status: int) -> None:
    found, out, err = torpor("slot", *line)
    assert (found, out, len(err.splitlines())) == (status, "", 1)


def test_a_time_to_come_is_read_as_people_write_it() -> None:
    now = datetime.now(UTC)
    assert timedelta() <= typed.time_to_come("90m") - now - timedelta(minutes=90) < timedelta(seconds=20)
    assert typed.time_to_come("2026-11-22T03:00:00+01:00") == AT
    local = typed.time_to_come("2026-11-22T03:00")
    assert (local.hour, local.utcoffset()) == (3, datetime(2026, 11, 22, 3).astimezone().utcoffset())
    for hour in (0, 6, 12, 18, 23):
        found = typed.time_to_come(f"{hour:02}:30")
        assert (found.astimezone().hour, found.astimezone().minute) == (hour, 30)
        assert now < found <= now + timedelta(hours=25)
