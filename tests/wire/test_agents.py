"""Agents over the wire: what each word answers, what is shown of them, and that a refused word leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from daemon_process import CallRefusedError, LineClient, RunningDaemon
from torpor import wire
from waiting import until
from wire.agents import AGENT, SLOT, WORD, added, ahead, until_s
from wire.runs import TIMERS, pages


@pytest.fixture
def agent(line: LineClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an agent that is idle, and of this test alone."""
    agent_id = f"agent of {request.node.name}"[:128]
    line.call("agent.register", agent_id=agent_id)
    yield agent_id
    if "result" in line.ask("agent.get", agent_id=agent_id):
        line.call("agent.forget", agent_id=agent_id)


def _get(line: LineClient, agent_id: str) -> dict[str, Any]:
    found = line.call("agent.get", agent_id=agent_id)["agent"]
    assert isinstance(found, dict)
    return found


def _refused(line: LineClient, method: str, **params: Any) -> dict[str, Any]:
    with pytest.raises(CallRefusedError) as refused:
        line.call(method, **params)
    assert len(refused.value.error["message"]) < 1000
    data = refused.value.error["data"]
    assert isinstance(data, dict)
    return data


def test_a_new_one_is_online_and_idle(line: LineClient) -> None:
    said = line.call(
        "agent.register", agent_id="new", parent_id="nobody knows it", meta={"cwd": "/tmp", "n": [1, None]}
    )
    assert set(said) == WORD | {"heartbeat_s"}
    assert (said["agent_id"], said["status"], said["changed"], said["slots"], said["due"]) == (
        "new",
        "idle",
        True,
        [],
        0,
    )
    assert said["heartbeat_s"] == 40.0
    shown = _get(line, "new")
    assert set(shown) == AGENT | {"wake_command", "meta"}
    assert (shown["status"], shown["online"], shown["doing"]) == ("idle", True, "idle")
    assert (shown["parent_id"], shown["pid"], shown["wake_command"]) == ("nobody knows it", None, None)
    assert (shown["meta"], shown["slots"], shown["holds"]) == ({"cwd": "/tmp", "n": [1, None]}, [], [])
    assert shown["since_ts"] == shown["seen_ts"]
    assert datetime.fromisoformat(shown["seen_ts"]).utcoffset() is not None
    (listed,) = line.call("agent.list", cursor="nev")["agents"]
    assert set(listed) == AGENT
    assert listed == {**{name: shown[name] for name in AGENT}, "slots": 0}
    assert line.call("agent.forget", agent_id="new") == {"agent_id": "new", "forgotten": True}
    assert _refused(line, "agent.get", agent_id="new")["name"] == "not_found"


def test_to_register_again_changes_what_is_given_and_null_takes_it_away(line: LineClient, agent: str) -> None:
    line.call("agent.heartbeat", agent_id=agent, doing="busy")
    given = {"parent_id": "p", "wake_command": ["echo", "", "a b"], "meta": [1], "pid": os.getpid()}
    said = line.call("agent.register", agent_id=agent, **given)
    assert (said["status"], said["changed"]) == ("busy", True)
    assert {name: _get(line, agent)[name] for name in given} == given
    seq = line.call("status")["ledger_seq"]
    assert not line.call("agent.register", agent_id=agent, parent_id="p")["changed"]
    assert not line.call("agent.register", agent_id=agent)["changed"]
    assert line.call("status")["ledger_seq"] == seq
    for name in given:
        line.call("agent.register", agent_id=agent, **{name: None})
        assert _get(line, agent)[name] is None
    line.call("agent.register", agent_id=agent, wake_command="echo $TORPOR_SLOT_ID")
    assert _get(line, agent)["wake_command"] == "echo $TORPOR_SLOT_ID"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("agent.heartbeat", {}),
        ("agent.heartbeat", {"doing": "busy"}),
        *(("agent.transition", {"to": to}) for to in wire.AGENT_TARGETS),
        ("agent.get", {}),
        ("agent.forget", {}),
        ("slot.add", {"type": "work", "at": ahead(60)}),
        ("slot.list", {}),
        ("wait", {"status": "idle"}),
    ],
)
def test_one_never_heard_of_is_not_found_and_not_made(line: LineClient, method: str, params: dict[str, Any]) -> None:
    before = line.call("status")
    data = _refused(line, method, agent_id="never heard of", **params)
    assert (data["name"], data["agent_id"]) == ("not_found", "never heard of")
    after = line.call("status")
    assert [after[name] for name in ("agents", "ledger_seq", "wrapper_event_seq")] == [
        before[name] for name in ("agents", "ledger_seq", "wrapper_event_seq")
    ]


