"""Fuzz: every reader of what others wrote, round after round, each round other inputs. See tests/fuzz.

What one fails at is kept in `soak/results/found/TARGET-DIGEST`, and the round goes on; it belongs into
`tests/fuzz/corpus/TARGET/` together with its mend. A round is some ten thousand inputs: most of them are read in the
process itself, some by a daemon that lives.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fuzz.target import FoundError, Told, digest, fuzz
from fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "results" / "found"
# Of each, in a round: about as much time for one as for another, and the wire twice.
A_ROUND = {
    "wire": 4_000,
    "settings": 1_500,
    "provider": 1_500,
    "worker": 1_500,
    "document": 600,
    "wake.d": 200,
    "hook": 1_000,
    "home": 200,
    "doctor": 10,
    "daemon": 500,
}


def soak(for_s: float) -> dict[str, Any]:
    """Go round until the time is over; returns what was given to whom, and how that answered."""
    end_at = time.monotonic() + for_s
    seed, rounds = secrets.token_hex(4), 0
    told = {name: Told() for name in TARGETS}
    found: Counter[str] = Counter()
    while time.monotonic() < end_at:
        rounds += 1
        for name in TARGETS:
            found.update(_given(name, f"{seed}-{rounds}", told[name]))
    counted: dict[str, Any] = {
        name: {"inputs": each.inputs, "answers": dict(each.answers.most_common(12))} for name, each in told.items()
    }
    inputs = sum(each.inputs for each in told.values())
    assert not found, f"of {inputs} inputs (seed {seed}) these were not answered as they should be: {dict(found)}"
    return {"seed": seed, "rounds": rounds, "inputs": inputs, **counted}


def _given(name: str, seed: str, told: Told) -> list[str]:
    """Give a target its inputs of a round, whatever it fails at; returns the names of those."""
    target, found = TARGETS[name](), []
    left, number = A_ROUND[name], 0
    try:
        while left > 0:
            before = told.inputs
            try:
                fuzz(target, left, f"{seed}-{number}", told)
            except FoundError as error:
                found.append(f"{name}-{digest(error.data)}")
                FOUND.mkdir(parents=True, exist_ok=True)
                (FOUND / found[-1]).write_bytes(error.data)
                print(error, flush=True)
            left, number = left - (told.inputs - before) - 1, number + 1
    finally:
        target.close()
    return found
