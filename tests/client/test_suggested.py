"""A command that is suggested means the home that was looked at, and not the one of the shell it is pasted into."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

import torpor as package
from torpor import home as homes

CLIENT = pathlib.Path(package.__file__).parent
SUGGESTED = re.compile(
    r"(?<!sudo )\btorpor (start|restart|wake|status|reload|service|doctor|log|agent|slot|runs|flows)\b"
)
# A row's mend: `report` has it name the home.
ROWS = {
    f"doctor/{room}.py" for room in ("answering", "clocks", "leftovers", "places", "starts", "stored", "units", "ways")
}
# What is run, told of, or read again, and suggested to nobody.
TOLD_OF = {"cli/completion.py", "cli/demo.py", "cli/table.py", "service/markers.py", "service/texts.py"}


def test_the_home_is_named_where_it_is_not_the_shells_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert homes.command("torpor start", homes.home_dir()) == "torpor start"
    assert homes.command("torpor start", "/a home") == "torpor start --home '/a home'"
    monkeypatch.setenv("TORPOR_HOME", "/a home")
    assert homes.command("torpor start", "/a home") == "torpor start"


def test_each_suggested_command_goes_through_that() -> None:
    found = {
        (str(path.relative_to(CLIENT)), text)
        for path in CLIENT.rglob("*.py")
        if str(path.relative_to(CLIENT)) not in ROWS | TOLD_OF
        for text in suggested(path)
    }
    assert found == {("service/problems.py", "torpor service uninstall --home ")}  # of a home that is gone


def suggested(path: pathlib.Path) -> Iterator[str]:
    """Give each text of a file that has a command in it: no docstring, and none that is handed to `homes.command`."""
    tree = ast.parse(path.read_bytes())
    fine = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) == "command":
            fine |= {id(part) for part in ast.walk(call.args[0])}
    for each in ast.walk(tree):
        text = each.value if isinstance(each, ast.Constant) and id(each) not in fine else None
        if isinstance(text, str) and SUGGESTED.search(text):
            yield text
