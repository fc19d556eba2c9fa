"""The middle of the tour: a sleep cycle that is interrupted by a request, survives a hibernation, and is finished."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from torpor import Client, wire
from torpor.cli import bars, demo_flow
from torpor.cli.stage import Follower, Stage, check, integrity, is_gone, until
from torpor.presence import is_up, last_known

if TYPE_CHECKING:
    from torpor.run_replies import Run, WholeRun

_FIRST_SHARE, _SECOND_SHARE = 0.25, 0.5
# Alone it is some milliseconds; what is promised is 20 of them, and the machine may be anybody's.
_AT_ONCE_S = 0.5


def nobody_comes(stage: Stage, follower: Follower) -> None:
    """Let the idle times pass, until it sleeps."""
    stage.chapter("4. Nobody comes any more")
    with Client(stage.home) as client:
        drowsy = follower.transition("DROWSY")
        with stage.step("a heartbeat is enough to come back"):
            client.event("heartbeat_refresh")
        follower.transition("WAKE", drowsy["seq"])
    again = follower.transition("DROWSY", drowsy["seq"])
    follower.transition("SLEEP", again["seq"])


def a_request_goes_first(stage: Stage, follower: Follower) -> str:
    """Interrupt the cycle in the middle of a step; returns the id of its run."""
    stage.chapter("5. It works in its sleep, and a request goes first")
    slept = follower.transition("SLEEP")["seq"]
    with stage.step("the upkeep of torpor's own store goes before"):
        follower.wait_for("its end", lambda record: record["kind"] == "sleep_cycle_done", slept)
    with Client(stage.home) as client:
        run = _until_share(stage, client, _FIRST_SHARE)
        with stage.step("a request in the middle of that step") as added:
            begun_s = time.monotonic()
            state = client.event("request_arrived")["state"]
            took_s = time.monotonic() - begun_s
            added.append(f"{state}: it is served, and the cycle is not waited for")
        check(state == "WAKE", f"the state is {state}, not WAKE")
        check(took_s < _AT_ONCE_S, f"the request was answered after {took_s:.3f} s")
        follower.transition("WAKE", slept)
        _gave_way(stage, follower, client, run["run_id"], slept)
    return run["run_id"]


def hibernate_in_the_middle(stage: Stage, follower: Follower, run_id: str, pid: int) -> int:
    """Go on with the cycle in the next sleep, and go down before it is done; returns how many events were counted."""
    stage.chapter("6. The next sleep goes on with it, and even the process may end before it is done")
    with Client(stage.home) as client:
        slept = _sleep(stage, follower, client)
        _until_share(stage, client, _SECOND_SHARE)
        count = int(client.status()["wrapper_event_seq"])
    with stage.step("command: torpor hibernate --now"):
        stage.torpor("hibernate", "--now")
    follower.transition("HIBERNATION", slept)
    took_s = until(lambda: is_gone(pid) and not is_up(stage.home), "the end of the process")
    stage.say(f"process {pid} is gone, {took_s * 1000:.0f} ms after its last word; it costs nothing now")
    known = last_known(stage.home) or {}
    progress = known.get("sleep_cycle_progress") or {}
    check(known.get("current_state") == "HIBERNATION", f"the state file says {known.get('current_state')}")
    ended = known.get("last_cycle") or {}  # that of the upkeep of torpor's own store, which goes first
    check(ended.get("flow") == "housekeeping", f"the cycle that ended last is {ended}")
    check(
        (progress.get("run_id"), progress.get("step")) == (run_id, "index"), f"what is left of the cycle is {progress}"
    )
    check(not os.path.exists(stage.path(wire.SOCKET_NAME)), "the socket is still there")
    stage.say(f"what it leaves: a cycle that is to go on at {progress['step']}")
    return count


def finish(stage: Stage, follower: Follower, run_id: str) -> None:
    """Sleep once more: the new process ends what the old one began, and then itself."""
    with Client(stage.home) as client:
        indexed, pid = _indexed(client.run_get(run_id)["run"]), client.status()["pid"]
        check(indexed >= _SECOND_SHARE * demo_flow.NOTES, f"only {indexed} notes are known to be indexed")
        stage.say(f"the cycle stands where it was left: at index, {indexed} of {demo_flow.NOTES} notes")
        slept = _sleep(stage, follower, client)
    done = follower.wait_for("the cycle's end", lambda record: record["kind"] == "sleep_cycle_done", slept)["data"]
    check(done["run_id"] == run_id, f"the cycle that ended is {done['run_id']}, not {run_id}")
    follower.transition("HIBERNATION", slept)
    until(lambda: is_gone(pid) and not is_up(stage.home), "the end of the process")
    last = (last_known(stage.home) or {}).get("last_cycle") or {}
    check(last.get("outcome") == "completed", f"the state file says of the last cycle: {last}")
    check(done["result"]["batches"] == demo_flow.NOTES // demo_flow.BATCH, f"the cycle's result is {done['result']}")
    _look_at_the_store(stage)


def steps_are_done_once(client: Client, run_id: str) -> None:
    """Make sure that no step was done again, and none left out: three sleeps were in `index`."""
    steps = client.run_get(run_id)["steps"]
    done = [step["state"] for step in steps if step["outcome"] in ("next", "complete")]
    check(done == ["gather", "index", "index", "index", "back_up"], f"the steps that were done are {done}")


def _look_at_the_store(stage: Stage) -> None:
    import sqlite3  # noqa: PLC0415 - for this one question

    backup = stage.path("notes-backup.db")
    found = integrity(backup)
    check(found == "ok", f"the backup is damaged: {found}")
    with closing(sqlite3.connect(backup)) as db:
        (notes,) = db.execute("SELECT count(DISTINCT note) FROM words").fetchone()
    check(notes == demo_flow.NOTES, f"{notes} notes are indexed, there are {demo_flow.NOTES}")
    size = os.stat(backup).st_size
    stage.say(f"all {notes} notes are indexed, each batch of them once; the backup: {size} bytes, {found}")


def _sleep(stage: Stage, follower: Follower, client: Client) -> int:
    """Send it to sleep; returns the position of the transition."""
    before = int(client.status()["ledger_seq"])
    with stage.step("command: torpor sleep"):
        stage.torpor("sleep")
    slept = int(follower.transition("SLEEP", before)["seq"])
    begun = follower.wait_for("the cycle", lambda record: record["kind"] == "sleep_cycle_started", slept)["data"]
    check(
        (begun["resumed"], begun["step"]) == (True, "index"),
        f"the cycle began at {begun['step'] or 'its beginning'}, and was to go on at index",
    )
    return slept


def _until_share(stage: Stage, client: Client, share: float) -> Run:
    """Show the cycle at its work until so much of its step is done."""
    shown: set[int] = set()
    latest: list[Run] = []

    def is_there() -> bool:
        latest[:] = client.run_list(status="running", flow=demo_flow.FLOW)["runs"]
        progress = latest[0]["progress"].get("") if latest else None
        if progress is None or not progress["of"]:
            return False
        if bars.tenth(progress) not in shown:
            shown.add(bars.tenth(progress))
            stage.say(bars.lines(latest[0], encoding=sys.stdout.encoding)[-1].strip())
        return progress["done"] >= share * progress["of"]

    until(is_there, "the progress of the sleep cycle")
    return latest[0]


def _gave_way(stage: Stage, follower: Follower, client: Client, run_id: str, after: int) -> None:
    """Make sure that the run rests, and where."""
    follower.wait_for("the end of its step", lambda record: record["kind"] == "run_interrupted", after)
    run = client.run_get(run_id)["run"]
    places = [place["state"] for place in run["places"]]
    check((run["status"], places) == ("pending", ["index"]), f"the cycle's run is {run['status']} at {places}")
    indexed = _indexed(run)
    check(_FIRST_SHARE * demo_flow.NOTES <= indexed < demo_flow.NOTES, f"{indexed} notes are known to be indexed")
    stage.say(f"its step has ended by itself, and is kept: {indexed} of {demo_flow.NOTES} notes")


def _indexed(run: WholeRun) -> int:
    return int(run["data"].get("indexed", 0))
