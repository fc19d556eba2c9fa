"""Ten thousand agents that time out in one instant, while others ask and beat. (100,000 of them: `bench/agents.py`.)"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon_process import LineClient, RunningDaemon, result_of
from process.reading import assert_whole, ledger
from process.timers import settings

AGENTS = 10_000
AT_ONCE = 500
TIMEOUT_S = 3.0
# A slice is a commit of some milliseconds, and an answer waits for two of them at most. The rest is for a machine that
# runs other tests beside; one decision about all of them would take seconds.
MOST_P99_S = 0.25


def name(number: int) -> str:
    return f"agent-{number:05d}"


def registered(daemon: RunningDaemon) -> None:
    with daemon.connect() as client:
        for first in range(0, AGENTS, AT_ONCE):
            lines = [
                {"jsonrpc": "2.0", "id": n, "method": "agent.register", "params": {"agent_id": name(n)}}
                for n in range(first, first + AT_ONCE)
            ]
            client.send("".join(json.dumps(line) + "\n" for line in lines).encode())
            for _ in lines:
                result_of(client.read_line())


@contextmanager
def beating(daemon: RunningDaemon, agent_id: str) -> Iterator[list[float]]:
    """Let one agent beat all the time; gives what each answer took."""
    taken: list[float] = []
    over = threading.Event()

    def beat() -> None:
        with daemon.connect() as client:
            while not over.wait(0.05):
                taken.append(timed(client, "agent.heartbeat", agent_id=agent_id)[0])

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def timed(client: LineClient, method: str, **params: str) -> tuple[float, dict[str, object]]:
    begun = time.monotonic()
    result = client.call(method, **params)
    return time.monotonic() - begun, result


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def test_all_time_out_at_once_and_everybody_else_is_served(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings('[agents]\nheartbeat_timeout = "1h"'))
    registered(daemon)
    assert daemon.stop() == 0
    # A start gives everyone its time anew: so it is over for all of them in the same instant.
    (home / "torpor.toml").write_text(settings(f'[agents]\nheartbeat_timeout = "{TIMEOUT_S:.0f}s"'))
    daemon = RunningDaemon.start(home)
    after = daemon.call("status")["ledger_seq"]
    taken: list[float] = []
    pause = threading.Event()
    with beating(daemon, name(0)) as beats, daemon.connect() as client:
        end_at = time.monotonic() + 60.0
        gone = 0
        while gone < AGENTS - 1:
            assert time.monotonic() < end_at, f"only {gone} have timed out"
            took_s, status = timed(client, "status")
            agents = status["agents"]
            assert isinstance(agents, dict)
            assert sum(agents.values()) == AGENTS
            gone = agents["offline"]
            taken.append(took_s)
            pause.wait(0.01)
    assert gone == AGENTS - 1, "who beats is there"
    assert p99(taken) < MOST_P99_S, f"{p99(taken):.3f} s"
    assert max(beats) < 4 * MOST_P99_S, f"{max(beats):.3f} s"
    assert daemon.stop() == 0
    offline = [e for e in ledger(home) if e.seq is not None and e.seq > after and e.record.kind == "agent_offline"]
    assert len(offline) == AGENTS - 1
    assert len({entry.wall_s for entry in offline}) >= AGENTS // 256, "in slices, each a commit of its own"
    assert_whole(home)
