"""Settings for tests: nothing happens by itself within a test, unless the test says so."""

from __future__ import annotations

from daemon_process import RunningDaemon


def settings(more: str = "", **lifecycle: str) -> str:
    """Return a torpor.toml: long idle times, no least time up, but for what is given."""
    timers = {"drowsy_after": "1h", "sleep_after": "1h", "hibernate_grace": "1h", "min_up": "0s", **lifecycle}
    lines = [
        f"{name} = {value}" if value in ("true", "false") else f'{name} = "{value}"' for name, value in timers.items()
    ]
    return "\n".join(["[lifecycle]", *lines, more, ""])


def resettle(daemon: RunningDaemon, text: str) -> None:
    """Give other settings to a daemon that is up.

    One that has short times from its start may go down by itself before a test on a busy machine has said a word.
    """
    (daemon.home / "torpor.toml").write_text(text)
    daemon.call("reload")
