"""The unit files as they lie in the tree, without running them."""

from __future__ import annotations

import os
import pathlib
import plistlib
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
PLIST = ROOT / "launchd" / "org.torpor.torpord.plist"
NAMES = ("torpord{}.service", "torpord{}.socket", "torpord{}.path", "torpord-boot{}.timer")
# What `systemd-analyze security` calls the exposure, times ten, as measured with systemd 252; a lower number is better,
# and its own word for under 20 is "OK". The units say why what is left is left.
EXPOSURE_AT_MOST = {
    ("--system", "torpord@.service"): 17,
    ("--system", "torpord-keeper@.service"): 11,
    ("--user", "torpord.service"): 66,
}

analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


@pytest.fixture
def copied(short_dir: pathlib.Path) -> pathlib.Path:
    """The units in a folder of their own: systemd-analyze also looks at what lies beside them."""
    for unit in UNITS.iterdir():
        shutil.copy(unit, short_dir)
    return short_dir


def verify(folder: pathlib.Path, manager: str, *units: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", manager, "verify", *(str(folder / unit) for unit in units)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@analyze
@pytest.mark.parametrize(("manager", "instance"), [("--user", ""), ("--system", ""), ("--system", "@root")])
def test_systemd_finds_nothing_to_say_about_the_units(copied: pathlib.Path, manager: str, instance: str) -> None:
    done = verify(copied, manager, *(name.format(instance) for name in NAMES))
    assert (done.returncode, done.stdout) == (0, "")


@analyze
def test_nor_about_the_keeper(copied: pathlib.Path) -> None:
    done = verify(copied, "--system", "torpord-keeper@root.socket", "torpord-keeper@0-1-0.service")
    assert (done.returncode, done.stdout) == (0, "")


@analyze
def test_systemd_would_find_something_if_there_were(copied: pathlib.Path) -> None:
    unit = copied / "torpord.service"
    unit.write_text(
        unit.read_text().replace("StartLimitIntervalSec=0\n\n[Service]", "[Service]\nStartLimitIntervalSec=0")
    )
    assert "StartLimitIntervalSec" in verify(copied, "--user", "torpord.service").stdout


@analyze
@pytest.mark.parametrize(("manager", "unit"), EXPOSURE_AT_MOST)
def test_a_service_is_exposed_no_more_than_it_must_be(copied: pathlib.Path, manager: str, unit: str) -> None:
    threshold = f"--threshold={EXPOSURE_AT_MOST[manager, unit]}"
    done = subprocess.run(
        ["systemd-analyze", manager, "security", "--offline=yes", threshold, copied / unit],
        env=os.environ | {"XDG_RUNTIME_DIR": str(copied)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def settings(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of each line."""
    section = ""
    for line in (UNITS / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield section, key, value


@pytest.mark.parametrize(("at", "home"), [("", "%h/.local/state/torpor"), ("@", "%S/torpor/%i")])
def test_all_units_name_one_home(at: str, home: str) -> None:
    assert ("Service", "Environment", f"TORPOR_HOME={home}") in settings(f"torpord{at}.service")
    assert ("Socket", "ListenStream", f"{home}/torpor.sock") in settings(f"torpord{at}.socket")
    watched = [(key, value) for section, key, value in settings(f"torpord{at}.path") if value.startswith(home)]
    assert watched == [("PathExists", f"{home}/wake.signal"), ("DirectoryNotEmpty", f"{home}/wake.d")]
    assert ("Unit", "ConditionPathExists", f"{home}/wake.at") in settings(f"torpord-boot{at}.timer")


@pytest.mark.parametrize(("at", "home"), [("", "%h/.local/state/torpor"), ("@", "%S/torpor/%i")])
def test_what_starts_the_daemon_asks_whether_it_is_to_stay_down_and_the_daemon_does_not(at: str, home: str) -> None:
    asks = ("Unit", "ConditionPathExists", f"!{home}/stopped")
    for name in (f"torpord{at}.socket", f"torpord{at}.path", f"torpord-boot{at}.timer"):
        assert asks in settings(name), name
    assert not [key for _, key, _ in settings(f"torpord{at}.service") if key.startswith("Condition")]


@pytest.mark.parametrize("prefix", ["torpord", "torpord@"])
def test_nothing_counts_starts(prefix: str) -> None:
    assert ("Unit", "StartLimitIntervalSec", "0") in settings(f"{prefix}.service")
    assert ("Socket", "TriggerLimitIntervalSec", "0") in settings(f"{prefix}.socket")
    assert ("Path", "TriggerLimitIntervalSec", "0") in settings(f"{prefix}.path")


def test_both_managers_run_the_daemon_alike() -> None:
    """A user's service and the system's differ in whom they serve and what they shut out, in nothing else."""
    own = ("Environment", "User", "StateDirectory", "StateDirectoryMode", "SystemCallFilter")
    fences = ("Protect", "Private", "Restrict", "Capability")

    def core(name: str) -> set[tuple[str, str]]:
        return {
            (key, value)
            for section, key, value in settings(name)
            if section == "Service" and key not in own and (not key.startswith(fences) or key.startswith("RestartP"))
        }

    assert core("torpord.service") == core("torpord@.service")


# launchd.plist(5): the keys it documents, and the type of each. launchd itself ignores what it does not know.
LAUNCHD_KEYS: dict[str, tuple[type, ...]] = {
    "Label": (str,), "Disabled": (bool,), "UserName": (str,), "GroupName": (str,), "inetdCompatibility": (dict,),
    "LimitLoadToHosts": (list,), "LimitLoadFromHosts": (list,), "LimitLoadToSessionType": (str, list),
    "LimitLoadToHardware": (dict,), "LimitLoadFromHardware": (dict,), "Program": (str,), "BundleProgram": (str,),
    "ProgramArguments": (list,), "EnableGlobbing": (bool,), "EnableTransactions": (bool,),
    "EnablePressuredExit": (bool,), "OnDemand": (bool,), "ServiceIPC": (bool,), "KeepAlive": (bool, dict),
    "RunAtLoad": (bool,), "RootDirectory": (str,), "WorkingDirectory": (str,), "EnvironmentVariables": (dict,),
    "Umask": (int, str), "TimeOut": (int,), "ExitTimeOut": (int,), "ThrottleInterval": (int,), "InitGroups": (bool,),
    "WatchPaths": (list,), "QueueDirectories": (list,), "StartOnMount": (bool,), "StartInterval": (int,),
    "StartCalendarInterval": (dict, list), "StandardInPath": (str,), "StandardOutPath": (str,),
    "StandardErrorPath": (str,), "Debug": (bool,), "WaitForDebugger": (bool,), "SoftResourceLimits": (dict,),
    "HardResourceLimits": (dict,), "Nice": (int,), "ProcessType": (str,), "AbandonProcessGroup": (bool,),
    "LowPriorityIO": (bool,), "LowPriorityBackgroundIO": (bool,), "MaterializeDatalessFiles": (bool,),
    "LaunchOnlyOnce": (bool,), "MachServices": (dict,), "Sockets": (dict,), "LaunchEvents": (dict,),
    "HopefullyExitsLast": (bool,), "HopefullyExitsFirst": (bool,), "SessionCreate": (bool,), "LegacyTimers": (bool,),
    "AssociatedBundleIdentifiers": (str, list),
}  # fmt: skip
KEEP_ALIVE_KEYS: dict[str, tuple[type, ...]] = {
    "SuccessfulExit": (bool,), "NetworkState": (bool,), "PathState": (dict,), "OtherJobEnabled": (dict,),
    "Crashed": (bool,),
}  # fmt: skip
SOCKET_KEYS: dict[str, tuple[type, ...]] = {
    "SockType": (str,), "SockPassive": (bool,), "SockNodeName": (str,), "SockServiceName": (str,),
    "SockFamily": (str,), "SockProtocol": (str,), "SockPathName": (str,), "SecureSocketWithKey": (str,),
    "SockPathOwner": (int,), "SockPathGroup": (int,), "SockPathMode": (int,), "Bonjour": (bool, str, list),
    "MulticastGroup": (str,), "ReceivePacketInfo": (bool,),
}  # fmt: skip


@pytest.fixture
def plist() -> dict[str, object]:
    with PLIST.open("rb") as file:
        loaded: dict[str, object] = plistlib.load(file)
    return loaded


def unknown(found: dict[str, object], known: dict[str, tuple[type, ...]]) -> list[str]:
    return [key for key, value in found.items() if type(value) not in known.get(key, ())]


def part(found: dict[str, object], *keys: str) -> dict[str, object]:
    for key in keys:
        inner = found[key]
        assert isinstance(inner, dict)
        found = inner
    return found


def test_every_key_for_launchd_is_one_it_knows(plist: dict[str, object]) -> None:
    assert unknown(plist, LAUNCHD_KEYS) == []
    assert unknown(part(plist, "KeepAlive"), KEEP_ALIVE_KEYS) == []
    assert unknown(part(plist, "Sockets", "Listener"), SOCKET_KEYS) == []
    assert f"{plist['Label']}.plist" == PLIST.name


def test_launchd_and_the_daemon_agree(plist: dict[str, object]) -> None:
    environ = part(plist, "EnvironmentVariables")
    home = str(environ["TORPOR_HOME"])
    socket = part(plist, "Sockets", "Listener")
    assert socket == {
        "SockFamily": "Unix", "SockType": "stream", "SockPathName": f"{home}/torpor.sock", "SockPathMode": 0o600
    }  # fmt: skip
    assert part(plist, "KeepAlive", "PathState") == {f"{home}/wake.signal": True}
    assert plist["QueueDirectories"] == [f"{home}/wake.d"]
    assert plist["Umask"] == 0o077
    assert plist["StandardErrorPath"] == f"{home}/torpord.log"
    assert "WatchPaths" not in plist, "launchd.plist(5) calls it racy"


def test_one_place_to_edit_and_the_comment_tells_it() -> None:
    text = PLIST.read_text()
    assert text.count("~/Library/LaunchAgents/org.torpor.torpord.plist") == 2
    edited = plistlib.loads(text.replace("/Users/YOU", "/Users/ann").encode())
    assert "YOU" not in repr(edited)
