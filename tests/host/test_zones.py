from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from torpord.host.zones import zone

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in Berlin, and back where it was after."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", ["Asia/Tbilisi", "Asia/Calcutta", "Asia/Saigon", "Etc/GMT+5", "UTC"])
def test_a_zone_by_its_name_also_an_old_one(name: str) -> None:
    assert zone(name) == ZoneInfo(name)


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Olympus_Mons",
        "PST",
        "Europe",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe/../../x",
        "x" * 5_000,
        "a\0b",
        "\ud800",
        "zone.tab",
        ".",
        " ",
    ],
)
def test_what_is_no_zone_is_none(name: str) -> None:
    assert zone(name) is None


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
def test_the_machines_own_is_what_its_clocks_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every quarter of an hour around each change of the clocks, and now and then over two years."""
    monkeypatch.setenv("TZ", name)
    time.tzset()
    try:
        here, there = zone(""), ZoneInfo(name)
        start_s = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
        days = [start_s + day * 86_400 + quarter * 900 for day in range(0, 730, 7) for quarter in range(7)]
        weekends = [
            start_s + day * 86_400 + quarter * 900 for day in (66, 87, 94, 276, 297, 304) for quarter in range(192)
        ]
        for at_s in days + weekends:
            mine, true = datetime.fromtimestamp(at_s, here), datetime.fromtimestamp(at_s, there)
            assert mine.replace(tzinfo=None) == true.replace(tzinfo=None)
            assert mine.fold == true.fold
            assert mine.utcoffset() == true.utcoffset()
            assert mine.timestamp() == at_s
    finally:
        monkeypatch.undo()
        time.tzset()


def test_hours_that_come_twice_and_never(berlin: None) -> None:
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=zone(""))
    assert twice.replace(fold=1).timestamp() - twice.timestamp() == 3600
    never = datetime(2026, 3, 29, 2, 30, tzinfo=zone(""))
    assert never.timestamp() == datetime(2026, 3, 29, 1, 30, tzinfo=UTC).timestamp()


def test_a_time_alone_has_no_offset(berlin: None) -> None:
    assert datetime(2026, 7, 1, 12, tzinfo=zone("")).timetz().utcoffset() is None
