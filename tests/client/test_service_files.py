"""Against a systemctl that remembers what it was told: whatever fails in between, the next install completes it."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import select
import shutil
import socket
from collections.abc import Callable, Sequence

import pytest

from client.fake_daemon import write_state
from torpor import wire
from torpor.cli import main
from torpor.service import files, fitness, look, markers, names, own_daemon, running, systemd, uninstall
from torpor.service.install import install
from torpor.service.running import Ran
from torpor.service.wrong import Wrong


class Systemd:
    """Answers for systemctl: units are there once their files are; `fails` is the word that does not work."""

    def __init__(self, directory: pathlib.Path, socket: str) -> None:
        self.directory, self.socket = directory, socket
        self.enabled: set[str] = set()
        self.active: set[str] = set()
        self.called: list[str] = []
        self.told: list[str] = []
        self.fails = ""
        self.skips: set[str] = set()  # what its condition keeps down
        self.next = ""
        self.reads = ""

    def run(self, argv: Sequence[str], *_: object) -> Ran:
        if argv[0] != "systemctl":
            return Ran(0, "", "")  # the daemon's own check
        words = [word for word in argv[1:] if not word.startswith("-")]
        verb, units = words[0] if words else "--version", words[1:]
        self.called.append(verb)
        self.told += [f"{verb} {unit}" for unit in units]
        if verb == self.fails:
            return Ran(1, "", f"no {verb} today")
        match verb:
            case "show" if "UnitPath" in argv:
                return Ran(0, self.reads, "")
            case "show":
                return Ran(0, "\n".join(map(self._shown, units[:-1])), "")
            case "enable":
                self.enabled |= set(units)
            case "disable":
                self.enabled -= set(units)
            case "start" | "restart":
                self.active |= set(units) - self.skips
                if any(unit.endswith(".socket") for unit in set(units) - self.skips):
                    pathlib.Path(self.socket).touch()
            case "stop":
                self.active -= set(units)
            case "--version":
                return Ran(0, "systemd 252 (252)\n", "")
        return Ran(0, "", "")

    def _shown(self, unit: str) -> str:
        there = (self.directory / unit).exists()
        listen = f"Listen={self.socket} (Stream)\n" if unit.endswith(".socket") else ""
        listen += f"NextElapseUSecRealtime={self.next}\n"
        load, active = "loaded" if there else "not-found", "active" if unit in self.active else "inactive"
        enabled = "enabled" if unit in self.enabled else "disabled"
        return f"LoadState={load}\nActiveState={active}\nUnitFileState={enabled}\nNeedDaemonReload=no\n{listen}"


@pytest.fixture
def place(short_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> names.Place:
    monkeypatch.setenv("HOME", str(short_dir))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_dir))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (short_dir / "systemd").mkdir()
    (short_dir / "systemd" / "private").touch()
    return names.place(f"{short_dir}/work", system=False, platform="linux")


@pytest.fixture
def manager(place: names.Place, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(pathlib.Path(place.directory), place.socket)
    monkeypatch.setattr(running, "run", made.run)
    monkeypatch.setattr(systemd, "is_here", lambda: True)
    return made


def there(place: names.Place) -> list[str]:
    folder = pathlib.Path(place.directory)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def is_whole(place: names.Place) -> bool:
    found = look.look(place)
    return found.problems == () and {unit.judged for unit in found.units} == {"ours"}


@pytest.mark.parametrize("verb", ["daemon-reload", "enable", "start", "show"])
def test_what_systemd_refuses_is_told_and_completed_by_the_next(
    place: names.Place, manager: Systemd, verb: str
) -> None:
    manager.fails = verb
    with pytest.raises(Wrong, match=f"no {verb} today") as caught:
        install(place)
    assert caught.value.status == 69
    manager.fails = ""
    install(place)
    assert is_whole(place)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_full_disk_leaves_whole_files_and_the_next_completes_it(
    place: names.Place, manager: Systemd, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The fifth file is the record."""
    left, fsync = [at], os.fsync

    def full(fd: int) -> None:
        name = pathlib.Path(f"/proc/self/fd/{fd}").readlink().name
        left[0] -= name.endswith(".torpor-new")
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        install(place)
    monkeypatch.setattr(os, "fsync", fsync)
    assert not [name for name in there(place) if name.endswith("-new")]
    assert {markers.judged(f"{place.directory}/{name}", None) for name in there(place)} <= {"ours"}
    install(place)
    assert is_whole(place)
    uninstall.uninstall(place)
    assert there(place) == []
    assert (manager.enabled, manager.active) == (set(), set())


