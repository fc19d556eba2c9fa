"""The settings the core decides by: durations in seconds, as `torpor.toml` gave them or the defaults."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torpord.core.value import part

DAY_S = 86_400.0
# The built-in flow: the upkeep of torpor's own store.
UPKEEP = "housekeeping"


@part
class Policy:
    """What the settings say of times, sleep and runs. The idle times count from the end of the last activity.

    Each field has a default, so a document that an older version wrote is a policy, too: `Policy(**document)`.
    """

    drowsy_after_s: float = 300.0
    sleep_after_s: float = 1800.0
    hibernate_grace_s: float = 300.0
    min_up_s: float = 5.0
    planned_reach_s: float = 3600.0
    shadow_run: bool = False
    sleep_flow: str = UPKEEP
    sleep_min_interval_s: float = 4 * 3600.0
    yield_within_s: float = 2.0  # what an interrupted step gets to end by itself
    power: str = "any"  # "any", or "mains": sleep only on mains power
    max_cpu: float = 100.0  # percent of all cores; 100 asks for nothing
    between: str = ""  # "22:00-06:00" in local time; empty: any time
    ledger_keep_s: float = 30 * DAY_S
    runs_keep_s: float = 90 * DAY_S  # of runs that have ended
    runs_keep_count: int = 10_000
    heartbeat_timeout_s: float = 120.0  # an agent that is silent for longer is offline
    default_recovery_s: float = 5 * 3600.0  # of a quota of which nobody says when it comes back
    flows: tuple[str, ...] = (UPKEEP,)  # the names of all that there are, sorted

    def __post_init__(self) -> None:
        # JSON has lists alone: what was read back is the same policy.
        object.__setattr__(self, "flows", tuple(self.flows))

    def document(self) -> dict[str, Any]:
        """Return it as a record holds it: what JSON gives back of this is equal to it."""
        return {**asdict(self), "flows": list(self.flows)}
