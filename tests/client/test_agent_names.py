"""Which agent is meant by what is typed, and how one is called where there is little room."""

from __future__ import annotations

import json
import random
import uuid
from typing import TYPE_CHECKING

import pytest

from client.fake_daemon import FakeDaemon
from client.some_agents import Room, agent
from torpor.cli import agent_names, cells

if TYPE_CHECKING:
    import pathlib

    from client.conftest import Torpor

ONE = "claude-code:3f2a1b2c-0d4e-4f6a-8b9c-0123456789ab"
OTHER = "claude-code:3f2a99ff-0d4e-4f6a-8b9c-0123456789ab"
BELOW = f"{ONE}/a1b2c3d4e5f6a7b8"


def test_an_id_that_a_machine_made_is_shown_as_far_as_it_is_needed() -> None:
    near = ONE.replace("4f6a", "4f6b")
    assert agent_names.short([ONE, OTHER, BELOW, "codex", "a:b/c"]) == {
        ONE: "claude-code:3f2a1b2c",
        OTHER: "claude-code:3f2a99ff",
        BELOW: "claude-code:3f2a1b2c/a1b2c3d4",
        "codex": "codex",
        "a:b/c": "a:b/c",
    }
    assert agent_names.short([ONE, near]) == {
        ONE: "claude-code:3f2a1b2c-0d4e-4f6a",
        near: "claude-code:3f2a1b2c-0d4e-4f6b",
    }


def test_no_two_are_shown_alike() -> None:
    chance = random.Random(4)  # noqa: S311 - the same ids each time
    ids = []
    for _ in range(300):
        whole = list(str(uuid.UUID(int=chance.getrandbits(128))))
        whole[: chance.randrange(36)] = ONE.partition(":")[2][: chance.randrange(36)]
        ids.append(f"claude-code:{''.join(whole)}{chance.choice(['', '/sub', '/subagent-1', '/subagent-2'])}")
    shown = agent_names.short(ids)
    assert set(shown) == set(ids)
    assert len(set(shown.values())) == len(shown)


_LISTED = Room(agent(ONE), agent(OTHER), agent(BELOW), agent("codex"), agent("worker-10"), agent("build-2"), a_page=2)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (ONE, ONE), ("claude-code:3f2a1b2c", ONE), ("claude-code:3f2a1b", ONE),
        ("claude-code:3f2a1b2c/a1b2c3d4", BELOW),
        (f"{ONE}/a", BELOW), ("code", "codex"), ("claude-code:3f2a", None), ("claude-code", None), ("w", "worker-10"),
        ("work", "worker-10"), ("worker-1", "worker-10"), ("nobody", None),
    ],
)  # fmt: skip
def test_a_beginning_names_one_that_is_known(home: pathlib.Path, torpor: Torpor, typed: str, meant: str | None) -> None:
    with FakeDaemon(home, *[_LISTED] * 3) as daemon:
        for command in (["show"], ["offline"], ["forget"]):
            status, out, err = torpor("agent", *command, typed)
            assert (status, len(err.splitlines())) == ((0, 0) if meant else (65, 1))
            assert out.startswith(f"{meant}: " if meant else "")
    assert "agent.register" not in daemon.methods()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("claude-code:3f2a1b2c", ONE), ("claude-code:3f2a1b2c/a1b2", BELOW), ("code", "codex"), ("wor", "wor"),
        # Another's name goes on: these are new ones.
        ("worker-1", "worker-1"), ("build", "build"), ("claude-code:3", "claude-code:3"), ("claude", "claude"),
        ("claude-code:3f2a", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", [("agent", "busy"), ("agent", "beat"), ("agent", "idle"), ("slot", "add")])
def test_a_new_name_is_not_taken_for_anothers(
    home: pathlib.Path, torpor: Torpor, command: tuple[str, str], typed: str, meant: str | None
) -> None:
    room = Room(*_LISTED.agents.values())
    with FakeDaemon(home, room) as daemon:
        status, _, err = torpor(*command, typed)
    assert status == (0 if meant else 65)
    if meant is None:
        assert ONE in err
        assert OTHER in err
    else:
        assert daemon.requests[-1]["params"]["agent_id"] == meant
    assert ("agent.register" in daemon.methods()) == (meant == typed)


def test_to_register_is_to_say_just_that_name(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, *[Room(*_LISTED.agents.values())] * 4) as daemon:
        assert torpor("agent", "register", "code")[1] == "code: idle\n"
        line = ["code", "--wake-command", "run it", "--parent", "claude-code:3f2a1b2c", "--pid", "7", "--meta", "[1]"]
        torpor("agent", "register", *line)
        torpor("agent", "register", "code", "--wake-command", "", "--parent", "", "--pid", "0", "--meta", "")
        assert torpor("agent", "register", "code", "--meta", "{")[0] == 65
    said = [each["params"] for each in daemon.requests if each["method"] == "agent.register"]
    for params in said:
        params.pop("key")
    assert said == [
        {"agent_id": "code"},
        {"agent_id": "code", "wake_command": "run it", "parent_id": ONE, "pid": 7, "meta": [1]},
        {"agent_id": "code", "wake_command": None, "parent_id": None, "pid": None, "meta": None},
    ]


def test_slots_and_records_are_those_of_the_one_that_is_meant(home: pathlib.Path, torpor: Torpor) -> None:
    with FakeDaemon(home, *[_LISTED] * 3) as daemon:
        torpor("slot", "ls", "--agent", "code")
        assert daemon.requests[-1]["params"]["agent_id"] == "codex"
        assert torpor("log", "--agent", "claude-code:3f2a")[0] == 65


def test_wait_returns_once_it_is_so(home: pathlib.Path, torpor: Torpor) -> None:
    room = Room(agent("codex"))
    with FakeDaemon(home, *[room] * 9) as daemon:
        assert torpor("agent", "wait", "cod", "busy") == (0, "codex: busy\n", "")
        assert json.loads(torpor("agent", "wait", "codex", "busy", "--timeout", "5s", "--json")[1])["status"] == "busy"
        assert daemon.requests[-1]["params"].keys() == {"agent_id", "status", "timeout_s"}
        assert torpor("agent", "wait", "nobody", "busy")[0] == 65
        assert torpor("agent", "wait", "codex", "tired")[0] == 64
        room.refused["wait"] = ("timeout", {})
        status, _, err = torpor("agent", "wait", "codex", "busy", "--timeout", "0")
        assert (status, err) == (75, "torpor: 0.0s passed, and codex is not busy\n")
    assert torpor("agent", "wait", "codex", "busy", "--timeout", "0.05")[0] == 75


def test_cells_are_counted_as_a_terminal_does() -> None:
    assert [cells.width(text) for text in ("codex", "東京", "é", "e\u0301", "")] == [5, 4, 1, 1, 0]
    assert cells.padded("東京", 6) == "東京  "
    assert [cells.cut("東京都", most) for most in (6, 5, 4, 1, 0)] == ["東京都", "東京…", "東…", "…", ""]
    assert cells.cut("codex", 4) == "cod…"
