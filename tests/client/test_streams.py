"""Standard streams that are closed or full: the commands end as they say, in one line at most."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import torpor
from client.fake_daemon import FakeDaemon, write_state

full = pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="there is no /dev/full here")


def _run(home: pathlib.Path, line: str, streams: str, *, unbuffered: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell, which closes a descriptor for us."""
    environ = {**os.environ, "TORPOR_HOME": str(home), "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1])}
    environ.pop("PYTHONUNBUFFERED", None)
    if unbuffered:
        environ["PYTHONUNBUFFERED"] = "1"
    command = f"exec '{sys.executable}' -m torpor {line} {streams}"
    return subprocess.run(["/bin/sh", "-c", command], env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("streams", [">&-", "<&- >&-", pytest.param(">/dev/full", marks=full)])
@pytest.mark.parametrize("line", ["status", "status --json", "why", "--help", "completion bash"])
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_an_answer_that_cannot_be_written_is_one_line_and_74(
    home: pathlib.Path, line: str, streams: str, unbuffered: bool
) -> None:
    with FakeDaemon(home):
        done = _run(home, line, streams, unbuffered=unbuffered)
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr.startswith("torpor: standard output does not take the answer")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_that_is_held_ends_with_its_own_status(home: pathlib.Path, streams: str) -> None:
    with FakeDaemon(home):
        assert _run(home, "hold -- sh -c 'exit 3'", streams).returncode == 3
        shows = "hold -- sh -c 'for fd in 0 1 2; do test -e /dev/fd/$fd && exit 9; done; exit 0'"
        assert _run(home, shows, "<&- >&- 2>&-").returncode == 0  # closed for us is closed for it


@pytest.mark.parametrize("streams", [">&-", pytest.param(">/dev/full", marks=full)])
def test_an_event_that_was_left_is_safe_whoever_reads_of_it(home: pathlib.Path, streams: str) -> None:
    write_state(home, reason="stop")
    done = _run(home, "send wake_signal", streams)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((home / "wake.d").iterdir())) == 1


@pytest.mark.parametrize(("line", "status"), [("status", 3), ("why", 3), ("nonsense", 64)])
@pytest.mark.parametrize("streams", ["2>&-", pytest.param("2>/dev/full", marks=full)])
def test_without_standard_error_the_status_has_to_do(home: pathlib.Path, line: str, status: int, streams: str) -> None:
    done = _run(home, line, streams)
    assert done.returncode == status
    assert "torpor: " not in done.stdout
