"""What keeps a daemon from starting, told in one line to whoever tried."""

from __future__ import annotations


class SetupError(Exception):
    """The machine or its owner must mend something before a daemon can run here.

    The message is one line: what was found, where, and the mend. `exit_code` is the process's exit status, from
    sysexits(3): 65 unreadable data, 75 in use by another, 77 not permitted, 78 settings, home or hand-over wrong.
    """

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
