"""Installing under launchd, with a launchctl that answers as people have seen the real one do."""

from __future__ import annotations

import pathlib
import plistlib
import sys
from collections.abc import Callable

import pytest

from service.test_units import KEEP_ALIVE_KEYS, LAUNCHD_KEYS, SOCKET_KEYS, part, unknown
from torpor.service import fitness, launchd, look, markers, names, uninstall
from torpor.service.install import install
from torpor.service.wrong import Wrong

# Each call takes the next line of its verb's script, "status words"; the last line stays. What was called is kept.
FAKE = """#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >> called
script="answers.$1"; [ "$1" = print ] && case "$2" in */*/*) ;; *) exit 0 ;; esac
[ -f "$script" ] || exit 0
line=$(head -n 1 "$script")
[ "$(wc -l < "$script")" -gt 1 ] && sed -i 1d "$script"
echo "${line#* }"; exit "${line%% *}"
"""
THERE, GONE = "0 	state = waiting", "113 Could not find service"

Answers = Callable[..., None]


@pytest.fixture
def launchctl(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Return what sets the answers of a verb, in their order."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "launchctl").write_text(FAKE)
    (folder / "launchctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setattr(launchd, "_LIMIT_S", 0.5)
    monkeypatch.setattr(launchd, "_FIRST_PAUSE_S", 0.01)

    def answers(verb: str, *lines: str) -> None:
        (folder / f"answers.{verb}").write_text("".join(f"{line}\n" for line in lines))

    return answers


def called(tmp_path: pathlib.Path, *verbs: str) -> list[str]:
    lines = (tmp_path / "fake" / "called").read_text().splitlines()
    return [line for line in lines if line.split()[0] in verbs]


@pytest.fixture
def place(short_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> names.Place:
    monkeypatch.setenv("HOME", str(tmp_path))
    return names.place(f"{short_dir}/a & <b> --x", system=False, platform="darwin")


def test_the_property_list_is_the_shipped_one_with_this_homes_paths(place: names.Place) -> None:
    (text,) = launchd.texts(place, "/opt/it's & <so>/python").values()
    found = plistlib.loads(text.encode())
    assert unknown(found, LAUNCHD_KEYS) == []
    assert unknown(part(found, "KeepAlive"), KEEP_ALIVE_KEYS) == []
    assert unknown(part(found, "Sockets", "Listener"), SOCKET_KEYS) == []
    assert found["ProgramArguments"] == ["/opt/it's & <so>/python", "-P", "-m", "torpord", "run"]
    assert found["EnvironmentVariables"]["TORPOR_HOME"] == place.home
    assert found["Sockets"]["Listener"]["SockPathName"] == place.socket
    assert found["KeepAlive"]["PathState"] == {f"{place.home}/wake.signal": True}
    assert found["QueueDirectories"] == [f"{place.home}/wake.d"]
    assert found["Label"] == place.unit == "org.torpor.torpord.a-b-x"
    assert "YOU" not in text
    marker = markers.parsed(text)
    assert marker is not None
    assert (marker.home, marker.unit, marker.is_whole) == (place.home, place.unit, True)


def test_a_first_install_bootstraps_and_makes_sure(
    place: names.Place, launchctl: Answers, tmp_path: pathlib.Path
) -> None:
    launchctl("print", GONE, THERE)
    told = [line.word for line in install(place)]
    assert told == ["written", "enabled", "next"]
    assert [line.split()[0] for line in called(tmp_path, "enable", "bootstrap", "bootout")] == ["enable", "bootstrap"]
    assert markers.judged(f"{place.directory}/{place.files[0]}", None) == "ours"
    launchctl("print", THERE)
    assert install(place)[0].text == "already installed"
    found = look.look(place)
    assert (found.problems, found.units[0].active) == ((), "waiting")


def test_one_that_changed_goes_before_the_new_one_comes(
    place: names.Place, launchctl: Answers, tmp_path: pathlib.Path
) -> None:
    """`bootout` returns early, and `bootstrap` is refused for an instant more: 37, 5."""
    launchctl("print", GONE, THERE)
    install(place)
    path = pathlib.Path(place.directory, place.files[0])
    marker = markers.read(str(path))
    assert marker is not None
    body = marker.body.replace("<integer>30</integer>", "<integer>29</integer>")
    head = path.read_text().splitlines()[:2]
    line = markers.line("0.0.1", place.home, place.unit, body).removeprefix("# ")
    path.write_text("\n".join([*head, f"<!-- {line} -->", body]))
    assert markers.judged(str(path), None) == "ours"
    launchctl("print", THERE, THERE, THERE, GONE, GONE, GONE, THERE)
    launchctl("bootout", "36 Operation now in progress")
    launchctl("bootstrap", "37 Operation already in progress", "5 Input/output error", "0 ")
    install(place)
    verbs = [line.split()[0] for line in called(tmp_path, "bootstrap", "bootout")]
    assert verbs == ["bootstrap", "bootout", "bootstrap", "bootstrap", "bootstrap"]


def test_what_launchd_does_not_take_is_told_in_its_words(place: names.Place, launchctl: Answers) -> None:
    launchctl("print", GONE)
    launchctl("bootstrap", "125 Domain does not support specified action")
    with pytest.raises(Wrong, match="Domain does not support") as caught:
        install(place)
    assert caught.value.status == 69
    launchctl("bootstrap", "5 Input/output error")
    with pytest.raises(Wrong, match="Input/output error"):
        install(place)


def test_uninstall_waits_until_it_is_gone(place: names.Place, launchctl: Answers, tmp_path: pathlib.Path) -> None:
    launchctl("print", GONE, THERE)
    install(place)
    launchctl("print", THERE, THERE, GONE)
    told, staying = uninstall.uninstall(place)
    assert [line.word for line in told] == ["stopped", "removed", "stays"]
    assert staying == []
    assert not pathlib.Path(place.directory, place.files[0]).exists()
    assert called(tmp_path, "bootout")[0].endswith(f"/{place.unit}")
    assert uninstall.uninstall(place)[0][0].text.startswith("nothing of torpor's is installed")


def test_uninstall_takes_the_job_of_a_planned_wake_with_it(
    place: names.Place, launchctl: Answers, tmp_path: pathlib.Path
) -> None:
    launchctl("print", GONE, THERE)
    install(place)
    job = pathlib.Path(place.directory, f"{place.unit}.planned.plist")
    job.touch()
    pathlib.Path(place.home, "wake.at").write_text("2030-01-01T00:00:00Z\n")
    launchctl("print", THERE)
    found = look.look(place)
    assert (found.planned, found.armed) == ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z")
    launchctl("print", GONE, THERE, GONE)
    uninstall.uninstall(place)
    assert called(tmp_path, "bootout")[1].endswith(f"/{place.unit}.planned")
    assert not job.exists()
    assert not pathlib.Path(place.home, "wake.at").exists()


def test_one_that_does_not_go_is_told(place: names.Place, launchctl: Answers) -> None:
    launchctl("print", GONE, THERE)
    install(place)
    launchctl("print", THERE)
    with pytest.raises(Wrong, match="was told to go") as caught:
        uninstall.uninstall(place)
    assert caught.value.status == 75
    assert pathlib.Path(place.directory, place.files[0]).exists()


def test_system_is_not_there() -> None:
    with pytest.raises(Wrong, match="macOS") as caught:
        names.place(None, system=True, platform="darwin")
    assert caught.value.status == 64


def test_the_interpreter_is_asked_before_anything_is_written(place: names.Place, launchctl: Answers) -> None:
    launchctl("print", GONE)
    assert fitness.interpreter() == sys.executable
    pathlib.Path(place.home).mkdir(mode=0o700)
    pathlib.Path(place.home, "torpor.toml").write_text("[lifecycle]\nmin_up = 'x'\n")
    with pytest.raises(Wrong, match="min_up") as caught:
        install(place)
    assert caught.value.status == 78
    assert not pathlib.Path(place.directory).exists()
