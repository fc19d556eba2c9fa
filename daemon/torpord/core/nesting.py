"""How deep objects and lists may lie in each other.

What a run carries is read and written again many times, each time within something else: a greeting, a page, an export.
orjson reads 1,024 levels but writes 254, so without a bound below both there would be a value that is kept and can
never be told to anybody.
"""

from __future__ import annotations

from typing import Any

MAX_NESTING = 128


def is_too_deep(value: Any, text: bytes | str, most: int = MAX_NESTING) -> bool:
    """Whether `value`, whose JSON is `text`, has more than `most` levels."""
    opened: tuple[Any, Any] = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    if text.count(opened[0]) + text.count(opened[1]) <= most:
        return False
    return has_more_levels(value, most)


def too_deep(name: str) -> str:
    """Say that what is under this name is too deep, and what to do."""
    return f"{name} is over {MAX_NESTING} lists and objects deep: write it as text, or leave it in a file"


def has_more_levels(value: Any, most: int = MAX_NESTING) -> bool:
    """Whether `value` has more than `most` levels; also where that is why no JSON can be written of it."""
    level = [value]
    for _ in range(most + 1):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return False
    return True


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
