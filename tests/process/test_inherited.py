"""What a daemon inherits from whoever starts it, and does not let itself be told by."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from daemon_process import RunningDaemon
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
