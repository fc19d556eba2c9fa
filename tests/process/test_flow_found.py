"""What was found by attacking runs under a real daemon: each of these once ended it, or left it with a run for ever."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from process.disk import SmallDisk
from process.flow_runs import (
    assert_whole_after,
    flow_settings,
    history,
    history_at_end,
    lives,
    start,
    status_at_end,
    until,
)
from process.flows.outside import marks
from process.unsure_daemon import Unsure
from torpor import wire
from torpord.core.runs import MAX_BRANCHES

# Beyond `yield_within`: for workers to be told, killed and reaped, and for what nobody could store to be given up.
LEAVING_S = 12.0
MOST_THAT_STILL_FIT = 20
QUESTIONS = 20_000
# A task for each question at once took twice that.
MOST_MORE_BYTES = 24 << 20


def stands(daemon: RunningDaemon, run_id: str, folder: Path, count: int = 1) -> int:
    """Wait until a run stands for the nth time; returns its worker."""
    until(lambda: len(marks(folder, "stands")) >= count, what="a step that stands")
    return int(daemon.call("run.get", run_id=run_id)["run"]["worker_pid"])


def status_of(daemon: RunningDaemon, run_id: str) -> str:
    return str(daemon.call("run.get", run_id=run_id)["run"]["status"])


def together(client: LineClient, run_id: str, *methods: str) -> list[dict[str, Any]]:
    """Ask several things in one write, so that one batch has them all."""
    requests = [
        {"jsonrpc": "2.0", "id": n, "method": each, "params": {"run_id": run_id}} for n, each in enumerate(methods)
    ]
    client.send(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
    return [client.read_line() for _ in methods]


def test_orders_together_and_runs_told_to_go_on_elsewhere(home: Path, short_dir: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("found:fails", "found:gate", "found:back"))
    removed_is_removed(daemon)
    a_pause_that_becomes_a_failure(daemon, short_dir / "gate")
    a_state_gone_back_to_is_a_visit_of_its_own(daemon, short_dir / "back")
    assert daemon.call("status")["generation"] == 1
    assert_whole_after(daemon)


def removed_is_removed(daemon: RunningDaemon) -> None:
    for methods in (("run.remove", "run.retry"), ("run.remove",) * 3, ("run.retry", "run.remove", "run.retry")):
        run_id = start(daemon, "fails")
        assert status_at_end(daemon, run_id) == "failed"
        with daemon.connect() as client:
            first, *others = together(client, run_id, *methods)
        assert "result" in first
        names = {each["error"]["data"]["name"] for each in others}
        assert names == ({"not_found"} if methods[0] == "run.remove" else {"conflict"})
        assert min(daemon.call("status")["runs"].values()) >= 0
        if methods[0] == "run.retry":
            assert status_at_end(daemon, run_id) == "failed"
            assert len(history(daemon, run_id).steps) == 2
            daemon.call("run.remove", run_id=run_id)
    assert set(daemon.call("status")["runs"].values()) == {0}


def a_pause_that_becomes_a_failure(daemon: RunningDaemon, folder: Path) -> None:
    run_id = start(daemon, "gate", folder)
    stands(daemon, run_id, folder)
    daemon.call("run.pause", run_id=run_id)
    (folder / "bad").touch()
    assert status_at_end(daemon, run_id) == "failed"
    (folder / "bad").unlink()
    (folder / "good").touch()
    (folder / "end").touch()
    daemon.call("run.retry", run_id=run_id)
    found = history_at_end(daemon, run_id)
    assert found.outcomes == ["closed.1.1 failed", "closed.1.2 next", "further.1.1 complete"]
    assert daemon.call("status")["runs"]["failed"] == 0


def a_state_gone_back_to_is_a_visit_of_its_own(daemon: RunningDaemon, folder: Path) -> None:
    run_id = start(daemon, "back", folder)
    stands(daemon, run_id, folder)
    daemon.call("run.pause", run_id=run_id)
    (folder / "go").touch()
    until(lambda: status_of(daemon, run_id) == "paused", what="the pause")
    daemon.call("run.resume", run_id=run_id, state="call")
    found = history_at_end(daemon, run_id)
    assert found.run["status"] == "completed"
    assert [step["state"] for step in found.steps] == ["call", "hold", "call", "hold", "over"]
    assert len({(step["state"], step["visit"]) for step in found.steps}) == len(found.steps)
    keys = [each["key"] for each in marks(folder, "effect")]
    assert len(set(keys)) == 2, "the second one is had, and under a key of its own"
    assert {call["key"] for call in found.calls} == set(keys)


@pytest.mark.parametrize("message", ["\N{PILE OF POO}" * 2000, "\x01" * 2000])
def test_what_fails_in_every_branch_is_told_within_the_bounds(message: str, home: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("found:wide"))
    run_id = start(daemon, "wide", branches=MAX_BRANCHES, message=message)
    status_at_end(daemon, run_id)
    with daemon.connect() as client:
        client.call("subscribe", after=0)  # behind its end: who follows it live may be too slow for so much
        told = b""
        while b'"kind":"run_failed"' not in told:
            told = client.read_bytes_line(30.0) or pytest.fail("who follows was turned away")
            assert len(told) < wire.MAX_PAGE_BYTES
    with daemon.connect() as client:
        (listed,) = page(client, "run.list")["runs"]
        first = page(client, "run.get", run_id=run_id)
        for run in (listed, first["run"]):
            assert (len(run["places"]) + run["places_omitted"]) == 1 + MAX_BRANCHES
            assert run["places_omitted"] > 0
        steps, cursor = len(first["steps"]), first["cursor"]
        while cursor:
            more = page(client, "run.get", run_id=run_id, cursor=cursor)
            steps, cursor = steps + len(more["steps"]), more["cursor"]
        assert steps == 1 + MAX_BRANCHES
        after = 0
        while (found := page(client, "log", after=after))["next"] != after:
            assert max((len(json.dumps(each)) for each in found["records"]), default=0) < wire.MAX_PAGE_BYTES
            after = found["next"]
    assert_whole_after(daemon)


def page(client: LineClient, method: str, **params: object) -> dict[str, Any]:
    """Ask for a page, and weigh it."""
    client.request(method, **params)
    line = client.read_bytes_line()
    assert line is not None
    assert len(line) < wire.MAX_PAGE_BYTES, f"{method} answered {len(line)} bytes"
    result: dict[str, Any] = json.loads(line)["result"]
    return result


def test_a_flood_of_questions_costs_the_daemon_nothing(home: Path) -> None:
    daemon = RunningDaemon.start(home, flow_settings("found:asks"))
    with daemon.connect() as client:
        before = client.call("status")["rss_bytes"]
        run_id = start(daemon, "asks", times=QUESTIONS)
        most, longest_s = before, 0.0
        status: dict[str, Any] = {"runs": {}}
        while not status["runs"].get("completed"):
            begun_s = time.monotonic()
            status = client.call("status")
            longest_s = max(longest_s, time.monotonic() - begun_s)
            most = max(most, status["rss_bytes"])
            assert not status["runs"]["failed"]
    assert most - before < MOST_MORE_BYTES
    assert longest_s < 2.0, "others are served meanwhile"
    assert history(daemon, run_id).run["result"] == QUESTIONS


def test_a_full_disk_keeps_nobody_who_is_told_to_end(disk: SmallDisk) -> None:
    more = '[sleep]\nyield_within = "1s"'
    daemon = RunningDaemon.start(disk.home, flow_settings("found:gate", more=more))
    folder = disk.home.parent / "out"
    worker = stands(daemon, start(daemon, "gate", folder), folder)
    disk.fill()
    with daemon.connect() as client:
        for _ in range(MOST_THAT_STILL_FIT):
            if "error" in client.ask("event", event="request_arrived"):
                break
        else:
            raise AssertionError("the disk is not full")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_gone(1.0 + LEAVING_S)
    assert not lives(worker)
    disk.free()
    daemon = daemon.again()
    (folder / "good").touch()
    (folder / "end").touch()
    (run,) = daemon.call("run.list")["runs"]
    assert status_at_end(daemon, run["run_id"]) == "completed"
    assert_whole_after(daemon)


def test_runs_go_on_behind_a_commit_of_which_nobody_knew(home: Path, short_dir: Path) -> None:
    unsure = Unsure(home, short_dir, flow_settings("found:gate"))
    daemon, folders = unsure.daemon, [short_dir / name for name in ("loaded", "ended", "cancelled")]
    unsure.at("flow_loaded")
    loaded = start(daemon, "gate", folders[0])
    unsure.has_read_anew()
    stands(daemon, loaded, folders[0])

    ended = start(daemon, "gate", folders[1])
    workers = [stands(daemon, ended, folders[1])]
    unsure.at("step_ended")
    (folders[1] / "good").touch()
    unsure.has_read_anew()

    cancelled = start(daemon, "gate", folders[2])
    workers.append(stands(daemon, cancelled, folders[2]))
    unsure.at("run_cancelled")
    with daemon.connect() as client:
        assert client.ask("run.cancel", run_id=cancelled)["error"]["data"]["name"] == "storage_unavailable"
    unsure.has_read_anew()
    until(lambda: not any(map(lives, workers)), what="the end of all who worked when nobody knew")
    assert status_of(daemon, cancelled) == "cancelled"

    for folder in folders:
        (folder / "good").touch()
        (folder / "end").touch()
    for run_id in (loaded, ended):
        found = history_at_end(daemon, run_id)
        assert found.run["status"] == "completed"
        assert {step["outcome"] for step in found.steps} <= {"next", "complete", "interrupted"}, "nobody is to blame"
        assert [s["state"] for s in found.steps if s["outcome"] != "interrupted"] == ["closed", "further"]
    assert daemon.call("status")["generation"] == 1
    assert_whole_after(daemon)


def test_a_request_that_is_repeated_under_another_key_ends_no_worker(home: Path) -> None:
    """It changes nothing, and so it is stored as a reply alone: that is no store that was read anew."""
    more = '[sleep]\nflow = "cycle"\nyield_within = "1s"'
    daemon = RunningDaemon.start(home, flow_settings("found:cycle", more=more))
    with daemon.connect() as client:
        client.call("event", event="force_sleep", key="one")

        def place() -> dict[str, Any]:
            (run,) = client.call("run.list", flow="cycle")["runs"]
            return {**run["places"][0], "worker": run["worker_pid"]}

        until(lambda: client.call("run.list", flow="cycle")["runs"], what="the upkeep's end, which comes before")
        until(lambda: place()["status"] == "running", what="a step of the cycle")
        before = place()
        for key in ("two", "three"):
            assert client.call("event", event="force_sleep", key=key)["changed"] is False
        assert client.call("event", event="force_sleep", key="three")["replayed"] is True
        client.call("event", event="heartbeat_refresh")
        after = place()
        assert lives(before["worker"])
    assert {**before, "for_s": 0} == {**after, "for_s": 0}
    assert daemon.stop() == 0
