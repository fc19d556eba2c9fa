"""A store that is opened anew while its disk comes and goes: it can be written, or it is not open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from power import recorded

pytestmark = pytest.mark.skipif(bool(recorded.missing()), reason=recorded.missing())

# The first reopening finds a file that the system does not open to write, and opens to read just after.
PROGRAM = """
import sys
from pathlib import Path
from torpord.store.store import Store, StoreError
store = Store(Path(sys.argv[1]))
try:
    store.reopen()
    print("open", flush=True)
except StoreError as error:
    print(f"refused: {error}", flush=True)
store.reopen()
store.connection.execute("INSERT OR REPLACE INTO world VALUES ('probe', 'written')")
print(*store.connection.execute("SELECT body FROM world WHERE part = 'probe'").fetchone())
"""


def reopened(path: Path, inject: str) -> list[str]:
    """Run the program with some of its calls on a file failing; returns the lines it prints."""
    command = ["strace", "-f", "-P", str(path), "-e", f"inject={inject}:error=EIO:when=2", "-o", os.devnull]
    store = str(path).removesuffix("-wal")
    ran = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM, store], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize("name", ["torpor.db", "torpor.db-wal"])
def test_what_opens_to_read_only_is_refused(tmp_path: Path, name: str) -> None:
    first, second = reopened(tmp_path / name, "openat")
    assert first.startswith(f"refused: {tmp_path / 'torpor.db'}")
    assert second == "written"
