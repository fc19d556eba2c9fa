"""The timers of the service managers, each beside a fake of what it speaks to: what counts is what is shown."""

from __future__ import annotations

import plistlib
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.test_units import LAUNCHD_KEYS, unknown
from torpord.host import launchd_timer, timers
from torpord.host.launchd_timer import LaunchdTimer, plist
from torpord.host.timers import KeeperTimer, UserTimer, timer_of, unlike
from torpord.host.unit_name import NONE, Manager, takes_timers

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_S = 1_795_275_385  # 2026-11-21 15:36:25 UTC, a Saturday
SHOWN = "LoadState=loaded\nActiveState=active\nNextElapseUSecRealtime=Sat 2026-11-21 15:36:25 UTC\n"
GONE = "LoadState=not-found\nActiveState=inactive\nNextElapseUSecRealtime=\n"

# What a user's manager does of all this, in files: `timer` has the time, `words` all that was said.
SYSTEMCTL = """#!/bin/sh
cd "$XDG_RUNTIME_DIR"; echo "$0" "$@" >> words
test -e broken && { echo "Failed to connect to bus:"; echo "No such file or directory"; exit 1; }
test -e hung && exec sleep 60
case "$*" in
    "--user --quiet stop torpord-work.timer") test -e timer || exit 5; rm timer ;;
    "--user show torpord-work.timer -p LoadState,ActiveState,NextElapseUSecRealtime")
        if test -e timer; then echo LoadState=loaded; echo ActiveState=active
            echo "NextElapseUSecRealtime=$(date -d "@$(cat timer)" '+%a %Y-%m-%d %H:%M:%S %Z')"
        else echo LoadState=not-found; echo ActiveState=inactive; echo NextElapseUSecRealtime=; fi ;;
    "--user show torpord-work.service -p Job --value") cat job ;;
    *) echo "unknown: $*"; exit 1 ;;
esac
"""
SYSTEMD_RUN = """#!/bin/sh
cd "$XDG_RUNTIME_DIR"; echo "$0" "$@" >> words; env > environ
test -e taken && { echo "Unit torpord-work.timer was already loaded or has a fragment file."; exit 1; }
test -e late && { echo "time is in the past, proceeding anyway"; exit 0; }
for last; do :; done
test -e astray && last=--on-calendar=@86400
echo "${last#--on-calendar=@}" > timer
"""


class Manager_:  # noqa: N801 - the fake of one
    """A user's service manager made of two scripts."""

    def __init__(self, folder: Path) -> None:
        self.runtime = folder / "run"
        self.bin = folder / "bin"
        for made in (self.runtime, self.bin):
            made.mkdir()
        for name, text in (("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(self.runtime), "TZ": "Asia/Tokyo"}
        self.timer = UserTimer("torpord-work", self.environ | {"LANG": "de_DE.UTF-8", "SECRET": "x"})

    def behaves(self, how: str) -> None:
        (self.runtime / how).touch()

    def is_set_for(self) -> str:
        timer = self.runtime / "timer"
        return timer.read_text().strip() if timer.exists() else ""


@pytest.fixture
def manager(tmp_path: Path) -> Manager_:
    return Manager_(tmp_path)


@pytest.mark.asyncio
async def test_it_is_set_moved_and_cleared(manager: Manager_) -> None:
    for at_s in (AT_S, AT_S + 3600):
        assert await manager.timer.set(at_s) == ""
        assert manager.is_set_for() == str(at_s)
    for _ in range(2):  # of one that is not there, too
        assert await manager.timer.clear() == ""
        assert manager.is_set_for() == ""


@pytest.mark.asyncio
async def test_systemd_is_asked_with_nothing_of_ours_in_its_environment(manager: Manager_) -> None:
    await manager.timer.set(AT_S)
    lines = (manager.runtime / "environ").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert names - {"PWD", "OLDPWD", "_", "SHLVL"} == {"PATH", "XDG_RUNTIME_DIR", "TZ", "LC_ALL"}
    assert {"TZ=UTC", "LC_ALL=C"} <= set(lines)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("broken", "systemctl failed (Failed to connect to bus: No such file or directory)"),
        ("taken", "systemd-run failed (Unit torpord-work.timer was already loaded or has a fragment file.)"),
        ("late", "systemd made no timer (not-found, inactive): has its time passed?"),
        ("astray", "systemd's timer is set for Fri 1970-01-02 00:00:00 UTC"),
    ],
)
async def test_what_does_not_come_about_is_told_in_systemds_words(manager: Manager_, how: str, problem: str) -> None:
    assert await manager.timer.set(AT_S) == ""
    manager.behaves(how)
    assert await manager.timer.set(AT_S + 60) == problem


