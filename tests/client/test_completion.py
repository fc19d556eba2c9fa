from __future__ import annotations

import shutil
import subprocess

import pytest

from torpor.cli import completion, table


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
    assert {row.name for row in table.COMMANDS} < _completed("torpor", "")
    assert _completed("torpor", "hi") == {"hibernate"}
    assert _completed("torpor", "send", "wake") == {"wake_signal"}
    assert _completed("torpor", "--home", "/x", "wait", "S") == {"SLEEP"}
    assert _completed("torpor", "hibernate", "--n") == {"--now"}
    assert "/tmp" in _completed("torpor", "status", "--home", "/tm")
    assert "bash" in _completed("torpor", "hold", "--", "bas")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_take_it(shell: str) -> None:
    source = {"zsh": completion._zsh, "fish": completion._fish}[shell]()
    assert all(row.name in source for row in table.COMMANDS)
    assert all(event in source for event in ("wake_signal", "HIBERNATION"))
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here to ask")
    done = subprocess.run([shell, "-n", "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
