"""The README's section about work in its sleep, word by word, as somebody new to it: in a home with nothing in it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from daemon_process import end_all
from examples.rest import ROOT, WORK_LIMIT_S
from waiting import until

SECTION = (ROOT / "README.md").read_text().split("## Work while it sleeps\n")[1].split("\n## ")[0]


@pytest.fixture
def user(short_dir: Path) -> Iterator[Path]:
    """Somebody's home, and the commands of this interpreter's torpor before all others."""
    tools = short_dir / "bin"
    tools.mkdir()
    for name in ("torpor", "torpord"):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m {name} "$@"\n')
        (tools / name).chmod(0o755)
    yield short_dir
    end_all(home_of(short_dir))


def home_of(user: Path) -> Path:
    return user / ("Library/Application Support" if sys.platform == "darwin" else ".local/state") / "torpor"


def blocks() -> list[tuple[str, str]]:
    found = re.findall(r"```(\w+)\n(.*?)```", SECTION, re.DOTALL)
    assert [language for language, _ in found] == ["console", "python", "toml", "console"]
    return found


def typed(block: str) -> list[tuple[str, str]]:
    """Each line that is typed, with what is shown below it."""
    return [(line, shown) for line, _, shown in (each.partition("\n") for each in block.split("$ ")[1:])]


def plain(text: str, user: Path) -> str:
    """Leave out what is another each time: ids, times, and who it is."""
    text = re.sub(r"\b[0-9a-f]{16}\b", "ID", text.replace(str(user), "/home/you"))
    return re.sub(r"\b[\d.]+s\b", "TIME", text)


def enter(line: str, user: Path) -> str:
    env = {"HOME": str(user), "PATH": f"{user / 'bin'}:{os.environ['PATH']}"}
    done = run(["/bin/sh", "-c", line], env=env, capture_output=True, text=True, timeout=WORK_LIMIT_S, check=False)
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def last_cycle(home: Path) -> dict[str, Any] | None:
    found = json.loads((home / "lifecycle_state.json").read_text())["last_cycle"]
    assert found is None or isinstance(found, dict)
    return found if found and found["flow"] == "words" else None  # that of the upkeep goes first


def test_every_block_does_what_it_says(user: Path) -> None:
    home = home_of(user)
    for language, block in blocks():
        if language == "python":
            (user / "flows/words.py").write_text(block)
        elif language == "toml":
            home.mkdir(parents=True, mode=0o700)
            (home / "torpor.toml").write_text(block)
        else:
            for line, shown in typed(block):
                said = enter(line, user)
                assert not shown or plain(said, user) == plain(shown, user)
    assert "./lubbock.txt" in enter("tar -tf ~/notes.tar", user)
    assert '"words": 4' in enter("torpor runs show last --json", user)
    enter("torpor sleep", user)
    cycle = until(lambda: last_cycle(home), limit_s=WORK_LIMIT_S, what="the sleep cycle")
    assert (cycle["outcome"], cycle["result"]) == ("completed", {"words": 4})


def test_the_examples_it_names_are_there() -> None:
    assert set(re.findall(r"examples/\w+\.\w+", SECTION)) == {"examples/memory_sleep.py", "examples/maintenance.toml"}
    assert all((ROOT / name).is_file() for name in re.findall(r"examples/\w+\.\w+", SECTION))
