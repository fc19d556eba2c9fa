"""What the log has of the records: warnings of those to look at, and nothing of those that come by the thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from torpord.core.records import Entry

log = structlog.get_logger("torpord")

# The records somebody should look at; all others are logged as information.
TROUBLE = frozenset(
    {
        "hibernation_blocked",
        "hook_failed",
        "quarantine_entered",
        "resumed_from_stall",
        "run_failed",
        "shadow_run_warning",
        "sleep_cycle_failed",
        "step_failed",
        "wake_rejected",
    }
)
# These come by the thousand: the ledger has them all.
DETAILS = frozenset(
    {
        "agent_doing",
        "agent_forgotten",
        "agent_offline",
        "agent_online",
        "agent_quiet",
        "agent_recovered",
        "agent_registered",
        "agent_wake_ended",
        "agent_wake_started",
        "call_begun",
        "call_ended",
        "slot_added",
        "slot_cancelled",
        "slot_deferred",
        "slot_finished",
        "slot_offered",
        "slot_queued",
        "slot_taken",
        "slot_waiting",
        "step_ended",
        "step_started",
    }
)


def write(entries: Sequence[Entry], *, details: bool) -> None:
    """Log those that the ledger has."""
    for entry in entries:
        if entry.seq is None:
            continue
        kind = entry.record.kind
        if kind not in DETAILS:
            level = "warning" if kind in TROUBLE else "info"
            getattr(log, level)(kind, seq=entry.seq, **_shown(entry))
        elif details:
            log.debug(kind, seq=entry.seq, **_shown(entry))


def _shown(entry: Entry) -> dict[str, Any]:
    data = {("at" if k == "ts" else k): v for k, v in entry.record.data().items() if k not in ("event", "level", "seq")}
    return {**data, "cause": entry.cause}
