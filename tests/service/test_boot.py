"""What a boot or a login starts, by what lies in the home: nothing at all where torpor was told to stay down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.seat import USER

if TYPE_CHECKING:
    from service.seat import Seat

DOORS = ("torpord.socket", "torpord.path", "torpord-boot.timer")
SKIPPED = {"ActiveState": "inactive", "ConditionResult": "no", "Result": "success"}
DOWN = {"ActiveState": "inactive", "Result": "success"}


def start(seat: Seat) -> None:
    """Start what is enabled, as a boot does."""
    seat.systemctl("start", *DOORS)


def test_a_boot_starts_the_daemon_where_a_wake_is_planned_and_only_there(seat: Seat) -> None:
    start(seat)
    seat.wait("torpord-boot.timer", **SKIPPED)
    seat.wait("torpord.service", **DOWN)
    seat.place("wake.at", "2026-01-01T00:00:00Z\n")
    start(seat)
    seat.wait("torpord.service", ActiveState="active")
    seat.systemctl("stop", "torpord.socket")
    seat.wait("torpord-boot.timer", ActiveState="inactive")


def test_what_was_told_to_stay_down_is_not_opened_by_a_boot(seat: Seat) -> None:
    seat.systemctl("stop", "torpord.socket")
    for name in ("stopped", "wake.at", "wake.signal"):
        seat.place(name)
    start(seat)
    for unit in DOORS:
        seat.wait(unit, **SKIPPED)
    seat.wait("torpord.service", **DOWN)
    seat.box.run("rm", f"{seat.home}/stopped", user=USER)
    start(seat)
    seat.wait("torpord.service", ActiveState="active")
    assert seat.caller.look("status")["supervisor"] == "systemd"
