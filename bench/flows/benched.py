"""The flows that bench/runs.py measures."""

from __future__ import annotations

import subprocess
import sys
import time

from torpord import Complete, Flow, Run

noop = Flow("noop", version=1, services=dict)


@noop.state(initial=True)
async def here(run: Run) -> object:
    run.services["done"] = run.services.get("done", 0) + 1
    return Complete() if run.services["done"] >= run.services.setdefault("of", run.data["of"]) else "there"


@noop.state()
async def there(run: Run) -> object:
    run.services["done"] += 1
    return Complete() if run.services["done"] >= run.services["of"] else "here"


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
