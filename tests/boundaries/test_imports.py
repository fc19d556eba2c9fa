"""The arrows between the rooms of the daemon, each with the reason for it, read from the imports themselves.

The rooms point to `core`, the daemon to the client's wire contract, and nothing to `app`. A room is a folder of
`daemon/torpord` or a module that stands alone beside the folders. What a row does not allow is banned, for the row's
reason, and a room without a row is banned altogether: whoever builds one says first where it stands.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAEMON = ROOT / "daemon" / "torpord"
CLIENT = ROOT / "client" / "torpor"


@dataclass(frozen=True, slots=True)
class Room:
    """What a room may import of the others, and why nothing else."""

    may: frozenset[str]
    because: str


def room(may: str, because: str) -> Room:
    return Room(frozenset(may.split()), because)


ROOMS = {
    "core": room(
        "", "it is pure: decided in virtual time, folded from the ledger, proved by properties; what acts cannot be"
    ),
    "points": room("", "every room passes points; one that pointed back would tie them all together"),
    "log": room("", "it sets structlog up; rooms ask structlog for a logger, and never this module"),
    "host": room("core", "it touches the machine and decides nothing: what it decided would be in no ledger"),
    "store": room("core points", "it writes down what was decided, and does not know who asked or by which wire"),
    "flows": room("core points", "a flow's code runs in a worker that has neither the store nor the socket"),
    "config": room(
        "core host", "settings are values; who works by them is handed them, and reading them starts nothing"
    ),
    "writer": room(
        "core store points", "one loop for every change: it must not know where events come from, or it has favourites"
    ),
    "control": room(
        "core host store writer points",
        "it serves connections; effects, hooks and the exit are the shell's, and settings reach it as values",
    ),
    "shell": room(
        "core host store writer control config points",
        "it performs effects; app builds it, and a part that can reach its builder has everything for a parameter",
    ),
    "app": room(
        "core host store writer control shell config log points",
        "the composition root: it builds everything, but for what runs in workers: a daemon at rest has none of that",
    ),
    "cli": room(
        "app config flows host log",
        "the command line starts the app, or checks what it would start: the rest is the app's, where its tests are",
    ),
    "__main__": room("cli", "`python -m torpord` is the command and nothing beside it"),
}

# Single modules that a room may name although their room is not in its row, each for its own reason.
ALSO = {
    ("flows", "torpord.host.clock"): "the one place that asks for the time, in a worker as well",
    ("__init__", "torpord.flows.api"): "what authors import from `torpord`; loaded when it is asked for",
    ("__init__", "torpord.flows.outcomes"): "likewise",
    ("__init__", "torpord.flows.run"): "likewise",
}

# Only these two may name `app`; whoever else did could reach every part from anywhere.
MAY_IMPORT_APP = {"cli", "__main__"}

# The core's whole outer world. Each is a value type or syntax: no clock, no file, no task, no randomness, no process.
CORE_MAY_IMPORT = {
    "__future__",
    "bisect",  # of a sorted sequence
    "collections.abc",
    "dataclasses",
    "datetime",  # to write a time it was given; asking for one is banned below
    "enum",
    "functools.cache",  # of what is the same for ever: the fields of a class
    "itertools",
    "json",  # to read back a value that is kept as text
    "math",  # whether a number it was given is one
    "operator",
    "re",  # to read a text it was given
    "shlex.quote",  # to write a command as it is typed
    "types",
    "typing",
    "torpor.wire",
}

WIRE_CONTRACT = {
    "torpor.wire": "names and limits that both sides speak",
    "torpor.home": "where the home and its files are: both sides must look in the same place",
    "torpor.errors": "the errors of those two",
}


@dataclass(frozen=True, slots=True)
class Arrow:
    """One import: who, at which line, and the whole dotted name of what (with the name after `from … import`)."""

    path: Path
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.target}"


def arrows(path: Path, tree: ast.AST) -> Iterator[Arrow]:
    """Give every import of a module, also those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Arrow(path, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                base = DAEMON.parent if path.is_relative_to(DAEMON) else CLIENT.parent
                inside = path.relative_to(base).with_suffix("").parts[: -node.level]
                start = ".".join([*inside, *([node.module] if node.module else [])])
            yield from (Arrow(path, node.lineno, f"{start}.{alias.name}") for alias in node.names)


def modules(folder: Path) -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(), str(path))) for path in sorted(folder.rglob("*.py"))]


def room_of(path: Path) -> str:
    return path.relative_to(DAEMON).with_suffix("").parts[0]


def under(target: str, names: set[str]) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in names)


EVERY_MODULE = modules(DAEMON)
EVERY_ARROW = [arrow for path, tree in EVERY_MODULE for arrow in arrows(path, tree)]


def banned_between_rooms(arrow: Arrow) -> str | None:
    """Say why an arrow between rooms is banned, or None."""
    here, parts = room_of(arrow.path), arrow.target.split(".")
    if parts[0] != "torpord":
        return None
    there = parts[1] if len(parts) > 1 else ""
    if any(here == name and under(arrow.target, {module}) for name, module in ALSO):
        return None
    if here == "__init__" or there in ("", "__init__"):
        return "the package itself stays empty: importing one room must not load another"
    if here not in ROOMS or there not in ROOMS:
        return f"`{here if here not in ROOMS else there}` has no row in ROOMS: say first where it stands"
    return None if there == here or there in ROOMS[here].may else ROOMS[here].because


