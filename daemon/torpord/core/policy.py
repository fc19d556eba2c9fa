"""The settings the core decides by: durations in seconds, as `torpor.toml` gave them or the defaults."""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What `[lifecycle]`, `[sleep]` and `[ledger]` say. The idle times count from the end of the last activity."""

    drowsy_after_s: float = 300.0
    sleep_after_s: float = 1800.0
    hibernate_grace_s: float = 300.0
    min_up_s: float = 5.0
    shadow_run: bool = False
    sleep_min_interval_s: float = 4 * 3600.0
    power: str = "any"  # "any", or "mains": sleep only on mains power
    max_cpu: float = 100.0  # percent of all cores; 100 asks for nothing
    between: str = ""  # "22:00-06:00" in local time; empty: any time
    ledger_keep_s: float = 30 * DAY_S
