"""The flows that bench/runs.py measures."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

from torpord import Complete, Flow, Run

noop = Flow("noop", version=1)
done = itertools.count(1)  # of this worker, which has one run


@noop.state(initial=True)
async def here(run: Run) -> object:
    return "there" if next(done) < run.data["of"] else Complete()


@noop.state()
async def there(run: Run) -> object:
    return "here" if next(done) < run.data["of"] else Complete()


burn = Flow("burn", version=1)
SPIN = "while True: pass"


@burn.state(initial=True)
def spin(run: Run) -> object:
    """Keep every core busy, and hear nothing: the daemon has to end it."""
    burners = [subprocess.Popen([sys.executable, "-S", "-c", SPIN]) for _ in range(4)]
    run.progress(len(burners), len(burners))
    while True:
        time.sleep(1)
    return Complete()
