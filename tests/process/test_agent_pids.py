"""Agents and holds that hang on a process: that very one, whatever has its number after it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_process import CallRefusedError, RunningDaemon
from process.reading import assert_whole
from process.timers import settings
from process.wake_files import drop, left
from waiting import until

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
# Far less than a heartbeat's time-out, and enough for a busy machine.
SOON_S = 10.0


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those that a test started: none outlives it."""
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for each in made:
        each.kill()
        each.wait()


def another(processes: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    processes.append(subprocess.Popen(["/bin/sleep", "600"]))
    return processes[-1]


def successor(processes: list[subprocess.Popen[bytes]], pid: int) -> None:
    """Start another process with the number of one that has ended."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            LAST_PID.write_text(str(pid - 1))
        if another(processes).pid == pid:
            return
        processes[-1].kill()
        processes.pop().wait()
        if not os.access(LAST_PID, os.W_OK) or os.geteuid() != 0:
            pytest.skip("who gets which number is for root to say, and for Linux")
    pytest.skip("others are faster: the number was never the next one")


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def tie(daemon: RunningDaemon, pid: int, agent_id: str = "a") -> None:
    daemon.call("agent.register", agent_id=agent_id, pid=pid)
    daemon.call("agent.heartbeat", agent_id=agent_id, doing="busy")


def agent(daemon: RunningDaemon, agent_id: str = "a") -> dict[str, Any]:
    found = daemon.call("agent.get", agent_id=agent_id)["agent"]
    assert isinstance(found, dict)
    return found


def gone(daemon: RunningDaemon, agent_id: str = "a") -> list[str]:
    """Wait until an agent is offline, and return how it became so, each time."""
    until(lambda: agent(daemon, agent_id)["status"] == "offline", limit_s=SOON_S, what="its end to be seen")
    log = daemon.call("log", kinds=["agent_offline"])["records"]
    return [each["data"]["how"] for each in log if each["data"]["agent_id"] == agent_id]


def test_an_agent_goes_with_its_process_and_no_time_out(home: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    daemon = RunningDaemon.start(home, settings())
    child = another(processes)
    tie(daemon, child.pid)
    assert (agent(daemon)["status"], agent(daemon)["pid"]) == ("busy", child.pid)
    end(child)
    assert gone(daemon) == ["process_ended"]
    assert agent(daemon)["pid"] is None  # what has the number next is not it
    assert not [each for each in daemon.call("why")["awake_because"] if each["kind"] == "agent"]
    daemon.stop()
    assert_whole(home)


@pytest.fixture
def brief(home: Path) -> RunningDaemon:
    """A daemon that waits for an agent's word for a second."""
    return RunningDaemon.start(home, settings('[agents]\nheartbeat_timeout = "1s"'))


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_who_says_nothing_is_there_while_its_process_lives_also_after_a_restart(
    home: Path, brief: RunningDaemon, processes: list[subprocess.Popen[bytes]], how: str
) -> None:
    child = another(processes)
    tie(brief, child.pid)
    tie(brief, child.pid, "beside it")
    brief.call("agent.register", agent_id="of no process")
    assert gone(brief, "of no process") == ["timeout"]
    until(lambda: agent(brief)["quiet"], limit_s=SOON_S, what="its time-out")
    assert (agent(brief)["status"], agent(brief)["online"], agent(brief)["pid"]) == ("busy", True, child.pid)
    assert brief.call("status")["agents"]["busy"] == 2
    until(lambda: agent(brief, "beside it")["quiet"], limit_s=SOON_S, what="the other's time-out")
    why = brief.call("why")
    assert [each["who"] for each in why["quiet"]] == ["a", "beside it"]
    assert [each["kind"] for each in why["awake_because"]] == ["activity"]
    assert brief.call("event", event="force_sleep")["state"] == "SLEEP", "nobody is at work, as far as is known"
    getattr(brief, how)()
    again = brief.again()
    assert (agent(again)["status"], agent(again)["quiet"]) == ("busy", True)
    assert again.call("agent.heartbeat", agent_id="a")["status"] == "busy"
    assert not agent(again)["quiet"]
    end(child)
    assert gone(again, "beside it") == ["process_ended"]
    assert gone(again) == ["process_ended"]
    assert not agent(again)["quiet"]
    again.stop()
    assert_whole(home)


@pytest.mark.parametrize("how", ["it has ended", "another has its number"])
def test_a_file_whose_process_has_ended_since_is_taken_without_it(
    home: Path, processes: list[subprocess.Popen[bytes]], how: str
) -> None:
    daemon = RunningDaemon.start(home, settings())
    child, lives = another(processes), another(processes)
    daemon.kill()
    if how == "it has ended":
        end(child)
    drop(home, "1.json", "agent.register", agent_id="a", pid=child.pid, meta=1)
    if how == "another has its number":  # as far as can be seen: it began after this was said
        os.utime(home / "wake.d" / "1.json", (1e9, 1e9))
    drop(home, "2.json", "agent.heartbeat", agent_id="a", doing="busy")
    drop(home, "3.json", "agent.register", agent_id="lives", pid=lives.pid)
    again = daemon.again()
    until(lambda: left(home) == [], what="the files to be taken")
    assert (agent(again)["status"], agent(again)["pid"], agent(again)["meta"]) == ("busy", None, 1)
    assert agent(again, "lives")["pid"] == lives.pid
    assert again.call("log", kinds=["wake_rejected"])["records"] == []
    again.stop()
    assert_whole(home)


def test_one_that_named_another_process_since_goes_with_that(
    home: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    daemon = RunningDaemon.start(home, settings())
    first, second = another(processes), another(processes)
    tie(daemon, first.pid)
    tie(daemon, second.pid)
    tie(daemon, first.pid, "beside it")
    end(first)
    assert gone(daemon, "beside it") == ["process_ended"]
    assert agent(daemon)["status"] == "busy"
    end(second)
    assert gone(daemon) == ["process_ended"]


@pytest.mark.parametrize("how", ["named no process", "forgotten"])
def test_one_that_is_not_tied_any_more_is_not_watched(
    home: Path, processes: list[subprocess.Popen[bytes]], how: str
) -> None:
    daemon = RunningDaemon.start(home, settings())
    child = another(processes)
    tie(daemon, child.pid)
    tie(daemon, child.pid, "beside it")
    if how == "forgotten":
        daemon.call("agent.forget", agent_id="a")
    daemon.call("agent.register", agent_id="a", pid=None)
    end(child)
    assert gone(daemon, "beside it") == ["process_ended"]
    assert agent(daemon)["status"] in ("busy", "idle")


def test_a_process_that_is_not_there_is_nobody_s(home: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    daemon = RunningDaemon.start(home, settings())
    child = another(processes)
    end(child)
    with pytest.raises(CallRefusedError) as refused:
        daemon.call("agent.register", agent_id="a", pid=child.pid)
    assert (refused.value.name, refused.value.error["data"]["field"]) == ("invalid_params", "pid")


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_what_ended_while_no_daemon_was_there_is_seen_at_the_start(
    home: Path, processes: list[subprocess.Popen[bytes]], how: str
) -> None:
    daemon = RunningDaemon.start(home, settings())
    stays, goes = another(processes), another(processes)
    tie(daemon, stays.pid, "stays")
    tie(daemon, goes.pid, "goes")
    getattr(daemon, how)()
    end(goes)
    again = daemon.again()
    assert agent(again, "goes")["status"] == "offline"
    assert agent(again, "stays")["status"] == "busy"
    end(stays)  # it is watched again
    assert gone(again, "stays") == ["process_ended"]
    again.stop()
    daemon.end()
    assert_whole(home)


def test_a_successor_with_the_number_holds_nothing(home: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    daemon = RunningDaemon.start(home, settings())
    child = another(processes)
    tie(daemon, child.pid)
    daemon.call("hold.acquire", who="w", why="y", pid=child.pid)
    daemon.process.send_signal(signal.SIGSTOP)  # it sees the end only when the number is another's
    end(child)
    successor(processes, child.pid)
    daemon.process.send_signal(signal.SIGCONT)
    assert gone(daemon) == ["process_ended"]
    until(lambda: not daemon.call("hold.list")["holds"], limit_s=SOON_S, what="the end of the hold")
    (released,) = daemon.call("log", kinds=["hold_released"])["records"]
    assert released["data"]["how"] == "process_ended"


def test_a_successor_that_came_while_no_daemon_was_there_holds_nothing(
    home: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    daemon = RunningDaemon.start(home, settings())
    child = another(processes)
    tie(daemon, child.pid)
    daemon.call("hold.acquire", who="w", why="y", pid=child.pid)
    daemon.kill()
    end(child)
    successor(processes, child.pid)
    again = daemon.again()
    assert agent(again)["status"] == "offline"
    assert again.call("hold.list")["holds"] == []
    assert again.stop() == 0
