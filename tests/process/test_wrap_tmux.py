"""`torpor agent wrap` around real programs in a real terminal: each screen as the program alone would have it.

What is done at the keyboard is done twice, with the program alone and with it wrapped, and every screen is compared.
"""

from __future__ import annotations

import pathlib
import sys

import pytest

import torpor
from daemon_process import RunningDaemon
from process.timers import settings
from process.tmux import Pane, need_tmux
from waiting import until

CLIENT = pathlib.Path(torpor.__file__).parents[1]

PROMPT = "$\n@2,"
# What is done: `$` types a line, `^` presses keys, `#` makes the window another size. And what is to be seen then, one
# thing after the other: all that comes of the deed, because a screen that only rests for a moment is another each time.
Deed = tuple[str, tuple[str, ...]]
PLAYS: dict[str, list[Deed]] = {
    "a pager": [
        ("$run less pages", ("line 23", "pages")), ("^Space", ("line 46", ":")), ("^C-z", ("Stopped", PROMPT)),
        ("$jobs", ("$ jobs", "Stopped", PROMPT)), ("$fg", ("line 24", "line 46", ":")),
        ("#60x15", ("line 24", "line 37", ":")), ("^G", ("(END)",)), ("^C-z", ("Stopped", PROMPT)),
        ("$fg %1", ("line 199", "(END)")), ("^q", (PROMPT,)), ("$echo status $?", ("status 0", PROMPT)),
    ],
    "one that reads lines": [
        ("$run sh -c 'echo on; exec cat'", ("\non",)), ("$said", ("said\nsaid",)), ("^C-z", ("Stopped", PROMPT)),
        ("$fg", ("$ fg\nrun sh",)), ("$again", ("again\nagain",)), ("^C-d", (PROMPT,)),
        ("$echo status $?", ("status 0", PROMPT)),
    ],
    "interrupted, quit, killed": [
        ("$run sh -c 'echo one; exec sleep 100'", ("\none",)), ("^C-c", ("^C", PROMPT)),
        ("$echo status $?", ("status 130", PROMPT)),
        ("$run sh -c 'echo two; exec sleep 100'", ("\ntwo",)), ("^C-\\", ("Quit", PROMPT)),
        ("$echo status $?", ("status 131", PROMPT)),
        ("$run sh -c 'kill -KILL $$'", ("Killed", PROMPT)), ("$echo status $?", ("status 137", PROMPT)),
        ("$for each in 1 2 3; do run sh -c 'echo in the loop; sleep 100'; done", ("in the loop\n",)),
        ("^C-c", ("^C", PROMPT)),
    ],
    "in the background and back": [
        ("$run sh -c 'echo on; exec sleep 100'", ("\non",)), ("^C-z", ("Stopped", PROMPT)),
        ("$bg", ("$ bg\n[1]+", PROMPT)),
        ("$jobs", ("$ jobs\n[1]+  Running", PROMPT)), ("$kill %1; wait %1; echo waited $?", ("waited 143", PROMPT)),
        # In one line: between two a shell tells of the stop before its prompt or after it, as it happens.
        ("$run cat & until grep -q '(stopped)' /proc/$!/status; do :; done", ("Stopped", "cat\n", PROMPT)),
        ("$jobs", ("$ jobs\n[1]+  Stopped", PROMPT)), ("$fg", ("$ fg\nrun cat",)), ("$typed", ("typed\ntyped",)),
        ("^C-d", (PROMPT,)),
    ],
    "stopped by others": [
        ("$run sh -c 'kill -STOP $$; echo goes on'", ("Stopped", PROMPT)), ("$fg", ("$ fg", "\ngoes on", PROMPT)),
        ("$echo status $?", ("status 0", PROMPT)),
        ("$run sh -c 'trap \"\" TSTP; echo stays; read x; echo got $x'", ("\nstays",)), ("^C-z", ("^Z",)),
        ("$it", ("\ngot it", PROMPT)), ("$run sh -c 'kill -TSTP $$; echo second'", ("Stopped", PROMPT)),
        ("$kill -CONT %1; wait %1", ("\nsecond", PROMPT)),
    ],
    "one that looks at the size": [
        ("$run python3 sizes.py", ("80 24",)), ("#70x20", ("70 20",)), ("#90x30", ("90 30",)),
        ("^C-c", ("bye", PROMPT)), ("$echo status $?", ("status 3", PROMPT)),
    ],
    "one that cleans up before it stops": [
        ("$run python3 tidy.py", ("works",)), ("^C-z", ("tidied", "Stopped", PROMPT)),
        ("$echo in between", ("\nin between", PROMPT)), ("$fg", ("went on 1",)),
        ("^C-z", ("went on 1", "tidied", "Stopped", PROMPT)), ("$fg", ("went on 2",)), ("^C-d", (PROMPT,)),
        ("$stty -a | grep -c ' icanon'", ("\n1", PROMPT)),
    ],
    "a shell in it": [
        ("$PS1='% ' run bash --norc -i", ("%\n@2,",)), ("$cat", ("% cat\n@0,",)), ("^C-z", ("Stopped", "%\n@2,")),
        ("$jobs", ("% jobs\n[1]+  Stopped", "%\n@2,")), ("$suspend", ("% suspend", "Stopped", PROMPT)),
        ("$echo outside", ("\noutside", PROMPT)), ("$fg", ("$ fg", "%\n@2,")), ("$echo inside", ("\ninside", "%\n@2,")),
        ("$fg", ("% fg\ncat\n@0,",)), ("^C-c", ("^C", "%\n@2,")), ("$exit 7", ("% exit 7\nexit", PROMPT)),
        ("$echo status $?", ("status 7", PROMPT)),
    ],
}  # fmt: skip

