"""Runs: durable steps beside DBOS Transact; and a request while a sleep cycle burns all cores, beside a quiet time."""

from __future__ import annotations

from rows import AT_LEAST, AT_MOST, Row
from runs import DBOS_STEPS, FLOWS, STEPS, YIELD_WITHIN_S, burning, daemon, dbos, latencies_ms, noops, p99
from sides import folder

SETTINGS = "".join(f'[flows.{name}]\npython = "benched:{name}"\npath = "{FLOWS}"\n' for name in ("noop", "burn"))
SETTINGS += f'[sleep]\nflow = "burn"\nyield_within = {YIELD_WITHIN_S}\n[lifecycle]\nmin_up = "60s"\n'


def steps(rounds: int) -> list[Row]:
    """Measure durable steps a second, in turns."""
    row = Row("run transitions", "DBOS Transact on SQLite", "a second", AT_LEAST, 3)
    with folder() as home, daemon(str(home), SETTINGS) as client:
        noops(client, 200)
        for _ in range(rounds):
            row.ours.append(noops(client, STEPS))
            row.theirs.append(dbos(DBOS_STEPS))
    return [row]


def burnt(rounds: int) -> list[Row]:
    """Measure the 99th percentile of a request's time while all cores burn, and while nothing does, in turns."""
    row = Row("a request while a cycle burns all cores, p99", "the same with no cycle", "ms", AT_MOST, 4)
    with folder() as home, daemon(str(home), SETTINGS) as client:
        for _ in range(rounds):
            row.theirs.append(p99(latencies_ms(client, YIELD_WITHIN_S)))
            row.ours.append(p99(burning(client)[0]))
    return [row]
