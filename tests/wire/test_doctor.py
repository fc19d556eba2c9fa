"""`doctor` over the wire: what only the daemon knows of how well it is, told without a check and without a touch."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from daemon_process import LineClient, RunningDaemon
from torpord.control import doctor_methods
from torpord.store import migrations
from waiting import until


def test_it_tells_of_the_store_the_settings_and_its_environment(shared: RunningDaemon, line: LineClient) -> None:
    told = line.call("doctor")
    assert set(told) == {"store", "settings", "stuck", "environ", "children"}
    store = told["store"]
    assert (store["version"], store["problem"], store["integrity"]) == (migrations.TO, None, None)
    assert store["bytes"] == (shared.home / "torpor.db").stat().st_size
    assert store["wal_bytes"] > 0
    assert store["free_bytes"] > 0
    assert told["settings"] == {"file": str(shared.home / "torpor.toml"), "problem": None}
    assert (told["stuck"], told["children"]) == ({}, [])
    with Path(f"/proc/{shared.pid}/environ").open("rb") as file:
        own = dict(os.fsdecode(each).partition("=")[::2] for each in file.read().split(b"\0") if each)
    assert told["environ"] == {name: own[name] for name in doctor_methods.SHOWN if name in own}


def test_a_settings_file_that_reload_would_refuse_is_told_and_nothing_comes_into_force(daemon: RunningDaemon) -> None:
    (daemon.home / "torpor.toml").write_text('[lifecycle]\ndrowsy_after = "soon"\n')
    assert "drowsy_after" in daemon.call("doctor")["settings"]["problem"]
    (daemon.home / "torpor.toml").write_text('[lifecycle]\ndrowsy_after = "7m"\n')
    assert daemon.call("doctor")["settings"]["problem"] is None
    assert daemon.call("reload")["changed"] == ["lifecycle.drowsy_after"]


def test_what_was_left_and_cannot_be_taken_away_is_named_with_the_reason(daemon: RunningDaemon) -> None:
    (daemon.home / "wake.signal").mkdir()
    (daemon.home / "wake.signal" / "inner").touch()  # a folder with something in it: no file to be removed
    stuck = until(lambda: daemon.call("doctor")["stuck"], what="what is stuck")
    assert list(stuck) == ["./wake.signal"]
    assert "wake.signal" in stuck["./wake.signal"]
    (daemon.home / "wake.signal" / "inner").unlink()
    (daemon.home / "wake.signal").rmdir()
    assert daemon.call("doctor")["stuck"] == {}


def test_a_worker_is_among_its_children(toys: RunningDaemon, toy: LineClient, tmp_path: Path) -> None:
    run_id = toy.call("run.start", flow="toy", data={"then": "wait", "gate": str(tmp_path / "gate")})["run_id"]
    pid = until(lambda: toy.call("run.get", run_id=run_id)["run"]["worker_pid"], what="its worker")
    assert {"pid": pid, "what": f"the worker of run {run_id}"} in toy.call("doctor")["children"]
    (tmp_path / "gate").touch()
    toy.call("wait", run_id=run_id, timeout_s=10)


def test_what_the_last_sleep_cycle_found_in_the_store_is_told_with_its_time() -> None:
    whole = {"outcome": "completed", "ended_ts": "T", "result": {"integrity_check": {"found": "ok"}}}
    broken = {"outcome": "failed", "ended_ts": "T", "step": "integrity_check", "error": "page 7", "result": None}
    own = {"outcome": "completed", "ended_ts": "T", "result": "anything"}
    assert doctor_methods.integrity(whole) == {"found": "ok", "ts": "T"}
    assert doctor_methods.integrity(broken) == {"found": "page 7", "ts": "T"}
    assert doctor_methods.integrity(own) is doctor_methods.integrity(None) is None


def test_where_the_store_is_not_open_its_version_is_what_its_file_begins_with(tmp_path: Path) -> None:
    assert doctor_methods.examined_unopened(str(tmp_path), None, {})["store"]["version"] is None
    with sqlite3.connect(tmp_path / "torpor.db") as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA user_version = 70000")
    db.close()
    told = doctor_methods.examined_unopened(str(tmp_path), None, {"file": "f", "problem": "p"})
    assert (told["store"]["version"], told["settings"]) == (70_000, {"file": "f", "problem": "p"})
    (tmp_path / "torpor.db").write_text("no store")
    assert doctor_methods.examined_unopened(str(tmp_path), None, {})["store"]["version"] is None


def test_in_safe_mode_it_tells_the_same_things(home: Path) -> None:
    with RunningDaemon.start(home) as daemon:
        usual = daemon.call("doctor")
        daemon.stop()
    (home / "torpor.toml").write_text("colour = 'blue'\n")
    safe = RunningDaemon.start(home, args=("--safe",)).call("doctor")
    assert (set(safe), set(safe["store"])) == (set(usual), set(usual["store"]))
    assert safe["store"]["version"] == usual["store"]["version"]
    assert "colour" in safe["settings"]["problem"]


def test_only_the_way_that_this_start_came_by_is_proven_by_it(daemon: RunningDaemon) -> None:
    refused = daemon.ask("way.proven", way="wake.signal", took_s=0.2)["error"]["data"]
    assert (refused["name"], refused["start_cause"]) == ("conflict", "manual")
    assert daemon.ask("way.proven", way="manual")["error"]["data"]["field"] == "way"
    daemon.stop()
    spawned = RunningDaemon.start(daemon.home, args=("--spawned",))
    assert spawned.call("way.proven", way="spawn", took_s=0.2, key="k") == {"way": "spawn", "took_s": 0.2}
    assert spawned.call("way.proven", way="spawn", took_s=0.2, key="k")["replayed"] is True
    (record,) = spawned.call("log", kinds=["way_proven"])["records"]
    assert record["data"] == {"way": "spawn", "took_s": 0.2}
