"""`torpor agent wrap` and `torpor hook` with the real daemon: what it knows of their agents, whatever happens."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import torpor
from daemon_process import LineClient, RunningDaemon, result_of
from process.timers import settings
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT = str(pathlib.Path(torpor.__file__).parents[1])
S = "claude-code:abc123"


def _environ() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TORPOR_")}
    return {**clean, "PYTHONPATH": CLIENT}


@contextlib.contextmanager
def _wrapped(home: pathlib.Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-P", "-m", "torpor", "agent", "wrap", "--home", str(home), "editor", "--", *command]
    process = subprocess.Popen(
        line, env=_environ(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _hook(home: pathlib.Path, event: str, **more: Any) -> None:
    payload = {"session_id": "abc123", "cwd": "/p", "hook_event_name": event, **more}
    line = [sys.executable, "-P", "-m", "torpor", "hook", "claude-code", "--home", str(home)]
    done = subprocess.run(line, env=_environ(), input=json.dumps(payload).encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def _ask(home: pathlib.Path, method: str, **params: Any) -> dict[str, Any]:
    with LineClient(home / "torpor.sock") as client:
        return result_of(client.ask(method, **params))


def _agent(home: pathlib.Path, name: str) -> dict[str, Any]:
    try:
        agents = _ask(home, "agent.list")["agents"]
    except OSError:
        return {}
    return next((agent for agent in agents if agent["agent_id"] == name), {})


def test_a_wrap_that_is_killed_is_offline_at_once_and_its_command_lives(home: pathlib.Path) -> None:
    RunningDaemon.start(home, settings())
    with _wrapped(home, "sh", "-c", "echo $$; read x") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        until(lambda: _agent(home, "editor").get("status") == "busy")
        process.kill()
        until(lambda: _agent(home, "editor")["status"] == "offline", limit_s=5, what="offline, not after 120 s")
        assert _agent(home, "editor")["source"] == "process"
        os.kill(pid, signal.SIGKILL)


def test_a_wrap_brings_up_a_daemon_that_signals_still_reach(home: pathlib.Path) -> None:
    with _wrapped(home, "sh", "-c", "read x; exit 4") as process:
        until(lambda: _agent(home, "editor").get("status") == "busy", limit_s=20)
        pid = _ask(home, "status")["pid"]
        if sys.platform == "linux":
            told = pathlib.Path(f"/proc/{pid}/status").read_text()
            blocked = next(line.split()[1] for line in told.splitlines() if line.startswith("SigBlk"))
            assert int(blocked, 16) == 0
        _, err = process.communicate("\n", timeout=20)
        assert (process.returncode, err) == (4, "")
    assert _agent(home, "editor")["status"] == "offline"
    os.kill(pid, signal.SIGTERM)
    until(lambda: not (home / "torpor.sock").exists())


def test_a_command_shorter_than_the_start_of_a_daemon_is_known_all_the_same(home: pathlib.Path) -> None:
    with _wrapped(home, "true") as process:
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
    kinds = [record["kind"] for record in _ask(home, "log")["records"]]
    assert [kind for kind in kinds if kind.startswith("agent_")] == [
        "agent_registered", "agent_doing", "agent_doing", "agent_offline",
    ]  # fmt: skip


def test_a_wrap_outlives_a_daemon_that_is_killed_under_it(home: pathlib.Path) -> None:
    daemon = RunningDaemon.start(home, settings() + "[agents]\nheartbeat_timeout = '1s'\n")
    with _wrapped(home, "sh", "-c", "read x; exit 4") as process:
        until(lambda: _agent(home, "editor").get("status") == "busy")
        daemon.kill()
        until(lambda: _agent(home, "editor").get("status") == "busy", limit_s=20, what="another daemon")
        _, err = process.communicate("\n", timeout=20)
        assert (process.returncode, err) == (4, "")


def test_a_session_from_its_start_to_its_end(home: pathlib.Path) -> None:
    RunningDaemon.start(home, settings())

    def status(name: str = S) -> str | None:
        return _agent(home, name).get("status")

    _hook(home, "SessionStart", source="startup")
    assert status() == "idle"
    assert _agent(home, S)["pid"] == os.getpid()
    _hook(home, "UserPromptSubmit", prompt="go")
    _hook(home, "PreToolUse", tool_name="Task")
    assert status() == "busy"
    _hook(home, "SubagentStart", agent_id="a1", agent_type="Explore")
    assert status(f"{S}/a1") == "busy"
    assert _agent(home, f"{S}/a1")["parent_id"] == S
    _hook(home, "PostToolUse", tool_name="Grep", agent_id="a1", agent_type="Explore")
    _hook(home, "Stop", agent_id="a1", agent_type="Explore")
    _hook(home, "SubagentStop", agent_id="a1", agent_type="Explore")
    assert (status(), status(f"{S}/a1")) == ("busy", None)
    _hook(home, "PermissionRequest", tool_name="Bash")
    assert status() == "idle"
    _hook(home, "PostToolUse", tool_name="Bash")
    assert status() == "busy"
    _hook(home, "Stop")
    _hook(home, "SubagentStop", agent_id="a9f0", agent_type="")
    assert (status(), status(f"{S}/a9f0")) == ("idle", None)
    _hook(home, "SessionEnd", reason="other")
    assert status() == "offline"
    _hook(home, "SessionStart", source="resume")
    _hook(home, "SessionEnd", reason="clear")
    assert status() == "offline"
    _hook(home, "SubagentStop", agent_id="a9f0", agent_type="")
    assert status() == "offline", "a late word about a subagent brings nobody back"


def test_a_quota_that_is_used_up_lasts_until_it_is_said_to(home: pathlib.Path) -> None:
    RunningDaemon.start(home, settings())
    _hook(home, "UserPromptSubmit", prompt="go")
    resets = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)).replace(second=0, microsecond=0)
    message = f"You've hit your session limit · resets {resets.strftime('%I:%M%p').lower()} (UTC)"
    for _ in range(3):
        _hook(home, "StopFailure", error="rate_limit", last_assistant_message=message)
    known = _agent(home, S)
    assert (known["status"], known["exhaust_reason"]) == ("exhausted", "rate_limit")
    assert known["recovery_source"] == "message"
    assert dt.datetime.fromisoformat(known["recovery_at"]) == resets
    for event in ("UserPromptSubmit", "PreToolUse", "Notification", "Stop"):  # none of them is proof, so soon after
        _hook(home, event, notification_type="idle_prompt")
    assert _agent(home, S)["status"] == "exhausted"
    for event, more in (("SessionEnd", {"reason": "resume"}), ("SessionStart", {"source": "resume"})):
        _hook(home, event, **more)
    assert _agent(home, S)["status"] == "exhausted", "who left the session and came back has no more of its quota"
    kinds = [record["kind"] for record in _ask(home, "log")["records"]]
    assert kinds.count("agent_exhausted") == 1


def test_a_prompt_wakes_a_daemon_that_is_down(home: pathlib.Path) -> None:
    _hook(home, "UserPromptSubmit", prompt="go")
    until(lambda: _agent(home, S).get("status") == "busy", limit_s=20)
    assert _agent(home, S)["pid"] == os.getpid()
    assert list((home / "wake.rejected").glob("*")) == []


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_quota_that_is_used_up_while_it_is_down_is_never_lost(home: pathlib.Path, how: str) -> None:
    daemon = RunningDaemon.start(home, settings())
    if how == "stopped":
        daemon.call("stop")
        daemon.wait_gone()
    else:
        daemon.kill()
    _hook(home, "StopFailure", error="billing_error", last_assistant_message="Credit balance is too low")
    assert len(list((home / "wake.d").glob("*.json"))) == 2
    daemon.again()
    known = until(lambda: _agent(home, S))
    assert (known["status"], known["exhaust_reason"]) == ("exhausted", "billing")
