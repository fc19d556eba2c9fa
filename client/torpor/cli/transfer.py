"""runs export, runs import: whole runs as documents, from one home to another."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from torpor import home as homes
from torpor import wire
from torpor.cli import run_names, runs, show
from torpor.cli.parsing import UsageError
from torpor.client import Client

if TYPE_CHECKING:
    import argparse

_OWNERS_ONLY = 0o600


def export(args: argparse.Namespace) -> int:
    """Write a run's document to a file or to standard output."""
    with Client(args.home, timeout=args.timeout) as client:
        run_id, document = run_names.ask_of(client, args.run, lambda run_id: (run_id, client.run_export(run_id)))
    if args.file in (None, "-"):
        show.print_json(document)
        return wire.EX_OK
    _write(args.file, document)
    show.say(args, f"{run_id}: written to {args.file}", {"run_id": run_id, "file": args.file})
    return wire.EX_OK


def import_(args: argparse.Namespace) -> int:
    """Make a run of a document."""
    document = runs.json_object(runs.read_text(args.file), "standard input" if args.file == "-" else args.file)
    with Client(args.home, timeout=args.timeout) as client:
        taken = client.run_import(document)
    resume = homes.command(f"torpor runs resume {taken['run_id']}", client.home)
    then = f": `{resume}` lets it go on" if taken["status"] == "paused" else ""
    show.say(args, f"{taken['run_id']}: {taken['status']}{then}", taken)
    return wire.EX_OK


def _write(path: str, document: dict[str, Any]) -> None:
    """Write the whole file or none: a half one would look like a run. Only its owner may read it. Raises UsageError."""
    draft = f"{path}.part"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _OWNERS_ONLY)
        with open(fd, "w", encoding="utf-8") as file:
            os.fchmod(fd, _OWNERS_ONLY)  # a draft that was left by another export keeps its mode
            json.dump(document, file, ensure_ascii=False)
            file.write("\n")
        os.replace(draft, path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        with contextlib.suppress(OSError, ValueError):  # it may never have been made
            os.unlink(draft)
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot write {path}: {problem}", wire.EX_IOERR) from error
