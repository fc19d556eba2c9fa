"""The sleep cycle on a real store: what it trims, what it keeps, how it gives way, and that it survives its own end."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_process import RunningDaemon
from process.old_ledger import age, damage
from process.reading import assert_whole, ledger
from process.timers import settings
from process.trap import Trap
from torpord.store.housekeeping import STEPS, newest_backup
from torpord.store.store import Store
from waiting import until

SLEEPS = settings("[sleep]\nmin_interval = '0s'", min_up="1h")
# The states of the built-in flow. One of them is no work on the store's thread: it sends records through the writer.
STATES = ("trim", "expire_runs", "checkpoint", "optimize", "integrity_check", "backup")
# Steps that look whether to give way while they work, and not only before.
LOOKING = ("trim", "integrity_check", "backup")


def aged_home(home: Path, **lines: int) -> int:
    RunningDaemon.start(home, SLEEPS).stop()
    return age(home, **lines)


def sleep_through(daemon: RunningDaemon, cycles: int = 1) -> None:
    """Send it to sleep, and wait until that many cycles have been completed in all."""
    daemon.call("event", event="force_sleep")
    until(lambda: cycles_done(daemon) == cycles, what="the cycle")


def cycles_done(daemon: RunningDaemon) -> int:
    """Count them page by page: one page looks at so many lines, and may hold none of a kind.

    Where the lines of a page are trimmed before it is asked for, it begins anew.
    """
    asked: dict[str, Any] = {"kinds": ["sleep_cycle_done"]}
    answer = daemon.ask("log", **asked)
    count, after = 0, -1
    while "result" in answer:
        page = answer["result"]
        count += len(page["records"])
        if page["next"] == after:
            return count
        after = page["next"]
        answer = daemon.ask("log", **asked, after=after)
    assert answer["error"]["data"]["name"] == "not_found", answer
    return cycles_done(daemon)


def steps_done(daemon: RunningDaemon) -> list[str]:
    """Name the steps that have ended, in their order; each once."""
    return [each["data"]["state"] for each in daemon.call("log", kinds=["step_ended"])["records"]]


def test_50_000_lines_are_trimmed_to_their_age_and_backed_up(home: Path) -> None:
    newest = aged_home(home, old=40_000, young=10_000)
    backups = home / "backups"
    backups.mkdir(mode=0o700)
    for year in (2020, 2021, 2022):
        (backups / f"torpor-{year}0101T000000Z.db").write_bytes(b"an older one")
    before_bytes = (home / "torpor.db").stat().st_size
    daemon = RunningDaemon.start(home)
    sleep_through(daemon)
    cycle = daemon.call("status")["sleep"]["last_cycle"]
    assert cycle["outcome"] == "completed"
    assert cycle["result"]["trim"]["lines"] > 40_000
    oldest = daemon.call("log", limit=1)["records"][0]["seq"]
    assert oldest == newest - 10_000 + 1
    daemon.stop()
    assert (home / "torpor.db").stat().st_size < before_bytes / 2
    seqs = [entry.seq for entry in ledger(home)]
    assert seqs == list(range(oldest, oldest + len(seqs)))

    kept = sorted(path.name for path in backups.iterdir())
    assert len(kept) == 2
    assert kept[0] == "torpor-20220101T000000Z.db"
    copy = Store(backups / kept[1])
    assert copy.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.connection.execute("SELECT min(seq) FROM ledger").fetchone() == (oldest,)
    assert copy.load().process.generation == 2
    copy.close()
    assert (backups / kept[1]).stat().st_mode & 0o777 == 0o600


def test_backups_from_the_future_do_not_end_all_backups(home: Path) -> None:
    daemon = RunningDaemon.start(home, SLEEPS)
    folder = home / "backups"
    folder.mkdir(mode=0o700)
    for year in (2098, 2099):
        path = folder / f"torpor-{year}0101T000000Z.db"
        path.write_bytes(b"made while the clock was wrong")
        os.utime(path, (4e9 + year, 4e9 + year))
    sleep_through(daemon)
    made = Path(daemon.call("status")["sleep"]["last_cycle"]["result"]["backup"]["file"])
    assert sorted(folder.iterdir()) == [made, folder / "torpor-20990101T000000Z.db"]
    assert newest_backup(home / "torpor.db", time.time()) == made

    until(lambda: time.time() > made.stat().st_mtime + 1.1, what="another second, and so another name")
    daemon.call("event", event="request_arrived")
    sleep_through(daemon, cycles=2)
    again = Path(daemon.call("status")["sleep"]["last_cycle"]["result"]["backup"]["file"])
    assert sorted(folder.iterdir()) == [made, again]


def test_requests_in_the_midst_of_it_go_first(home: Path) -> None:
    """What they wait is measured beside other things by `bench/`; here each is answered before the work has ended."""
    aged_home(home, old=40_000, young=10_000)
    daemon = RunningDaemon.start(home)
    with daemon.connect() as client:
        for number in range(20):
            client.call("event", event="force_sleep")
            assert client.call("event", event="request_arrived", key=f"k{number}")["state"] == "WAKE"
        assert cycles_done(daemon) == 0
    sleep_through(daemon)
    assert daemon.call("status")["sleep"]["last_cycle"]["outcome"] == "completed"


@pytest.mark.parametrize("step", LOOKING)
def test_it_gives_way_within_a_step_and_goes_on_from_there(step: str, home: Path, short_dir: Path) -> None:
    aged_home(home, old=0, young=3000)
    point = f"step.{step}.within"
    trap = Trap(short_dir / "trap", {point: "wait"})
    daemon = RunningDaemon.start(home, launcher=trap.launcher)
    with daemon.connect() as client, daemon.connect() as looker:
        client.call("event", event="force_sleep")
        trap.reached(point, daemon)
        client.request("event", event="request_arrived", key="goes first")
        for _ in range(2):
            looker.call("status")  # answered also now; and by the second, what was sent before has been read
        trap.let_go(point)
        assert client.read_line()["result"]["state"] == "WAKE"
        interrupted = client.call("log", kinds=["sleep_cycle_interrupted"])["records"]
        assert [each["data"]["step"] for each in interrupted] == [step]
    by_itself = bool(daemon.call("log", kinds=["sleep_cycle_done"])["records"])
    assert not by_itself or step == STATES[-1]
    sleep_through(daemon, cycles=2 if by_itself else 1)
    started = daemon.call("log", kinds=["sleep_cycle_started"])["records"]
    # It may have come to its end by itself before it saw that it was called off: then it goes on behind it.
    goes_on = {step, *STATES[STATES.index(step) :][1:2]}
    assert [each["data"]["resumed"] for each in started] == [False, not by_itself]
    assert by_itself or started[1]["data"]["step"] in goes_on
    assert steps_done(daemon) == list(STATES) * (2 if by_itself else 1)
    assert daemon.call("log", kinds=["sleep_cycle_failed", "step_failed"])["records"] == []
    daemon.stop()
    assert_whole(home)


def test_it_comes_to_its_end_under_those_who_do_not_wake_it(home: Path) -> None:
    aged_home(home, old=0, young=60_000)
    daemon = RunningDaemon.start(home, settings(min_up="1h"))
    with daemon.connect() as client:
        begun = client.call("status")["ledger_seq"]
        client.call("event", event="force_sleep")
        sent, end_at = 0, time.monotonic() + 30
        # One behind the other, without a rest: what is shown is that none of them breaks the cycle off.
        while not client.call("log", after=begun, kinds=["sleep_cycle_done"])["records"]:
            assert time.monotonic() < end_at, "the cycle does not end"
            assert client.call("event", event="heartbeat_refresh", key=f"beat {sent}")["state"] == "SLEEP"
            sent += 1
        assert sent > 3  # many went between its slices
        assert client.call("status")["wrapper_event_seq"] == sent
        assert client.call("log", after=begun, kinds=["sleep_cycle_interrupted"])["records"] == []
        backup = client.call("status")["sleep"]["last_cycle"]["result"]["backup"]
    with contextlib.closing(sqlite3.connect(backup["file"])) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    daemon.stop()
    assert_whole(home)


INSIDE = [f"step.{step}{at}" for step in STEPS for at in ("", ".within", ".done") if at != ".within" or step in LOOKING]


@pytest.mark.parametrize("point", INSIDE)
def test_killed_inside_a_step_the_next_sleep_completes(point: str, home: Path, short_dir: Path) -> None:
    aged_home(home, old=0, young=3000)
    trap = Trap(short_dir / "trap", {point: "kill"})
    daemon = RunningDaemon.start(home, launcher=trap.launcher)
    with daemon.connect() as client:
        client.call("event", event="request_arrived", key="before")
        client.ask("event", event="force_sleep")
        assert daemon.wait_gone() == -signal.SIGKILL
    following = RunningDaemon.start(home)
    assert following.call("status")["wrapper_event_seq"] == 1
    sleep_through(following)
    cycle = following.call("status")["sleep"]["last_cycle"]
    assert (cycle["outcome"], set(cycle["result"])) == ("completed", set(STATES))
    assert steps_done(following) == list(STATES)
    assert following.stop() == 0
    assert_whole(home)
    # Two where it died between the backup and its record; no draft, and nothing else.
    assert {path.suffix for path in (home / "backups").iterdir()} == {".db"}


def test_a_damaged_page_fails_the_cycle_and_blocks_nothing(home: Path) -> None:
    newest = aged_home(home, old=0, young=5000)
    damage(home, newest - 2500)
    daemon = RunningDaemon.start(home, settings("[sleep]\nmin_interval = '0s'"))
    daemon.call("event", event="force_sleep")
    assert daemon.wait_gone() == 0
    following = daemon.again()
    status = following.call("status")
    assert status["sleep"]["last_cycle"]["outcome"] == "failed"
    assert (status["sleep"]["last_cycle"]["step"], status["state"]) == ("integrity_check", "WAKE")
    following.call("event", event="force_sleep")  # not tried again for ten minutes, and goes down all the same
    assert following.wait_gone() == 0
    assert not (home / "backups").exists()  # a damaged store is not copied over a good backup

    db = sqlite3.connect(home / "torpor.db")
    query = "SELECT kind FROM ledger WHERE seq > ? AND kind GLOB 'sleep_cycle_*'"
    kinds = [kind for (kind,) in db.execute(query, (newest,))]
    states = [data for (data,) in db.execute("SELECT data FROM ledger WHERE seq > ? AND kind = 'stopped'", (newest,))]
    db.close()
    assert kinds == ["sleep_cycle_started", "sleep_cycle_failed", "sleep_cycle_skipped"]
    assert ["HIBERNATION" in each for each in states] == [True, True]
