"""A branch's data: the values a state works on, and the JSON of each as it was at the last checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torpord.flows import strict
from torpord.flows.errors import StepError


@dataclass(frozen=True, slots=True)
class Patch:
    """What differs between two checkpoints, by top-level key: the JSON of what was set, and what was removed."""

    set: Mapping[str, bytes] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


NOTHING = Patch()


class Data:
    """Finds what a step changed by comparing the JSON of each key: a state may change values in place, however deep."""

    __slots__ = ("checkpoint", "live")

    def __init__(self, checkpoint: dict[str, bytes]) -> None:
        self.checkpoint = checkpoint
        self.live: dict[str, Any] = {}
        self.restore()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Data:
        """Begin with these values. Raises StepError."""
        return cls({key: strict.dump(value, _name(key)) for key, value in values.items()})

    def restore(self) -> None:
        """Throw away what was done since the checkpoint. The values are new objects: an old attempt may hold others."""
        self.live = {key: strict.loads(raw) for key, raw in self.checkpoint.items()}

    def fork(self) -> Data:
        """Return a copy of the checkpoint, for a branch."""
        return Data(dict(self.checkpoint))

    def keep(self, live: Any) -> Patch:
        """Make `live` the checkpoint and return what changed. Raises StepError, and then nothing has changed.

        What changed comes back as its JSON reads (a tuple as a list), so that a resumed run sees nothing else.
        """
        if not isinstance(live, dict):
            raise StepError(f"run.data is {_shown(live)}: it must stay an object with text for keys")
        if not live and not self.checkpoint:
            self.live = live
            return NOTHING
        dumped = {key: strict.dump(value, _name(key)) for key, value in live.items()}
        before = self.checkpoint
        changed = {key: raw for key, raw in dumped.items() if before.get(key) != raw}
        removed = tuple(key for key in before if key not in dumped)
        if changed:
            _check_size(dumped)
        for key, raw in changed.items():
            live[key] = strict.loads(raw)
        self.checkpoint = dumped
        self.live = live
        return Patch(changed, removed)

    def apply(self, patch: Patch) -> None:
        """Change checkpoint and values by a patch. Raises StepError, and then nothing has changed."""
        after = {key: raw for key, raw in self.checkpoint.items() if key not in patch.removed} | dict(patch.set)
        _check_size(after)
        self.checkpoint = after
        self.restore()

    def since(self, base: Mapping[str, bytes]) -> Patch:
        """Return what makes `base` into this checkpoint."""
        changed = {key: raw for key, raw in self.checkpoint.items() if base.get(key) != raw}
        return Patch(changed, tuple(key for key in base if key not in self.checkpoint))


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two branches left the same key with different values."""

    key: str
    branches: tuple[str, str]


def merge(patches: Iterable[tuple[str, Patch]]) -> Patch | Conflict:
    """Put the patches of branches together. The same change made by two is one change."""
    merged: dict[str, bytes | None] = {}
    by: dict[str, str] = {}
    for branch, patch in patches:
        changes: dict[str, bytes | None] = {**patch.set, **dict.fromkeys(patch.removed)}
        for key, raw in changes.items():
            if key in by and not _same(merged[key], raw):
                return Conflict(key, (by[key], branch))
            merged[key] = raw
            by.setdefault(key, branch)
    put = {key: raw for key, raw in merged.items() if raw is not None}
    return Patch(put, tuple(key for key, raw in merged.items() if raw is None))


def _same(one: bytes | None, other: bytes | None) -> bool:
    if one == other or one is None or other is None:
        return one == other
    # The order of an object's keys is no difference; 1 and 1.0 are one, which `==` on values would not see.
    return strict.dump(strict.loads(one), "", canonical=True) == strict.dump(strict.loads(other), "", canonical=True)


def _name(key: Any) -> str:
    if not isinstance(key, str):
        raise StepError(f"run.data has {_shown(key)} for a key: keys are text")
    return f"run.data[{key!r}]"


def _check_size(dumped: Mapping[str, bytes]) -> None:
    sizes = {key: len(strict.dump(key, f"the key {key!r}")) + len(raw) + 2 for key, raw in dumped.items()}
    total = sum(sizes.values()) + 2
    largest = max(sizes, key=sizes.__getitem__, default="")
    strict.check_size(total, f"run.data (most of it in {largest!r}, {sizes.get(largest, 0)} bytes)")


def _shown(value: Any) -> str:
    return f"{value!r:.100} ({type(value).__name__})"
