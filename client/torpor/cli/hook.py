"""hook: the settings that make an agent run torpor's hook. The hook itself is `torpor.hook`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from torpor import claude_code, wire
from torpor import hook as hooks

if TYPE_CHECKING:
    import argparse

# In seconds; ours ends within one. SessionEnd's hooks have 1.5 s for all of them, unless one says more.
_LIMIT_S = 5


def hook(args: argparse.Namespace) -> int:
    """Print the settings, or be the hook."""
    if args.print_settings:
        print(json.dumps(settings(args.home), indent=2))
        return wire.EX_OK
    return hooks.main([args.harness, *_at_home(args.home)])


def settings(home: str | None) -> dict[str, Any]:
    """Return the block for `~/.claude/settings.json`. `home`: name it in the command, else it is the environment's."""
    line = {"type": "command", "command": _program(), "args": ["hook", claude_code.HARNESS, *_at_home(home)]}
    handler = {**line, "timeout": _LIMIT_S}
    of_tools = {"matcher": "*"}
    return {
        "hooks": {
            event: [{**(of_tools if event in claude_code.OF_TOOLS else {}), "hooks": [handler]}]
            for event in claude_code.EVENTS
        }
    }


def _at_home(home: str | None) -> list[str]:
    return [] if home is None else ["--home", os.path.abspath(home)]


def _program() -> str:
    """Return what starts this program: its name where the search path has it for good, else the path of its file.

    A hook is no shell's child: what a shell knows otherwise (an alias, the folder it stands in, the path of a virtual
    environment that is active there) is not known there.
    """
    ours = os.path.abspath(sys.argv[0])
    if not os.access(ours, os.X_OK):  # it was started as a module
        ours = ""
    found = shutil.which("torpor")
    if sys.prefix != sys.base_prefix:
        return ours or os.path.abspath(found or os.path.join(sys.prefix, "bin", "torpor"))
    return "torpor" if not ours or (found is not None and os.path.samefile(found, ours)) else ours
