"""Agents: what each method says on the wire, with both clients, and what the commands make of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import FakeDaemon, Visitor, write_state
from client.some_agents import Room, agent, slot, ts, word
from torpor import wake
from torpor.cli import agent_words, show
from torpor.errors import Down, Timeout

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Ask, Torpor

AT = datetime(2026, 11, 21, 15, 20, tzinfo=UTC)
_CHANGES: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("agent_register", ("codex",), {}, "agent.register", {"agent_id": "codex"}),
    (
        "agent_register",
        ("codex",),
        {"parent_id": "p", "pid": 7, "wake_command": ["run", "it"], "meta": {"m": None}},
        "agent.register",
        {"agent_id": "codex", "parent_id": "p", "pid": 7, "wake_command": ["run", "it"], "meta": {"m": None}},
    ),
    # None takes away: it is said, and not left out.
    ("agent_register", ("codex",), {"pid": None}, "agent.register", {"agent_id": "codex", "pid": None}),
    ("agent_transition", ("codex", "busy"), {}, "agent.transition", {"agent_id": "codex", "to": "busy"}),
    (
        "agent_transition",
        ("codex", "exhausted"),
        {"reason": "billing", "recovery_at": AT, "retry_after": 3.5, "headers": {"retry-after": "3"}, "message": "m",
         "force": True},
        "agent.transition",
        {"agent_id": "codex", "to": "exhausted", "reason": "billing", "recovery_at": "2026-11-21T15:20:00+00:00",
         "retry_after": 3.5, "headers": {"retry-after": "3"}, "message": "m", "force": True},
    ),
    ("agent_forget", ("codex",), {}, "agent.forget", {"agent_id": "codex"}),
]  # fmt: skip
_HARMLESS_TWICE: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("agent_heartbeat", ("codex",), {}, "agent.heartbeat", {"agent_id": "codex"}),
    ("agent_heartbeat", ("codex", "idle"), {}, "agent.heartbeat", {"agent_id": "codex", "doing": "idle"}),
    ("agent_get", ("codex",), {}, "agent.get", {"agent_id": "codex"}),
    ("agent_list", (), {}, "agent.list", {}),
    ("agent_list", (), {"status": "busy", "cursor": "0", "limit": 3}, "agent.list",
     {"status": "busy", "cursor": "0", "limit": 3}),
    ("wait_agent", ("codex", "idle"), {"timeout_s": 2.5}, "wait",
     {"agent_id": "codex", "status": "idle", "timeout_s": 2.5}),
]  # fmt: skip
_WORKS = ("agent_heartbeat", ("codex", "busy"), {}, "agent.heartbeat", {"agent_id": "codex", "doing": "busy"})


@pytest.mark.parametrize(("method", "args", "more", "said", "params"), [*_CHANGES, *_HARMLESS_TWICE, _WORKS])
def test_what_each_says(
    home: pathlib.Path, ask: Ask, method: str, args: Any, more: Any, said: str, params: dict[str, Any]
) -> None:
    with FakeDaemon(home, Room(agent("codex"))) as daemon:
        assert isinstance(ask(home, method, *args, **more), dict)
    (request,) = daemon.requests
    key = request["params"].pop("key", None)
    assert (request["method"], request["params"]) == (said, params)
    assert (key is not None) == ((method, args, more, said, params) in _CHANGES)


@pytest.mark.parametrize(("method", "args"), [(each[0], each[1]) for each in _HARMLESS_TWICE])
def test_looking_and_presence_start_nobody(
    home: pathlib.Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, method: str, args: Any
) -> None:
    monkeypatch.setattr(wake, "start", lambda *_: pytest.fail("it was woken"))
    write_state(home, current_state="HIBERNATION")
    with FakeDaemon(home, locks=False) as socket_of_the_service_manager, pytest.raises(Down):
        ask(home, method, *args)
    assert socket_of_the_service_manager.visits == 0


@pytest.mark.parametrize(("method", "args"), [(each[0], each[1]) for each in (*_CHANGES, _WORKS)])
def test_work_starts_it(home: pathlib.Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, method: str, args: Any) -> None:
    daemon = FakeDaemon(home, Room(agent("codex")))
    monkeypatch.setattr(wake, "start", lambda *_: (daemon.listen(), daemon.accept()))
    ask(home, method, *args)
    daemon.stop()


def test_a_wait_that_runs_out_is_a_timeout(home: pathlib.Path, ask: Ask) -> None:
    room = Room(agent("codex"))
    room.refused["wait"] = ("timeout", {})
    with FakeDaemon(home, room), pytest.raises(Timeout):
        ask(home, "wait_agent", "codex", "busy", timeout_s=0.0)


def test_a_change_that_is_asked_again_has_the_same_key(home: pathlib.Path, ask: Ask) -> None:
    def hang_up(visitor: Visitor) -> None:
        visitor.request()

    with FakeDaemon(home, hang_up, Room(agent("codex"))) as daemon:
        ask(home, "agent_transition", "codex", "busy")
    first, second = daemon.requests
    assert first["params"] == second["params"]


@pytest.mark.parametrize(
    ("line", "told", "params"),
    [
        (["beat", "codex"], "codex: idle", {}),
        (["beat", "codex", "--doing", "on_call"], "codex: on_call", {"doing": "on_call"}),
        (["busy", "codex", "--reason", "a review"], "codex: busy", {"to": "busy", "reason": "a review"}),
        (["idle", "codex"], "codex: idle", {"doing": "idle"}),
        (["idle", "codex", "--reason", "lunch"], "codex: idle", {"to": "idle", "reason": "lunch"}),
        (["exhausted", "codex"], "codex: exhausted until", {"to": "exhausted"}),
        (["exhausted", "codex", "--after", "90m", "--reason", "billing", "--force"], "codex: exhausted until",
         {"to": "exhausted", "retry_after": 5400.0, "reason": "billing", "force": True}),
        (["exhausted", "codex", "--message", "try again in 6m0s"], "codex: exhausted until",
         {"to": "exhausted", "message": "try again in 6m0s"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_who_says_something_is_made_known(
    home: pathlib.Path, torpor: Torpor, line: list[str], told: str, params: dict[str, Any], known: bool
) -> None:
    with FakeDaemon(home, *[Room(*[agent("codex")] if known else [])] * 2) as daemon:
        status, out, err = torpor("agent", *line)
        assert (status, err, len(out.splitlines())) == (0, "", 1)
        assert out.startswith(told)
        said = [request["params"] for request in daemon.requests if request["method"] != "agent.register"][-1]
        said.pop("key", None)
        assert said == {"agent_id": "codex", **params}
        assert ("agent.register" in daemon.methods()) == (not known)
        assert json.loads(torpor("agent", *line, "--json")[1])["agent_id"] == "codex"


def test_who_leaves_or_is_asked_for_is_not_made_known(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, *[Room()] * 3) as daemon:
        for command in ("offline", "show", "forget"):
            status, out, err = torpor("agent", command, "nobody")
            assert (status, out, len(err.splitlines())) == (65, "", 1)
    assert "agent.register" not in daemon.methods()
    with FakeDaemon(home, *[Room(agent("codex"))] * 2):
        assert torpor("agent", "offline", "codex")[1] == "codex: offline\n"
        assert torpor("agent", "forget", "codex")[1] == "codex: forgotten\n"


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [("conflict", {"status": "exhausted", "needs": ["idle"]}, 65), ("too_many", {}, 75), ("invalid_params", {}, 65)],
)
def test_a_refusal_is_its_exit_status(
    home: pathlib.Path, torpor: Torpor, name: str, data: dict[str, Any], status: int
) -> None:
    room = Room(agent("codex"))
    room.refused = {"agent.transition": (name, data), "agent.heartbeat": (name, data)}
    with FakeDaemon(home, *[room] * 2) as daemon:
        for line in (["busy", "codex"], ["beat", "codex"]):
            found, out, err = torpor("agent", *line)
            assert (found, out, len(err.splitlines())) == (status, "", 1)
    assert "agent.register" not in daemon.methods()


def test_idle_says_all_there_is_to_say_in_one_go(home: pathlib.Path, torpor: Torpor) -> None:
    def left(is_out: int) -> Room:
        room = Room(agent("codex", "offline", recovery_at=ts(600) if is_out else None))
        known = room.answer

        def answer(visitor: Visitor, request: dict[str, Any]) -> None:
            nonlocal is_out
            if request["method"] in ("agent.heartbeat", "agent.transition"):
                is_out -= request["method"] == "agent.transition"
                visitor.answer(request, word("codex", "exhausted" if is_out > 0 else "idle"))
            else:
                known(visitor, request)

        room.answer = answer  # type: ignore[method-assign]
        return room

    for is_out, said in ((0, ["agent.heartbeat"]), (1, ["agent.heartbeat", "agent.transition"])):
        with FakeDaemon(home, left(is_out)) as daemon:
            assert torpor("agent", "idle", "codex") == (0, "codex: idle\n", "")
            assert daemon.methods() == said
    with FakeDaemon(home, left(2)) as daemon:
        assert torpor("agent", "idle", "codex", "--reason", "paid")[1] == "codex: idle\n"
        assert daemon.methods() == ["agent.transition"] * 2
        assert {request["params"]["reason"] for request in daemon.requests} == {"paid"}


@pytest.mark.parametrize("command", ["idle", "offline"])
def test_rest_and_leaving_start_nobody(home: pathlib.Path, torpor: Torpor, command: str) -> None:
    write_state(home)
    status, out, err = torpor("agent", command, "codex")
    assert (status, out, len(err.splitlines())) == (3, "", 1)
    assert err.startswith("torpor: down: ")


def test_an_idle_beat_at_a_daemon_that_is_down_is_3_and_work_starts_it(home: pathlib.Path, torpor: Torpor) -> None:
    write_state(home)
    assert torpor("agent", "beat", "codex")[0] == 3
    assert torpor("agent", "ls")[0] == 3
    assert torpor("agent", "beat", "codex", "--doing", "busy") == (69, "", "torpor: nobody is started here\n")


@pytest.mark.parametrize(
    "line",
    [["exhausted", "codex", "--until", "15:20", "--after", "5m"], ["exhausted", "codex", "--until", "soon"], ["beat"],
     ["exhausted", "codex", "--until", "25:00"], ["exhausted", "codex", "--until", "9999999d"],
     ["exhausted", "codex", "--until", "99999999999999d"], ["beat", "codex", "--doing", "exhausted"],
     ["exhausted", "codex", "--reason", "bored"], ["ls", "--status", "gone"], ["nonsense"]],
)  # fmt: skip
def test_what_cannot_be_meant_is_64(torpor: Torpor, line: list[str]) -> None:
    status, out, err = torpor("agent", *line)
    assert (status, out, len(err.splitlines())) == (64, "", 1)


def test_what_is_due_and_until_when_is_told() -> None:
    found: Any = word("codex", "idle", slots=[slot(each) for each in "abcde"], due=7)
    assert agent_words.word(found) == "codex: idle, due: a (work), b (work), c (work) and 4 more"
    found = word("codex", "idle", slots=[], due=1)
    assert agent_words.word(found) == "codex: idle, 1 slot due"
    found = word("codex", "offline", recovery_at=ts(60), recovery_source="retry_after")
    assert agent_words.word(found).startswith("codex: offline, exhausted until ")
    assert agent_words.word(found).endswith(" (retry after)")
    found = word("codex", "exhausted", recovery_at=ts(-1), recovery_source="message")
    assert agent_words.word(found) == "codex: exhausted, due now (message)"


def test_a_report_that_changes_nothing_says_so(home: pathlib.Path, torpor: Torpor) -> None:
    def same(visitor: Visitor) -> None:
        more = {"recovery_at": ts(600), "recovery_source": "headers", "changed": False}
        visitor.answer(visitor.request(), word("codex", "exhausted", **more))

    with FakeDaemon(home, same):
        assert torpor("agent", "exhausted", "codex", "--after", "1m")[1].endswith(" (headers), as it was\n")


_RECORDS = [
    ("agent_registered", {"parent_id": "boss", "pid": 7, "wake_command": ["run", "it"]},
     "codex: child of boss, pid 7, wakes by run it"),
    ("agent_registered", {}, "codex"),
    ("agent_online", {"how": "heartbeat"}, "codex"),
    ("agent_offline", {"how": "timeout", "reason": ""}, "codex: no heartbeat in time"),
    ("agent_offline", {"how": "process_ended"}, "codex: its process ended"),
    ("agent_offline", {"how": "said", "reason": "lunch"}, "codex: lunch"),
    ("agent_quiet", {}, "codex: no heartbeat in time, and its process lives"),
    ("agent_doing", {"doing": "busy", "slot_id": "91ab", "reason": "r"}, "codex: busy with slot 91ab, r"),
    ("agent_exhausted", {"reason": "billing", "recovery_ts": "CLOCK", "recovery_source": "headers", "moved": True},
     "codex: billing, now until CLOCK (headers)"),
    ("agent_recovered", {"how": "reached"}, "codex: its time has come"),
    ("agent_recovered", {"how": "said"}, "codex"),
    ("agent_forgotten", {"how": "expired"}, "codex: after long silence"),
    ("agent_wake_started", {"slot_id": "91ab", "command": "run it"}, "codex: for slot 91ab: run it"),
    ("agent_wake_ended", {"slot_id": "91ab", "problem": ""}, "codex: for slot 91ab: done"),
    ("slot_added", {"type": "work", "at_ts": "CLOCK", "priority": 3}, "91ab of codex: work at CLOCK, priority 3"),
    ("slot_offered", {"offers": 2, "via": "command", "pause_s": 60.0}, "91ab of codex: by its wake command, time 2"),
    ("slot_offered", {"offers": 1, "via": "agent", "pause_s": 60.0}, "91ab of codex"),
    ("slot_waiting", {}, "91ab of codex"),
    ("slot_queued", {"pause_s": None}, "91ab of codex: other wake commands run"),
    ("slot_queued", {"pause_s": 60.0}, "91ab of codex: its wake command runs already"),
    ("slot_deferred", {"until_ts": "CLOCK"}, "91ab of codex: until CLOCK"),
    ("slot_taken", {}, "91ab of codex"),
    ("slot_cancelled", {"how": "agent_forgotten", "reason": ""}, "91ab of codex: its agent was forgotten"),
    ("slot_cancelled", {"how": "asked", "reason": "rain"}, "91ab of codex: rain"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "told"), _RECORDS)
def test_records_are_told_in_words(kind: str, data: dict[str, Any], told: str) -> None:
    whose = {"agent_id": "codex", **({"slot_id": "91ab"} if kind.startswith("slot_") else {})}
    record = {"seq": 1, "ts": ts(0), "kind": kind, "data": {**whose, **data}, "cause": None}
    assert show.record(record).split(maxsplit=3)[3].split(maxsplit=1) == [kind, told]


def test_no_name_moves_the_cursor() -> None:
    found: Any = agent("a\x1b[2Jb", source="s\r\n")
    heading, row = agent_words.table([found], {}, {})
    assert heading.startswith("AGENT")
    assert row.isprintable()