def test_what_it_says_it_does_is_its_status(line: LineClient, agent: str) -> None:
    for method, name in (("agent.heartbeat", "doing"), ("agent.transition", "to")):
        for status in ("busy", "idle", "on_call", "idle"):
            said = line.call(method, agent_id=agent, **{name: status})
            assert set(said) == WORD
            assert (said["status"], said["changed"]) == (status, True)
            assert said["seq"] == line.call("status")["ledger_seq"]
            again = line.call(method, agent_id=agent, **{name: status})
            assert (again["status"], again["changed"], again["seq"]) == (status, False, said["seq"])
            assert line.call("status")["agents"][status] == 1
            assert _get(line, agent)["status"] == status


def test_a_conflict_names_what_it_is_and_what_it_would_need(line: LineClient, agent: str) -> None:
    line.call("agent.transition", agent_id=agent, to="on_call")
    data = _refused(line, "agent.transition", agent_id=agent, to="busy")
    assert (data["name"], data["status"]) == ("conflict", "on_call")
    assert "idle" in data["needs"]
    line.call("agent.transition", agent_id=agent, to="exhausted", retry_after=600)
    shown = _get(line, agent)
    for to in ("busy", "on_call"):
        data = _refused(line, "agent.heartbeat", agent_id=agent, doing=to)
        assert (data["status"], data["until"], data["exhausted_at"]) == (
            "exhausted",
            shown["recovery_at"],
            shown["exhausted_at"],
        )
    assert _get(line, agent) == shown  # not even presence


@pytest.mark.parametrize(
    ("report", "in_s", "source"),
    [
        ({"recovery_at": 3600}, 3600, "recovery_at"),
        ({"retry_after": 90}, 90, "retry_after"),
        ({"retry_after": "90"}, 90, "retry_after"),
        ({"headers": {"Retry-After": "120"}}, 120, "headers"),
        ({"headers": {"retry-after": 120}, "message": "try again in 6m0s"}, 120, "headers"),
        ({"message": "Rate limit reached.\nPlease try again in 6m0s."}, 360, "message"),
        ({"headers": {}, "message": "no"}, 5 * 3600, "estimated"),
        ({"reason": "billing"}, 5 * 3600, "estimated"),
        ({"retry_after": 60, "recovery_at": 600}, 600, "recovery_at"),
    ],
    ids=str,
)
def test_until_when_it_is_exhausted(
    line: LineClient, agent: str, report: dict[str, Any], in_s: float, source: str
) -> None:
    at = {"recovery_at": ahead(report["recovery_at"])} if "recovery_at" in report else {}  # now, not when it was read
    said = line.call("agent.transition", agent_id=agent, to="exhausted", **{**report, **at})
    assert set(said) == WORD | {"recovery_at", "recovery_source"}
    assert (said["status"], said["recovery_source"]) == ("exhausted", source)
    assert until_s(said["recovery_at"]) == pytest.approx(in_s, abs=5)
    shown = _get(line, agent)
    assert (shown["recovery_at"], shown["recovery_source"]) == (said["recovery_at"], source)
    assert shown["exhaust_reason"] == report.get("reason", "rate_limit")
    assert shown["exhausted_at"] == shown["since_ts"]
    (record,) = line.call("log", after=said["seq"] - 1, limit=1)["records"]
    assert (record["kind"], record["data"]["recovery_ts"]) == ("agent_exhausted", said["recovery_at"])


