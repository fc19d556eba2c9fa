"""`torpor hook claude-code` where the daemon refuses what it says, and where there is none."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from client.fake_daemon import FakeDaemon, Visitor, write_state
from client.hooks import SCRIPT, WORD, S, a_hook, granting, is_silent, refusing, said, surroundings
from torpor import presence
from waiting import until

# What it says where it is refused.


def test_an_agent_that_is_not_known_is_made_known_with_its_process(home: pathlib.Path) -> None:
    with FakeDaemon(home, refusing(heartbeat=[{"name": "not_found", "agent_id": S}])) as daemon:
        is_silent(home, a_hook("PreToolUse"))
    busy = ["agent.heartbeat", {"agent_id": S, "doing": "busy"}]
    meta = {"via": "claude-code", "cwd": "/p"}
    assert said(daemon) == [busy, ["agent.register", {"agent_id": S, "meta": meta}], busy]
    assert daemon.requests[1]["params"]["pid"] == os.getpid()  # its parent: this process


def test_a_pid_that_means_nothing_to_the_daemon_is_left_out(home: pathlib.Path) -> None:
    refused = {"name": "invalid_params", "field": "pid"}
    with FakeDaemon(home, refusing(register=[refused], heartbeat=[{"name": "not_found"}])) as daemon:
        is_silent(home, a_hook("SessionStart", source="startup"))
    assert daemon.methods() == ["agent.register", "agent.heartbeat"] * 2
    assert ["pid" in request["params"] for request in daemon.requests[::2]] == [True, False]


def test_a_shell_between_is_no_agents_process(home: pathlib.Path) -> None:
    with FakeDaemon(home, granting) as daemon:
        line = f"'{sys.executable}' '{SCRIPT}' hook claude-code; exit $?"
        payload = json.dumps(a_hook("SessionStart", source="startup")).encode()
        subprocess.run(["/bin/sh", "-c", line], env=surroundings(home), input=payload, check=True)
    assert "pid" not in daemon.requests[0]["params"]


@pytest.mark.parametrize("event", ["Stop", "SessionEnd"])
def test_what_is_refused_at_last_is_left_at_that(home: pathlib.Path, event: str) -> None:
    never = {"name": "not_found"}
    with FakeDaemon(home, refusing(heartbeat=[never] * 9, transition=[never] * 9, register=[never] * 9)) as daemon:
        is_silent(home, a_hook(event))
    # One that ends is not made known for that.
    assert daemon.methods() == (["agent.transition"] if event == "SessionEnd" else
                                ["agent.heartbeat", "agent.register", "agent.heartbeat"])  # fmt: skip


def _exhausted(seconds_ago: float) -> dict[str, Any]:
    at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_ago)
    return {"name": "conflict", "status": "exhausted", "needs": ["idle"], "exhausted_at": at.isoformat()}


def test_work_long_after_a_quota_was_used_up_proves_that_it_is_back(home: pathlib.Path) -> None:
    with FakeDaemon(home, refusing(heartbeat=[_exhausted(600)])) as daemon:
        is_silent(home, a_hook("PreToolUse"))
    busy = ["agent.heartbeat", {"agent_id": S, "doing": "busy"}]
    assert said(daemon) == [busy, ["agent.transition", {"agent_id": S, "to": "idle"}], busy]


@pytest.mark.parametrize(
    ("event", "refusal"),
    [("PreToolUse", 5.0), ("UserPromptSubmit", 600.0), ("PostToolUseFailure", 600.0),
     ("PreToolUse", {"name": "conflict", "status": "on_call"}),
     ("PreToolUse", {"name": "conflict", "status": "exhausted", "exhausted_at": "of old"})],
)  # fmt: skip
def test_what_proves_nothing_is_presence(home: pathlib.Path, event: str, refusal: dict[str, Any] | float) -> None:
    """A number: its quota was used up so many seconds ago."""
    refusal = refusal if isinstance(refusal, dict) else _exhausted(refusal)
    with FakeDaemon(home, refusing(heartbeat=[refusal])) as daemon:
        is_silent(home, a_hook(event))
    assert said(daemon) == [
        ["agent.heartbeat", {"agent_id": S, "doing": "busy"}],
        ["agent.heartbeat", {"agent_id": S}],
    ]


def test_what_is_refused_to_a_subagent_does_not_matter_to_its_session(home: pathlib.Path) -> None:
    scene = refusing(heartbeat=[None, {"name": "not_found"}], forget=[{"name": "not_found"}])
    with FakeDaemon(home, scene, scene) as daemon:
        is_silent(home, a_hook("PostToolUse", agent_id="a1"))
        is_silent(home, a_hook("SubagentStop", agent_id="a1", agent_type=""))
    assert daemon.methods() == ["agent.heartbeat", "agent.heartbeat", "agent.forget"]


# Where the daemon is down.


def _left(home: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((home / "wake.d").glob("*.json"))]


def _starts_nothing(home: pathlib.Path) -> None:
    """Make a daemon that is started end at once: its settings are bad."""
    (home / "torpor.toml").write_text("[nonsense]\n")


@pytest.mark.parametrize("event", ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse"])
def test_what_is_work_wakes_the_daemon_and_lies_ready_for_it(home: pathlib.Path, event: str) -> None:
    _starts_nothing(home)
    is_silent(home, a_hook(event))
    register, word = _left(home)
    assert register["method"] == "agent.register"
    assert register["params"]["pid"] == os.getpid()
    doing = "idle" if event == "SessionStart" else "busy"
    assert word == {"method": "agent.heartbeat", "params": {"agent_id": S, "doing": doing}}
    assert "nonsense" in until((home / "torpord.log").read_text)  # it was tried


def test_a_daemon_that_cannot_be_started_is_not_tried_at_each_tool(home: pathlib.Path) -> None:
    _starts_nothing(home)
    is_silent(home, a_hook("PreToolUse"))
    for old in (home / "wake.d").glob("*.json"):  # as if half a minute ago
        taken, _, rest = old.name.partition("-")
        old.rename(old.with_name(f"{int(taken) - 30 * 10**9:020d}-{rest}"))
    log = until((home / "torpord.log").read_text)
    is_silent(home, a_hook("PostToolUse"))
    assert (len(_left(home)), (home / "torpord.log").read_text()) == (2, log)
    for old in (home / "wake.d").glob("*.json"):
        taken, _, rest = old.name.partition("-")
        old.rename(old.with_name(f"{int(taken) - 60 * 10**9:020d}-{rest}"))
    is_silent(home, a_hook("PostToolUse"))
    assert len(_left(home)) == 4


@pytest.mark.parametrize(
    "event", ["Stop", "Notification", "SessionEnd", "SubagentStop", "PostCompact", "PermissionRequest"]
)
def test_what_is_no_work_wakes_nobody(home: pathlib.Path, event: str) -> None:
    is_silent(home, a_hook(event))
    assert list(home.iterdir()) == []


def test_after_a_stop_nobody_is_woken_and_nothing_left_but_a_quota(home: pathlib.Path) -> None:
    write_state(home, reason="stop")
    for event in ("SessionStart", "PreToolUse"):
        is_silent(home, a_hook(event))
    assert not (home / "wake.d").exists()
    is_silent(home, a_hook("StopFailure", error="rate_limit", last_assistant_message="resets 9:50pm"))
    register, word = _left(home)
    assert "pid" not in register["params"]
    assert word["method"] == "agent.transition"
    assert (word["params"]["to"], word["params"]["message"]) == ("exhausted", "resets 9:50pm")
    assert not presence.is_up(str(home))


@pytest.mark.parametrize(
    "name", ["draining", "storage_unavailable", "safe_mode", "timeout", "not_permitted", "method_not_found"]
)
def test_a_quota_that_is_not_taken_now_is_left_for_later_under_the_same_key(home: pathlib.Path, name: str) -> None:
    with FakeDaemon(home, refusing(transition=[{"name": name}])) as daemon:
        is_silent(home, a_hook("StopFailure", error="rate_limit"))
    key = daemon.requests[0]["params"]["key"]
    assert [each["params"].get("key") for each in _left(home)] == [None, key]


@pytest.mark.parametrize("line", [b"what is this\n", b"\n", b"\xff\n", b"[" * 200_000 + b"\n", b"", b'{"id":1,"res'])
def test_a_quota_is_left_where_the_answer_is_none(home: pathlib.Path, line: bytes) -> None:
    def scene(visitor: Visitor) -> None:
        visitor.request()
        visitor.send(line)

    with FakeDaemon(home, scene):
        is_silent(home, a_hook("StopFailure", error="rate_limit"))
    assert [each["method"] for each in _left(home)] == ["agent.register", "agent.transition"]


def test_a_quota_lies_ready_before_the_daemon_is_asked_and_not_after_it_has_heard(home: pathlib.Path) -> None:
    found = []

    def scene(visitor: Visitor) -> None:
        request = visitor.request()
        found.extend([*_left(home), request])
        visitor.answer(request, WORD)

    with FakeDaemon(home, scene):
        is_silent(home, a_hook("StopFailure", error="rate_limit"))
    assert [each["method"] for each in found] == ["agent.register", "agent.transition", "agent.transition"]
    assert found[1]["params"] == found[2]["params"]  # the key as well: it happens once
    assert _left(home) == []


def test_a_quota_that_cannot_be_left_is_told_all_the_same(home: pathlib.Path) -> None:
    (home / "wake.d").touch()  # no folder: as where the disk is full
    with FakeDaemon(home, granting) as daemon:
        is_silent(home, a_hook("StopFailure", error="rate_limit"))
    assert daemon.methods() == ["agent.transition"]


def test_a_daemon_about_to_leave_is_followed_by_another(home: pathlib.Path) -> None:
    _starts_nothing(home)

    def drain(visitor: Visitor) -> None:
        visitor.refuse(visitor.request()["id"], "draining")

    with FakeDaemon(home, drain, locks=False):
        is_silent(home, a_hook("UserPromptSubmit"))
    assert [each["method"] for each in _left(home)] == ["agent.register", "agent.heartbeat"]


def test_one_that_is_up_without_a_socket_takes_it_from_the_files(home: pathlib.Path) -> None:
    with FakeDaemon(home):
        (home / "torpor.sock").unlink()
        process = subprocess.Popen([sys.executable, str(SCRIPT), "hook", "claude-code"], env=surroundings(home),
                                   stdin=subprocess.PIPE)  # fmt: skip
        process.communicate(json.dumps(a_hook("PreToolUse")).encode())
        assert process.returncode == 0
        assert len(_left(home)) == 2
        assert not (home / "torpord.log").exists()


def test_a_home_of_somebody_else_fails_nobody(home: pathlib.Path) -> None:
    home.chmod(0o755)
    is_silent(home, a_hook("PreToolUse"))
    assert not (home / "wake.d").exists()
