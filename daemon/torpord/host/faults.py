"""What keeps a daemon from starting, told in one line to whoever tried."""

from __future__ import annotations

import errno

# What a file system says that takes no change now and may take it later: mounted read-only, full, over a quota.
UNWRITABLE = frozenset((errno.EROFS, errno.ENOSPC, errno.EDQUOT))
# What says nothing about a file: the disk fails, or the machine is short of something. It may pass.
MACHINE = frozenset((errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM))
# What it says of a path that leads nowhere. Any other error is the disk's, or a matter of rights, and tells nothing.
NOT_THERE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))


class SetupError(Exception):
    """The machine or its owner must mend something before a daemon can run here.

    The message is one line: what was found, where, and the mend. `exit_code` is the process's exit status, from
    sysexits(3): 65 unreadable data, 75 in use by another, or no room for now, 77 not permitted, 78 settings, home or
    hand-over wrong.
    """

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