def test_a_later_report_makes_it_no_shorter_but_by_force(line: LineClient, agent: str) -> None:
    def report(**params: Any) -> Any:
        said = line.call("agent.transition", agent_id=agent, to="exhausted", **params)
        return said["recovery_source"], round(until_s(said["recovery_at"])), said["changed"]

    assert report() == ("estimated", pytest.approx(18_000, abs=5), True)
    assert report(retry_after=600) == ("retry_after", pytest.approx(600, abs=5), True)  # a word over an estimate
    assert report() == ("retry_after", pytest.approx(600, abs=5), False)  # which knows nothing
    assert report(retry_after=300) == ("retry_after", pytest.approx(600, abs=5), False)
    assert report(headers={"retry-after": "900"}) == ("headers", pytest.approx(900, abs=5), True)
    assert report(retry_after=300, force=True) == ("retry_after", pytest.approx(300, abs=5), True)


def test_a_pause_of_its_quota_outlives_its_absence(line: LineClient, agent: str) -> None:
    until_ts = line.call("agent.transition", agent_id=agent, to="exhausted", retry_after=600)["recovery_at"]
    gone = line.call("agent.transition", agent_id=agent, to="offline")
    assert (gone["status"], gone["changed"]) == ("offline", True)
    assert _get(line, agent)["recovery_at"] == until_ts
    back = line.call("agent.heartbeat", agent_id=agent)
    assert (back["status"], back["recovery_at"], back["changed"]) == ("exhausted", until_ts, True)
    assert line.call("agent.heartbeat", agent_id=agent, doing="idle")["status"] == "exhausted"
    assert line.call("agent.transition", agent_id=agent, to="idle")["status"] == "idle"
    assert _get(line, agent)["recovery_at"] is None


def test_it_recovers_by_itself(line: LineClient, agent: str) -> None:
    line.call("agent.transition", agent_id=agent, to="exhausted", retry_after=0.2)
    assert line.call("wait", agent_id=agent, status="idle", timeout_s=5)["status"] == "idle"


