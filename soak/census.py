"""What a daemon holds of its machine, counted from outside: to be the same when the same is at rest again."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Census:
    """A daemon and its home at one moment. Needs /proc: Linux alone."""

    rss_bytes: int
    anonymous_bytes: int  # of them those that are no file's: the heap, and what SQLite keeps
    threads: int
    descriptors: dict[str, int]  # by kind
    children: tuple[str, ...]
    files: tuple[str, ...]
    store_bytes: int

    def held(self) -> dict[str, object]:
        """Return all that must not differ between two rests."""
        return {
            "threads": self.threads,
            "descriptors": self.descriptors,
            "children": self.children,
            "files": self.files,
        }


def take(pid: int, home: Path) -> Census:
    """Look at a living daemon and its home."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Census(
        rss_bytes=_kilobytes(status["VmRSS"]),
        anonymous_bytes=_kilobytes(status["RssAnon"]),
        threads=int(status["Threads"]),
        descriptors=_descriptors(pid),
        children=tuple(sorted(_what(child) for child in psutil.Process(pid).children(recursive=True))),
        files=tuple(sorted(str(path.relative_to(home)) for path in home.rglob("*"))),
        store_bytes=sum(path.stat().st_size for path in home.glob("torpor.db*")),
    )


def _kilobytes(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) * 1024


def _descriptors(pid: int) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed between the two looks
            target = os.readlink(entry)  # noqa: PTH115 - "socket:[17]" is no path
            kinds[target.partition("[")[0] if ":[" in target else Path(target).name] += 1
    return dict(sorted(kinds.items()))


def _what(child: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return f"{child.name()} ({child.status()})"
    return "gone"


def children(pid: int) -> int:
    """Return how many processes a daemon has below it."""
    return len(psutil.Process(pid).children(recursive=True))
