from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from torpor import home as homes
from torpord.host import home
from torpord.host.faults import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a moment")
NOBODY = 65534


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def made(path: pathlib.Path) -> None:
    home.prepare(path)
    home.furnish(path)


def refused(path: pathlib.Path) -> SetupError:
    with pytest.raises(SetupError) as caught:
        made(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return caught.value


def test_makes_what_is_missing_and_finds_it_good_the_second_time(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "state" / "torpor"
    made(path)
    made(path)
    assert mode(path) == 0o700
    assert {inner.name: mode(inner) for inner in path.iterdir()} == {
        "wake.d": 0o700,
        "tmp": 0o700,
        "wake.rejected": 0o700,
    }
    assert mode(path.parent) & 0o700 == 0o700


def test_a_strange_umask_makes_no_home_that_nobody_can_enter(tmp_path: pathlib.Path) -> None:
    before = os.umask(0o277)
    try:
        made(tmp_path / "torpor")
    finally:
        os.umask(before)
    assert mode(tmp_path / "torpor") == 0o700


def test_inspecting_changes_nothing_and_refuses_the_same(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "torpor"
    assert not home.inspect(path)
    assert not path.exists()
    path.mkdir(mode=0o700)
    assert home.inspect(path)
    assert list(path.iterdir()) == []
    path.chmod(0o755)
    with pytest.raises(SetupError, match="chmod 700") as caught:
        home.inspect(path)
    assert caught.value.exit_code == 78


def test_keeps_what_is_in_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "torpor"
    made(path)
    (path / "wake.d" / "a.json").write_text("{}")
    made(path)
    assert (path / "wake.d" / "a.json").read_text() == "{}"


def test_refuses_a_symlink_and_leaves_its_target_alone(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    path = tmp_path / "torpor"
    path.symlink_to(target)
    fault = refused(path)
    assert fault.exit_code == 78
    assert "symlink" in str(fault)
    assert list(target.iterdir()) == []


def test_refuses_a_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "torpor"
    path.write_text("precious")
    fault = refused(path)
    assert (fault.exit_code, path.read_text()) == (78, "precious")


def test_refuses_a_parent_that_is_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file" / "torpor").exit_code == 78


@pytest.mark.parametrize("bits", [0o777, 0o701, 0o720, 0o704, 0o750, 0o500])
def test_refuses_any_other_mode_and_the_mend_it_names_mends_it(tmp_path: pathlib.Path, bits: int) -> None:
    path = tmp_path / "tor por"
    path.mkdir()
    path.chmod(bits)
    fault = refused(path)
    assert fault.exit_code == 78
    command = str(fault).rpartition(": ")[2]
    subprocess.run(shlex.split(command), check=True)
    made(path)


@needs_root
def test_refuses_another_users_home(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "torpor"
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)
    fault = refused(path)
    assert fault.exit_code == 77
    assert f"uid {NOBODY}" in str(fault)


@needs_root
def test_says_where_it_is_not_permitted(short_dir: pathlib.Path) -> None:
    with as_nobody():
        fault = refused(short_dir / "torpor")
    assert fault.exit_code == 77
    assert not (short_dir / "torpor").exists()


@pytest.mark.parametrize("name", ["wake.d", "tmp", "wake.rejected"])
def test_refuses_a_folder_inside_that_leads_elsewhere(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / "torpor"
    made(path)
    (path / name).rmdir()
    (path / name).symlink_to(tmp_path)
    assert name in str(refused(path))


MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /home rw,relatime - nfs4 server:/home rw
31 27 0:41 / /home2 rw,relatime - ext4 /dev/vdb rw
32 30 0:42 / /home/ann rw,relatime - btrfs /dev/vdc rw
33 27 0:43 / /mnt/my\040disk rw,relatime - fuse.sshfs host: rw
34 27 0:44 / /srv rw,relatime - autofs systemd-1 rw
35 34 0:45 / /srv rw,relatime - cifs //server/srv rw
36 27 0:46 / /var/lib/x rw,relatime - fuse.fuse-overlayfs fuse-overlayfs rw
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="mountinfo is Linux's")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/root/torpor", ""),
        ("/home/bob/torpor", "nfs4"),
        ("/home2/torpor", ""),
        ("/home/ann/torpor", ""),
        ("/mnt/my disk/torpor", "fuse.sshfs"),
        ("/mnt/my/torpor", ""),
        ("/srv/torpor", "cifs"),
        ("/var/lib/x/torpor", ""),
    ],
)
def test_knows_other_machines_file_systems_by_the_nearest_mount(tmp_path: pathlib.Path, path: str, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert home.remote_kind(type(tmp_path)(path), table) == kind


@pytest.mark.skipif(sys.platform == "darwin", reason="mountinfo is Linux's")
def test_without_a_mount_table_nothing_is_refused(tmp_path: pathlib.Path) -> None:
    assert home.remote_kind(tmp_path, tmp_path / "none") == ""


def test_refuses_a_remote_home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "remote_kind", lambda _path: "nfs4")
    fault = refused(tmp_path / "torpor")
    assert fault.exit_code == 78
    assert "nfs4" in str(fault)


def test_what_nobody_came_back_for_is_swept_and_nothing_else(tmp_path: pathlib.Path) -> None:
    now_s, day_s = 1_700_000_000.0, 86_400.0
    left = tmp_path / "tmp"
    left.mkdir()
    for name, age_s in (("old", day_s + 1), ("young", day_s - 1), ("future", -1e6), ("run-7", 9 * day_s)):
        (left / name).mkdir() if name == "run-7" else (left / name).write_text("x")
        os.utime(left / name, (now_s - age_s, now_s - age_s))
    (left / "link").symlink_to(left / "young")
    assert home.sweep(tmp_path, now_s) == ["old"]
    assert sorted(each.name for each in left.iterdir()) == ["future", "link", "run-7", "young"]
    assert home.sweep(tmp_path, now_s) == []


def test_a_command_for_people_names_the_home_also_where_the_units_do(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORPOR_HOME", str(tmp_path))
    assert home.command("torpor reload", tmp_path) == f"torpor reload --home {tmp_path}"
    monkeypatch.delenv("TORPOR_HOME")
    assert home.command("torpor reload", pathlib.Path(homes.home_dir())) == "torpor reload"
