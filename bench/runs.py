"""What durable steps cost, beside DBOS Transact doing the same; and what a request costs while a step burns all cores.

    make bench-runs          (or: .venv/bin/python bench/runs.py)

Rounds in turns, so that a busy machine is equally busy for all. Each of the promises at the end is said with what was
found; the exit status is 1 where one was not kept.

- Both sides make each step durable before the next begins: torpor with `synchronous=FULL`, DBOS with what it sets.
- torpor's step goes through a worker process and its pipe; DBOS's runs in the process that stores it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from torpor import Client
from torpord.store import runs as rows

ROUNDS = 5
STEPS = 2000
DBOS_STEPS = 500
LONG_STEPS = 10_000
YIELD_WITHIN_S = 2.0
BIN = pathlib.Path(sys.executable).parent
# DBOS has an environment of its own: what it brings, others of our libraries load where they find it.
DBOS_PYTHON = os.environ.get("BENCH_DBOS", sys.executable)
FLOWS = pathlib.Path(__file__).with_name("flows")

DBOS = """
import sys, tempfile, time
from dbos import DBOS
folder = tempfile.mkdtemp()
DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "run_admin_server": False,
             "log_level": "ERROR"})
@DBOS.step()
def step():
    return None
@DBOS.workflow()
def work(count):
    for _ in range(count):
        step()