# A signal that comes between a handler and signal.pause() would be waited for in vain: both are only waited for.
SIZES = """
import os, signal, sys
awaited = signal.SIGWINCH, signal.SIGINT
for each in awaited: signal.signal(each, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
def say(): print(*os.get_terminal_size(), flush=True)
say()
while signal.sigwait(awaited) == signal.SIGWINCH: say()
print("bye", flush=True); sys.exit(3)
"""
# As editors do: the key is caught, the terminal put back, and only then it stops; what continues it is counted.
TIDY = """
import os, signal, sys, termios, time
rows = termios.tcgetattr(0)
def raw():
    mine = termios.tcgetattr(0); mine[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(0, termios.TCSADRAIN, mine)
def stop(*_):
    time.sleep(0.2); termios.tcsetattr(0, termios.TCSADRAIN, rows); print("tidied", flush=True)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP}); signal.signal(signal.SIGTSTP, stop)
count = 0
def went_on(*_):
    global count
    count += 1; raw(); print("went on", count, flush=True)
signal.signal(signal.SIGTSTP, stop); signal.signal(signal.SIGCONT, went_on)
raw(); print("works", flush=True)
while sys.stdin.buffer.raw.read(1) != b"\\x04": pass
termios.tcsetattr(0, termios.TCSADRAIN, rows)
"""


@pytest.fixture
def stage(short_dir: pathlib.Path) -> pathlib.Path:
    need_tmux()
    folder = short_dir / "stage"
    folder.mkdir()
    (folder / "pages").write_text("".join(f"line {number}\n" for number in range(1, 200)))
    (folder / "sizes.py").write_text(SIZES)
    (folder / "tidy.py").write_text(TIDY)
    return folder


def _shown(folder: pathlib.Path, runner: str, play: list[Deed], expected: list[str] | None) -> list[str]:
    """Do all of it and return the screens. `expected`: each is to become this one."""
    folder.mkdir()
    screens: list[str] = []
    (folder / "run").write_text(f'#!/bin/sh\nexec {runner} "$@"\n')
    (folder / "run").chmod(0o755)
    for name in ("pages", "sizes.py", "tidy.py"):
        (folder / name).write_text((folder.parent / name).read_text())
    with Pane(folder, {"PYTHONPATH": str(CLIENT)}, f"PATH={folder}:$PATH") as pane:
        before = pane.settled((PROMPT,))
        for number, (deed, words) in enumerate(play):
            match deed[0]:
                case "$":
                    pane.type(deed[1:])
                case "^":
                    pane.press(deed[1:])
                case _:
                    pane.resize(*map(int, deed[1:].split("x")))
            if expected is None:
                before = pane.settled(words, before)
                screens.append(before)
                continue
            wanted = expected[number]
            seen = pane.screen()

            def same(wanted: str = wanted) -> bool:
                nonlocal seen
                seen = pane.screen()
                return seen == wanted

            try:
                until(same)
            except AssertionError:
                pytest.fail(f"after {deed!r} the program alone shows\n{wanted}\n\nand wrapped\n{seen}")
    return screens


@pytest.mark.parametrize("name", PLAYS)
def test_it_is_not_to_be_told_from_the_program_alone(stage: pathlib.Path, home: pathlib.Path, name: str) -> None:
    RunningDaemon.start(home, settings())
    alone = _shown(stage / "alone", "", PLAYS[name], None)
    _shown(stage / "wrapped", f"{sys.executable} -P -m torpor agent wrap --home {home} editor --", PLAYS[name], alone)
