"""What processes did to the files of a folder, in the order in which they did it: recorded by strace, read back here.

strace stops a process at each call and lets it go on when it has written it down. So whatever a process did because a
call had come back stands behind that call, across threads and processes: a reply behind the sync that it waited for.
Recorded is what the kernel was asked, not what a library meant to ask; and it takes neither LD_PRELOAD nor FUSE.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# All that changes a file or a name, all that syncs, and what is said on sockets.
_CHANGES = (
    "open,openat,creat,write,pwrite64,ftruncate,truncate,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat"
)
_SYNCS = "fsync,fdatasync"
_SAYS = "sendto,sendmsg"
# None of these is used on a file of a home; the day one is, the recording fails instead of missing it.
_OTHERS = "writev,pwritev,pwritev2,link,linkat,fallocate,copy_file_range,sync_file_range,syncfs,splice"
_LONGEST = 1 << 21  # bytes of one write that are recorded; a line of the wire has at most half of that


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were written into a file."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file was given a size."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Make:
    """A file (or a folder) that may have been there is there now."""

    path: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    """A file has another name."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Remove:
    """A name is gone."""

    path: str


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was done to a file, or to the names in a folder, before this began has come back as synced."""

    path: str


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes were sent on a socket, or written to the file of marks. Who got them knows from here on."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Other:
    """Something was done to a file that is not followed here."""

    path: str
    call: str


Op = Write | Truncate | Make | Rename | Remove | Sync | Said | Other


def missing() -> str:
    """Return why nothing can be recorded here; "" where it can."""
    if shutil.which("strace") is None:
        return "strace is not here: it records the writes (apt-get install strace)"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else ""


def record(command: Sequence[str], home: Path, marks: Path, into: Path, limit_s: float) -> list[Op]:
    """Run a command; return what it and its children did to `home`, and what they said on sockets or in `marks`.

    `into` takes strace's own words. Raises AssertionError where the command fails.
    """
    strace = ["strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", str(_LONGEST), "-e", "quiet=all", "-e", "signal=none"]
    traced = f"trace={_CHANGES},{_SYNCS},{_SAYS},{_OTHERS}"
    done = subprocess.run(
        [*strace, "-e", traced, "-o", str(into), "--", *command],
        capture_output=True, text=True, check=False, timeout=limit_s,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    with into.open() as lines:
        return list(_ops(_calls(lines), home, marks))


@dataclass(slots=True)
class _Call:
    name: str
    args: str
    result: str
    begun: int  # by the lines of the trace
    ended: int


_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>(?P<rest>.*)|(?P<name>\w+)\((?P<args>.*))$")
_END = re.compile(r"^(?P<args>.*)\) += (?P<result>.*)$")


def _calls(lines: Iterator[str] | Sequence[str]) -> list[_Call]:
    """Join the calls of which strace wrote begin and end apart. What never came back is not there."""
    calls: list[_Call] = []
    begun: dict[str, tuple[str, str, int]] = {}
    for number, line in enumerate(lines):
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue  # the end of a process
        pid, name = found[1], found["resumed"] or found["name"]
        if found["resumed"]:
            if pid not in begun:
                continue
            _, args, first = begun.pop(pid)
            text = args + found["rest"]
        else:
            text, first = found["args"], number
        if text.endswith("<unfinished ...>"):
            begun[pid] = (name, text.removesuffix("<unfinished ...>").rstrip(), first)
            continue
        end = _END.match(text)
        assert end is not None, f"strace wrote what is not understood: {line[:300]}"
        calls.append(_Call(name, end["args"], end["result"], first, number))
    # What changes something may do so as soon as it is begun; a sync has done its work when it is back.
    return sorted(calls, key=lambda call: call.ended if call.name in _SYNCS.split(",") else call.begun)


_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})*)>")


def _plain(hexed: str) -> bytes:
    return bytes.fromhex(hexed.replace("\\x", ""))


def _texts(call: _Call) -> list[bytes]:
    found = _TEXT.findall(call.args)
    assert not any(cut for _, cut in found), f"a {call.name} of more than {_LONGEST} bytes"
    return [_plain(hexed) for hexed, _ in found]


def _of_descriptor(call: _Call) -> str:
    found = _DESCRIPTOR.match(call.args)
    return os.fsdecode(_plain(found[1])) if found else ""


def _ops(calls: Sequence[_Call], home: Path, marks: Path) -> Iterator[Op]:
    ends: dict[str, int] = {}  # where the next write(2) of a file that is written from its begin goes
    for call in calls:
        if call.result.startswith(("-1", "?")):
            continue
        for op in _of_one(call, marks, ends):
            if not isinstance(op, Said) and not _concerns(op.path, home):
                continue
            assert not isinstance(op, Other), op
            yield op


def _concerns(path: str, home: Path) -> bool:
    return path in (str(home), str(home.parent)) or path.startswith(f"{home}/")


def _of_one(call: _Call, marks: Path, ends: dict[str, int]) -> Iterator[Op]:
    count = int(call.result.partition("<")[0].split()[0])
    match call.name:
        case "open" | "openat" | "creat":
            path = os.fsdecode(_texts(call)[-1])
            if "O_CREAT" in call.args or call.name == "creat":
                yield Make(path)
            if "O_RDONLY" not in call.args:
                ends[path] = 0
            if "O_APPEND" in call.args:
                yield Other(path, "open to append")
            if "O_TRUNC" in call.args or call.name == "creat":
                yield Truncate(path, 0)
        case "mkdir" | "mkdirat":
            yield Make(os.fsdecode(_texts(call)[-1]), folder=True)
        case "rename" | "renameat" | "renameat2":
            old, new = (os.fsdecode(text) for text in _texts(call)[-2:])
            ends[new] = ends.pop(old, 0)
            yield Rename(old, new)
        case "unlink" | "unlinkat" | "rmdir":
            path = os.fsdecode(_texts(call)[-1])
            ends.pop(path, None)
            yield Remove(path)
        case "fsync" | "fdatasync":
            yield Sync(_of_descriptor(call))
        case "ftruncate":
            yield Truncate(_of_descriptor(call), int(call.args.rpartition(",")[2]))
        case "truncate":
            yield Truncate(os.fsdecode(_texts(call)[0]), int(call.args.rpartition(",")[2]))
        case "pwrite64":
            yield Write(_of_descriptor(call), int(call.args.rpartition(",")[2]), _texts(call)[0][:count])
        case "write" | "sendto" | "sendmsg":
            path, data = _of_descriptor(call), b"".join(_texts(call))[:count]
            if path == str(marks) or call.name != "write":
                yield Said(data)
            else:
                yield Write(path, ends.get(path, 0), data)
                ends[path] = ends.get(path, 0) + len(data)
        case _:
            yield Other(_of_descriptor(call) or os.fsdecode(_texts(call)[-1]), call.name)
