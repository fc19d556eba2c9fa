"""From a command line to a command's function: argparse, fed from the table, with torpor's exit statuses."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from torpor import __version__, wire
from torpor.cli import table
from torpor.cli.table import HOME, TIMEOUT, Argument, Command, arguments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# env(1) and its kin: what fails before the other command runs must not look like the other command's own status.
EX_NOT_RUN = 125


class UsageError(Exception):
    """A command line that means nothing: one line about it, and the exit status."""

    def __init__(self, message: str, status: int = wire.EX_USAGE) -> None:
        super().__init__(message)
        self.status = status


class _Parser(argparse.ArgumentParser):
    hint: Callable[[str], str] | None = None

    def error(self, message: str) -> NoReturn:
        hint = self.hint(message) if self.hint is not None else ""
        raise UsageError(f"{message}{hint}: see `{self.prog} --help`")


def run(argv: list[str]) -> int:
    """Find the command in `argv`, read its arguments and run it. Raises UsageError, and what the command raises."""
    ahead, rest = _ahead(argv)
    if not rest:
        raise UsageError("which command? see `torpor --help`")
    if rest[0] in ("-h", "--help"):
        print(_overview())
        return wire.EX_OK
    if rest[0] in ("-V", "--version"):
        print(f"torpor {__version__}")
        return wire.EX_OK
    command, more = _found(rest)
    if command is None:
        print(_group_overview(rest[0]))
        return wire.EX_OK
    try:
        args = parse(command, ahead + more)
    except UsageError as error:
        raise UsageError(str(error), EX_NOT_RUN if command.runs else error.status) from None
    except SystemExit as end:  # --help was asked for, and printed
        return int(end.code or 0)
    module, function = command.function.split(":")
    work: Callable[[argparse.Namespace], int] = getattr(import_module(f"torpor.cli.{module}"), function)
    return work(args)


def _found(words: list[str]) -> tuple[Command | None, list[str]]:
    """Return the command that `words` begin with, and the rest of them. None: a group's help is wanted.

    Raises UsageError.
    """
    first, rest = words[0], words[1:]
    if first not in table.GROUPS:
        command = table.find([first])
        if command is None:
            near = _nearest(first, [*(row.name for row in table.singles()), *table.GROUPS], "torpor ")
            raise UsageError(f"there is no command {first!r}{near}: see `torpor --help`")
        return command, rest
    ahead, rest = _ahead(rest)
    if rest and rest[0] in ("-h", "--help"):
        return None, []
    if not rest or rest[0].startswith("-"):
        return table.members(first)[0], ahead + rest
    command = table.find([first, rest[0]])
    if command is None:
        near = _nearest(rest[0], [row.name.split()[1] for row in table.members(first)], f"torpor {first} ")
        raise UsageError(f"there is no command {f'{first} {rest[0]}'!r}{near}: see `torpor {first} --help`")
    return command, ahead + rest[1:]


def _nearest(word: str, names: Iterable[str], ahead: str = "") -> str:
    """Return a question whether the name was meant that is most like `word`; "" where none is."""
    import difflib  # noqa: PLC0415 - where something was mistyped

    near = difflib.get_close_matches(word, names, 1)
    return f" (`{ahead}{near[0]}`?)" if near else ""


def parse(command: Command, argv: list[str]) -> argparse.Namespace:
    """Return the arguments of `command`; what it is to run, if it runs something, as `command`."""
    parser = _Parser(prog=f"torpor {command.name}", description=command.help, allow_abbrev=False)
    for argument in arguments_of(command):
        parser.add_argument(*argument.names, **_settings(argument))
    if not command.runs:
        parser.hint = lambda message: _hint(message, command, argv)
        return parser.parse_args(argv)
    positions = "".join(f" {each.metavar}" for each in command.arguments if not each.names[0].startswith("-"))
    parser.usage = f"torpor {command.name} [options]{positions} -- CMD..."
    own, other = _split(argv)
    args = parser.parse_args(own)
    if not other:
        parser.error("which command is to run? write it after `--`")
    args.command = other
    return args


def _hint(message: str, command: Command, argv: Sequence[str]) -> str:
    """Return what may be done about an option that is none: it is written otherwise, or the name of something."""
    named = [each.metavar for each in command.arguments if not each.names[0].startswith("-")]
    options = {name for argument in arguments_of(command) for name in argument.names} | {"-h", "--help"}
    dashed = [word for word in (each.partition("=")[0] for each in argv) if word.startswith("-")]
    unknown = next((word for word in dashed if word not in options), None)
    if unknown is None or "--" in argv:
        return ""
    if named and "required" in message:
        return f"; where {unknown!r} is the {named[0]}, write `--` before it"
    return _nearest(unknown, options)


def _settings(argument: Argument) -> dict[str, Any]:
    settings: dict[str, Any] = {"help": argument.help}
    if argument.reads is None:
        return settings | {"action": "store_true"}
    settings |= {"type": argument.reads, "metavar": argument.metavar}
    if argument.choices:
        settings["choices"] = argument.choices
    if argument.names[0].startswith("-"):
        settings["default"] = argument.default
    elif argument.optional:
        settings["nargs"] = "?"
    if argument.repeats:
        settings["action"] = "append"
    return settings


def _ahead(argv: list[str]) -> tuple[list[str], list[str]]:
    """Cut off the shared options that stand before the command: `torpor --home DIR status` is understood, too."""
    position = 0
    shared = (*HOME.names, *TIMEOUT.names)
    while position < len(argv) and argv[position].split("=")[0] in shared:
        position += 1 if "=" in argv[position] else 2
    return argv[:position], argv[position:]


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part the own options of a command that runs another from the other's line, which begins after `--`."""
    if "--" in argv:
        cut = argv.index("--")
        return argv[:cut], argv[cut + 1 :]
    if set(argv) & {"-h", "--help"}:
        return argv, []
    raise UsageError("write the command that is to run after `--`")


def _overview() -> str:
    rows = {row.name: row.help for row in table.singles()} | {
        f"{name} ...": text for name, text in table.GROUPS.items()
    }
    return (
        "usage: torpor COMMAND [--home DIR] [--timeout T] [--json] ...\n\n"
        "Talk to torpord, the daemon that knows when nobody needs it.\n\n"
        f"{_listed(rows)}\n\n"
        "Lengths of time are 5m, 90s, 1h30m or seconds. `torpor COMMAND --help` says more.\n"
        "Exit status: 0, 1 a run that failed or was cancelled, or a finding of doctor, 3 down, 64 usage, 65 bad data,"
        "\n69 not reachable, 74 nowhere to print, 75 try again, 77 not permitted, 78 bad settings."
    )


def _group_overview(group: str) -> str:
    rows = {row.name: row.help for row in table.members(group)}
    return (
        f"usage: torpor {group} [COMMAND] ...\n\n{table.GROUPS[group].capitalize()}.\n\n{_listed(rows)}\n\n"
        f"`torpor {group}` alone is `torpor {table.members(group)[0].name}`. `torpor {group} COMMAND --help` says more."
    )


def _listed(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"  {name:{width}}  {text}" for name, text in rows.items())
