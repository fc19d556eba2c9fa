"""`torpord`: the daemon in the foreground, a check of what it would start with, and the flows it could run."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import signal
import sys
from pathlib import Path

import torpor
from torpor import wire
from torpor.home import home_dir, socket_path
from torpord import config
from torpord.host import without_tls
from torpord.host.faults import SetupError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status (sysexits(3))."""
    _open_closed_streams()
    options = _parser().parse_args(arguments)
    try:
        return int(options.act(options))
    except SetupError as error:
        print(f"torpord: {error}", file=sys.stderr)
        return error.exit_code


def _open_closed_streams() -> None:
    """Open /dev/null where a standard stream is closed: the next file opened, the store even, would take its number."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets `fd`: all below are open, and the lowest free number is taken
            os.set_inheritable(fd, True)  # noqa: FBT003 - it takes no name
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


class _Help(argparse.HelpFormatter):
    """Help of one width: to ask the terminal for its own loads shutil, 400 KB that the daemon would keep for life."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


class _Parser(argparse.ArgumentParser):
    def _get_formatter(self) -> argparse.HelpFormatter:
        return _Help(prog=self.prog)

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(wire.EX_USAGE, f"torpord: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="torpord", description="The torpor daemon.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"torpord {torpor.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run in the foreground, logging to standard error", allow_abbrev=False)
    _common(run)
    run.add_argument("--new-store", action="store_true", help="put an unreadable store aside and begin a new one")
    run.add_argument("--safe", action="store_true", help="serve safe mode: nothing but what helps to mend")
    run.add_argument("--spawned", action="store_true", help=argparse.SUPPRESS)  # said by the client that starts it
    run.set_defaults(act=_run)
    check = commands.add_parser("check", help="check the home and the settings, and change nothing", allow_abbrev=False)
    _common(check)
    check.set_defaults(act=_check)
    flows = commands.add_parser("flows", help="list the flows of the settings, or show one", allow_abbrev=False)
    _common(flows)
    flows.add_argument("name", nargs="?", metavar="NAME", help="the flow to show")
    form = flows.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--graph", action="store_true", help="draw the flow as a Mermaid diagram")
    flows.set_defaults(act=_flows)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--home", metavar="DIR", type=_path, help="the home (default: TORPOR_HOME, else the platform's place)"
    )
    parser.add_argument("--config", metavar="FILE", type=_path, help="the settings (default: torpor.toml in the home)")


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty: name a path, or leave the option out")
    return text


def _places(options: argparse.Namespace) -> tuple[Path, Path]:
    home = Path(home_dir(options.home))
    return home, Path(options.config).absolute() if options.config else home / wire.SETTINGS_NAME


def _run(options: argparse.Namespace) -> int:
    _forget_inherited_signals()
    home, path = _places(options)
    without_tls.import_asyncio()
    from torpord import log  # noqa: PLC0415 - `check` and `--help` do without it

    log.configure("info", "auto")  # until the settings are read
    # The service manager ends a daemon that hangs with SIGABRT: then the log shows where.
    faulthandler.enable()
    import anyio  # noqa: PLC0415 - likewise

    from torpord.app import AGAIN, Options, become_again, run  # noqa: PLC0415 - likewise

    started = Options(
        home,
        path,
        settings_named=options.config is not None,
        spawned=options.spawned,
        new_store=options.new_store,
        safe=options.safe,
    )
    if anyio.run(run, started) == AGAIN:
        become_again()
    gc.freeze()  # else the interpreter's end looks through all there is, which takes as long as a tenth of a start
    return wire.EX_OK


def _forget_inherited_signals() -> None:
    """Hear what can be heard, whatever the program that started us had blocked or ignored: both pass through exec(2).

    A blocked SIGTERM would make a daemon that cannot be stopped, an ignored SIGCHLD one that never learns how a hook
    ended; and hooks inherit both.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Python itself ignores these two, and tells of them as errors.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _check(options: argparse.Namespace) -> int:
    from torpor.errors import Error  # noqa: PLC0415 - rare
    from torpord.host.home import inspect  # noqa: PLC0415 - rare

    home, path = _places(options)
    try:
        socket = socket_path(str(home))
    except Error as error:
        raise SetupError(wire.EX_CONFIG, str(error)) from error
    made = "good" if inspect(home) else "not there yet, the first start makes it"
    settings = config.load(path, required=options.config is not None)
    from torpord.flows import catalog  # noqa: PLC0415 - rare

    bad = [line["error"] for line in catalog.listed(settings.flows) if line["error"]]
    if bad:
        raise SetupError(wire.EX_DATAERR, "\n".join(bad))
    there = "good" if path.exists() else "not there: the defaults"
    print(f"home {home}: {made}\nsettings {path}: {there}\nsocket {socket}\nflows {', '.join(settings.flows)}: good")
    return wire.EX_OK


def _flows(options: argparse.Namespace) -> int:
    import json  # noqa: PLC0415 - rare

    from torpord.flows import catalog, errors, graph  # noqa: PLC0415 - rare

    _, path = _places(options)
    specs = config.load(path, required=options.config is not None).flows
    if options.name is None:
        if options.graph:
            raise SetupError(wire.EX_USAGE, "--graph draws one flow: name it")
        lines = catalog.listed(specs)
        print(json.dumps({"flows": lines}) if options.json else catalog.list_text(lines))
        return wire.EX_OK
    if options.name not in specs:
        known = ", ".join(specs)
        raise SetupError(wire.EX_USAGE, f"the settings {path} have no flow {options.name!r}; they have {known}")
    spec = specs[options.name]
    try:
        flow = catalog.opened(spec)
    except errors.FlowError as error:
        if options.json:
            print(json.dumps(catalog.broken(spec, str(error))))
        raise SetupError(wire.EX_DATAERR, str(error)) from error
    if options.graph:
        print(graph.mermaid(flow))
    else:
        print(json.dumps(catalog.shown(spec, flow)) if options.json else catalog.page_text(flow, spec))
    return wire.EX_OK
