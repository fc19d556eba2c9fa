"""Agents: what each method says on the wire, with both clients, and what the commands make of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from client.fake_daemon import RESULTS, FakeDaemon, Visitor, write_state
from client.some_agents import Room, agent, slot, ts, word
from torpor import wake
from torpor.cli import agent_words, look, show
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
        assert gone.startswith("1 more offline for over an hour")
        assert "old" in torpor("agent", "ls", "--all")[1]
        assert torpor("agent", "ls", "--status", "on_call")[1] == "no agent is on_call\n"
        found = json.loads(torpor("agent", "ls", "--json")[1])
        assert [len(found["agents"]), found["long_offline"]] == [4, 1]
        assert torpor("agent", "ls", "--status", "busy")[1].count("\n") == 2
    with FakeDaemon(home, Room()):
        assert torpor("agent")[1] == "no agents yet: `torpor agent beat NAME` makes one known\n"


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
        assert "more: `torpor agent`" not in out
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
    room = Room(codex, slots=[slot("91ab", due_s=-5)])
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
    assert "    and 20 more: `torpor agent` lists them" in out.splitlines()
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
    assert "    and 1 more: `torpor agent` lists them" in out.splitlines()
    assert daemon.methods().count("agent.list") == 50


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
