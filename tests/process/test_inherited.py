"""What a daemon inherits from whoever starts it, and does not let itself be told by."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.reading import assert_whole
from process.timers import settings
from waiting import until

# Blocks and ignores what it can, and becomes its arguments.
DEAF = """
import os, signal, sys
ours = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, ours)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_blocked_and_ignored_signals_are_heard_all_the_same(home: Path) -> None:
    hook = "[hooks]\non_drowsy = ['kill -QUIT $$', 'kill -USR1 $$', 'exit 3']"
    launcher = [sys.executable, "-c", DEAF, "-m", "torpord"]
    daemon = RunningDaemon.start(home, settings(hook, min_up="1h"), launcher=launcher)
    with daemon.connect() as client:
        client.call("event", event="force_sleep")
        problems = until(lambda: _problems(client.call("log", kinds=["hook_failed"])), what="the hooks' ends")
    assert [each.split(":")[0] for each in problems] == [
        "exit status -3",
        f"exit status -{int(signal.SIGUSR1)}",
        "exit status 3",
    ]
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait_gone() == 0


def _problems(page: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    found = [record["data"]["problem"] for record in page["records"]]
    return found if len(found) == 3 else []


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams_are_no_matter(closed: str, home: Path) -> None:
    launcher = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-m", "torpord"]
    daemon = RunningDaemon.start(home, settings("[log]\nlevel = 'debug'"), launcher=launcher)
    daemon.call("event", event="request_arrived")
    if sys.platform == "linux":
        for number in {"0", "1", "2"} & set(closed):
            assert os.readlink(f"/proc/{daemon.pid}/fd/{number}") == os.devnull  # noqa: PTH115 - as it stands
    assert daemon.stop() == 0
    assert_whole(home)


def test_with_standard_error_closed_a_refusal_is_still_its_exit_status(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "torpor.toml").write_text("colour = 'blue'")
    launcher = ["sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-m", "torpord"]
    assert RunningDaemon.start(home, launcher=launcher, wait=False).wait_gone() == 78
