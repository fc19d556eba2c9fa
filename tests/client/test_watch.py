from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from client.fake_daemon import FakeDaemon, Visitor, serve, write_state
from client.some_agents import Room, agent
from client.terminal import Terminal
from waiting import until

if TYPE_CHECKING:
    import pathlib


def _watch(home: pathlib.Path) -> list[str]:
    return [sys.executable, "-m", "torpor", "watch", "--home", str(home)]


def test_a_terminal_is_drawn_on_and_left_as_it_was(home: pathlib.Path) -> None:
    with FakeDaemon(home), Terminal(_watch(home)) as terminal:
        terminal.until(b"Ctrl-C ends")
        terminal.press(b"\x03")
        assert terminal.status() == 130
    assert b"WAKE since" in terminal.said
    assert b"Traceback" not in terminal.said
    assert terminal.said.endswith(b"\x1b[?25h\x1b[?1049l")


def test_it_asks_only_when_something_happened(home: pathlib.Path) -> None:
    def follow(visitor: Visitor) -> None:
        if (request := visitor.request())["method"] != "subscribe":
            visitor.answer(request)
            serve(visitor)
        visitor.answer(request)
        visitor.daemon.ended.wait()

    with FakeDaemon(home, follow, follow) as daemon, Terminal(_watch(home)) as terminal:
        for _ in range(3):  # the clock moves on the screen
            terminal.until(b"Ctrl-C ends")
            terminal.said = b""
        assert sorted(daemon.methods()) == ["status", "subscribe"]
        terminal.press(b"\x03")
        assert terminal.status() == 130


def test_a_daemon_that_comes_is_seen_without_being_woken(home: pathlib.Path) -> None:
    write_state(home, current_state="HIBERNATION")
    with Terminal(_watch(home)) as terminal:
        terminal.until(b"down: HIBERNATION")
        with FakeDaemon(home):
            terminal.until(b"WAKE since")
            terminal.press(b"\x03")
            assert terminal.status() == 130


def test_who_is_there_is_asked_again_only_when_somebody_moved(home: pathlib.Path) -> None:
    room = Room(agent("codex", "busy"))
    followers: list[Visitor] = []

    def scene(visitor: Visitor) -> None:
        if (request := visitor.request())["method"] == "subscribe":
            visitor.answer(request)
            followers.append(visitor)
            visitor.daemon.ended.wait()
        room.answer(visitor, request)
        room(visitor)

    with FakeDaemon(home, scene, scene) as daemon, Terminal(_watch(home)) as terminal:
        terminal.until(b"codex  busy")
        until(lambda: followers)
        followers[0].record(8)  # a transition: the status is asked for
        terminal.until(b"? -> ?")
        assert sorted(daemon.methods()) == ["agent.list", "status", "status", "subscribe"]
        room.agents = {"codex": agent("codex", "exhausted")}
        followers[0].record(9, "agent_exhausted")
        terminal.until(b"codex  exhausted")
        assert daemon.methods().count("agent.list") == 2
        room.agents = {}
        followers[0].record(10, "agent_forgotten")
        terminal.until(b"agent_forgotten")
        terminal.said = b""
        terminal.until(b"Ctrl-C ends")
        assert b"codex  exhausted" not in terminal.said
        terminal.press(b"\x03")
        assert terminal.status() == 130
