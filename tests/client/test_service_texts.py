"""The units that are written: as shipped but for this installation's paths, and what systemd itself says of them."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import tomllib
from dataclasses import replace

import pytest

from torpor.service import markers, names, texts
from torpor.service.wrong import Wrong

ROOT = pathlib.Path(__file__).resolve().parents[2]
ODD = "/opt/a b%c\\d\"e'f"


@pytest.fixture
def place() -> names.Place:
    return names.Place("systemd-user", "torpord-work", ODD, f"{ODD}/torpor.sock", "/units", "ann")


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


USERS = ["torpord.service", "torpord.socket", "torpord.path", "torpord-boot.timer"]
SYSTEMS = [
    "torpord@ann.service", "torpord@ann.socket", "torpord@ann.path", "torpord-boot@ann.timer",
    "torpord-keeper@ann.socket", "torpord-keeper@.service",
]  # fmt: skip


@pytest.mark.parametrize("name", USERS + SYSTEMS)
def test_nothing_but_the_paths_is_changed(name: str) -> None:
    manager: names.Manager = "systemd-system" if "@" in name else "systemd-user"
    home = "/var/lib/torpor/ann" if "@" in name else "/h"
    unit = "torpord@ann" if "@" in name else "torpord"
    place = names.Place(manager, unit, home, f"{home}/torpor.sock", "/units", "ann")
    shipped = lines((ROOT / "systemd" / name.replace("@ann", "@")).read_text())
    found = texts.texts(place, "/v/bin/python")
    assert list(found) == (SYSTEMS if "@" in name else USERS)
    written = lines(found[name])
    assert len(written) == len(shipped)
    changed = {new: old for old, new in zip(shipped, written, strict=True) if old != new}
    if name == f"{unit}.service":
        assert changed.pop('ExecStart="/v/bin/python" -P -m torpord run') == "ExecStart=/usr/bin/env torpord run"
        (path,) = (new for new in changed if "PATH=" in new)
        assert path == f'Environment="PATH=/v/bin:{changed.pop(path).removeprefix("Environment=PATH=")}"'
    if manager == "systemd-system":
        assert not changed
        return
    changed = {new: old for new, old in changed.items() if new != 'Environment="TORPOR_HOME=/h"'}
    assert all(new == old.replace("%h/.local/state/torpor", "/h") for new, old in changed.items())


def test_a_unit_of_another_name_speaks_of_its_own_neighbours(place: names.Place) -> None:
    for name, text in texts.texts(place, "/v/bin/python").items():
        assert "torpord." not in "\n".join(lines(text)), name
        assert "torpord-boot." not in "\n".join(lines(text)), name
        assert "%h/.local/state" not in text
    assert place.boot_timer == "torpord-boot-work.timer"
    assert "Wants=torpord-boot-work.timer\n" in texts.texts(place, "/v/bin/python")["torpord-work.socket"]


def test_what_is_shared_is_no_homes() -> None:
    """Whoever is installed last writes the same."""
    homes = ("/var/lib/torpor/ann", "/var/lib/torpor/bob")
    ann, bob = (names.Place("systemd-system", f"torpord@{h[-3:]}", h, f"{h}/s", "/units", h[-3:]) for h in homes)
    assert texts.texts(ann, "/v/python")[names.KEEPER] == texts.texts(bob, "/w/python")[names.KEEPER]


def test_what_a_line_means_to_systemd_is_the_path(place: names.Place) -> None:
    written = texts.texts(place, f"{ODD}/py")
    assert r'ExecStart="/opt/a b%%c\\d\"e' in written["torpord-work.service"]
    assert r'Environment="TORPOR_HOME=/opt/a b%%c\\d\"e' in written["torpord-work.service"]
    assert "ListenStream=/opt/a b%%c\\d\"e'f/torpor.sock\n" in written["torpord-work.socket"]
    assert "PathExists=/opt/a b%%c\\d\"e'f/wake.signal\n" in written["torpord-work.path"]
    assert "ConditionPathExists=!/opt/a b%%c\\d\"e'f/stopped\n" in written["torpord-work.path"]
    assert "ConditionPathExists=/opt/a b%%c\\d\"e'f/wake.at\n" in written["torpord-boot-work.timer"]
    dollar = texts.texts(place, "/opt/$HOME/py")["torpord-work.service"]
    assert 'ExecStart=/usr/bin/env "/opt/$$HOME/py" -P -m torpord run\n' in dollar


def test_a_socket_elsewhere_is_told_to_all_three(place: names.Place) -> None:
    written = texts.texts(replace(place, home="/h", socket="/run/x.sock"), "/v/bin/python")
    assert 'Environment="TORPOR_SOCKET=/run/x.sock"\n' in written["torpord-work.service"]
    assert "ListenStream=/run/x.sock\n" in written["torpord-work.socket"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_to_say_about_them(short_dir: pathlib.Path) -> None:
    program = short_dir / "a b%c$d"
    program.symlink_to("/bin/true")
    place = names.Place("systemd-user", "torpord-work", f"{short_dir}/h %i", f"{short_dir}/h %i/s", "/units", "ann")
    for name, text in texts.texts(place, str(program)).items():
        (short_dir / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *(str(short_dir / name) for name in place.files)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(short_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_line_that_is_not_there_to_be_replaced_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="has 0 lines"):
        texts._replaced("[Service]\n", "ExecStart=", "x")


@pytest.mark.parametrize(
    ("home", "unit"),
    [
        (None, "torpord"),
        ("/srv/Work_2", "torpord-work-2"),
        ("/srv/project/torpor", "torpord-project"),
        ("/srv/" + "n" * 40, "torpord-" + "n" * 32),
    ],
)
def test_units_are_named_by_the_home(home: str | None, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert names.place(home, system=False, platform="linux").unit == unit


@pytest.mark.parametrize(
    ("home", "more"),
    [
        ("/srv/a\nb", {}),
        ("/srv/\udcff", {}),
        ("/srv/...", {}),
        ("/srv/x", {"name": "Über"}),
        ("/srv/x", {"name": "-x"}),
        ("/srv/x", {"name": "boot"}),
        ("/srv/x", {"name": "boot-work"}),
        ("/srv/x", {"name": "keeper"}),
        ("/srv/x", {"name": "planned"}),
        ("/srv/boot", {}),
        ("/srv/x", {"user": "ann"}),
    ],
)
def test_what_no_unit_can_be_called_is_usage(home: str, more: dict[str, str]) -> None:
    with pytest.raises(Wrong) as caught:
        names.place(home, system=False, platform="linux", **more)
    assert caught.value.status == 64


def test_a_marker_tells_what_was_written_from_what_was_changed(short_dir: pathlib.Path) -> None:
    path = short_dir / "x.service"
    body = "[Service]\nExecStart=/x\n"
    text = markers.line("1.0", '/h "q" --x', "torpord", body) + "\n" + body
    assert markers.judged(str(path), text) == "absent"
    path.write_text(text)
    assert markers.judged(str(path), text) == "ours"
    found = markers.read(str(path))
    assert found is not None
    assert (found.home, found.unit, found.version) == ('/h "q" --x', "torpord", "1.0")
    assert markers.judged(str(path), text.replace("1.0", "2.0")) == "ours", "another version alone changes nothing"
    assert markers.judged(str(path), markers.line("1.0", "/h", "torpord", "[X]\n") + "\n[X]\n") == "outdated"
    for edited in (text + "#\n", text[:-4], text.replace("/x", "/y")):
        path.write_text(edited)
        assert markers.judged(str(path), text) == "edited"
    for foreign in ("", body, text[20:], "# torpor service: by hand\n" + body, "\n" * 5 + text):
        path.write_text(foreign)
        assert markers.judged(str(path), text) == "foreign"
    path.unlink()
    path.symlink_to("/dev/null")
    assert markers.judged(str(path), text) == "foreign", "masked"
    path.unlink()
    path.mkdir()
    assert markers.judged(str(path), text) == "foreign", "a directory"
    path.rmdir()
    os.mkfifo(path)
    assert markers.judged(str(path), text) == "foreign", "a pipe, and nobody waits for it"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert markers.judged(str(path), text) == "foreign", "a socket"
    path.unlink()
    path.symlink_to(short_dir / "gone")
    assert markers.judged(str(path), text) == "foreign", "a link that leads nowhere is still somebody's"


def test_every_shipped_file_goes_into_the_wheel() -> None:
    """A checkout has them where they lie; what is installed finds them in the package."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        included = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included.pop("systemd") == "torpor/units"
    assert included == {f"launchd/{path.name}": f"torpor/units/{path.name}" for path in (ROOT / "launchd").iterdir()}
    assert texts.shipped("torpord.service")
    with pytest.raises(AssertionError, match="not in this installation"):
        texts.shipped("torpord.timer.no")