def test_a_process_that_is_not_there_is_nobodys(line: LineClient, agent: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    data = _refused(line, "agent.register", agent_id=agent, pid=child.pid)
    assert (data["name"], data["field"]) == ("invalid_params", "pid")


def test_the_end_of_its_process_makes_it_offline_at_once(line: LineClient, agent: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        line.call("agent.register", agent_id=agent, pid=child.pid)
        line.call("agent.heartbeat", agent_id=agent, doing="busy")
        waiting = line.request("wait", agent_id=agent, status="offline", timeout_s=10)
        child.kill()
    assert line.read_line()["id"] == waiting
    shown = _get(line, agent)
    assert (shown["status"], shown["doing"], shown["source"]) == ("offline", "busy", "process")


def test_holds_that_it_has_are_shown_with_it(line: LineClient, agent: str) -> None:
    hold_id = line.call("hold.acquire", who=agent, why="y", ttl_s=60)["hold_id"]
    other = line.call("hold.acquire", who="somebody else", why="y", ttl_s=60)["hold_id"]
    assert _get(line, agent)["holds"] == [hold_id]
    listed = {each["agent_id"]: each["holds"] for each in line.call("agent.list")["agents"]}
    assert listed[agent] == [hold_id]
    for each in (hold_id, other):
        line.call("hold.release", hold_id=each)


def test_who_works_keeps_it_awake_and_is_named(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("agent.register", agent_id="codex")
        line.call("agent.register", agent_id="editor")
        line.call("agent.heartbeat", agent_id="codex", doing="busy")
        (reason,) = line.call("why")["awake_because"]
        shown = _get(line, "codex")
        assert reason == {
            "kind": "agent",
            "who": "codex",
            "why": "it is busy",
            "since": shown["since_ts"],
            "until": None,
        }
        assert line.call("status")["next"]["blocked_by"] == ["codex: it is busy"]
        data = _refused(line, "event", event="force_sleep")
        assert data["busy"] == [{"kind": "agent", "agent_id": "codex", "who": "codex", "why": "it is busy"}]
        assert line.call("hibernate")["waiting_for"] == data["busy"]
        line.call("event", event="wake_signal")
        slot_id = added(line, "editor", type="on_call")
        until(lambda: line.call("slot.take", slot_id=slot_id), what="the slot")
        whys = {each["who"]: each["why"] for each in line.call("why")["awake_because"]}
        assert whys == {"codex": "it is busy", "editor": f"it is on call with slot {slot_id} (on_call)"}
        line.call("slot.finish", slot_id=slot_id)
        line.call("agent.heartbeat", agent_id="codex", doing="idle")
        assert [each["kind"] for each in line.call("why")["awake_because"]] == ["activity"]
        assert line.call("event", event="force_sleep")["state"] == "SLEEP"


def test_who_is_out_of_quota_is_never_hidden(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        for name in ("claude", "codex", "editor"):
            line.call("agent.register", agent_id=name)
        soon, late = ahead(600), ahead(900)
        line.call("agent.transition", agent_id="codex", to="exhausted", recovery_at=late)
        line.call("agent.transition", agent_id="claude", to="exhausted", recovery_at=soon)
        line.call("agent.transition", agent_id="claude", to="offline")
        status = line.call("status")
        assert (status["agents"]["exhausted"], status["recovering"]["count"]) == (1, 2)
        assert 590 < until_s(status["recovering"]["next_ts"]) <= 600
        assert [each["agent_id"] for each in line.call("agent.list", exhausted=True)["agents"]] == ["claude", "codex"]
        assert [each["agent_id"] for each in line.call("agent.list", exhausted=False)["agents"]] == ["editor"]
        (offline,) = line.call("agent.list", exhausted=True, status="offline")["agents"]
        assert offline["agent_id"] == "claude"
        shown = lambda: json.loads((daemon.home / wire.STATE_NAME).read_text())["recovering"]  # noqa: E731 - a look
        until(lambda: shown() == status["recovering"], limit_s=10, what="the state file to say so")
        line.call("agent.forget", agent_id="claude")
        line.call("agent.transition", agent_id="codex", to="idle")
        assert line.call("status")["recovering"] == {"count": 0, "next_ts": None}


def test_a_refusal_names_the_command_that_helps(line: LineClient, agent: str) -> None:
    def message(method: str, **params: Any) -> str:
        return str(line.ask(method, **params)["error"]["message"])

    quoted = "'it is nobody'"
    assert message("agent.heartbeat", agent_id="it is nobody").endswith(f"comes first (`torpor agent beat {quoted}`)")
    assert message("agent.get", agent_id="x").endswith("(`torpor agent ls`)")
    assert message("wait", agent_id="x", status="idle").endswith("(`torpor agent beat x`)")
    assert message("slot.finish", slot_id="none").endswith("slot.list names them (`torpor slot ls`)")
    line.call("agent.heartbeat", agent_id=agent, doing="busy")
    assert message("agent.heartbeat", agent_id=agent, doing="on_call").endswith(f"(`torpor agent idle '{agent}'`)")
    line.call("agent.transition", agent_id=agent, to="exhausted", retry_after=60)
    assert message("agent.heartbeat", agent_id=agent, doing="busy").endswith(f"(`torpor agent idle '{agent}'`)")


def test_presence_alone_is_no_activity(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("agent.register", agent_id="editor")
        before = line.call("status")
        for _ in range(10):
            line.call("agent.heartbeat", agent_id="editor")
            line.call("agent.heartbeat", agent_id="editor", doing="idle")
        after = line.call("status")
        names = ("last_activity_ts", "wrapper_event_seq", "ledger_seq")
        assert [after[name] for name in names] == [before[name] for name in names]
        line.call("agent.heartbeat", agent_id="editor", doing="busy")
        line.call("agent.heartbeat", agent_id="editor")
        assert line.call("status")["wrapper_event_seq"] == before["wrapper_event_seq"] + 2


def test_an_open_editor_does_not_keep_it_from_sleep(home: Path) -> None:
    settings = '[lifecycle]\ndrowsy_after = "300ms"\nsleep_after = "600ms"\nmin_up = "1h"\n'
    daemon = RunningDaemon.start(home, settings)
    with daemon.connect() as line:
        line.call("agent.register", agent_id="editor")

        def asleep() -> bool:
            line.call("agent.heartbeat", agent_id="editor")
            return str(line.call("status")["state"]) == "SLEEP"

        until(asleep, what="sleep beside an open editor")


def test_silence_makes_it_offline(home: Path) -> None:
    daemon = RunningDaemon.start(home, TIMERS + '[agents]\nheartbeat_timeout = "300ms"\n')
    with daemon.connect() as line:
        assert line.call("agent.register", agent_id="a")["heartbeat_s"] == pytest.approx(0.1)
        line.call("agent.heartbeat", agent_id="a", doing="busy")
        assert line.call("wait", agent_id="a", status="offline", timeout_s=10)["status"] == "offline"
        shown = _get(line, "a")
        assert (shown["source"], shown["doing"], shown["online"]) == ("deadline", "busy", False)
        assert line.call("agent.heartbeat", agent_id="a")["status"] == "busy"  # what it was


def test_pages_lose_and_repeat_nothing_while_agents_come_and_go(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        names = [f"{number:03}" for number in range(120)]
        for name in names:
            line.call("agent.register", agent_id=name)
        line.call("agent.transition", agent_id="077", to="offline")
        seen: list[str] = []
        for number, page in enumerate(pages(line, "agent.list", limit=50)):
            seen += [each["agent_id"] for each in page["agents"]]
            line.call("agent.forget", agent_id=names[number])
            line.call("agent.register", agent_id=f"0 came {number}")
        assert seen == names
        assert len(line.call("agent.list", limit=1000)["agents"]) == 120
        assert len(line.call("agent.list")["agents"]) == 100
        (offline,) = line.call("agent.list", status="offline")["agents"]
        assert offline["agent_id"] == "077"
        assert line.call("agent.list", status="busy") == {"agents": [], "cursor": None}
        counts = line.call("status")["agents"]
        assert (counts["idle"], counts["offline"]) == (119, 1)


def test_a_page_is_within_its_size_whatever_agents_say_of_themselves(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        for number in range(300):
            line.call("agent.register", agent_id=f"{number:03}" + "😀" * 125, parent_id="😀" * 128)
        found = 0
        for page in pages(line, "agent.list", limit=1000):
            assert len(repr(page).encode()) < wire.MAX_PAGE_BYTES * 2  # it was smaller on the wire
            found += len(page["agents"])
        assert found == 300
        name = "000" + "😀" * 125
        large = {"wake_command": ["😀" * 1024] * 4, "meta": "x" * (wire.MAX_META_BYTES - 2)}
        line.call("agent.register", agent_id=name, **large)
        for _ in range(30):
            added(line, name, 60, payload="x" * (wire.MAX_PAYLOAD_BYTES - 2))
        line.request("agent.get", agent_id=name)
        raw = line.read_bytes_line()
        assert raw is not None
        assert len(raw) < wire.MAX_PAGE_BYTES
        assert sum(len(page["slots"]) for page in pages(line, "slot.list")) == 30


def test_what_a_restart_leaves(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        for name in ("busy", "exhausted", "offline"):
            line.call("agent.register", agent_id=name, meta=name)
        line.call("agent.heartbeat", agent_id="busy", doing="busy")
        line.call("agent.transition", agent_id="exhausted", to="exhausted", retry_after=600)
        line.call("agent.transition", agent_id="offline", to="offline")
        slot_id = added(line, "offline", 3600, payload={"a": 1})
        before = [_get(line, name) for name in ("busy", "exhausted", "offline")]
        wake = line.call("status")["next_wake_ts"]
    daemon.kill()
    with daemon.again().connect() as line:
        assert [_get(line, name) for name in ("busy", "exhausted", "offline")] == before
        status = line.call("status")
        assert (status["agents"]["busy"], status["next_wake_ts"]) == (1, wake)
        assert set(line.call("slot.list")["slots"][0]) == SLOT
        assert line.call("slot.cancel", slot_id=slot_id) == {"slot_id": slot_id, "cancelled": True}
        assert line.call("status")["next_wake_ts"] is None
