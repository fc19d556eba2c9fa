"""A home's first lives, to be recorded: `python -P scene.py HOME MARKS FLOWS EVENTS [--lives N] [--sync LEVEL]`.

Everything that torpor promises to keep is done here once or more: requests one by one and pipelined on several
connections, holds, agents, a run with steps and calls, files left while it is up and while it is down, a sleep with its
housekeeping, a death, a hibernation, a stop. What was asked and what was answered is seen on the sockets; what has no
answer there is a line of MARKS. `--sync`: a daemon that is broken on purpose, with this `PRAGMA synchronous`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]

from daemon_process import LineClient, RunningDaemon, end_all  # noqa: E402 - found by the line above
from process.flow_runs import flow_settings  # noqa: E402 - likewise
from process.wake_files import left  # noqa: E402 - likewise
from torpor import spool  # noqa: E402 - likewise
from torpord.store.syncing import sync  # noqa: E402 - likewise
from waiting import until  # noqa: E402 - likewise

LIMIT_S = 60.0  # strace makes everything some times slower
BROKEN = Path(__file__).with_name("broken.py")


class Scene:
    """What is done, one life after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.home = Path(options.home)
        self.flows = Path(options.flows)
        self.events = int(options.events)
        self._marks = os.open(options.marks, os.O_WRONLY | os.O_CREAT, 0o600)
        broken = ["-P", str(BROKEN), options.sync]
        self._launcher = [sys.executable, *(broken if options.sync else ["-m", "torpord"])]
        self._count = 0

    def mark(self, **what: Any) -> None:
        """Say that something is promised from here on."""
        os.write(self._marks, json.dumps(what).encode() + b"\n")

    def key(self) -> str:
        """Return a key that nothing had yet; it is the request's id as well."""
        self._count += 1
        return f"k{self._count}"

    def start(self) -> RunningDaemon:
        """Start a daemon."""
        # Not `RunningDaemon.start`: that makes the home, and here it is the daemon's to make.
        command = [*self._launcher, "run", "--home", str(self.home)]
        daemon = RunningDaemon(self.home, command, os.environ)
        daemon.wait_ready(LIMIT_S)
        return daemon

    def ask(self, client: LineClient, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something with a key, and wait for the answer."""
        key = self.key()
        client.send_line({"jsonrpc": "2.0", "id": key, "method": method, "params": {**params, "key": key}})
        reply = client.read_line(LIMIT_S)
        assert "result" in reply, reply
        result = reply["result"]
        assert isinstance(result, dict)
        return result

    def pipeline(self, clients: list[LineClient], count: int) -> None:
        """Ask so many times on each of these connections at once."""
        for client in clients:
            lines = b""
            for _ in range(count):
                key = self.key()
                params = {"event": "request_arrived", "key": key}
                lines += json.dumps({"jsonrpc": "2.0", "id": key, "method": "event", "params": params}).encode() + b"\n"
            client.send(lines)
        for client in clients:
            for _ in range(count):
                assert "result" in client.read_line(LIMIT_S)

    def leave(self, count: int) -> None:
        """Leave files: promised when the client library says so."""
        for _ in range(count):
            key = self.key()
            self.mark(leaving=key)
            path = spool.drop(str(self.home), "event", {"event": "wake_signal", "key": key})
            self.mark(left=Path(path).name, key=key)

    def settle(self, **lifecycle: str) -> None:
        """Give the home these settings."""
        draft = self.home / "torpor.toml.new"
        draft.write_text(flow_settings("toy:calls", path=self.flows, **lifecycle))
        sync(draft)
        draft.rename(self.home / "torpor.toml")

    def first_life(self) -> None:
        """Begin with nothing; die."""
        daemon = self.start()
        with daemon.connect() as one, daemon.connect() as two, daemon.connect() as three:
            hold_id = self.ask(one, "hold.acquire", who="scene", why="to have some", ttl_s=3600)["hold_id"]
            self.ask(two, "agent.register", agent_id="agent")
            for _ in range(self.events):
                self.ask(one, "event", event="request_arrived")
            self.pipeline([one, two, three], 5)
            self.ask(three, "hold.release", hold_id=hold_id)
            self.leave(2)
            until(lambda: not left(self.home), limit_s=LIMIT_S)
        daemon.kill()

    def second_life(self) -> None:
        """Find what the first one left; run a flow, sleep, hibernate."""
        self.leave(2)
        self.settle(min_up="1h")  # it does not go down by itself behind the sleep cycle, ahead of what is asked then
        daemon = self.start()
        with daemon.connect() as client:
            until(lambda: not left(self.home), limit_s=LIMIT_S)
            outside = self.home.parent.with_suffix(".outside")
            outside.mkdir()
            run = self.ask(client, "run.start", flow="calls", data={"folder": str(outside), "until": 1})
            request = client.request("wait", run_id=run["run_id"], timeout_s=LIMIT_S)
            reply = client.read_line(LIMIT_S)
            assert (reply["id"], reply["result"]["status"]) == (request, "completed"), reply
            self.mark(completed=run["run_id"])
            self.ask(client, "event", event="force_sleep")
            until(lambda: client.call("status")["sleep"]["last_cycle"], limit_s=LIMIT_S, what="the housekeeping")
            self.mark(backed_up=True)
            self.pipeline([client], 5)
            self.settle()
            client.call("reload")
            self.ask(client, "hibernate", now=True)
        assert daemon.wait_gone(LIMIT_S) == 0

    def third_life(self) -> None:
        """Come back, and be told to stay away."""
        self.leave(1)
        daemon = self.start()
        with daemon.connect() as client:
            for _ in range(self.events):
                self.ask(client, "event", event="request_arrived")
            client.send_line({"jsonrpc": "2.0", "id": "stop", "method": "stop", "params": {}})
            assert "result" in client.read_line(LIMIT_S)
        assert daemon.wait_gone(LIMIT_S) == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("home", "marks", "flows", "events"):
        parser.add_argument(name)
    parser.add_argument("--lives", type=int, default=3)
    parser.add_argument("--sync")
    chosen = parser.parse_args()
    scene = Scene(chosen)
    try:
        for live in [scene.first_life, scene.second_life, scene.third_life][: chosen.lives]:
            live()
    finally:
        end_all(scene.home)
