"""Which exit status an error has (sysexits(3), and 3 for down)."""

from __future__ import annotations

from torpor import errors, wire

# What was asked was done, and the run itself came to another end: `runs follow`, `runs start --wait` and `--follow`.
RUN_DID_NOT_COMPLETE = 1

# A refusal that time mends is 75; one that is about what was asked is 65. `draining`, `timeout` and `protocol_mismatch`
# come as other errors (`torpor.messages`).
_REFUSALS = {
    "not_permitted": wire.EX_NOPERM,
    "conflict": wire.EX_TEMPFAIL,  # somebody holds it awake, a run moved on while it was read: that passes
    "storage_unavailable": wire.EX_TEMPFAIL,
    "too_many": wire.EX_TEMPFAIL,
    "internal_error": wire.EX_UNAVAILABLE,
    "safe_mode": wire.EX_UNAVAILABLE,
}


def status_of(error: errors.Error) -> int:
    """Return the exit status that tells a script what `error` tells a person."""
    match error:
        case errors.Down():
            return wire.EX_DOWN
        case errors.NotPermitted():
            return wire.EX_NOPERM
        case errors.BadHome():
            return wire.EX_CONFIG
        case errors.Timeout():
            return wire.EX_TEMPFAIL
        case errors.Refused(name="conflict", data={"field": "key"} | {"status": _}):
            return wire.EX_DATAERR  # a key that was used for something else, a run that ended otherwise: they stay so
        case errors.Refused(name=name):
            return _REFUSALS.get(name, wire.EX_DATAERR)
        case _:
            return wire.EX_UNAVAILABLE


def of_run(status: str) -> int:
    """Return the exit status of a command that waited for a run, and saw it end in `status`."""
    return wire.EX_OK if status == "completed" else RUN_DID_NOT_COMPLETE
