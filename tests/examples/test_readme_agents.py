"""The README's section about agents, word by word, as somebody new to it: each command is typed, each file written."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import end_all
from examples.rest import ROOT, WORK_LIMIT_S
from examples.test_readme import enter, home_of, typed
from waiting import until

SECTION = (ROOT / "README.md").read_text().split("## Who is there\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def user(short_dir: Path) -> Iterator[Path]:
    """Somebody's home, with this interpreter's torpor, and an agent that is called `codex`."""
    tools = short_dir / "bin"
    tools.mkdir()
    commands = {
        "torpor": f'exec "{sys.executable}" -P -m torpor "$@"',
        "torpord": f'exec "{sys.executable}" -P -m torpord "$@"',
        "codex": 'torpor agent show codex --json >"$HOME/while-wrapped" 2>&1; exit 0',
    }
    for name, command in commands.items():
        (tools / name).write_text(f"#!/bin/sh\n{command}\n")
        (tools / name).chmod(0o755)
    (short_dir / ".local").mkdir()
    (short_dir / ".local/bin").symlink_to(tools)  # where an installation for one user has it
    yield short_dir
    end_all(home_of(short_dir))


def plain(text: str) -> str:
    """Leave out what is another each time: ids, times of day, and how wide a column is for them."""
    text = re.sub(r"\b[0-9a-f]{16}\b", "ID", text)
    return " ".join(re.sub(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)?", "TIME", text).split())


def test_every_command_says_what_it_says_there(user: Path) -> None:
    enter("torpor start", user)
    overview, *blocks = [block for language, block in BLOCKS if language == "console"]
    slot_id = ""
    for block in blocks:
        for line, shown in typed(block):
            said = enter(re.sub(r"\b5727\b", slot_id[:8], line), user)
            assert not shown or plain(said) == plain(shown), line
            if line.startswith("torpor slot add codex"):
                slot_id = said.partition(":")[0]
    line, shown = typed(overview)[0]
    session = f"{shown.splitlines()[1].split()[0]}-0d4e-4f6a-8b9c-0123456789ab"
    enter(f"""torpor agent register {session} --meta '{{"cwd": "/home/you/website"}}'""", user)
    heading, *rows = (row.split() for row in enter("torpor agent", user).splitlines())
    assert (line, heading) == ("torpor agent", shown.splitlines()[0].split())
    assert [row[-2] for row in rows if row[0] in session] == ["website"]
    (cut_short,) = re.findall(r"`(torpor agent show claude-code:\w+)`", SECTION)
    assert enter(cut_short, user).startswith(f"{session}: idle")


def test_the_settings_it_tells_to_print_are_json_with_hooks(user: Path) -> None:
    settings = json.loads(enter("torpor hook claude-code --print-settings", user))
    assert {"UserPromptSubmit", "Stop", "StopFailure"} < set(settings["hooks"])


def test_a_slot_starts_the_agent_that_is_not_there(user: Path) -> None:
    (script,) = [block for language, block in BLOCKS if language == "sh"]
    (register,) = [block for language, block in BLOCKS if block.startswith("$ torpor agent register night")]
    (user / "bin/night-shift").write_text(script)
    (user / "bin/night-shift").chmod(0o755)
    enter(typed(register)[0][0], user)
    enter("torpor slot add night --payload 1", user)
    until((user / "night-shift.log").exists, limit_s=WORK_LIMIT_S, what="the night shift's work")
    assert (user / "night-shift.log").read_text() == "tidying up\n"
    until(lambda: enter("torpor agent ls --status offline --json", user).count('"night"'), limit_s=WORK_LIMIT_S)
    assert json.loads(enter("torpor slot ls --json", user))["slots"] == []