@pytest.mark.asyncio
async def test_a_systemd_that_does_not_answer_is_not_waited_for(
    manager: Manager_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "COMMAND_LIMIT_S", 0.2)
    manager.behaves("hung")
    assert await manager.timer.set(AT_S) == "systemctl failed (it took over 0.2 s and was ended)"


@pytest.mark.asyncio
async def test_without_the_programs_it_says_so(tmp_path: Path) -> None:
    timer = UserTimer("torpord", {"PATH": str(tmp_path)})
    assert await timer.set(AT_S) == "systemctl failed (it cannot be started: No such file or directory)"
    assert "cannot be started" in await timer.clear()


@pytest.mark.asyncio
@pytest.mark.parametrize(("job", "kept"), [("0\n", False), ("\n", False), ("812\n", True)])
async def test_while_the_manager_stops_us_the_timer_is_its_own(manager: Manager_, job: str, *, kept: bool) -> None:
    (manager.runtime / "job").write_text(job)
    assert await manager.timer.is_kept() is kept


def test_what_systemd_shows_is_compared_to_the_second() -> None:
    assert unlike(SHOWN, AT_S) == ""
    assert unlike(GONE, None) == ""
    assert "Sat 2026-11-21 15:36:25 UTC" in unlike(SHOWN, AT_S + 1)
    assert "still there" in unlike(SHOWN, None)
    assert "not-found" in unlike(GONE, AT_S)
    # Shown in another zone it is no time that could be compared.
    assert "CET" in unlike(SHOWN.replace("UTC", "CET"), AT_S)
    assert "no time" in unlike(SHOWN.split("Next", maxsplit=1)[0], AT_S)
    for silence in ("", "ok", "LoadState=loaded", "Failed to get properties: Access denied"):
        assert "did not say" in unlike(silence, AT_S)


@contextmanager
def keeper(path: Path, *answers: str) -> Iterator[list[bytes]]:
    """Listen as the keeper would: each connection says one line, and gets an answer and the end."""
    heard: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                if answer:
                    heard.append(connection.makefile("rb").readline())
                    connection.sendall(answer.encode())

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(5)


@pytest.mark.asyncio
async def test_the_keeper_is_told_one_line_and_shows_what_it_did(short_dir: Path) -> None:
    path = short_dir / "ann"
    with keeper(path, SHOWN + "ok\n", GONE + "ok\n") as heard:
        assert await KeeperTimer(str(path)).set(AT_S) == ""
        assert await KeeperTimer(str(path)).clear() == ""
    assert heard == [b"arm %d\n" % AT_S, b"disarm\n"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("bad: systemd-run failed\n", "said bad: systemd-run failed"),
        (SHOWN, "said NextElapse"),  # cut off: no ok
        (GONE + "ok\n", "systemd made no timer"),
        (SHOWN.replace(":25", ":26") + "ok\n", "15:36:26"),
    ],
)
async def test_what_the_keeper_does_not_do_is_told(short_dir: Path, answer: str, problem: str) -> None:
    path = short_dir / "ann"
    with keeper(path, answer):
        assert problem in await KeeperTimer(str(path)).set(AT_S)


@pytest.mark.asyncio
async def test_a_keeper_with_too_many_visitors_is_asked_again(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "KEEPER_PAUSE_S", 0.001)
    path = short_dir / "ann"
    with keeper(path, "", "", SHOWN + "ok\n"):
        assert await KeeperTimer(str(path)).set(AT_S) == ""
    path = short_dir / "bob"
    with keeper(path, "", "", ""):
        assert "said nothing" in await KeeperTimer(str(path)).set(AT_S)


@pytest.mark.asyncio
async def test_a_keeper_that_is_not_there_or_says_nothing(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "KEEPER_LIMIT_S", 0.2)
    path = short_dir / "ann"
    assert "No such file" in await KeeperTimer(str(path)).set(AT_S)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        assert "no answer within 0.2 s" in await KeeperTimer(str(path)).set(AT_S)
    assert "refused" in await KeeperTimer(str(path)).clear()


