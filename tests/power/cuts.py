"""The power goes at each moment of a recording, and what may then be left is looked at."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import memory
from daemon_process import RunningDaemon, end_all
from power.promises import Promises
from power.recorded import Op, Said, record
from power.surviving import Disk, Image, lay_out

_SCENE = Path(__file__).with_name("scene.py")
_FLOWS = Path(__file__).parents[1] / "process" / "flows"


class LostError(AssertionError):
    """What was promised is not there."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was done in a scene; the home was the folder `home` in `root`."""

    root: str
    ops: Sequence[Op]

    @classmethod
    def of_scene(cls, folder: Path, *options: str, events: int, limit_s: float) -> Recording:
        """Play the scene in a new folder, and record it. Raises AssertionError where it does not go as it should."""
        root = folder / "in"
        root.mkdir(parents=True)
        home, marks = root / "home", folder / "marks"
        command = [sys.executable, "-P", str(_SCENE), str(home), str(marks), str(_FLOWS), str(events), *options]
        return cls(str(root), record(command, home, marks, folder / "trace", limit_s))


@dataclass(frozen=True, slots=True)
class Moment:
    """Operation `at` is the last one that was begun. Good until the next moment is asked for."""

    at: int
    disk: Disk
    promises: Promises


def moments(recording: Recording, ignored: Callable[[str], bool] = lambda _: False) -> Iterator[Moment]:
    """Yield the moment behind each operation; `ignored`: with syncs of these paths left out."""
    disk, promises = Disk(recording.root, ignored), Promises()
    for at, op in enumerate(recording.ops):
        disk.do(op)
        if isinstance(op, Said):
            promises.hear(op)
        yield Moment(at, disk, promises)


@dataclass(slots=True)
class Looks:
    """Looks at what may be left, and counts. The same files behind the same promises are looked at once."""

    root: str
    counted: Counter[str] = field(default_factory=Counter)
    _seen: set[bytes] = field(default_factory=set)

    def look(self, moment: Moment, kept: str, image: Image) -> None:
        """Open the store that is left, and look for what was promised. Raises LostError."""
        self.counted[f"left with {kept}"] += 1
        seen = _fingerprint(moment.promises, image)
        if seen not in self._seen:
            self._seen.add(seen)
            self.counted["different ones"] += 1
            self._in_place(moment, kept, image, moment.promises.check)

    def start(self, moment: Moment, kept: str, image: Image) -> None:
        """Start a daemon on what is left: it serves, ends in order, and all is there yet. Raises LostError."""
        self.counted["started on"] += 1
        self._in_place(moment, kept, image, lambda home: _live_on(home, moment.promises))

    def _in_place(self, moment: Moment, kept: str, image: Image, check: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="tp-cut-", dir=memory.folder()) as folder:
            place = Path(folder) / "left"
            lay_out(image, self.root, place)
            try:
                check(place / "home")
            except Exception as error:
                aside = Path(tempfile.mkdtemp(prefix="tp-lost-", dir="/tmp")) / "left"
                lay_out(image, self.root, aside)
                told = f"power cut behind operation {moment.at}, kept was {kept} ({aside})"
                raise LostError(f"{told}: {error!r}") from error


def _live_on(home: Path, promises: Promises) -> None:
    try:
        daemon = RunningDaemon.start(home)
        with daemon.connect() as client:
            for key, told in promises.answered.items():
                method, params = promises.asked[key]
                result = client.call(method, **params)
                assert result.pop("replayed") is True, f"{key} was done again"
                assert result == told
        assert daemon.stop() == 0
        replace(promises, stopped=False).check(home)  # a start takes back that it was told to stay away
    finally:
        end_all(home)


def _fingerprint(promises: Promises, image: Image) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    found.update(repr(promises.size()).encode())
    for path, body in sorted(image.items()):
        found.update(path.encode() + b"\0" + (b"" if body is None else body) + b"\0")
    return found.digest()


def forget(error: LostError) -> None:
    """Throw away what an expected loss has left for the reader."""
    shutil.rmtree(Path(str(error).partition("(")[2].partition(")")[0]).parent, ignore_errors=True)
