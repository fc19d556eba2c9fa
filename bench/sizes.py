"""What an event costs with a long history and many agents, beside a daemon that has neither."""

from __future__ import annotations

from typing import Any

from agents import LINES, MANY, add_lines, name
from rows import AT_MOST, Row
from sides import Process, folder, load, torpord

from torpor import Client

SIZES = ((0, 0), (100_000, 10_000), (LINES, MANY))


def register(torpor: Process, count: int) -> None:
    """Let agents register, many requests at once."""
    import json  # noqa: PLC0415
    import socket  # noqa: PLC0415

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(torpor.socket)
        answers = sock.makefile("rb")
        for first in range(0, count, 200):
            some = range(first, min(first + 200, count))
            requests = [
                {"jsonrpc": "2.0", "id": 1, "method": "agent.register", "params": {"agent_id": name(number)}}
                for number in some
            ]
            sock.sendall("".join(json.dumps(each) + "\n" for each in requests).encode())
            for _ in some:
                assert b'"result"' in answers.readline()
        answers.close()


def growing(rounds: int) -> tuple[list[Row], list[dict[str, Any]]]:
    """Measure the CPU time of an event and its latency, with nothing, with some and with much kept, in turns."""
    beside = "with none"
    kept = f"with {LINES:,} ledger records and {MANY:,} agents"
    cpu = Row(f"CPU time of an event {kept}", beside, "us", AT_MOST, 1.2)
    latency = Row(f"median latency of an event {kept}", beside, "us", AT_MOST, 1.2)
    points: list[dict[str, Any]] = []
    with folder() as none_at, folder() as some_at, folder() as many_at:
        homes = [at / "t" for at in (none_at, some_at, many_at)]
        for home, (lines, agents) in zip(homes, SIZES, strict=True):
            with torpord(home) as torpor:
                register(torpor, agents)
            if lines:
                add_lines(str(home), lines)
        with torpord(homes[0]) as none, torpord(homes[1]) as some, torpord(homes[2]) as many:
            sides = (none, some, many)
            for side, (_, agents) in zip(sides, SIZES, strict=True):
                with Client(side.socket.rsplit("/", 1)[0]) as client:
                    assert sum(client.status()["agents"].values()) == agents
            for _ in range(rounds):
                loaded = [load(side, "torpor", 50, seconds=1.0) for side in sides]
                single = [load(side, "torpor", 1, seconds=1.0) for side in sides]
                cpu.ours.append(loaded[2]["server_cpu_us"])
                cpu.theirs.append(loaded[0]["server_cpu_us"])
                latency.ours.append(single[2]["p50_us"])
                latency.theirs.append(single[0]["p50_us"])
                for (lines, agents), one, two in zip(SIZES, loaded, single, strict=True):
                    size = {"ledger": lines, "agents": agents}
                    points.append({**size, "cpu_us": one["server_cpu_us"], "p50_us": two["p50_us"]})
    return [cpu, latency], points
