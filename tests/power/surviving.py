"""What a disk may hold after the power went: what was synced, and of everything else whatever you like.

The rules, harder than what any journaling file system does:

- The bytes of a file are there once it was synced behind them. Of writes after that each may be there or not, in any
  combination, and of each any of its sectors. A file may have got its new size without its new bytes (zeros).
- A name (made, renamed, removed) is there once its folder was synced behind it; to sync the file is not enough. Names
  that were not synced are there or not: the first few of them, as a journal keeps them, or any of them. A rename is one
  thing: it never leaves both names away.

What is taken for granted: that a sync is one (a disk that lies is beyond what a program can mend), and that a sector is
written or not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from random import Random

from power.recorded import Make, Op, Remove, Rename, Sync, Truncate, Write

Image = Mapping[str, bytes | None]  # by path below the folder: the bytes of a file; None: a folder
_FOLDER = -1  # stands for an inode number


@dataclass(slots=True)
class _File:
    """One file's bytes, whatever its name."""

    synced: bytes = b""
    since: list[Write | Truncate] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Naming:
    """What one call did to names: each path with the file it leads to from then on, or None."""

    names: tuple[tuple[str, int | None], ...]


class Disk:
    """The files of a folder, as processes see them and as the disk has them: feed it operations, ask what may be left.

    `root` is the folder, which was there before. `ignored`: syncs of these paths do nothing, as if they were left out.
    """

    def __init__(self, root: str, ignored: Callable[[str], bool] = lambda _: False) -> None:
        self._root = root
        self._ignored = ignored
        self._files: dict[int, _File] = {}
        self._numbers = itertools.count()
        self._names: dict[str, int] = {}
        self._synced_names: dict[str, int] = {}
        self._since: list[_Naming] = []

    def do(self, op: Op) -> None:
        """Let an operation happen."""
        match op:
            case Make(path, folder):
                if path not in self._names:
                    self._name((path, _FOLDER if folder else self._new()))
            case Rename(path, to):
                self._name((path, None), (to, self._names[path]))
            case Remove(path):
                self._name((path, None))
            case Write(path) | Truncate(path):
                if path in self._names:  # what has no name any more nobody will see
                    self._files[self._names[path]].since.append(op)
            case Sync(path) if not self._ignored(path):
                self._sync(path)
            case _:
                pass

    def _new(self) -> int:
        number = next(self._numbers)
        self._files[number] = _File()
        return number

    def _name(self, *names: tuple[str, int | None]) -> None:
        self._since.append(_Naming(names))
        _lead(self._names, names)

    def _sync(self, path: str) -> None:
        number = self._names.get(path, _FOLDER)
        if number != _FOLDER:
            file = self._files[number]
            file.synced, file.since = _applied(file.synced, file.since), []
            return
        # What was done to the same names before goes with it: nothing of it could be made true later.
        taken: list[_Naming] = []
        left: list[_Naming] = []
        paths: set[str] = set()
        for naming in reversed(self._since):
            its = {name for name, _ in naming.names}
            if paths & its or naming.names[-1][0].rpartition("/")[0] == path:
                paths |= its
                taken.append(naming)
            else:
                left.append(naming)
        for naming in reversed(taken):
            _lead(self._synced_names, naming.names)
        self._since = left[::-1]

    def kept_everything(self) -> Image:
        """Return what is left where the disk had written all of it."""
        return self._image(self._since, lambda file: _applied(file.synced, file.since))

    def kept_what_was_synced(self) -> Image:
        """Return what is left where it had written nothing that it did not have to."""
        return self._image((), lambda file: file.synced)

    def kept_some(self, dice: Random) -> Image:
        """Return what is left where it had written any part of the rest."""
        if dice.random() < 0.5:
            names = self._since[: dice.randint(0, len(self._since))]
        else:
            names = [naming for naming in self._since if dice.random() < 0.5]
        share, sector = dice.choice((0.1, 0.5, 0.9)), dice.choice((512, 4096))
        return self._image(names, lambda file: _torn(file, dice, share, sector))

    def _image(self, names: Iterable[_Naming], read: Callable[[_File], bytes]) -> Image:
        found = dict(self._synced_names)
        for naming in names:
            _lead(found, naming.names)
        bodies = {path: None if number == _FOLDER else read(self._files[number]) for path, number in found.items()}
        return {path: body for path, body in bodies.items() if all(each in bodies for each in self._folders(path))}

    def _folders(self, path: str) -> list[str]:
        """Return the folders above a path that were made here: where one is gone, so is all that was in it."""
        found = []
        while (path := path.rpartition("/")[0]) != self._root:
            found.append(path)
        return found


def _lead(into: dict[str, int], names: Iterable[tuple[str, int | None]]) -> None:
    for path, number in names:
        if number is None:
            into.pop(path, None)
        else:
            into[path] = number


def _applied(body: bytes, done: Iterable[Write | Truncate]) -> bytes:
    new = bytearray(body)
    for op in done:
        match op:
            case Write(_, offset, data):
                new.extend(bytes(max(0, offset - len(new))))
                new[offset : offset + len(data)] = data
            case Truncate(_, size):
                del new[size:]
                new.extend(bytes(size - len(new)))
    return bytes(new)


def _torn(file: _File, dice: Random, share: float, sector: int) -> bytes:
    """Return a file with a share of the writes since its last sync, each with a share of its sectors."""
    kept: list[Write | Truncate] = []
    for op in file.since:
        if dice.random() < share:
            kept += _sectors(op, dice, share, sector) if isinstance(op, Write) and dice.random() < 0.5 else [op]
    body = _applied(file.synced, kept)
    whole = len(_applied(file.synced, file.since))
    grown = whole > len(body) and dice.random() < 0.5
    return body + bytes(whole - len(body)) if grown else body


def _sectors(op: Write, dice: Random, share: float, sector: int) -> Iterator[Write]:
    at, end = op.offset, op.offset + len(op.data)
    while at < end:
        upto = min(end, (at // sector + 1) * sector)
        if dice.random() < share:
            yield Write(op.path, at, op.data[at - op.offset : upto - op.offset])
        at = upto


def lay_out(image: Image, root: str, into: Path) -> None:
    """Make `into` what was left of the folder `root`."""
    into.mkdir(mode=0o700)
    for path, body in sorted(image.items()):
        place = into / PurePath(path).relative_to(root)
        if body is None:
            place.mkdir(mode=0o700)
        else:
            place.write_bytes(body)
            place.chmod(0o600)
