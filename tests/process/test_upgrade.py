"""Another version of torpor under a living daemon, before it, and on the other end of the wire."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import torpor
from daemon_process import RunningDaemon
from process.flow_runs import flow_settings, history, start, status_at_end, until
from process.installation import Installation
from process.reading import assert_whole
from process.test_safe_mode import handed_over
from torpord.store import store

NEW = "9.9.9"


@pytest.fixture
def installed(short_dir: Path) -> Installation:
    return Installation.made(short_dir / "site")


def upgraded(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """Return what `why` says of runs that wait for the next start."""
    return [each for each in daemon.call("why")["not_yet_because"] if each["kind"] == "upgraded"]


def is_new(daemon: RunningDaemon) -> bool:
    with contextlib.suppress(OSError, EOFError):  # between the two nobody may be there
        return bool(daemon.ask("status").get("result", {}).get("version") == NEW)
    return False


def test_a_run_goes_on_in_the_version_that_was_installed_meanwhile(
    home: Path, short_dir: Path, installed: Installation
) -> None:
    """It is left alone by the old one, which goes down as soon as nothing is busy and comes back as the new one."""
    daemon = RunningDaemon.start(home, flow_settings("toy:chain"), env=installed.env)
    assert daemon.call("status")["installed"] == {"version": torpor.__version__, "changed": False}
    hold = daemon.call("hold.acquire", who="a test", why="to be looked at", ttl_s=60)["hold_id"]
    installed.upgrade(NEW)
    assert daemon.call("status")["installed"] == {"version": NEW, "changed": True}
    run_id = start(daemon, "chain", short_dir / "outside", until=2)
    (told,) = until(lambda: upgraded(daemon), what="a word about the run")
    why = f"torpor {NEW} is installed now, and this daemon is {torpor.__version__}: torpor restart --home {home}"
    assert (told["who"], told["why"]) == (f"chain ({run_id})", f"it goes on with the daemon's next start: {why}")
    run = daemon.call("run.get", run_id=run_id)["run"]
    assert (run["status"], run["reason"], run["steps"], run["worker_pid"]) == ("pending", why, 0, None)
    assert any(each.get("event") == "worker_outdated" for each in daemon.log_lines())
    assert daemon.call("status")["state"] == "WAKE", "somebody holds it"
    daemon.call("hold.release", hold_id=hold)
    until(lambda: is_new(daemon), what="the next start")
    assert status_at_end(daemon, run_id) == "completed", history(daemon, run_id)
    status = daemon.call("status")
    assert (status["pid"], status["generation"], status["start_cause"]) == (daemon.pid, 2, "manual")
    assert status["installed"] == {"version": NEW, "changed": False}
    assert history(daemon, run_id).outcomes == [
        "first.1.1 next",
        "second.1.1 next",
        "third.1.1 next",
        "end.1.1 complete",
    ]
    assert not upgraded(daemon)
    assert daemon.stop() == 0
    assert_whole(home)


def test_with_an_inherited_socket_the_next_start_is_asked_for_and_is_the_managers(
    home: Path, short_dir: Path, installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(mode=0o700)
    (home / "torpor.toml").write_text(flow_settings("toy:chain"))
    for name, value in installed.env.items():
        monkeypatch.setenv(name, value)
    with handed_over(home) as daemon:
        installed.upgrade(NEW)
        run_id = start(daemon, "chain", short_dir / "outside", until=2)
        assert daemon.wait_gone() == 0
        assert (home / "wake.signal").exists(), "the manager starts it for this"
        assert (home / "torpor.sock").is_socket(), "the door stays"
    again = RunningDaemon.start(home)
    assert status_at_end(again, run_id) == "completed", history(again, run_id)
    assert again.call("status")["version"] == NEW
    assert not (home / "wake.signal").exists()
    assert again.stop() == 0
    assert_whole(home)


def test_of_two_installations_neither_does_the_others_work(home: Path, short_dir: Path) -> None:
    """A daemon whose own interpreter finds another torpor than the one it is of: no start would change that."""
    elder = Installation.made(short_dir / "site", "0.0.1")
    daemon = RunningDaemon.start(home, flow_settings("toy:chain"), launcher=elder.launcher)
    run_id = start(daemon, "chain", short_dir / "outside", until=2)
    (told,) = until(lambda: upgraded(daemon), what="a word about the run")
    assert told["why"].endswith(f"finds torpor {torpor.__version__}, and this daemon is 0.0.1: remove one of the two")
    status = daemon.call("status")
    assert (status["state"], status["runs"]["pending"]) == ("WAKE", 1)
    assert daemon.stop() == 0
    right = RunningDaemon.start(home)
    assert status_at_end(right, run_id) == "completed"
    assert right.stop() == 0


def test_a_package_that_is_gone_costs_no_run_and_no_daemon(
    home: Path, short_dir: Path, installed: Installation
) -> None:
    daemon = RunningDaemon.start(home, flow_settings("toy:chain"), env=installed.env)
    installed.remove()
    assert daemon.call("status")["installed"] == {"version": None, "changed": True}
    run_id = start(daemon, "chain", short_dir / "outside", until=2)
    told, *_ = until(lambda: upgraded(daemon), what="a word about the run")  # its sleep cycle may wait, too
    assert told["who"] == f"chain ({run_id})"
    assert "no torpor is installed now" in told["why"]
    assert daemon.call("event", event="request_arrived")["state"] == "WAKE", "it serves"
    assert daemon.stop() == 0
    installed.bring_back()
    again = daemon.again()
    assert status_at_end(again, run_id) == "completed", history(again, run_id)
    assert again.stop() == 0


def test_an_older_torpor_leaves_a_newer_store_alone(home: Path) -> None:
    RunningDaemon.start(home).stop()
    with contextlib.closing(sqlite3.connect(home / "torpor.db")) as db:
        db.execute(f"PRAGMA user_version = {store.VERSION + 1}")
    before = contents(home)
    for options in ((), ("--new-store",)):
        command = [sys.executable, "-m", "torpord", "run", "--home", str(home), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 65, done.stderr
        assert "nothing was touched" in done.stderr
        assert str(store.VERSION + 1) in done.stderr
        assert contents(home) == before


def test_who_goes_back_to_an_older_version_is_told_the_way_to_its_store(home: Path) -> None:
    """The newer one, which did not run, has brought the store up: without its copy each would ask for the other."""
    with RunningDaemon.start(home) as daemon:
        daemon.call("event", event="request_arrived")
        daemon.stop()
    (home / "backups").mkdir()
    copy = home / "backups" / f"before-{store.VERSION}-1.db"
    copy.write_bytes((home / "torpor.db").read_bytes())
    with contextlib.closing(sqlite3.connect(home / "torpor.db")) as db:
        db.execute(f"PRAGMA user_version = {store.VERSION + 1}")
    command = [sys.executable, "-m", "torpord", "run", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 65
    _, line, _ = done.stderr.split("`")
    subprocess.run(["/bin/sh", "-c", line], check=True, timeout=10)
    with RunningDaemon.start(home) as daemon:
        assert daemon.call("status")["wrapper_event_seq"] == 1
        assert daemon.stop() == 0


def contents(home: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in home.glob("torpor.db*")}


def test_an_older_torpor_does_not_put_its_own_daemon_in_a_newer_ones_place(
    home: Path, short_dir: Path, installed: Installation
) -> None:
    def restart(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "torpor", "restart", "--home", str(home)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ, check=False)

    newer = Installation.made(short_dir / "newer", NEW)
    daemon = RunningDaemon.start(home, env=newer.env)
    refused = restart(installed.env)
    assert (refused.returncode, f"torpord {NEW} runs" in refused.stderr) == (69, True)
    assert daemon.call("status")["pid"] == daemon.pid, "it goes on"
    assert daemon.stop() == 0
