"""What the tests of the examples share: settings for them, and a look at a run from the outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daemon_process import RunningDaemon
from process.timers import settings
from waiting import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
WORK_LIMIT_S = 30.0


def memory_sleep_settings() -> str:
    """Return settings with the example as the sleep cycle."""
    flow = f'[flows.memory_sleep]\npython = "memory_sleep:flow"\npath = "{EXAMPLES}"'
    # A step that gives way by itself does so on a busy machine, too.
    return settings(f'[sleep]\nflow = "memory_sleep"\nyield_within = "20s"\n{flow}', min_up="1h")


def ended(daemon: RunningDaemon, run_id: str) -> dict[str, Any]:
    """Wait until a run has ended, and return its page."""
    daemon.call("wait", run_id=run_id, status="completed", timeout_s=WORK_LIMIT_S)
    return daemon.call("run.get", run_id=run_id)


def done_states(page: dict[str, Any]) -> list[str]:
    return [step["state"] for step in page["steps"] if step["outcome"] in ("next", "parallel", "at_join", "complete")]


def cycle(daemon: RunningDaemon, flow: str) -> dict[str, Any]:
    """Wait until a sleep cycle of a flow has completed, and return how it was; that of the upkeep goes first."""

    def its_own() -> dict[str, Any] | None:
        found = daemon.call("status")["sleep"]["last_cycle"]
        return found if found is not None and found["flow"] == flow else None

    found = until(its_own, limit_s=WORK_LIMIT_S, what="the sleep cycle")
    assert found is not None
    assert found["outcome"] == "completed", found
    return found
