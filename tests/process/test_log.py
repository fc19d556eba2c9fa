"""The daemon's own log: whoever reads it, or does not, never makes the daemon wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from daemon_process import LineClient, RunningDaemon
from process.timers import settings
from process.wake_files import drop_text
from waiting import until

# Enough lines to fill any pipe, each with what a client may make long.
MANY = 400


def told(client: LineClient, count: int) -> None:
    for number in range(count):
        client.call("hold.acquire", who="test", why=f"{number} " + "x" * 900, ttl_s=3600)


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().splitlines()]


def piped(home: Path, stderr: int) -> subprocess.Popen[bytes]:
    home.mkdir(mode=0o700)
    (home / "torpor.toml").write_text(settings("[log]\nformat = 'json'"))
    return subprocess.Popen([sys.executable, "-m", "torpord", "run", "--home", str(home)], stderr=stderr)


def test_a_reader_that_stops_costs_lines_and_no_answer(home: Path) -> None:
    reader, writer = os.pipe()
    with piped(home, writer) as process:
        os.close(writer)
        try:
            until((home / "torpor.sock").exists, what="the socket")
            with LineClient(home / "torpor.sock") as client:
                told(client, MANY)  # each is answered, whoever reads the log
                os.set_blocking(reader, False)
                found = bytearray()

                def reads_on() -> bool:
                    client.call("hold.acquire", who="test", why="one more", ttl_s=3600)
                    while data := _read(reader):
                        found.extend(data)
                    return b'"lines_lost"' in found and found.endswith(b"\n")

                until(reads_on, what="what was lost to be told")
            seen = lines(bytes(found))
            lost = next(line for line in seen if line["event"] == "lines_lost")
            at = seen.index(lost)
            missed = next(line["seq"] for line in seen[at + 1 :] if "seq" in line) - seen[at - 1]["seq"] - 1
            assert lost["count"] == missed > 0
            assert lost["level"] == "error"
        finally:
            process.kill()
            os.close(reader)


def test_a_line_longer_than_a_pipe_takes_at_once_is_whole(home: Path) -> None:
    with piped(home, subprocess.PIPE) as process:
        try:
            until((home / "torpor.sock").exists, what="the socket")
            with LineClient(home / "torpor.sock") as client:
                client.call("hold.acquire", who="test", why="\\" * 1000, ttl_s=3600, key="\\" * 128)
            process.terminate()
            assert process.stderr is not None
            seen = lines(process.stderr.read())
            assert next(line for line in seen if line["event"] == "hold_acquired")["why"] == "\\" * 1000
        finally:
            process.kill()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


def test_what_is_in_the_ledger_is_logged_once(daemon: RunningDaemon) -> None:
    (daemon.home / "torpor.toml").write_text(settings("[hooks]\non_drowsy = ['false']", min_up="1h"))
    daemon.call("reload")
    daemon.call("event", event="force_sleep")
    drop_text(daemon.home, "bad.json", "no JSON")
    for kind in ("hook_failed", "wake_rejected"):
        until(lambda kind=kind: daemon.call("log", kinds=[kind])["records"], what=kind)  # type: ignore[misc]
        assert [line.get("event") for line in daemon.log_lines()].count(kind) == 1
