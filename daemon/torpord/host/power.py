"""What the sleep cycle may ask about the machine: is it on mains power, and how loaded is it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

_SUPPLIES = Path("/sys/class/power_supply")


def on_mains(supplies: Path = _SUPPLIES) -> bool | None:
    """Return whether the machine runs on mains power; None where nothing tells (a desktop, a virtual machine).

    Linux: sysfs (Documentation/ABI/testing/sysfs-class-power). A mains adapter that is online decides; else a battery
    that is discharging; else one that is not. Batteries of scope "Device" are a mouse's or a headset's and say nothing.
    """
    if sys.platform == "darwin":
        from torpord.host import macos  # noqa: PLC0415 - on macOS alone, with psutil behind it

        return macos.on_mains()
    return _on_mains_by_sysfs(supplies)


def _on_mains_by_sysfs(supplies: Path) -> bool | None:
    try:
        found = sorted(supplies.iterdir())
    except OSError:
        return None
    batteries: list[str] = []
    for supply in found:
        kind = _read(supply / "type")
        if kind == "Mains" and _read(supply / "online") == "1":
            return True
        if kind == "Battery" and _read(supply / "scope") != "Device":
            batteries.append(_read(supply / "status"))
    if "Discharging" in batteries:
        return False
    known = [status for status in batteries if status not in ("", "Unknown")]
    return True if known else None


def cpu_load_percent() -> float | None:
    """Return the processes that ran or waited, averaged over a minute, as a share of the processors in percent.

    May exceed 100. None where the system cannot tell.
    """
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1) * 100
    except OSError:
        return None


def _read(path: Path) -> str:
    # Drivers answer ENODEV, EIO and the like while they change: the same as not telling.
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""