def test_nothing_is_written_where_one_file_is_not_ours(place: names.Place, manager: Systemd) -> None:
    folder = pathlib.Path(place.directory)
    folder.mkdir(parents=True)
    (folder / place.files[2]).write_text("[Path]\n")
    with pytest.raises(Wrong, match="nothing was written"):
        install(place)
    assert there(place) == [place.files[2]]
    assert "daemon-reload" not in manager.called
    install(place, force=True)
    assert (folder / f"{place.files[2]}.before-torpor.1").read_text() == "[Path]\n"
    assert is_whole(place)


def test_a_daemon_that_runs_is_never_restarted_behind_anybodys_back(place: names.Place, manager: Systemd) -> None:
    install(place)
    manager.active.add(place.files[0])
    _age(place)
    manager.told.clear()
    told = {line.word: line.text for line in install(place)}
    assert "torpor restart" in told["running"]
    stopping = {f"{verb} {place.unit}.{kind}" for verb in ("stop", "restart") for kind in ("service", "socket")}
    assert not stopping & set(manager.told)
    assert f"restart {place.unit}.path" in manager.told
    assert is_whole(place)


@pytest.mark.parametrize(
    ("planned", "left", "comes"),
    [("2999-01-02T00:00:00+00:00", "", True), ("2999-01-02T00:00:00+00:00", "wake.at", False),
     ("2999-01-02T00:00:00+00:00", "stopped", False), (None, "", False)],
)  # fmt: skip
def test_what_a_daemon_has_planned_before_it_had_units_gets_a_timer(
    place: names.Place, manager: Systemd, planned: str | None, left: str, *, comes: bool
) -> None:
    """Only a daemon can tell the manager when it is wanted: one is started for that, which goes again."""
    home = pathlib.Path(place.home)
    write_state(home, next_wake_ts=planned)
    if left:
        (home / left).touch()
    manager.skips |= {*place.shut} if left == "stopped" else set()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(place.socket)
        door.listen()
        told = {line.word: line.text for line in install(place)}
        assert bool(select.select([door], [], [], 0)[0]) is comes
    assert ("started" in told) is comes


@pytest.mark.parametrize("gone", [True, False])
def test_a_service_that_nobody_finds_at_its_socket_is_started_again(
    place: names.Place, manager: Systemd, *, gone: bool
) -> None:
    """It is of where the home was before it was moved, or the path of its socket was removed."""
    install(place)
    manager.active.add(place.files[0])
    if gone:
        pathlib.Path(place.socket).unlink()
        assert "is gone" in look.look(place).problems[0].found
    else:
        unit = pathlib.Path(place.directory, f"{place.unit}.socket")
        body = (
            unit.read_text().split("\n", 1)[1].replace(f"ListenStream={place.home}", f"ListenStream={place.home}-was")
        )
        unit.write_text(markers.line("0.0.1", place.home, place.unit, body) + "\n" + body)
    manager.told.clear()
    told = {line.word: line.text for line in install(place)}
    assert f"restart {place.unit}.socket" in manager.told
    assert "restarted" in told
    assert "running" not in told


def test_a_socket_that_changed_is_opened_anew_where_nobody_is_served(place: names.Place, manager: Systemd) -> None:
    install(place)
    _age(place)
    manager.told.clear()
    install(place)
    assert f"restart {place.unit}.socket" in manager.told


