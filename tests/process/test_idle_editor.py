"""Presence is not activity: an editor that is left open beats, and the daemon goes to its sleep all the same.

An agent that works keeps it awake by the same beats, for as long as they come.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from daemon_process import CallRefusedError, LineClient, RunningDaemon
from process.reading import assert_whole, ledger, state_file, transitions
from process.timers import resettle, settings
from torpord.core import agent_records as r
from torpord.core.agents import Status
from waiting import until

QUICK = {"drowsy_after": "0.5s", "sleep_after": "1s", "hibernate_grace": "0.2s"}
DOWN = [("WAKE", "DROWSY"), ("DROWSY", "SLEEP"), ("SLEEP", "HIBERNATION")]
BEAT_EVERY_S = 0.05


class Editor:
    """A program that is open: it registers, and beats for as long as there is a daemon, or until it is killed.

    `beats`: how many were answered. `ended`: why it beats no more; "" while it does.
    """

    def __init__(self, daemon: RunningDaemon, agent_id: str, doing: str | None = None) -> None:
        self.beats = 0
        self.ended = ""
        self._agent_id = agent_id
        self._killed = threading.Event()
        self._line = LineClient(daemon.socket)
        self._line.call("agent.register", agent_id=agent_id)
        if doing:
            self._line.call("agent.heartbeat", agent_id=agent_id, doing=doing)
        self._thread = threading.Thread(target=self._beat)

    def _beat(self) -> None:
        while not self._killed.wait(BEAT_EVERY_S):
            try:
                self._line.call("agent.heartbeat", agent_id=self._agent_id)
            except CallRefusedError as refused:
                self.ended = refused.name
                return
            except (EOFError, OSError) as error:
                self.ended = type(error).__name__
                return
            self.beats += 1
        self.ended = "killed"

    def kill(self) -> None:
        """Let it say nothing any more, also not that it ends."""
        self._killed.set()
        self._thread.join(10)
        self._line.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()


@contextmanager
def watched(daemon: RunningDaemon) -> Iterator[LineClient]:
    """Give a connection that only looks, which is no use of the daemon either."""
    with daemon.connect() as line:
        yield line


def test_an_open_idle_editor_does_not_keep_it_from_its_sleep(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    with Editor(daemon, "editor") as editor, watched(daemon) as line:
        resettle(daemon, settings(**QUICK))
        until(lambda: editor.beats >= 5, what="some beats")
        line.call("wait", state="DROWSY", timeout_s=10)
        until(lambda at=editor.beats: editor.beats > at + 2 or editor.ended, what="beats while it is drowsy")
        assert daemon.wait_gone() == 0
        until(lambda: editor.ended, what="the editor to see that the daemon is gone")
        assert editor.ended in ("draining", "EOFError", "ConnectionResetError", "BrokenPipeError")
    assert transitions(home) == DOWN, "each of them once: no beat woke it on the way"
    assert state_file(home)["current_state"] == "HIBERNATION"
    world = assert_whole(home)
    assert world.activity.event_seq == 2, "registering is the only use that it made, beside the new settings"
    assert world.agents.by_id["editor"].status is Status.IDLE, "it is there all the time"


def test_looked_at_it_is_there_and_nothing_keeps_the_daemon_awake(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(**{**QUICK, "hibernate_grace": "1h"}, shadow_run="true"))
    with Editor(daemon, "editor") as editor, watched(daemon) as line:
        line.call("wait", state="HIBERNATION", timeout_s=10)
        beats, events = editor.beats, line.call("status")["wrapper_event_seq"]
        until(lambda: editor.beats > beats + 20, what="beats to a daemon in HIBERNATION")
        status = line.call("status")
        assert (status["state"], status["wrapper_event_seq"]) == ("HIBERNATION", events)
        assert status["agents"] == {"offline": 0, "exhausted": 0, "busy": 0, "on_call": 0, "idle": 1}
        assert line.call("why")["awake_because"] == []
        (agent,) = line.call("agent.list")["agents"]
        assert (agent["agent_id"], agent["online"]) == ("editor", True)
        # The same editor begins to work, and everybody is awake.
        line.call("agent.heartbeat", agent_id="editor", doing="busy")
        assert line.call("status")["state"] == "WAKE"


@pytest.mark.parametrize("doing", ["busy", "on_call"])
def test_a_working_one_keeps_it_awake_until_it_rests(home: Path, doing: str) -> None:
    daemon = RunningDaemon.start(home, settings())
    with Editor(daemon, "editor", doing) as editor, watched(daemon) as line:
        resettle(daemon, settings(**QUICK))
        until(lambda: line.call("status")["uptime_s"] > 2.5, what="much more than the idle times")
        assert editor.beats > 5
        status = line.call("status")
        assert (status["state"], status["next"]["in_s"]) == ("WAKE", None)
        (why,) = status["next"]["blocked_by"]
        assert "editor" in why
        assert [(each["kind"], each["who"]) for each in line.call("why")["awake_because"]] == [("agent", "editor")]
        assert line.call("log", kinds=["state_transition"])["records"] == []
        assert status["wrapper_event_seq"] >= editor.beats, "each beat of one that works is a use"
        line.call("agent.heartbeat", agent_id="editor", doing="idle")
        assert daemon.wait_gone() == 0, "it beats on, and idle"
    assert transitions(home) == DOWN
    assert_whole(home)
    rested = next(e for e in reversed(ledger(home)) if e.record.kind == "agent_doing")
    drowsy = next(e for e in ledger(home) if e.record.kind == "state_transition")
    assert drowsy.awake_s - rested.awake_s >= 0.5, "the idle time begins with the end of its work"


def test_a_working_one_that_is_killed_keeps_nobody_awake(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings('[agents]\nheartbeat_timeout = "3s"'))
    with Editor(daemon, "editor", "busy") as editor, watched(daemon) as line:
        resettle(daemon, settings('[agents]\nheartbeat_timeout = "3s"', **QUICK))
        until(lambda: editor.beats >= 10, what="some beats")
        editor.kill()
        assert line.call("status")["agents"]["busy"] == 1, "it may be slow"
        assert daemon.wait_gone() == 0
    assert transitions(home) == DOWN
    told = [e.record for e in ledger(home) if e.record.kind in ("agent_offline", "state_transition")]
    assert isinstance(told[0], r.AgentOffline), "nothing moved before it was taken for gone"
    assert (told[0].agent_id, told[0].how, told[0].reason) == ("editor", "timeout", "")
    assert len(told) == 1 + len(DOWN)
    assert assert_whole(home).agents.by_id["editor"].doing == "busy", "what it was doing is kept"


def test_an_editor_of_the_day_before_is_not_taken_for_gone(home: Path) -> None:
    """The daemon was down while it beat to nobody: with the next start it has its time anew."""
    daemon = RunningDaemon.start(home, settings('[agents]\nheartbeat_timeout = "3s"'))
    with Editor(daemon, "editor"):
        resettle(daemon, settings('[agents]\nheartbeat_timeout = "3s"', **QUICK))
        assert daemon.wait_gone() == 0
    following = RunningDaemon.start(home, settings('[agents]\nheartbeat_timeout = "3s"'))
    with watched(following) as line:
        assert line.call("agent.get", agent_id="editor")["agent"]["status"] == "idle"
        line.call("wait", agent_id="editor", status="offline", timeout_s=15)
        assert line.call("status")["uptime_s"] >= 3.0
