"""Whether the settings could be read now. Only looked at: those in force stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torpord.host.faults import SetupError
from torpord.shell.start_up import read_settings

if TYPE_CHECKING:
    from torpord.shell.start_up import Options


def look(options: Options) -> dict[str, Any]:
    """Return `{file, problem}`. `problem` is None where the next start could read them."""
    try:
        read_settings(options)
    except SetupError as error:
        return {"file": str(options.settings), "problem": str(error)}
    return {"file": str(options.settings), "problem": None}