def _age(place: names.Place) -> None:
    """Make all units those of another version."""
    for name in place.files:
        path = pathlib.Path(place.directory, name)
        body = path.read_text().split("\n", 1)[1] + "# as it was\n"
        path.write_text(markers.line("0.0.1", place.home, place.unit, body) + "\n" + body)
        assert markers.judged(str(path), None) == "ours"


def test_the_record_is_a_hint(place: names.Place, manager: Systemd) -> None:
    install(place)
    record = pathlib.Path(place.home, "service.json")
    found = json.loads(record.read_text())
    assert (found["unit"], found["manager"], found["home"]) == (place.unit, "systemd-user", place.home)
    assert [pathlib.Path(path).name for path in found["files"]] == list(place.files)
    victim = pathlib.Path(place.home, "victim")
    victim.touch()
    record.write_text(json.dumps(found | {"files": {str(victim): "0"}, "unit": "ssh"}))
    uninstall.uninstall(place)
    assert victim.exists()
    assert there(place) == []
    assert not record.exists()


def test_a_name_that_serves_another_home_is_refused(
    place: names.Place, manager: Systemd, short_dir: pathlib.Path
) -> None:
    install(place)
    other = names.place(f"{short_dir}/other", system=False, name="work", platform="linux")
    with pytest.raises(Wrong, match=f"serves {place.home}: choose another with --name") as caught:
        install(other)
    assert caught.value.status == wire.EX_DATAERR


@pytest.mark.parametrize("is_here", [True, False])
def test_without_a_manager_it_says_what_there_is_instead(
    place: names.Place, manager: Systemd, monkeypatch: pytest.MonkeyPatch, short_dir: pathlib.Path, *, is_here: bool
) -> None:
    monkeypatch.setattr(systemd, "is_here", lambda: is_here)
    (short_dir / "systemd" / "private").unlink()
    wanted = "loginctl enable-linger" if is_here else "the client starts torpord by itself"
    with pytest.raises(Wrong, match=wanted) as caught:
        install(place)
    assert caught.value.status == 69
    assert there(place) == []


