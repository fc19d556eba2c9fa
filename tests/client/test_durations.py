from __future__ import annotations

import pytest

from torpor import durations


@pytest.mark.parametrize(
    ("text", "length_s"),
    [("5m", 300), ("90s", 90), ("1h30m", 5400), ("2d", 172800), ("1d2h3m4.5s", 93784.5), ("0", 0), ("30", 30),
     ("1.5", 1.5), ("0.25s", 0.25)],
)  # fmt: skip
def test_lengths_of_time_are_read(text: str, length_s: float) -> None:
    assert durations.parse(text) == length_s


@pytest.mark.parametrize("text", ["", "m", "5 m", "-5m", "5m1h", "5m5m", "5x", "1e3", "nan", "inf", "1h30", "5M", "٣s"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("length_s", "text"),
    [(0, "0.0s"), (0.44, "0.4s"), (9.96, "10.0s"), (12.4, "12s"), (60, "1m"), (303, "5m 3s"), (5400, "1h 30m"),
     (86400, "1d"), (90061, "1d 1h"), (-3, "0.0s")],
)  # fmt: skip
def test_lengths_of_time_are_shown(length_s: float, text: str) -> None:
    assert durations.show(length_s) == text
