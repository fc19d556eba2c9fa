"""The daemon's own voice, on standard error: JSON lines for a service manager, text for a person at a terminal."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _StandardError:
    """Writes whole lines to descriptor 2, and never waits for who reads them.

    Who closed it does not want them, and who stopped reading gets what fits: the rest is counted, and told with the
    next line that goes out. The descriptor is not set to O_NONBLOCK: it may be the terminal of other programs, too.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(2, select.POLLOUT)
        self._rest = b""  # of a line that went out in part; no more is kept: a log must not grow in memory
        self._lost = 0

    def msg(self, line: str | bytes) -> None:
        data = line.encode() if isinstance(line, str) else line
        try:
            self._rest = self._unwritten(self._rest)
            if self._rest or not self._poll.poll(0):
                self._lost += 1
                return
            if self._lost:
                self._tell_lost()
            self._rest += data + b"\n"
            self._rest = self._unwritten(self._rest)
        except OSError:
            # Nowhere is left to say so.
            self._rest = b""

    def _unwritten(self, data: bytes) -> bytes:
        """Write what fits now; returns what did not."""
        # Ready for one of PIPE_BUF bytes is all that poll(2) says of a pipe; a longer write may block.
        while data and self._poll.poll(0):
            data = data[os.write(2, data[: select.PIPE_BUF]) :]
        return data

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, 0
        # Through structlog, for the form and the time; as an error, or a level in the settings might leave it out.
        structlog.get_logger("torpord.log").error("lines_lost", count=lost)

    debug = info = warning = error = critical = exception = msg


def _written(line: dict[str, Any], default: Callable[[Any], Any]) -> bytes:
    """Write a line as JSON. What JSON has no words for, such as a number of 65 bits, comes as Python writes it.

    A line about what is wrong with a value carries that value: the log must take any.
    """
    try:
        return orjson.dumps(line, default=default)
    except TypeError:
        return orjson.dumps({name: value if isinstance(value, str) else repr(value) for name, value in line.items()})


_STANDARD_ERROR = _StandardError()  # one for all: it knows what is left of the last line


def configure(level: str, form: str) -> None:
    """Set up structlog; may be called again. `form`: "json", "text", or "auto" for text on a terminal."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer: Any
    if text:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        exceptions: list[Any] = []
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_written, default=str)
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts")
        exceptions = [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _STANDARD_ERROR,
        cache_logger_on_first_use=False,  # a reload may change the level
    )
