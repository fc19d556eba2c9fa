"""Fuzz one target guided by coverage, where atheris is installed (`pip install -e ".[test,soak]"`).

    python soak/guided.py TARGET [SECONDS]

libFuzzer keeps what reaches new code and changes it further, by the target's own mutations half of the time. It ends by
itself after SECONDS; at the first input that is not answered as it should be it ends with a traceback, and leaves the
input as `crash-…` in `soak/results/found/`. It ends the process, so each target is a process of its own.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # in place of this folder: its fuzz.py is not tests/fuzz

import atheris  # noqa: E402 - the paths come first

# What is imported late is imported here: only so it is counted.
_LATE = (
    "tomllib", "torpord.config.flows", "torpord.config.graph", "torpord.config.lines", "torpord.control.run_imports",
    "torpord.control.run_pages", "torpord.core.agent_requests", "torpord.core.recovery", "torpord.shell.spool",
)  # fmt: skip

with atheris.instrument_imports(include=["torpord", "torpor", "tomllib"]):
    for each in _LATE:
        importlib.import_module(each)
    from fuzz.target import corpus, tried, watched
    from fuzz.targets import TARGETS

_OWN_MUTATIONS = 0.5


def main() -> None:
    """Fuzz the target that is named, beginning with its seeds and corpus."""
    name, for_s = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    target = TARGETS[name]()
    results = ROOT / "soak" / "results"
    grown, found = results / "grown" / name, results / "found"
    for folder in (grown, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*target.seeds(), *(path.read_bytes() for path in corpus(name))]):
        (grown / f"seed-{number}").write_bytes(data)

    def changed(data: bytes, most: int, seed: int) -> bytes:
        dice = Random(seed)
        by_bytes = dice.random() >= _OWN_MUTATIONS
        return atheris.Mutate(data, most) if by_bytes else target.mutated(data, dice)[:most]

    def one(data: bytes) -> None:
        tried(target, data)

    flags = [
        f"-max_total_time={for_s:g}",
        "-max_len=20000",
        "-timeout=60",
        f"-artifact_prefix={found}/",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *flags, str(grown)], one, custom_mutator=changed)
    with watched():
        atheris.Fuzz()


if __name__ == "__main__":
    main()
