"""`torpor hook claude-code`: what each hook says, and that it never costs its agent anything.

The payloads are in claude_code_payloads.jsonl, one a line: where its shape is documented or was seen, the payload, and
what it is to say.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import torpor as client
from client.conftest import Torpor
from client.fake_daemon import FakeDaemon, Visitor
from client.hooks import LIMIT_S, SCRIPT, S, a_hook, granting, is_silent, said, surroundings
from client.terminal import Terminal
from torpor import claude_code, hook_wire

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOADS = pathlib.Path(__file__).parent / "claude_code_payloads.jsonl"
CASES = [json.loads(line) for line in PAYLOADS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{n}-{case['payload']['hook_event_name']}" for n, case in enumerate(CASES)]
)
def test_what_each_hook_means(case: dict[str, Any]) -> None:
    meaning = claude_code.read(case["payload"])
    assert meaning is not None
    words = [*([meaning.register()] if meaning.registers else []), meaning.word, *meaning.beside]
    without_key = [[method, {n: v for n, v in params.items() if n != "key"}] for method, params in words]
    assert without_key == case["says"]


@pytest.mark.parametrize("event", sorted({case["payload"]["hook_event_name"] for case in CASES}))
def test_it_says_so_to_the_daemon_and_nothing_to_its_agent(home: pathlib.Path, event: str) -> None:
    case = next(case for case in CASES if case["payload"]["hook_event_name"] == event)
    with FakeDaemon(home, granting) as daemon:
        is_silent(home, case["payload"])
    assert said(daemon) == case["says"]
    assert set(claude_code.EVENTS) == {case["payload"]["hook_event_name"] for case in CASES}


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"what is this",
    "half of it": b'{"session_id":"abc123","hook_event_name":"St',
    "a list": b"[]",
    "no object": b"7",
    "no session": b'{"hook_event_name":"Stop"}',
    "a session that is none": b'{"session_id":{"a":1},"hook_event_name":"Stop"}',
    "an empty session": b'{"session_id":"","hook_event_name":"Stop"}',
    "no event": b'{"session_id":"abc123"}',
    "an event that is none": b'{"session_id":"abc123","hook_event_name":["Stop"]}',
    "an event of later": b'{"session_id":"abc123","hook_event_name":"WorldEnded"}',
    "bytes that are no text": b"\xff\xfe\x00\x01",
    "numbers without end": b'{"session_id":' + b"9" * 5000 + b"}",
    "too deep": b"[" * 200_000,
    "too much": b'{"session_id":"abc123","hook_event_name":"Stop","x":"' + b"x" * 17_000_000 + b'"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_means_nothing_says_nothing(home: pathlib.Path, name: str) -> None:
    with FakeDaemon(home, granting) as daemon:
        try:
            is_silent(home, BROKEN[name])
        except BrokenPipeError:  # it did not read all of that
            assert name == "too much"
    assert daemon.requests == []


@pytest.mark.parametrize("payload", [
    a_hook("PostToolUse", tool_response="x" * 5_000_000),
    a_hook("PostToolUse", nan=float("nan"), text="\x00\x7f\ud800 \u2028", deep=[[[{}]]], agent_id=None),
], ids=["large", "odd"])  # fmt: skip
def test_whatever_a_tool_has_read_or_written_is_no_matter(home: pathlib.Path, payload: dict[str, Any]) -> None:
    with FakeDaemon(home, granting) as daemon:
        is_silent(home, payload)
    assert said(daemon) == [["agent.heartbeat", {"agent_id": S, "doing": "busy"}]]


def test_ids_are_made_fit_for_the_wire() -> None:
    def ids(session: object, agent: object = None) -> list[str]:
        meaning = claude_code.read(a_hook("PreToolUse", agent_id=agent) | {"session_id": session})
        return [] if meaning is None else [params["agent_id"] for _, params in (meaning.word, *meaning.beside)]

    assert ids("a\nb/c\ud800 d") == ["claude-code:abcd"]
    assert ids("\x00") == []
    long = ids("s" * 10_000, "a" * 10_000)
    assert [len(each) <= 128 for each in long] == [True, True]
    assert long[1] != long[0]
    assert ids("s", "") == ids("s", 7) == ["claude-code:s"]  # a subagent without a name: its session is there


LINES = [
    ["hook", "claude-code", "--of-a-newer-torpor", "x"], ["hook"], ["hook", "other-agent"], ["hook", "--home", ""],
    ["hook", "claude-code", "--home"], ["--home", "/nowhere/at/all", "hook", "claude-code"],
    ["--timeout=x", "hook", "claude-code", "--json"], ["hook", "claude-code", "--home", "/" + "x" * 200],
    ["hook", "claude-code", "--home", "/etc/passwd"],
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_it_does_not_know_fails_nobody(home: pathlib.Path, line: list[str]) -> None:
    is_silent(home, a_hook("Stop"), line)


def test_the_home_may_be_named_where_the_others_take_it(home: pathlib.Path) -> None:
    with FakeDaemon(home, *[granting] * 3) as daemon:
        nowhere = home / "nowhere"
        is_silent(nowhere, a_hook("Stop"), ["hook", "claude-code", "--home", str(home)])
        is_silent(nowhere, a_hook("Stop"), ["hook", f"--home={home}", "claude-code", "--new"])
        is_silent(nowhere, a_hook("Stop"), ["--home", str(home), "--timeout", "3s", "hook", "claude-code"])
    assert daemon.methods() == ["agent.heartbeat"] * 3


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", ">/dev/full 2>/dev/full"])
def test_streams_that_are_closed_or_full_do_not_matter(home: pathlib.Path, redirection: str) -> None:
    with FakeDaemon(home, granting):
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "$0" "$1" hook claude-code {redirection}', sys.executable, str(SCRIPT)],
            env=surroundings(home), input=json.dumps(a_hook("Stop")).encode(), capture_output=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def _mute(visitor: Visitor) -> None:
    visitor.request()
    visitor.daemon.ended.wait()


def _strange(visitor: Visitor) -> None:
    visitor.request()
    visitor.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    visitor.daemon.ended.wait()


def _endless(visitor: Visitor) -> None:
    visitor.request()
    while True:
        visitor.send(b"x" * 65536)


def _odd(visitor: Visitor) -> None:
    visitor.send({"jsonrpc": "2.0", "id": visitor.request()["id"], "error": "no"})
    visitor.daemon.ended.wait()


@pytest.mark.parametrize("scene", [_mute, _strange, _endless, _odd])
def test_a_daemon_that_hangs_or_talks_nonsense_costs_no_second(
    home: pathlib.Path, scene: Callable[[Visitor], None]
) -> None:
    with FakeDaemon(home, scene) as daemon:
        is_silent(home, a_hook("PreToolUse"))
    assert daemon.methods() == ["agent.heartbeat"]
    assert not (home / "wake.d").exists()


def test_input_that_does_not_come_is_waited_for_a_second(home: pathlib.Path) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, str(SCRIPT), "hook", "claude-code"]
    begun = time.monotonic()
    done = subprocess.run(command, env=surroundings(home), stdin=reading, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert 0.5 < time.monotonic() - begun < LIMIT_S
    os.close(reading)
    os.close(writing)


def test_a_part_that_is_broken_fails_nobody(home: pathlib.Path, short_dir: pathlib.Path) -> None:
    package = short_dir / "torpor"
    package.mkdir()
    for name in ("__init__", "wire", "home", "quick", "hook", "claude_code"):
        source = pathlib.Path(client.__file__).parent / f"{name}.py"
        (package / f"{name}.py").write_text(source.read_text())
    for broken in ("hook_wire", "hook"):
        (package / f"{broken}.py").write_text("raise SystemExit(2)\n" if broken == "hook" else "import no_such_thing\n")
        environ = {**surroundings(home), "PYTHONPATH": str(short_dir)}
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from torpor.quick import main; main(sys.argv)", "hook", "claude-code"],
            env=environ, input=b"{}", capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_it_loads_what_the_interpreter_has_and_three_modules_of_ours(home: pathlib.Path) -> None:
    with FakeDaemon(home, granting):
        told = subprocess.run(
            [sys.executable, "-X", "importtime", str(SCRIPT), "hook", "claude-code"], env=surroundings(home), text=True,
            input=json.dumps(a_hook("PreToolUse")), capture_output=True, check=False,
        ).stderr  # fmt: skip
    loaded = [line.rpartition("|")[2].strip() for line in told.splitlines()]
    ours = set(loaded[loaded.index("site") + 1 :]) - {"errno"}
    modules = {"torpor", "torpor.wire", "torpor.home", "torpor.quick"}
    assert ours == modules | {"torpor.hook", "torpor.claude_code", "torpor.hook_wire", "_json", "_socket"}


def test_a_person_is_told_what_it_is_for(home: pathlib.Path) -> None:
    with Terminal([sys.executable, str(SCRIPT), "hook", "claude-code", "--home", str(home)]) as terminal:
        assert terminal.status() == 0
    assert b"--print-settings" in terminal.said


# The settings.


def test_the_settings_are_those_of_the_reference(torpor: Torpor, home: pathlib.Path) -> None:
    status, out, err = torpor("hook", "claude-code", "--print-settings")
    assert (status, err) == (0, "")
    hooks = json.loads(out)["hooks"]
    assert tuple(hooks) == claude_code.EVENTS
    for event, groups in hooks.items():
        [group] = groups
        assert group.get("matcher") == ("*" if event in claude_code.OF_TOOLS else None)
        [handler] = group["hooks"]
        assert handler["args"] == ["hook", "claude-code", "--home", str(home)]
        assert (handler["type"], handler["timeout"]) == ("command", 5)
        assert set(handler) == {"type", "command", "args", "timeout"}  # no `onFailure`, no shell


def test_the_command_in_the_settings_is_one_that_is_there(home: pathlib.Path, short_dir: pathlib.Path) -> None:
    installed = short_dir / "torpor"
    installed.write_text(f"#!{sys.executable}\n" + SCRIPT.read_text().partition("\n")[2])
    installed.chmod(0o755)

    def command(path: str) -> str:
        environ = {**surroundings(home), "PATH": path}
        line = [str(installed), "hook", "claude-code", "--print-settings"]
        done = subprocess.run(line, env=environ, capture_output=True, text=True, check=True)
        handler = json.loads(done.stdout)["hooks"]["Stop"][0]["hooks"][0]
        assert handler["args"] == ["hook", "claude-code"]
        return str(handler["command"])

    assert command("/usr/bin:/bin") == str(installed)
    # What only the path of an active environment has is not there without it.
    in_environment = sys.prefix != sys.base_prefix
    assert command(f"{short_dir}:/usr/bin") == (str(installed) if in_environment else "torpor")


def test_the_c_scanner_and_json_agree() -> None:
    for case in CASES:
        assert hook_wire.parsed(f"\ufeff {json.dumps(case, ensure_ascii=False)}\n") == case
    said = {"text": 'a "b" \\ \n\u2028 ä', "number": 3, "object": {"empty": {}}}
    assert json.loads(hook_wire.written(said)) == said


def test_an_alarm_that_was_blocked_still_ends_it(home: pathlib.Path) -> None:
    reading, writing = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "hook", "claude-code"], env=surroundings(home), stdin=reading
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert process.wait(timeout=20) == 0
    os.close(reading)
    os.close(writing)
