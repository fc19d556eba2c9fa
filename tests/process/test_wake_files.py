"""`wake.d/` and `wake.signal`: what is good is taken in order and once, what is bad is put aside and stops nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.reading import assert_whole, ledger
from process.timers import settings
from process.trap import Trap
from process.wake_files import drop, drop_text, left
from torpord.core import records as r
from waiting import until


def hold(who: str) -> str:
    """Return a good request that leaves a line in the ledger."""
    return json.dumps({"method": "hold.acquire", "params": {"who": who, "why": "left in a file", "ttl_s": 3600}})


def text(body: str | bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(body.encode() if isinstance(body, str) else body) and None


def fifo(path: Path) -> None:
    os.mkfifo(path)


def full_directory(path: Path) -> None:
    path.mkdir()
    (path / "inner.json").write_text(hold("inner"))


def symlink(path: Path) -> None:
    outside = path.parent.parent / "outside.json"
    outside.write_text(hold("outside"))
    path.symlink_to(outside)


# file name (as the system has it): what it is
POISON: dict[bytes, Callable[[Path], None]] = {
    b"01-text.json": text("this is not JSON"),
    b"02-half.json": text('{"method": "event", "par'),
    b"03-empty.json": text(""),
    b"04-array.json": text("[]"),
    b"05-directory.json": full_directory,
    b"06-pipe.json": fifo,
    b"07-symlink.json": symlink,
    b"08-huge.json": text(json.dumps({"method": "event", "params": {"event": "x" * 2**21}})),
    b"09-no-method.json": text('{"method": "hibernat"}'),
    b"10-looking.json": text('{"method": "status"}'),
    b"11-param.json": text('{"method": "event", "params": {"event": "request_arrived", "colour": "blue"}}'),
    b"12-params.json": text('{"method": "event", "params": [1]}'),
    b"13-key.json": text('{"method": "event", "params": {"event": "request_arrived", "key": 7}}'),
    b"14-hold.json": text('{"method": "hold.acquire", "params": {"who": "a", "why": "no connection to live by"}}'),
    b"15-deep.json": text("[" * 100_000),
    b"16-not-utf8.json": text(b'{"method": "\xff"}'),
    b"17-name.txt": text(hold("by the wrong name")),
    b"18-a\nb\x1b[2J.txt": text(hold("by the wrong name")),
    b"19-\xff\xfe.txt": text(hold("by the wrong name")),
    b"20-" + b"n" * 252: text(hold("by the wrong name")),
    b"-rf": text(hold("by the wrong name")),
    b".hidden": text(hold("by the wrong name")),
}
GOOD = [b"00-first.json", b"07-z\nnewline.json", b"10-\xff.json", b"16-" + b"g" * 247 + b".json", b"99-last.json"]


@pytest.mark.parametrize("up", [False, True], ids=["left while down", "left while up"])
def test_the_good_are_taken_in_order_and_the_bad_put_aside(up: bool, home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    if not up:
        daemon.stop()
    folder = home / "wake.d"
    for name in sorted([*POISON, *GOOD]):
        path = folder / os.fsdecode(name)
        if name in POISON:
            POISON[name](path)
        else:
            drop_text(home, path.name, hold(f"good-{GOOD.index(name)}"))
    if not up:
        daemon = daemon.again()
    until(lambda: left(home) == [], what="an empty wake.d")
    assert daemon.call("status")["state"] == "WAKE"
    assert sorted(each["who"] for each in daemon.call("hold.list")["holds"]) == [f"good-{n}" for n in range(len(GOOD))]
    assert daemon.stop() == 0
    assert_whole(home)

    entries = [entry.record for entry in ledger(home)]
    acquired = [each.who for each in entries if isinstance(each, r.HoldAcquired)]
    assert sorted(acquired) == [f"good-{n}" for n in range(len(GOOD))]
    if not up:
        assert acquired == sorted(acquired)
    told = [each for each in entries if isinstance(each, r.WakeRejected)]
    assert len(told) == len({each.name for each in told}) == len(POISON)
    assert all(each.why and each.name.isprintable() for each in told)
    aside = list((home / "wake.rejected").iterdir())
    whys = [path for path in aside if path.name.endswith(".why")]
    assert len(whys) == len(POISON)
    assert len(aside) == 2 * len(POISON)
    for why in whys:
        assert why.read_text().strip()
        assert os.path.lexists(why.with_name(why.name.removesuffix(".why")))
    assert (home / "outside.json").exists()


def test_thousands_of_bad_ones_are_nobody_elses_wait(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    prepared = home / "prepared"
    prepared.mkdir(mode=0o700)
    for number in range(2000):
        (prepared / f"{number:04}.txt").touch()
    with daemon.connect() as client:
        (home / "wake.d").rmdir()
        prepared.rename(home / "wake.d")
        until(lambda: len(left(home)) < 2000, what="the first to be put aside")
        answered = 0
        while left(home):
            client.call("status")
            answered += 1
        assert answered > 50  # a batch of 256 between two answers would make it eight or so


def test_two_bad_ones_of_one_name_are_both_kept(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    for number in range(2):
        drop_text(home, "same.json", f"bad {number}")
        until(lambda: left(home) == [], what="an empty wake.d")
    bodies = {path.read_text() for path in (home / "wake.rejected").iterdir() if not path.name.endswith(".why")}
    assert bodies == {"bad 0", "bad 1"}
    assert daemon.call("status")["wrapper_event_seq"] == 0


def test_a_file_with_the_key_of_a_request_is_that_request(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    daemon.call("event", event="request_arrived", key="one")
    drop(home, "again.json", key="one")
    until(lambda: left(home) == [], what="an empty wake.d")
    assert daemon.call("status")["wrapper_event_seq"] == 1
    drop(home, "other.json", event="wake_signal", key="one")  # the same key for another request: a conflict
    until(lambda: left(home) == [], what="an empty wake.d")
    assert "key" in (home / "wake.rejected" / "other.json.why").read_text()


def test_a_folder_that_went_and_came_back_is_watched_again(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    (home / "wake.d").rmdir()
    drop(home, "after.json")
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 1, what="the file to be taken")
    drop(home, "and-on.json")
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 2, what="the next")


def test_something_else_under_the_name_of_the_folder_stops_nothing(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    (home / "wake.d").rmdir()
    (home / "wake.d").write_text(hold("moved to where no folder was"))
    (home / "wake.signal").touch()
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 1, what="the signal to be taken")
    (home / "wake.d").unlink()
    drop(home, "after.json")
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 2, what="the file to be taken")


@pytest.mark.skipif(sys.platform != "linux", reason="it is inotify that is made to fail")
def test_where_the_system_has_no_watch_left_it_looks_now_and_then(home: Path, short_dir: Path) -> None:
    constants = {"torpord.host.watch:_MASK": 0, "torpord.shell.lookout:RETRY_S": 0.2}  # inotify takes no empty mask
    trap = Trap(short_dir / "trap", constants=constants)
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    assert any(line.get("event") == "cannot_watch" for line in daemon.log_lines())
    drop(home, "one.json")
    (home / "wake.signal").touch()
    (home / "lifecycle_state.json").unlink()
    until(lambda: daemon.call("status")["wrapper_event_seq"] == 2, what="both to be taken")
    until((home / "lifecycle_state.json").exists, what="the state file")
    assert daemon.stop() == 0


@pytest.fixture
def pinned(home: Path) -> Iterator[Callable[[str], Path]]:
    """Pin a file in wake.d so that not even root can remove or move it: something is mounted on it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a bind mount takes Linux and root")
    paths: list[Path] = []

    def pin(name: str) -> Path:
        path = home / "wake.d" / name
        done = subprocess.run(["mount", "--bind", path, path], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this root may not mount: {done.stderr.strip()}")
        paths.append(path)
        return path

    yield pin
    for path in paths:
        subprocess.run(["umount", "--lazy", path], check=False, capture_output=True)


@pytest.mark.parametrize("body", [hold("good"), "bad"], ids=["taken", "bad"])
def test_what_cannot_be_removed_forbids_hibernation(
    body: str, home: Path, short_dir: Path, pinned: Callable[[str], Path]
) -> None:
    body = body.replace("3600", "0.2")
    RunningDaemon.start(home, settings(drowsy_after="0.1s", sleep_after="0.2s", hibernate_grace="0.1s")).stop()
    trap = Trap(short_dir / "trap", constants={"torpord.core.descent:RECHECK_S": 0.3})
    (home / "wake.d" / "stuck.json").write_text(body)
    path = pinned("stuck.json")
    daemon = RunningDaemon.start(home, launcher=trap.launcher)
    with daemon.connect() as client:
        until(lambda: any("stuck.json" in each["why"] for each in client.call("why")["not_yet_because"]), what="why")
        status, begun, begin_s = client.call("status"), len(daemon.log_lines()), time.monotonic()
        assert status["state"] == "SLEEP"
        until(lambda: time.monotonic() > begin_s + 1)  # three times of looking again
        assert client.call("status")["ledger_seq"] == status["ledger_seq"]
        assert len(daemon.log_lines()) == begun
    daemon.kill()
    following = daemon.again()  # and the next start does not do it again
    until(lambda: following.call("status")["state"] == "SLEEP", what="SLEEP")
    subprocess.run(["umount", path], check=True)
    path.unlink()
    assert following.wait_gone() == 0
    acquired = [e for e in ledger(home) if e.record.kind == "hold_acquired"]
    assert len(acquired) == (1 if "who" in body else 0)
    assert_whole(home)


def test_a_touched_wake_signal_wakes_and_goes(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(min_up="1h"))
    daemon.call("event", event="force_sleep")
    (home / "wake.signal").touch()
    until(lambda: not (home / "wake.signal").exists(), what="the file to be taken")
    assert daemon.call("status")["state"] == "WAKE"
    transition = daemon.call("log", kinds=["state_transition"])["records"][-1]
    assert transition["data"] == {"from": "SLEEP", "to": "WAKE", "trigger": "wake_signal"}
    assert transition["cause"] == {"source": "file", "name": "wake.signal"}


def test_a_thousand_touches_lose_no_last_wake_and_make_no_storm(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(min_up="1h"))
    signal = home / "wake.signal"
    with daemon.connect() as client:
        for number in range(1000):
            if number % 100 == 0:
                client.call("event", event="force_sleep")
            signal.touch()
        client.call("event", event="force_sleep")
        signal.touch()
        until(lambda: not signal.exists(), what="the file to be taken")
        status = client.call("status")
        assert status["state"] == "WAKE"
        assert 1 <= status["wrapper_event_seq"] <= 1001
        client.call("event", event="force_sleep")
        assert client.call("status")["state"] == "SLEEP"  # nothing lags behind
    daemon.stop()
    assert_whole(home)


def test_a_wake_signal_that_is_a_directory_wakes_once_and_is_named(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(min_up="0s"))
    (home / "wake.signal").mkdir()
    with daemon.connect() as client:
        until(lambda: client.call("status")["wrapper_event_seq"] == 1, what="the wake")
        client.call("hibernate", now=True)
        until(lambda: any("wake.signal" in each["why"] for each in client.call("why")["not_yet_because"]))
        assert client.call("status")["wrapper_event_seq"] == 1
        assert client.call("status")["state"] == "SLEEP"
    assert daemon.stop() == 0
    assert_whole(home)