def test_what_is_put_aside_never_takes_another_ones_place(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x"
    asides: list[str] = []
    keep: Callable[[str], str] = files.put_aside
    for text in "ab":
        path.write_text(text)
        asides.append(keep(str(path)))
    assert [pathlib.Path(aside).read_text() for aside in asides] == ["a", "b"]


def test_a_directory_in_a_units_place_is_somebodys_and_kept(place: names.Place, manager: Systemd) -> None:
    in_the_way = pathlib.Path(place.directory, place.files[0])
    (in_the_way / "mine").mkdir(parents=True)
    with pytest.raises(Wrong, match="is not torpor's: nothing was written"):
        install(place)
    told = install(place, force=True)
    assert told[0].word == "kept"
    assert pathlib.Path(f"{in_the_way}.before-torpor.1/mine").is_dir()
    assert is_whole(place)


def test_what_was_told_to_stay_down_is_installed_and_stays_down(place: names.Place, manager: Systemd) -> None:
    pathlib.Path(place.home).mkdir(0o700)
    pathlib.Path(place.home, wire.STOPPED_NAME).touch()
    manager.skips = set(place.doors)
    told = {line.word: line.text for line in install(place)}
    assert told["enabled"].endswith("closed, as torpor was told to stay down")
    assert told["next"].startswith(f"torpor start --home {place.home}   (")
    found = look.look(place)
    assert (found.is_stopped, found.problems) == (True, ())


def test_a_plan_that_no_timer_keeps_is_a_problem(place: names.Place, manager: Systemd) -> None:
    install(place)
    pathlib.Path(place.home, wire.WAKE_AT_NAME).write_text("2030-01-02T03:04:04.5Z\n")
    (problem,) = look.look(place).problems
    assert (problem.unit, problem.mend) == ("planned", f"torpor start --home {place.home}")
    manager.active.add(place.timer)
    manager.next = "Wed 2030-01-02 03:04:05 UTC"
    found = look.look(place)
    assert (found.planned, found.armed, found.problems) == ("2030-01-02T03:04:04.5Z", "2030-01-02T03:04:05Z", ())
    pathlib.Path(place.home, wire.WAKE_AT_NAME).write_text("\x1b[2J")
    assert look.look(place).planned == "", "nothing but a time is shown to root"
    uninstall.uninstall(place)
    assert f"stop {place.timer}" in manager.told
    assert not pathlib.Path(place.home, wire.WAKE_AT_NAME).exists()


def test_a_home_that_moved_keeps_its_units_name_and_a_copy_has_none(
    place: names.Place, manager: Systemd, short_dir: pathlib.Path
) -> None:
    install(place)
    moved = names.place(f"{short_dir}/moved", system=False, platform="linux")
    copied = names.place(f"{short_dir}/copied", system=False, platform="linux")
    shutil.copytree(place.home, copied.home)
    pathlib.Path(place.home).rename(moved.home)
    (told,) = [problem for problem in look.look(place).problems if problem.unit == "home"]
    assert told.mend == f"torpor service uninstall --home {place.home}"
    found = look.look(moved)
    assert (found.place.unit, found.is_there) == (place.unit, True)
    assert {problem.found for problem in found.problems} == {f"for {place.home}, which was moved here"}
    manager.socket = moved.socket
    install(look.at(moved))
    assert look.look(moved).problems == ()
    assert look.look(moved).place.unit == place.unit
    assert not look.look(copied).is_there


def test_the_managers_own_directory_counts_and_not_that_of_who_asks(
    place: names.Place, manager: Systemd, monkeypatch: pytest.MonkeyPatch, short_dir: pathlib.Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{short_dir}/asks")
    assert names.place(f"{short_dir}/work", system=False, platform="linux").directory == place.directory
    manager.reads = f'"{short_dir}/its own/user.control" /run/x/systemd/user.control "{short_dir}/its own/user" /run/x'
    manager.directory = short_dir / "its own" / "user"
    install(place)
    assert (manager.directory / place.files[0]).exists()
    assert not pathlib.Path(place.directory).exists()
    assert look.look(place).problems == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs for others")
def test_what_all_users_share_goes_with_the_last_of_them(
    manager: Systemd, short_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitness, "_HIDDEN", ())  # the tests may run in a checkout that lies there
    monkeypatch.setattr(own_daemon.presence, "is_up", lambda _: False)
    (short_dir / "units").mkdir()
    manager.directory = short_dir / "units"
    places = [
        names.Place(
            "systemd-system", f"torpord@{user}", home := f"{short_dir}/{user}", f"{home}/s", f"{short_dir}/units", user
        )
        for user in ("root", "daemon")
    ]
    for place in places:
        pathlib.Path(place.home).mkdir()
        manager.socket = place.socket
        install(place)
        assert is_whole(place)
    uninstall.uninstall(places[0])
    assert there(places[1]) == sorted([*places[1].files, names.KEEPER])
    uninstall.uninstall(places[1])
    assert there(places[1]) == []


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp"])
def test_what_a_service_of_the_system_does_not_see_is_refused(
    manager: Systemd, short_dir: pathlib.Path, folder: str
) -> None:
    place = names.Place("systemd-system", "torpord@root", str(short_dir), f"{short_dir}/s", str(short_dir), "root")
    with pytest.raises(Wrong, match=f"{folder}/v/bin/python is not seen by a service of the system") as caught:
        fitness.check(place, f"{folder}/v/bin/python")
    assert caught.value.status == 69


def test_what_comes_next_is_said_of_this_home(
    place: names.Place, manager: Systemd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["service", "status", "--home", place.home]) == wire.EX_DOWN
    mend = f"torpor service install --home {place.home}"
    assert capsys.readouterr().out.startswith(f"not installed for {place.home}: {mend}\n")
    assert {line.word: line.text for line in install(place)}["next"].startswith(f"torpor wake --home {place.home}    (")
