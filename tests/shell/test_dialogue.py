"""What becomes of a worker's reports where they cannot be recorded: not yet, or never."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import anyio
import orjson

from shell.virtual_time import jumps, pass_s, run
from torpord.core.draft import Refusal
from torpord.shell.dialogue import MOST_UNANSWERED, Dialogue
from torpord.writer import UNAVAILABLE, Change, Outcome, Ticket

ENDED = {
    "t": "ended",
    "branch": "",
    "state": "a",
    "visit": 1,
    "attempt": 1,
    "outcome": {"next": "b", "visit": 1},
    "duration_s": 0.5,
    "cpu_s": None,
    "peak_rss_bytes": None,
}
TAKEN: Outcome = {"steps": (), "join": None}


@dataclass
class Writer:
    """Has one outcome for everything, until it is told another; None: it takes its time."""

    outcome: Outcome | None
    submitted: list[Change] = field(default_factory=list)

    def submit(self, changes: Sequence[Change], then: Callable[[Ticket], None]) -> Ticket:
        ticket = Ticket(changes, then)
        self.submitted += changes
        if self.outcome is not None:
            ticket.settle([self.outcome] * len(changes))
        return ticket


@dataclass
class Process:
    """A worker of which everything that it is told is kept."""

    told: list[Any] = field(default_factory=list)
    killed: bool = False
    paused: bool = False

    def send(self, line: bytes) -> None:
        self.told.append(orjson.loads(line))

    def kill(self) -> None:
        self.killed = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def output_tail(self) -> bytes:
        return b""


def line(number: int, **said: Any) -> bytes:
    return orjson.dumps({**ENDED, "n": number, **said})


def talking(writer: Writer, script: Callable[[Dialogue, Process], Awaitable[None]]) -> Process:
    """Have a dialogue in virtual time."""
    process = Process()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            around = SimpleNamespace(writer=writer)
            dialogue = Dialogue("r", 1, around, process, tasks, {}, {}, lambda: False)  # type: ignore[arg-type]
            await script(dialogue, process)
            tasks.cancel_scope.cancel()

    run(main)
    return process


def test_what_cannot_be_recorded_yet_is_told_again_until_it_is() -> None:
    writer = Writer(UNAVAILABLE)

    async def script(dialogue: Dialogue, process: Process) -> None:
        begun = jumps()
        dialogue._take([line(1), line(2)])
        await pass_s(10.5)
        assert process.told == [], "nothing is answered that is not stored"
        assert jumps() - begun <= 12, "a second apart, not a turn of the loop"
        writer.outcome = TAKEN
        await dialogue.all_answered()

    process = talking(writer, script)
    assert [message["n"] for message in process.told] == [1, 2]
    assert {message["t"] for message in process.told} == {"ack"}
    assert not process.killed


def test_what_can_never_be_recorded_ends_the_worker_and_is_no_loop() -> None:
    writer = Writer(Refusal("internal_error", "surrogates not allowed"))

    async def script(dialogue: Dialogue, _: Process) -> None:
        dialogue._take([line(1)])
        await pass_s(3_600.0)
        assert "surrogates not allowed" in dialogue.fault
        assert dialogue.blamed

    process = talking(writer, script)
    assert process.killed
    assert len(writer.submitted) == 1


def test_what_is_refused_is_told_with_its_reason() -> None:
    writer = Writer(Refusal("conflict", "this attempt has ended"))

    async def script(dialogue: Dialogue, _: Process) -> None:
        dialogue._take([line(7)])

    process = talking(writer, script)
    assert process.told == [{"t": "no", "n": 7, "name": "conflict", "message": "this attempt has ended"}]
    assert not process.killed


def test_a_worker_that_does_not_wait_for_answers_is_read_no_further() -> None:
    writer = Writer(None)

    async def script(dialogue: Dialogue, process: Process) -> None:
        dialogue._take([line(number) for number in range(MOST_UNANSWERED - 1)])
        assert not process.paused
        dialogue._take([line(MOST_UNANSWERED)])
        assert process.paused

    talking(writer, script)


def test_nonsense_ends_the_worker_and_what_came_before_it_is_taken() -> None:
    writer = Writer(TAKEN)

    async def script(dialogue: Dialogue, _: Process) -> None:
        dialogue._take([line(1), b"{"])
        assert "protocol" in dialogue.fault

    process = talking(writer, script)
    assert process.killed
    assert len(writer.submitted) == 1
