"""The daemon's own voice, on standard error: JSON lines for a service manager, text for a person at a terminal."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import orjson
import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _StandardError:
    """Writes whole lines to descriptor 2. Who closed it does not want them, and the daemon lives on."""

    def msg(self, line: str | bytes) -> None:
        data = line.encode() if isinstance(line, str) else line
        try:
            os.write(2, data + b"\n")
        except OSError:
            # Nowhere is left to say so. Not buffered and tried again: a log must not grow in memory.
            return

    debug = info = warning = error = critical = exception = msg


def configure(level: str, form: str) -> None:
    """Set up structlog; may be called again. `form`: "json", "text", or "auto" for text on a terminal."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer: Any
    if text:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        exceptions: list[Any] = []
    else:
        renderer = structlog.processors.JSONRenderer(serializer=orjson.dumps, default=str)
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts")
        exceptions = [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _StandardError(),
        cache_logger_on_first_use=False,  # a reload may change the level
    )
