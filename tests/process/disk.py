"""A disk that is full when a test says so, and a daemon's use of the processor."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """The home lies on it."""

    home: Path

    def fill(self, *, but_bytes: int = 0) -> None:
        """Leave no page free, but for so many bytes."""
        fd = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while True:
                os.write(fd, bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            os.ftruncate(fd, max(0, os.fstat(fd).st_size - but_bytes))
        finally:
            os.close(fd)

    def free(self) -> None:
        """Give all of it back."""
        self._ballast.unlink()

    @property
    def free_bytes(self) -> int:
        """How much room there is."""
        found = os.statvfs(self.home)
        return found.f_bfree * found.f_frsize

    @property
    def _ballast(self) -> Path:
        return self.home / "ballast"


def cpu_s(pid: int) -> float:
    """Return how long a process has used a processor, without asking it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
