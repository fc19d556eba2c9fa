"""Time is an argument: one module of the daemon reads the clocks, and everything else is told.

So a whole life runs in virtual time in the tests, a suspend is seen in one place, and nobody mixes up the two kinds of
deadline by calling the clock that is at hand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

DAEMON = Path(__file__).parents[2] / "daemon" / "torpord"
CLOCK = DAEMON / "host" / "clock.py"

# Whatever reads a clock, with the reason why it may not be read where one happens to be.
CLOCKS = {
    "time.time": "the wall clock: it is set by people and jumps over a suspend",
    "time.monotonic": "awake time: handed in with the event, so that a decision can be made again and be the same",
    "time.perf_counter": "a third clock, that agrees with neither",
    "time.clock_gettime": "any of them, by number",
    "time.process_time": "measured by host.resources from the kernel's own account",
    "time.thread_time": "likewise",
    "datetime.datetime.now": "the wall clock in other clothes",
    "datetime.datetime.utcnow": "the same, without its zone",
    "datetime.datetime.today": "the same, in a local zone",
    "datetime.date.today": "the same, rounded",
    "anyio.current_time": "the event loop's clock: right for a time-out of anyio's own, unknown to the ledger",
    "asyncio.current_time": "likewise",
    "trio.current_time": "likewise",
}
# These read the clock only when they are not given a time: how many arguments they need to be told everything.
NEED_A_TIME = {"time.localtime": 1, "time.gmtime": 1, "time.ctime": 1, "time.asctime": 1, "time.strftime": 2}


def names_of(tree: ast.AST) -> dict[str, str]:
    """Map each imported name to what it stands for: `from time import monotonic as m` gives {m: time.monotonic}."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.split(".")[0]
                names[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """Give an attribute chain its whole name, as far as it starts at an import."""
    if isinstance(node, ast.Attribute):
        start = dotted(node.value, names)
        return f"{start}.{node.attr}" if start else ""
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def readings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give each place that reads a clock, or hands the reading on as a function: (line, why it is banned)."""
    names = names_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = dotted(node, names)
            whole = name.removesuffix("_ns")
            if whole in CLOCKS:
                yield node.lineno, f"{name}: {CLOCKS[whole]}"
        if isinstance(node, ast.Call):
            name = dotted(node.func, names)
            if name in NEED_A_TIME and len(node.args) < NEED_A_TIME[name]:
                yield node.lineno, f"{name}: without a time it takes the wall clock's"
            # A loop has no import to be known by: whatever is called a loop and asked for its time.
            if isinstance(node.func, ast.Attribute) and node.func.attr == "time" and "loop" in ast.unparse(node.func):
                yield node.lineno, f"{ast.unparse(node.func)}: {CLOCKS['anyio.current_time']}"


def test_one_module_reads_the_clocks() -> None:
    found = [
        f"{path.relative_to(DAEMON)}:{line} {why}"
        for path in sorted(DAEMON.rglob("*.py"))
        if path != CLOCK
        for line, why in readings(ast.parse(path.read_text()))
    ]
    assert found == []


def test_that_one_module_does() -> None:
    assert list(readings(ast.parse(CLOCK.read_text())))


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "import time as t\nt.monotonic_ns()",
        "from time import monotonic as m\nx = field(default_factory=m)",
        "import time\ntime.localtime()",
        "import time\ntime.strftime('%H')",
        "import datetime\ndatetime.datetime.now(tz)",
        "from datetime import datetime\ndatetime.now()",
        "from datetime import date as d\nd.today()",
        "import anyio\nanyio.current_time()",
        "from anyio import current_time\ncurrent_time()",
        "import asyncio\nasyncio.get_running_loop().time()",
        "self._loop.time()",
    ],
)
def test_a_reading_would_be_found(source: str) -> None:
    assert list(readings(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.localtime(wall_s)",
        "import time\nos.timerfd_create(time.CLOCK_REALTIME)",
        "from datetime import UTC, datetime\ndatetime.fromtimestamp(ts, UTC)",
        "import anyio\nanyio.move_on_after(5)",
        "time = 5\nprint(time)",
    ],
)
def test_what_reads_none_is_left_alone(source: str) -> None:
    assert list(readings(ast.parse(source))) == []