def test_rooms_point_one_way() -> None:
    found = [(str(arrow), why) for arrow in EVERY_ARROW if (why := banned_between_rooms(arrow))]
    assert found == []


def test_each_single_module_that_is_allowed_is_named() -> None:
    """A reason for what nobody does is a door left open."""
    named = {
        key for key in ALSO for arrow in EVERY_ARROW if room_of(arrow.path) == key[0] and under(arrow.target, {key[1]})
    }
    assert named == set(ALSO)


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Give the statements that run when a module is loaded, but not those under TYPE_CHECKING."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        checked = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or checked:
            continue
        yield node
        todo += [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)]


def test_a_daemon_at_rest_has_nothing_of_flows() -> None:
    """Only a worker loads them, and what asks for them by a command: a daemon would grow by megabytes."""
    found = [
        str(arrow)
        for path, tree in EVERY_MODULE
        if room_of(path) != "flows"
        for statement in at_import(tree)
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for arrow in arrows(path, statement)
        if under(arrow.target, {"torpord.flows"})
    ]
    assert found == []


def test_the_rows_themselves_have_no_circle() -> None:
    left = {name: set(row.may) for name, row in ROOMS.items()}
    while left:
        lowest = [name for name, may in left.items() if not may & left.keys()]
        assert lowest, f"each of these needs another of them: {sorted(left)}"
        for name in lowest:
            del left[name]


def test_nothing_points_to_the_app_but_the_command_line() -> None:
    assert [name for name, row in ROOMS.items() if "app" in row.may and name not in MAY_IMPORT_APP] == []
    found = [str(arrow) for arrow in EVERY_ARROW if under(arrow.target, {"torpord.app"})]
    assert [each for each in found if not each.startswith(("daemon/torpord/cli", "daemon/torpord/__main__"))] == []


def pure(arrow: Arrow) -> bool:
    return under(arrow.target, CORE_MAY_IMPORT | {"torpord.core"})


def test_the_core_imports_pure_names_only() -> None:
    found = [str(arrow) for arrow in EVERY_ARROW if room_of(arrow.path) == "core" and not pure(arrow)]
    assert found == [], "the core decides; it neither looks at the machine nor acts on it"


@pytest.mark.parametrize("source", ["import asyncio", "import os", "from torpor import home", "import torpor"])
def test_an_impure_name_would_be_found(source: str) -> None:
    assert not all(pure(arrow) for arrow in arrows(DAEMON / "core/x.py", ast.parse(source)))


def test_the_daemon_knows_the_wire_contract_and_nothing_else_of_the_client() -> None:
    found = []
    for path, tree in EVERY_MODULE:
        named = {arrow.target for arrow in arrows(path, tree) if under(arrow.target, {"torpor"})}
        named |= {
            f"torpor.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torpor"
        }
        # The package's own version and place are read from it; its public names would load the client.
        allowed = set(WIRE_CONTRACT) | {"torpor.__version__", "torpor.__file__"}
        found += [f"{path.relative_to(ROOT)}: {name}" for name in named - {"torpor"} if not under(name, allowed)]
    assert found == [], f"of the client the daemon may know: {WIRE_CONTRACT}"


def test_the_client_knows_nothing_of_the_daemon() -> None:
    found = [
        str(arrow) for path, tree in modules(CLIENT) for arrow in arrows(path, tree) if under(arrow.target, {"torpord"})
    ]
    assert found == [], "`torpor` is installed where no daemon is, and a hook pays for every module it loads"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/x.py", "from torpord.store import store"),
        ("core/x.py", "def f():\n    import torpord.writer"),
        ("core/x.py", "from ..host import clock"),
        ("host/x.py", "from torpord import store"),
        ("store/x.py", "import torpord.control.server"),
        ("control/x.py", "from torpord.app import App"),
        ("control/deep/x.py", "from torpord.shell.hooks import Hooks"),
        ("shell/x.py", "from .. import app"),
        ("writer.py", "from .control import server"),
        ("core/x.py", "import torpord"),
        ("a_new_room/x.py", "from torpord.core import world"),
        ("shell/x.py", "from torpord.a_new_room import x"),
        ("flows/x.py", "from torpord.host import processes"),
        ("app.py", "from torpord.flows.api import Flow"),
        ("__init__.py", "from torpord.flows import worker"),
        ("__init__.py", "from torpord.core import world"),
    ],
)
def test_a_banned_arrow_would_be_found(path: str, source: str) -> None:
    found = list(arrows(DAEMON / path, ast.parse(source)))
    assert [arrow for arrow in found if banned_between_rooms(arrow)] == found != []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/x.py", "from .world import World"),
        ("core/x.py", "from torpord.core import records as r"),
        ("host/x.py", "from ..core.moment import Now"),
        ("shell/x.py", "import os, json"),
        ("flows/x.py", "from torpord.host.clock import SystemClock"),
        ("__init__.py", "from torpord.flows.api import Flow"),
    ],
)
def test_an_allowed_arrow_is_left_alone(path: str, source: str) -> None:
    assert [arrow for arrow in arrows(DAEMON / path, ast.parse(source)) if banned_between_rooms(arrow)] == []