def test_a_timer_is_there_where_somebody_can_be_asked_for_one(manager: Manager_, tmp_path: Path) -> None:
    users = Manager("systemd-user", "torpord")
    assert not takes_timers(users, manager.environ), "no manager listens there"
    (manager.runtime / "systemd").mkdir()
    (manager.runtime / "systemd/private").touch()
    assert takes_timers(users, manager.environ)
    assert not takes_timers(users, manager.environ | {"PATH": str(tmp_path)})
    assert not takes_timers(users, {"PATH": manager.environ["PATH"]})
    assert not takes_timers(users, manager.environ | {"XDG_RUNTIME_DIR": f"/{'x' * 300}"}), "it cannot be looked at"
    assert not takes_timers(NONE, manager.environ)
    assert not takes_timers(Manager("systemd-system", "torpord@nobody-has-this-name"), manager.environ)
    assert not takes_timers(Manager("systemd-system", "torpord"), manager.environ)
    assert takes_timers(Manager("launchd", "org.torpor.torpord"), {})


def test_each_manager_has_its_own(tmp_path: Path) -> None:
    kinds = {"systemd-user": UserTimer, "systemd-system": KeeperTimer, "launchd": LaunchdTimer}
    for kind, timer in kinds.items():
        assert isinstance(timer_of(Manager(kind, "torpord@ann"), tmp_path, {}), timer)  # type: ignore[arg-type]  # its keys are kinds


def test_launchds_job_touches_the_file_when_its_time_has_come(tmp_path: Path) -> None:
    home = tmp_path / "a $(b) 'c"
    home.mkdir()
    for at_s, rings in ((2**33, False), (1, True)):
        argv = plistlib.loads(plist("org.torpor.torpord.planned", at_s, home))["ProgramArguments"]
        assert (subprocess.run(argv, check=False).returncode == 0) is rings
        assert (home / "wake.signal").exists() is rings
    job = plistlib.loads(plist("org.torpor.torpord.planned", AT_S, home))
    assert unknown(job, LAUNCHD_KEYS) == []
    assert job["Label"] == "org.torpor.torpord.planned"
    assert job["RunAtLoad"] is True
    assert job["StartCalendarInterval"].keys() == {"Month", "Day", "Hour", "Minute"}
    assert job["StartCalendarInterval"]["Minute"] == 37


# What launchctl is known to answer, for a job that is a file `job` in $HOME; `going`: it takes a moment to be gone.
LAUNCHCTL = """#!/bin/sh
cd "$HOME"
case "$1" in
    print) test "${2##*/}" = "${2#gui/}" && exit 0; test -e job || test -e going || exit 113; rm -f going ;;
    bootstrap) test -e refuses && { echo "Bootstrap failed: 125"; exit 125; }
        test -e busy && { rm busy; echo "Bootstrap failed: 5: Input/output error"; exit 5; }; cp "$3" job ;;
    bootout) test -e stays || { rm job; touch going busy; } ;;
esac
"""


@pytest.mark.asyncio
async def test_launchd_is_told_of_the_job_and_forgets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bin", "home", "agents"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/launchctl").write_text(LAUNCHCTL)
    (tmp_path / "bin/launchctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(launchd_timer, "FIRST_PAUSE_S", 0.001)
    timer = LaunchdTimer("org.torpor.torpord", tmp_path / "home", tmp_path / "agents")
    path, job = tmp_path / "agents/org.torpor.torpord.planned.plist", tmp_path / "home/job"
    for at_s in (AT_S, AT_S + 3600):
        assert await timer.set(at_s) == ""
        assert job.read_bytes() == path.read_bytes() == plist("org.torpor.torpord.planned", at_s, tmp_path / "home")
    for _ in range(2):
        assert await timer.clear() == ""
        assert not job.exists()
        assert not path.exists()
    (tmp_path / "home/refuses").touch()
    assert "125" in await timer.set(AT_S)
    job.touch()
    (tmp_path / "home/stays").touch()
    assert "still there" in await timer.clear()
    (tmp_path / "bin/launchctl").unlink()
    assert "cannot be started" in await timer.set(AT_S)
    path.unlink()
    path.mkdir()
    assert "cannot be written" in await timer.set(AT_S)
    assert "cannot be" in await timer.clear()
