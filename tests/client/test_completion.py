from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from torpor.cli import completion, table

if TYPE_CHECKING:
    import pathlib


def _bash(script: str) -> str:
    source = completion._bash() + "\n" + script
    done = subprocess.run(["bash", "-eu", "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _completed(*words: str) -> set[str]:
    line = " ".join(f"'{word}'" for word in words)
    script = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _torpor || true; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    return set(_bash(script).split())


def test_bash_takes_it_and_completes() -> None:
    assert _bash("complete -p torpor") == "complete -F _torpor torpor\n"
    assert {*(row.name for row in table.singles()), *table.GROUPS} < _completed("torpor", "")
    assert _completed("torpor", "hi") == {"hibernate"}
    assert _completed("torpor", "send", "wake") == {"wake_signal"}
    assert _completed("torpor", "--home", "/x", "wait", "S") == {"SLEEP"}
    assert _completed("torpor", "hibernate", "--n") == {"--now"}
    assert "/tmp" in _completed("torpor", "status", "--home", "/tm")
    assert "bash" in _completed("torpor", "hold", "--", "bas")


def test_bash_completes_a_groups_commands_and_theirs(tmp_path: pathlib.Path) -> None:
    assert _completed("torpor", "runs", "re") == {"resume", "retry"}
    assert {"--status", "ls", "failed"} <= _completed("torpor", "runs", "")
    assert _completed("torpor", "runs", "--home", "/x", "fo") == {"follow"}
    assert _completed("torpor", "runs", "start", "--max") == {"--max-steps"}
    assert "--max-steps" not in _completed("torpor", "start", "-")
    assert _completed("torpor", "flows", "g") == {"graph"}
    assert _completed("torpor", "flows", "graph", "--j") == set()
    (tmp_path / "a-run.json").touch()
    assert _completed("torpor", "runs", "import", f"{tmp_path}/a") == {f"{tmp_path}/a-run.json"}
    assert _completed("torpor", "runs", "show", f"{tmp_path}/a") == set()


@pytest.fixture
def two_flows(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `torpor` on the path that knows two flows."""
    flows = '{"flows": [{"name": "words", "kind": "python", "error": null}, {"name": "backup"}]}'
    (tmp_path / "torpor").write_text(f"#!/bin/sh\necho '{flows}'\n")
    (tmp_path / "torpor").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.usefixtures("two_flows")
def test_flows_are_completed() -> None:
    assert _completed("torpor", "runs", "start", "wo") == {"words"}
    assert {"words", "backup"} <= _completed("torpor", "flows", "show", "")
    assert {"words", "backup"} <= _fish("torpor flows graph ")
    assert "words" not in _fish("torpor runs show ")


def test_flows_that_cannot_be_listed_are_none(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torpor").write_text("#!/bin/sh\necho no >&2\nexit 78\n")
    (tmp_path / "torpor").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert _completed("torpor", "runs", "start", "wo") == set()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_take_it(shell: str) -> None:
    source = {"zsh": completion._zsh, "fish": completion._fish}[shell]()
    assert all(row.name.split()[-1] in source for row in table.COMMANDS)
    assert all(event in source for event in ("wake_signal", "HIBERNATION"))
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here to ask")
    done = subprocess.run([shell, "-n", "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _fish(line: str) -> set[str]:
    """Return what fish itself completes `line` with: it can be asked."""
    if shutil.which("fish") is None:
        pytest.skip("there is no fish here to ask")
    script = f"{completion._fish()}\ncomplete -C{completion._quoted(line)}"
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return {each.split("\t")[0] for each in done.stdout.splitlines()}


def test_fish_tells_a_groups_start_from_the_other() -> None:
    assert {"start", "runs"} <= _fish("torpor ")
    assert {"start", "ls", "follow"} <= _fish("torpor runs ")
    assert "wake" not in _fish("torpor runs ")
    assert "--max-steps" in _fish("torpor runs start --")
    assert "--max-steps" not in _fish("torpor start --")
    assert {"failed", "paused"} <= _fish("torpor runs ls --status ")
    assert _fish("torpor flows g") == {"graph"}


@pytest.fixture
def some_agents(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `torpor` on the path that knows agents, one of which bears a shell's words for a name."""
    names = ("codex", "claude-code:3f2a", "claude-code:3f2a/sub", "claude-code:77", "$(touch evil)", "it's two")
    agents = ", ".join(f'{{"agent_id": "{name}", "status": "idle", "parent_id": "nobody"}}' for name in names)
    (tmp_path / "agents").write_text(f'{{"agents": [{agents}], "long_offline": 0}}')
    (tmp_path / "torpor").write_text(f"#!/bin/sh\ncat {tmp_path}/agents\n")
    (tmp_path / "torpor").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("some_agents")
def test_agents_are_completed(tmp_path: pathlib.Path) -> None:
    assert _completed("torpor", "agent", "show", "co") == {"codex"}
    assert {"codex", "claude-code:3f2a"} <= _completed("torpor", "agent", "busy", "")
    assert "codex" in _completed("torpor", "slot", "add", "")
    assert "codex" in _completed("torpor", "slot", "ls", "--agent", "")
    assert _completed("torpor", "agent", "busy", "--rea") == {"--reason"}
    assert _completed("torpor", "slot", "take", "co") == set()
    assert {"codex", "claude-code:77"} <= _fish("torpor agent show ")
    assert {"codex", "claude-code:77"} <= _fish("torpor slot ls --agent ")
    assert "codex" not in _fish("torpor slot take ")
    assert not (tmp_path / "evil").exists()


@pytest.mark.usefixtures("some_agents")
def test_bash_gets_what_follows_a_colon() -> None:
    # As it parts the words of a line: at colons, too.
    assert _completed("torpor", "agent", "show", "claude-code", ":", "3") == {"3f2a", "3f2a/sub"}
    assert _completed("torpor", "agent", "show", "claude-code", ":") == {"3f2a", "3f2a/sub", "77"}
    assert _completed("torpor", "agent", "show", "nobody", ":", "3") == set()
