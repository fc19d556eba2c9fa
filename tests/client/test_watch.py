from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from client.fake_daemon import FakeDaemon, Visitor, serve, write_state
from client.some_agents import Room, agent
from client.terminal import Terminal
from torpor.cli import agent_words
from torpord.core.kinds import KINDS
from torpord.core.records import AgentRecord
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


def test_elsewhere_it_is_a_line_for_each_change(home: pathlib.Path) -> None:
    kinds: list[str] = []

    def follow(visitor: Visitor) -> None:
        while (request := visitor.request())["method"] != "subscribe":
            visitor.answer(request)
        visitor.answer(request)
        kinds.extend(request["params"]["kinds"])
        visitor.record(8, "agent_online")
        visitor.record(9, "slot_taken")
        visitor.daemon.ended.wait()

    for more, told in (((), b"agent_online"), (("--json",), b'"kind": "agent_online"')):
        with FakeDaemon(home, *[follow] * 2):
            line = [*_watch(home), *more]
            with subprocess.Popen(line, stdout=subprocess.PIPE) as watching:
                assert watching.stdout is not None
                lines = [watching.stdout.readline() for _ in range(2 if more else 3)]
                watching.send_signal(signal.SIGINT)
            assert told in lines[-2]
            assert b"slot_taken" in lines[-1]
    assert {*kinds} == {"state_transition", *agent_words.KINDS}


def test_what_is_told_of_agents_is_all_there_is() -> None:
    kept = {kind for kind, of in KINDS.items() if issubclass(of, AgentRecord) and of.ledgered}
    assert set(agent_words.KINDS) == kept


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
