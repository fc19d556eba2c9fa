"""Safe mode: what it serves, what leads into it, and what leads out again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon_process import RunningDaemon
from process import failing_disk
from process.handed import handed_over
from process.trap import Trap
from waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LISTEN_FDS is systemd's")


def starts(home: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((home / "starts.json").read_text())
    return body


def state_file(home: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((home / "lifecycle_state.json").read_text())
    return body


def is_safe(daemon: RunningDaemon) -> bool:
    return daemon.call("status").get("safe_mode") is not None


def left(daemon: RunningDaemon) -> None:
    """Wait until the same process serves as ever."""

    def serves() -> bool:
        with contextlib.suppress(OSError, EOFError):  # between the two there may be nobody who answers
            status = daemon.ask("status")
            return "result" in status and status["result"].get("safe_mode") is None
        return False

    until(serves, what="the next start")
    assert daemon.process.poll() is None
    assert daemon.call("hello", protocol=1)["daemon"]["pid"] == daemon.pid


def bad_settings(home: Path) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "torpor.toml").write_text("colour = 'blue'\n")


def test_bad_settings_with_an_inherited_socket_are_told_to_everybody(home: Path) -> None:
    bad_settings(home)
    with handed_over(home) as daemon:
        status = daemon.call("status")
        assert "colour" in status["safe_mode"]["reason"]
        assert state_file(home)["safe_mode"]["reason"] == status["safe_mode"]["reason"]
        refused = daemon.ask("event", event="request_arrived")["error"]
        assert (refused["code"], refused["data"]["name"]) == (-32009, "safe_mode")
        assert refused["data"]["reason"] == status["safe_mode"]["reason"]
        assert daemon.ask("hold.list")["error"]["data"]["name"] == "safe_mode"
        assert daemon.ask("nonsense")["error"]["data"]["name"] == "method_not_found"
        assert daemon.ask("status", colour=1)["error"]["data"]["name"] == "invalid_params"
        assert daemon.ask("hello", protocol=9)["error"]["data"]["name"] == "protocol_mismatch"
        with daemon.connect() as client:
            client.send_line("{")
            assert client.read_line()["error"]["data"]["name"] == "parse_error"
            client.send(b"x" * 2_000_000)
            assert client.read_line()["error"]["data"]["name"] == "too_large"
        conflict = daemon.ask("reload")["error"]
        assert conflict["data"]["name"] == "conflict"
        assert "colour" in conflict["message"]
        assert len(starts(home)["starts"]) == 1, "one start, and no more"


def test_its_status_is_the_status_and_one_field_more(home: Path) -> None:
    with RunningDaemon.start(home) as daemon:
        usual = daemon.call("status")
        daemon.stop()
    bad_settings(home)
    (home / "torpor.sock").unlink(missing_ok=True)
    with handed_over(home) as daemon:
        safe = daemon.call("status")
        assert safe.keys() - {"safe_mode"} == usual.keys() - {"safe_mode"}
        assert (safe["state"], safe["generation"]) == (usual["state"], usual["generation"])
        assert daemon.call("log", kinds=["started"])["records"], "the store can be read"


def test_mended_settings_lead_out_by_themselves_and_nobody_loses_a_connection(home: Path) -> None:
    bad_settings(home)
    (home / "wake.d").mkdir(mode=0o700)
    event = {"method": "event", "params": {"event": "request_arrived"}}
    (home / "wake.d" / "a.json").write_text(json.dumps(event))
    with handed_over(home) as daemon:
        assert is_safe(daemon)
        assert (home / "wake.d" / "a.json").exists(), "what was left for the daemon stays"
        (home / "torpor.toml").write_text("")
        left(daemon)
        until(lambda: not (home / "wake.d" / "a.json").exists(), what="the file is taken")
        until(lambda: starts(home)["starts"] == [], what="the answer counts")
        assert state_file(home)["safe_mode"] is None


def test_mended_elsewhere_a_reload_leads_out(home: Path, short_dir: Path) -> None:
    named = short_dir / "elsewhere.toml"
    named.write_text("colour = 'blue'\n")
    with handed_over(home, "--config", str(named)) as daemon:
        assert is_safe(daemon)
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: "still_in_safe_mode" in daemon.log.read_text(), what="the hangup is heard")
        named.write_text("")
        with contextlib.suppress(OSError, EOFError):  # the change was seen, and was faster
            daemon.ask("reload")
        left(daemon)


@pytest.mark.parametrize("kind", ["truncated", "rubbish", "newer"])
def test_a_store_that_cannot_be_read_is_served_around_and_left_as_it_is(home: Path, kind: str) -> None:
    with RunningDaemon.start(home) as daemon:
        daemon.stop()
    store = home / "torpor.db"
    whole = store.read_bytes()
    if kind == "newer":
        db = sqlite3.connect(store)
        db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        store.write_bytes(b"" if kind == "truncated" else b"rubbish" * 1000)
    before = store.read_bytes()
    with handed_over(home) as daemon:
        reason = daemon.call("status")["safe_mode"]["reason"]
        assert str(store) in reason
        assert ("upgrade this one" in reason) == (kind == "newer")
        assert daemon.ask("log")["error"]["data"]["name"] == "safe_mode"
        assert daemon.ask("reload")["error"]["data"]["name"] == "conflict"
        assert store.read_bytes() == before
        assert not [each for each in home.iterdir() if each.name.startswith("torpor.db-")]
        (home / "tmp" / "mended").write_bytes(whole)
        (home / "tmp" / "mended").rename(store)
        left(daemon)


def test_while_a_backup_is_being_put_in_its_place_no_new_store_is_made(home: Path) -> None:
    with RunningDaemon.start(home) as daemon:
        daemon.call("event", event="request_arrived")
        daemon.stop()
    store, aside = home / "torpor.db", home / "unreadable.1"
    whole = store.read_bytes()
    store.write_bytes(b"rubbish" * 1000)
    with handed_over(home) as daemon:
        assert is_safe(daemon)
        # Each step of the line that it names, with all the time there is between them.
        aside.mkdir()
        store.rename(aside / "torpor.db")
        mend = f"was taken away: put one there, or have `torpor reload --home {home}` begin a new one"
        until(lambda: mend in daemon.log.read_text(), what="its look at that")
        assert is_safe(daemon)
        store.write_bytes(whole)
        left(daemon)
        assert daemon.call("status")["wrapper_event_seq"] == 1


def test_a_new_store_is_begun_when_somebody_says_so(home: Path) -> None:
    with RunningDaemon.start(home) as daemon:
        daemon.stop()
    (home / "torpor.db").write_bytes(b"rubbish" * 1000)
    with handed_over(home) as daemon:
        assert is_safe(daemon)
        (home / "torpor.db").rename(home / "kept.db")
        assert daemon.call("reload") == {"leaving": True, "changed": []}
        left(daemon)


@pytest.mark.parametrize(("way", "word"), [("stop", "stop"), ("term", "signal")])
def test_it_ends_in_order(home: Path, way: str, word: str) -> None:
    bad_settings(home)
    with handed_over(home) as daemon:
        if way == "stop":
            assert daemon.call("stop") == {"state": "WAKE"}
        else:
            daemon.process.send_signal(signal.SIGTERM)
        assert daemon.wait_gone() == 0
        found = state_file(home)
        assert (found["pid"], found["reason"], found["safe_mode"]) == (None, word, None)
        assert (home / "torpor.sock").exists(), "an inherited socket is the manager's to remove"


def test_with_a_socket_of_its_own_it_is_served_when_asked_for(home: Path) -> None:
    daemon = RunningDaemon.start(home, args=["--safe"])
    assert daemon.call("status")["safe_mode"]["reason"] == "it was started with --safe"
    assert daemon.call("reload") == {"leaving": True, "changed": []}
    left(daemon)
    assert daemon.stop() == 0


def test_bad_settings_with_a_socket_of_its_own_end_the_start(home: Path) -> None:
    bad_settings(home)
    for _ in range(7):
        assert RunningDaemon.start(home, wait=False).wait_gone() == 78
    (home / "torpor.toml").write_text("")
    assert not is_safe(RunningDaemon.start(home)), "an end in words is no death"


DIES = [sys.executable, "-P", str(Path(__file__).with_name("at_point.py")), "--at", "writer.decided", "kill"]


def dies(home: Path, folder: Path, number: int) -> None:
    place = folder / str(number)
    place.mkdir()
    daemon = RunningDaemon.start(home, launcher=[*DIES, "--folder", str(place), "--"], wait=False)
    assert daemon.wait_gone() == -signal.SIGKILL


def test_five_deaths_lead_into_it_and_a_reload_out(home: Path, tmp_path: Path) -> None:
    for number in range(5):
        dies(home, tmp_path, number)
    daemon = RunningDaemon.start(home)
    told = daemon.call("status")["safe_mode"]
    assert "died 5 times in a row before it answered" in told["reason"]
    assert daemon.ask("event", event="request_arrived")["error"]["data"]["name"] == "safe_mode"
    daemon.call("reload")
    left(daemon)
    assert daemon.stop() == 0


def test_a_file_that_kills_is_the_suspect(home: Path, tmp_path: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "wake.d").mkdir(mode=0o700)
    event = {"method": "event", "params": {"event": "request_arrived"}}
    (home / "wake.d" / "poison.json").write_text(json.dumps(event))
    for number in range(5):
        place = tmp_path / str(number)
        place.mkdir()
        launcher = [*DIES[:-3], "--at", "spool.applied", "kill", "--folder", str(place), "--"]
        daemon = RunningDaemon.start(home, launcher=launcher, wait=False)
        assert daemon.wait_gone() == -signal.SIGKILL
        (home / "wake.d" / "poison.json").write_text(json.dumps(event))
    daemon = RunningDaemon.start(home)
    assert daemon.call("status")["safe_mode"]["suspect"] == "wake.d/poison.json"
    assert (home / "wake.d" / "poison.json").exists()


def test_a_start_that_answers_lives_and_what_died_before_it_is_forgotten(home: Path, tmp_path: Path) -> None:
    for number in range(4):
        dies(home, tmp_path, number)
    assert len(starts(home)["starts"]) == 4
    daemon = RunningDaemon.start(home)
    until(lambda: starts(home)["starts"] == [], what="the answer counts")
    assert starts(home)["good"]["interpreter"] == sys.executable
    daemon.kill()
    assert starts(home)["starts"] == [], "dead later is not dead at the start"


def test_an_end_in_order_before_any_answer_is_no_death(home: Path) -> None:
    daemon = RunningDaemon.start(home, wait=False)
    until((home / "lifecycle_state.json").exists, what="the start")
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait_gone() == 0
    assert starts(home)["starts"] == []


def test_the_commands_say_so(home: Path) -> None:
    bad_settings(home)
    with handed_over(home):

        def torpor(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "torpor", *words, "--home", str(home)]
            return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

        assert torpor("status").returncode == 0
        assert json.loads(torpor("status", "--json").stdout)["safe_mode"]["suspect"] is None
        started = torpor("start")
        assert (started.returncode, "in safe mode" in started.stdout) == (0, True)
        refused = torpor("wake")
        assert refused.returncode == 69
        assert "torpor is in safe mode" in refused.stderr
        assert torpor("reload").returncode == 78


def take_away(home: Path, what: str) -> None:
    if what == "home":
        home.rename(home.with_name("elsewhere"))  # at once: of one that goes file by file, the socket may go first
    else:
        (home / what).unlink()


@pytest.mark.parametrize(("what", "status"), [("home", 78), ("torpor.sock", 0)])
def test_one_that_nobody_finds_any_more_ends(home: Path, what: str, status: int) -> None:
    daemon = RunningDaemon.start(home, args=("--safe",))
    assert is_safe(daemon)
    take_away(home, what)
    assert daemon.wait_gone() == status


@pytest.mark.skipif(bool(failing_disk.missing()), reason=failing_disk.missing())
@pytest.mark.parametrize(("what", "status"), [("home", 78), ("torpor.sock", 0)])
def test_also_where_the_home_cannot_be_watched(what: str, status: int, home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", constants={"torpord.shell.safe_mode:WATCH_AGAIN_S": 0.2})
    strace = ["strace", "-f", "-e", "inject=inotify_init1:error=EMFILE", "-o", os.devnull]
    daemon = RunningDaemon.start(home, args=("--safe",), launcher=[*strace, *trap.launcher])
    assert is_safe(daemon)
    take_away(home, what)
    assert daemon.wait_gone() == status


@pytest.mark.skipif(bool(failing_disk.missing()), reason=failing_disk.missing())
def test_a_watch_that_is_lost_comes_back_and_sees_what_was_mended_meanwhile(home: Path) -> None:
    bad_settings(home)
    with handed_over(home) as daemon:
        assert is_safe(daemon)
        with failing_disk.failing(daemon.pid, home, [], calls="read"):  # of all it reads only the watch this way
            (home / "moved").touch()
            until(lambda: any(line.get("event") == "cannot_watch" for line in daemon.log_lines()), what="a word of it")
            (home / "torpor.toml").write_text("")
        left(daemon)
