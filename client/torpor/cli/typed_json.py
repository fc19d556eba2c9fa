"""JSON that is typed as an option, or kept in a file that an option names."""

from __future__ import annotations

import json
from typing import Any

from torpor import wire
from torpor.cli.parsing import UsageError


def read(written: str, option: str) -> Any:
    """Return the JSON that an option means: itself, or what is in @FILE. Raises UsageError."""
    from torpor.cli import runs  # noqa: PLC0415 - reading files, only where there is one

    text, source = (runs.read_text(written[1:]), written[1:]) if written.startswith("@") else (written, option)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # the latter where it nests deeper than Python counts
        raise UsageError(f"what is in {source} is no JSON: {error}", wire.EX_DATAERR) from error
