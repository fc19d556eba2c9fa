"""What `torpor send` costs as a whole process, beside the bare interpreter; and what each import would add to it.

    make bench-send          (or: .venv/bin/python bench/send.py [ROUNDS])

Alternating runs, so that a busy machine is equally busy for all; medians and ratios. The promise is the ratio of
its second line: at most 1.5.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PROMISED = 1.5
BIN = pathlib.Path(sys.executable).parent
IMPORTS = ("_socket", "socket", "json", "argparse", "subprocess", "asyncio")


def measured(commands: dict[str, list[str]], rounds: int, env: dict[str, str]) -> dict[str, float]:
    """Median milliseconds of each command, run in turns."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
            taken[name].append((time.perf_counter() - begun) * 1000)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp") as home:
        env = {**os.environ, "TORPOR_HOME": home}
        env.pop("TORPOR_SOCKET", None)
        torpor = str(BIN / "torpor")
        subprocess.run([torpor, "start"], env=env, stdout=subprocess.DEVNULL, check=True)
        try:
            commands = {
                "python -c pass": [sys.executable, "-c", "pass"],
                "torpor send request_arrived": [torpor, "send", "request_arrived"],
                **{f"python -c 'import {name}'": [sys.executable, "-c", f"import {name}"] for name in IMPORTS},
            }
            found = measured(commands, rounds, env)
        finally:
            subprocess.run([torpor, "stop"], env=env, stdout=subprocess.DEVNULL, check=True)
    bare = found["python -c pass"]
    print(f"{'median of ' + str(rounds) + ' runs each':<32} {'ms':>8} {'of the bare interpreter':>24}")
    for name, taken in found.items():
        print(f"{name:<32} {taken:>8.1f} {taken / bare:>24.2f}")
    ratio = found["torpor send request_arrived"] / bare
    print(f"\ntorpor send: {ratio:.2f} times the bare interpreter; promised: at most {PROMISED}")
    return 0 if ratio <= PROMISED else 1


if __name__ == "__main__":
    sys.exit(main())
