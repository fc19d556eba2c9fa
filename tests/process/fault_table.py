"""What becomes of each fault at each named point, in one table: a point without its row fails `test_fault_sweep.py`.

The faults: *mistake*, an exception of ours raised just there; *full* and *broken*, from there on the disk takes
nothing any more (ENOSPC of a tmpfs) or fails at each call (EIO). And SIGKILL, which is no column as it has one outcome:
whoever is hit dies, and the next start knows all (`test_kill_at_points.py`, `test_flow_kills.py`, over the same list).

After each of them, with the disk as it should be: what was acknowledged is there, what was refused is not, and what is
asked again with its key counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

# Of a client that asked for an event, or of a file that was left.
ANSWERED = "answered"  # it is durable, and told so; the daemon lives on
REFUSED = "storage_unavailable"  # nothing was changed, and the client told so; the daemon lives on
DIES = "dies"  # the process ends with 1, for the service manager to start the next one; whoever waits asks again there
ANSWERED_DIES = "answered, dies"  # it is durable, and told so; then the process ends with 1
# Of a daemon on its way down.
LEAVES = "leaves"  # it ends with 0
UNRECORDED = "leaves, unrecorded"  # likewise, but its end is not in the ledger: the next start calls it a crash
# Of a step in a worker.
GOES_ON = "goes on"  # it waits for room, and finishes in its first attempt
AGAIN = "again"  # this attempt is broken off, and the next one finishes: its worker died, or the store was read anew
FAILED = "failed"  # the call raises it, in the step's code: what a step that raises does, says its flow


@dataclass(frozen=True, slots=True)
class Row:
    """`by`: what brings the daemon there: an event, a file, a hibernation, or a step of a run."""

    by: str
    mistake: str
    full: str
    broken: str


TABLE = {
    "writer.taken": Row("event", DIES, REFUSED, REFUSED),
    "writer.decided": Row("event", DIES, REFUSED, REFUSED),
    "store.begun": Row("event", "internal_error", REFUSED, REFUSED),
    "store.written": Row("event", "internal_error", REFUSED, REFUSED),
    "store.committed": Row("event", ANSWERED, ANSWERED, ANSWERED),
    "writer.released": Row("event", ANSWERED_DIES, ANSWERED, ANSWERED),
    "worker.begun": Row("step", AGAIN, GOES_ON, AGAIN),
    "worker.returned": Row("step", AGAIN, GOES_ON, AGAIN),
    "worker.acknowledged": Row("step", AGAIN, GOES_ON, AGAIN),
    "call.intended": Row("step", FAILED, GOES_ON, AGAIN),
    "call.made": Row("step", FAILED, GOES_ON, AGAIN),
    "call.recorded": Row("step", FAILED, GOES_ON, AGAIN),
    "spool.applied": Row("file", DIES, ANSWERED, ANSWERED),
    "exit.decided": Row("hibernation", DIES, UNRECORDED, UNRECORDED),
    "exit.looked": Row("hibernation", DIES, UNRECORDED, UNRECORDED),
    "exit.unlinked": Row("hibernation", DIES, UNRECORDED, UNRECORDED),
    "exit.refused": Row("hibernation", DIES, UNRECORDED, UNRECORDED),
    "exit.drained": Row("hibernation", DIES, UNRECORDED, UNRECORDED),
    "exit.recorded": Row("hibernation", DIES, LEAVES, LEAVES),
    "exit.told": Row("hibernation", DIES, LEAVES, LEAVES),
}
