"""What keeps a service from being installed or taken away, with the exit status that tells a script."""

from __future__ import annotations

from torpor.errors import Error


class Wrong(Error):  # noqa: N818 - as its family
    """One line: whose fault, what was found, what to do next. `status` is one of sysexits(3)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
