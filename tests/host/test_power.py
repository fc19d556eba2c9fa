from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from torpord.host import power

if TYPE_CHECKING:
    import pathlib

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sysfs is Linux's")

MAINS_ON = {"type": "Mains", "online": "1"}
MAINS_OFF = {"type": "Mains", "online": "0"}
MOUSE = {"type": "Battery", "scope": "Device", "status": "Discharging"}


def battery(status: str) -> dict[str, str]:
    return {"type": "Battery", "status": status}


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ([], None),
        ([MAINS_ON], True),
        ([MAINS_OFF, battery("Discharging")], False),
        ([battery("Discharging")], False),
        ([battery("Full"), battery("Discharging")], False),
        ([battery("Charging")], True),
        ([battery("Not charging"), MAINS_ON], True),
        ([battery("Discharging"), MAINS_ON], True),  # a weak adapter: plugged in all the same
        ([battery("Unknown")], None),
        ([MOUSE], None),
        ([MOUSE, MAINS_ON], True),
        ([{"type": "USB", "online": "0"}], None),
        ([{}], None),
    ],
)
def test_mains_or_battery(tmp_path: pathlib.Path, supplies: list[dict[str, str]], expected: bool | None) -> None:
    for number, supply in enumerate(supplies):
        folder = tmp_path / f"S{number}"
        folder.mkdir()
        for name, value in supply.items():
            (folder / name).write_text(value + "\n")
    assert power.on_mains(tmp_path) is expected


def test_what_cannot_be_read_says_nothing(tmp_path: pathlib.Path) -> None:
    assert power.on_mains(tmp_path / "none") is None
    (tmp_path / "BAT0" / "status").mkdir(parents=True)
    (tmp_path / "BAT0" / "type").write_text("Battery\n")
    assert power.on_mains(tmp_path) is None


def test_this_machine_answers() -> None:
    assert power.on_mains() in (True, False, None)
    load = power.cpu_load_percent()
    assert load is not None
    assert load >= 0


def test_a_system_without_load_averages_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unobtainable() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr("os.getloadavg", unobtainable)
    assert power.cpu_load_percent() is None
