"""Lengths of time as people write them: "5m", "90s", "1h30m", or plain seconds."""

from __future__ import annotations

import re

_UNITS_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse(text: str) -> float:
    """Return the seconds that `text` means. Units fall in size, each once. Raises ValueError."""
    if _SECONDS.fullmatch(text):
        return float(text)
    found = _WRITTEN.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is no length of time: write 5m, 90s, 1h30m or seconds")
    return sum(float(number) * _UNITS_S[unit] for unit, number in found.groupdict().items() if number)


def show(length_s: float) -> str:
    """Return the length in the two largest units that say something: "1h 30m", "5m 3s", "0.4s"."""
    if length_s < 10:
        return f"{max(length_s, 0):.1f}s"
    rest = round(length_s)
    parts: list[tuple[int, str]] = []
    for unit, unit_s in _UNITS_S.items():
        count, rest = divmod(rest, int(unit_s))
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count)