DBOS.launch()
work(10)
begun = time.perf_counter()
work(int(sys.argv[1]))
print("steps_per_s", int(sys.argv[1]) / (time.perf_counter() - begun))
DBOS.destroy()
"""


@contextlib.contextmanager
def daemon(home: str, settings: str) -> Iterator[Client]:
    """Run a daemon on a home, and end it."""
    pathlib.Path(home, "torpor.toml").write_text(settings)
    env = {**os.environ, "TORPOR_HOME": home}
    env.pop("TORPOR_SOCKET", None)
    subprocess.run([BIN / "torpor", "start"], env=env, stdout=subprocess.DEVNULL, check=True)
    try:
        with Client(home, timeout=60) as client:
            yield client
    finally:
        subprocess.run([BIN / "torpor", "stop"], env=env, stdout=subprocess.DEVNULL, check=True)


def until(holds: Callable[[], object], what: str, limit_s: float = 60.0) -> float:
    begun = time.perf_counter()
    while not holds():
        if time.perf_counter() - begun > limit_s:
            raise TimeoutError(what)
        time.sleep(0.005)
    return time.perf_counter() - begun


def noops(client: Client, count: int) -> float:
    """Return steps a second, from the begin of the first to the end of the run."""
    run_id = client.run_start("noop", {"of": count}, max_steps=count + 1)["run_id"]
    client.wait_run(run_id, "completed", timeout_s=120)
    page = client.run_get(run_id)
    return count / (seconds(page["run"]["ended_ts"]) - seconds(page["steps"][0]["started_ts"]))


def seconds(ts: str | None) -> float:
    assert ts is not None
    return datetime.fromisoformat(ts).timestamp()


def dbos(count: int) -> float:
    done = subprocess.run(
        [DBOS_PYTHON, "-W", "ignore", "-c", DBOS, str(count)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return float(done.stdout.rsplit("steps_per_s", 1)[1])


def bare(count: int) -> float:
    """Return commits a second of one row each, by SQLite alone on the same disk: nobody who is durable is faster."""
    folder = tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp")
    with folder, contextlib.closing(sqlite3.connect(f"{folder.name}/bare.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
        begun = time.perf_counter()
        for _ in range(count):
            db.execute("INSERT INTO rows (body) VALUES (?)", ("x" * 200,))
        return count / (time.perf_counter() - begun)


def asked(client: Client, count: int) -> float:
    """Return durable requests a second of one client: the same way to the disk and back, without a worker."""
    begun = time.perf_counter()
    for number in range(count):
        client.event("request_arrived", key=f"{begun} {number}")
    return count / (time.perf_counter() - begun)


def resumed_ms(home: str, run_id: str) -> float:
    """Median of reading all that a worker is told of a long run, from its closed store."""
    with contextlib.closing(sqlite3.connect(pathlib.Path(home, "torpor.db"))) as db:
        taken = []
        for _ in range(20):
            begun = time.perf_counter()
            run = rows.find(db, run_id)
            assert run is not None
            rows.resumption(db, run)
            taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def latencies_ms(client: Client, for_s: float) -> list[float]:
    taken, begun = [], time.perf_counter()
    while time.perf_counter() - begun < for_s:
        at = time.perf_counter()
        client.event("request_arrived")
        taken.append((time.perf_counter() - at) * 1000)
        time.sleep(0.002)
    return taken


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def burning(client: Client) -> tuple[list[float], float]:
    """Send it to sleep, let the cycle burn all cores, and ask: what the answers took, and when the step had ended."""
    before = client.status()["ledger_seq"]
    client.event("force_sleep")
    until(lambda: any(run["progress"] for run in client.run_list(status="running", flow="burn")["runs"]), "the burning")
    time.sleep(0.3)
    begun = time.perf_counter()
    taken = latencies_ms(client, 0.01)
    assert client.status()["state"] == "WAKE"
    taken += latencies_ms(client, YIELD_WITHIN_S - 0.3)
    until(lambda: not client.run_list(status="running")["runs"], "the step's end")
    ended_s = time.perf_counter() - begun
    kinds = {record["kind"] for record in client.log(after=before)["records"]}
    assert "sleep_cycle_interrupted" in kinds, kinds
    assert not kinds & {"sleep_cycle_failed", "step_failed"}, kinds
    return taken, ended_s


def main() -> int:
    settings = "".join(f'[flows.{name}]\npython = "benched:{name}"\npath = "{FLOWS}"\n' for name in ("noop", "burn"))
    settings += f'[sleep]\nflow = "burn"\nyield_within = {YIELD_WITHIN_S}\n[lifecycle]\nmin_up = "60s"\n'
    ours: list[float] = []
    theirs: list[float] = []
    floor: list[float] = []
    requests: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp") as home:
        with daemon(home, settings) as client:
            noops(client, 200)
            for _ in range(ROUNDS):
                ours.append(noops(client, STEPS))
                theirs.append(dbos(DBOS_STEPS))
                floor.append(bare(STEPS))
                requests.append(asked(client, STEPS // 3))
            noops(client, LONG_STEPS)
            run_id = client.run_list(flow="noop", limit=1)["runs"][0]["run_id"]
        resumed = resumed_ms(home, run_id)
    with tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp") as home, daemon(home, settings) as client:
        quiet = latencies_ms(client, 2.0)
        burnt: list[float] = []
        ends: list[float] = []
        for _ in range(ROUNDS):
            taken, ended_s = burning(client)
            burnt += taken
            ends.append(ended_s)
    rate, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"{'a second, each durable':<30} {'steps':>8} {'of DBOS':>8} {'ratio':>6} {'requests':>9} {'bare SQLite':>12}"
    )
    for one, two, three, four in zip(ours, theirs, requests, floor, strict=True):
        print(f"{'':<30} {one:>8.0f} {two:>8.0f} {one / two:>6.1f} {three:>9.0f} {four:>12.0f}")
    print(f"{'the state of a run of 10,000 steps, read (ms)':<44} {resumed:>10.1f}")
    print(f"{'request, p99 (ms)':<44} {'burning':>10} {'quiet':>10} {'ratio':>8}")
    print(f"{f'{len(burnt)} and {len(quiet)} requests':<44} {p99(burnt):>10.1f} {p99(quiet):>10.1f}", end="")
    print(f" {p99(burnt) / p99(quiet):>8.1f}\n")
    promises = [
        ("at least 1,500 steps a second", rate >= 1500, f"{rate:.0f}"),
        ("at least 3 times DBOS on SQLite", rate >= 3 * other, f"{rate / other:.1f}"),
        ("a run of 10,000 steps resumed in under 20 ms", resumed < 20, f"{resumed:.1f} ms"),
        ("a request in under 20 ms (p99) while all cores burn", p99(burnt) < 20, f"{p99(burnt):.1f} ms"),
        ("the step ended within yield_within + 0.5 s", max(ends) < YIELD_WITHIN_S + 0.5, f"{max(ends):.2f} s"),
    ]
    for promise, kept, found in promises:
        print(f"{'kept  ' if kept else 'BROKEN'} {promise}: {found}")
    return 0 if all(kept for _, kept, _ in promises) else 1


if __name__ == "__main__":
    sys.exit(main())
