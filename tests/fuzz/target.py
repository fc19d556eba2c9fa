"""What is fuzzed, and how: a target reads one input and says what it made of it; whatever it raises is found.

The same targets run short in `make test`, long by `make soak PART=fuzz`, and guided by coverage where atheris is
installed (`soak/guided.py`). What was once found lies in `corpus/TARGET/`, and is played first each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Protocol

import structlog

CORPUS = Path(__file__).parent / "corpus"
# Of the CPU for one input, however loaded the machine is; and of the wall, for what waits instead of working.
CPU_LIMIT_S = 2.0
WALL_LIMIT_S = 20.0
# Inputs that were answered with words not seen before are changed further, so many of the last of them.
_KEPT = 400
# An input may be as long as a line of the wire. Longer ones are no more telling, and slow.
MOST_BYTES = 1 << 20


class Target(Protocol):
    """A reader of input that somebody else wrote."""

    name: str

    def seeds(self) -> Sequence[bytes]:
        """Return inputs that are taken."""
        ...

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Return an input that is nearly this one."""
        ...

    def one(self, data: bytes) -> Sequence[str]:
        """Read an input; returns how it was answered: NAME: WORDS each. Raises where that is not as it should be."""
        ...

    def close(self) -> None:
        """Take away what it made."""
        ...


class HangError(BaseException):
    """An input took longer than any may; not to be caught by who catches errors."""


class FoundError(AssertionError):
    """An input that was not answered as it should; `data` is it."""

    def __init__(self, target: str, data: bytes, error: BaseException) -> None:
        super().__init__(
            f"{target}: {type(error).__name__}: {str(error)[:2000]}\ninput {digest(data)}: {data[:2000]!r}"
        )
        self.data = data


@dataclass(slots=True)
class Told:
    """What a target was given and how it answered, by the name of each answer."""

    inputs: int = 0
    answers: Counter[str] = field(default_factory=Counter)


def digest(data: bytes) -> str:
    """Name an input by its content."""
    return hashlib.sha256(data).hexdigest()[:12]


def corpus(name: str) -> list[Path]:
    """Return the inputs in which a target once showed something."""
    return sorted((CORPUS / name).glob("*"))


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Give one input its time. Raises HangError, also within a regular expression (they look for signals)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
    signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Have `limited` heard of, and nothing logged: each refusal would be a line."""

    def late(number: int, _frame: FrameType | None) -> None:
        raise HangError(f"over its time: {signal.Signals(number).name}")

    def dropped(*_: object) -> str:
        raise structlog.DropEvent

    logs = structlog.get_config()
    before = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    try:
        structlog.configure(processors=[dropped])
        yield
    finally:
        structlog.configure(**logs)
        for number, handler in before.items():
            signal.signal(number, handler)


def fuzz(target: Target, count: int, seed: object, told: Told) -> None:
    """Give a target so many inputs, the same for the same seed. Raises FoundError at the first that it fails at."""
    seeds = list(target.seeds())
    kept: list[bytes] = []
    seen: set[str] = set()
    with watched():
        for number in range(count):
            dice = Random(f"{seed}-{target.name}-{number}")  # noqa: S311 - no secret
            pool = kept if kept and dice.random() < 0.4 else seeds
            data = target.mutated(dice.choice(pool), dice)[:MOST_BYTES] if number >= len(seeds) else seeds[number]
            answers = tried(target, data)
            told.inputs += 1
            told.answers.update(each.partition(":")[0] for each in answers)
            shape = _shape(answers)
            if shape not in seen and len(data) < 20_000:
                seen.add(shape)
                kept.append(data)
                del kept[:-_KEPT]


def tried(target: Target, data: bytes) -> Sequence[str]:
    """Give a target one input. Raises FoundError."""
    try:
        with limited():
            return target.one(data)
    except (Exception, HangError) as error:
        raise FoundError(target.name, data, error) from error


def _shape(answers: Sequence[str]) -> str:
    """Leave out of an answer what it quotes of the input: what is left tells one way through the code from another."""
    return " ".join(re.sub(r"'.*'|\".*\"|\d+", "", answer)[:120] for answer in answers[-3:])
