"""The model of going down and coming back, checked exhaustively; and that it speaks of this very code.

`lifecycle.pml` says what is modelled and what is left out. SOAK=1 checks the larger ones, too (`make soak`).
"""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from torpor import talk
from torpord.points import POINTS
from torpord.shell import leaving

MODEL = Path(leaving.__file__).with_name("lifecycle.pml")
TEXT = re.sub(r"(?s)/\*.*?\*/", "", MODEL.read_text(encoding="utf-8"))

# Exhaustive: each state is kept whole (for hours, in fewer bytes). A bound on memory, so that a mistake of ours costs
# nobody else theirs. What -O2 takes to compile, four seconds, only a large model earns back.
COMPILER = ("gcc", "-w", "-DMEMLIM=12000", *(["-O2", "-DCOLLAPSE"] if os.environ.get("SOAK") else ["-O0"]))
SAFETY = ("-DSAFETY", "-DNOCLAIM")
LIVENESS = ("-DNFAIR=3",)
LIMIT_S = 3600.0 if os.environ.get("SOAK") else 150.0

needs_spin = pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("gcc") is None, reason="spin or gcc is missing: .ci/run installs them"
)
long = pytest.mark.skipif(not os.environ.get("SOAK"), reason="takes minutes: SOAK=1")


def defined(words: str) -> list[str]:
    """Read "INHERITED CLIENTS=2" as options; what is not named does not happen."""
    given = {"KILLS": "0", "TERMS": "0", "HANDS": "0"}
    given |= {name: value for name, _, value in (word.partition("=") for word in words.split())}
    return [f"-D{name}={value}" if value else f"-D{name}" for name, value in given.items()]


def checked(folder: Path, words: str, options: tuple[str, ...], *search: str) -> str:
    """Check the model in a folder of its own; returns what the verifier says."""
    for command in (
        ["spin", *defined(words), "-a", str(MODEL)],
        [*COMPILER, *options, "-o", "pan", "pan.c"],
        ["./pan", "-m1000000", *search],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_sound(said: str) -> None:
    assert "errors: 0" in said, said
    for incomplete in ("max search depth too small", "out of memory", "hash table full", "Search not completed"):
        assert incomplete not in said, said
    sys.stdout.write(
        "\n".join(line for line in said.splitlines() if "states, stored" in line or "elapsed" in line)
    )  # -s


# What a model of the whole needs, one thing of everything; two clients, or one and a daemon that is harmed.
SMALL = [
    "CLIENTS=2",
    "CLIENTS=1 KILLS=1 TERMS=1",
    "CLIENTS=1 HANDS=1",
    "INHERITED CLIENTS=1 KILLS=1 TERMS=1 HANDS=1",
    "INHERITED CLIENTS=2 TERMS=1",
]
LARGE = [
    "CLIENTS=2 KILLS=1",
    "CLIENTS=1 KILLS=1 TERMS=1 HANDS=1",
    "INHERITED CLIENTS=2 KILLS=1 TERMS=1",
    "INHERITED CLIENTS=3",
]
SMALL_LIVE = ["CLIENTS=1 KILLS=1 NAPS=1", "INHERITED CLIENTS=1 KILLS=1 TERMS=1 NAPS=1"]
LARGE_LIVE = [
    "CLIENTS=1 KILLS=1 NAPS=2",
    "CLIENTS=1 KILLS=1 TERMS=1 NAPS=1",
    "CLIENTS=2 NAPS=1",
    "INHERITED CLIENTS=2 KILLS=1 NAPS=1",
    "INHERITED CLIENTS=1 KILLS=1 TERMS=1 HANDS=1 NAPS=2",
]  # fmt: skip


@needs_spin
@pytest.mark.parametrize("words", [*SMALL, *(pytest.param(words, marks=long) for words in LARGE)])
def test_nobody_gets_silence_nothing_is_lost_and_one_daemon_has_the_home(tmp_path: Path, words: str) -> None:
    assert_sound(checked(tmp_path, words, SAFETY, "-noclaim"))


@needs_spin
@pytest.mark.parametrize("words", [*SMALL_LIVE, *(pytest.param(words, marks=long) for words in LARGE_LIVE)])
def test_whoever_wants_it_is_served_in_the_end(tmp_path: Path, words: str) -> None:
    assert_sound(checked(tmp_path, words, LIVENESS, "-a", "-f"))


# What is taken away, where it shows, and what is violated then.
BROKEN = [
    ("CHECK", "CLIENTS=1", "early)||signalled"),
    ("CHECK", "INHERITED CLIENTS=1", "early)||signalled"),
    ("SETTLE", "CLIENTS=1", "!(wake)||signalled"),
    ("SETTLE", "INHERITED CLIENTS=1", "!(wake)||signalled"),
    ("FILES", "CLIENTS=1", "!(early_file)|| !(file)"),
    ("ACCEPT", "CLIENTS=1", "!(sent)||on[c].excused"),
    ("GATE", "CLIENTS=1", "!(sent)||on[c].excused"),
    ("SHUT", "INHERITED CLIENTS=1", "!(sent)||on[c].excused"),
    ("LOCK", "CLIENTS=1 HANDS=1", "serving==1"),
    ("ORDER", "CLIENTS=1 HANDS=1", "!(wake)||signalled"),
    ("KEY", "CLIENTS=1 KILLS=1", "!(applied[c])"),
]


@needs_spin
@pytest.mark.parametrize(("piece", "words", "violated"), BROKEN, ids=lambda value: str(value).replace(" ", "-"))
def test_without_each_piece_of_the_design_the_model_fails(
    tmp_path: Path, piece: str, words: str, violated: str
) -> None:
    said = checked(tmp_path, f"{words} BROKEN_{piece}", SAFETY, "-noclaim")
    assert "assertion violated" in said
    assert violated in next(line for line in said.splitlines() if "assertion violated" in line)
    assert "errors: 1" in said


def test_every_piece_that_can_be_taken_away_is() -> None:
    assert {piece for piece, _, _ in BROKEN} == set(re.findall(r"BROKEN_([A-Z]+)", TEXT))


# The names.


def named(kind: str, text: str = TEXT) -> list[str]:
    """Return the names of a kind in the order of their first appearance."""
    return list(dict.fromkeys(re.findall(rf'\b{kind}\("([^"]+)"\)', text)))


def test_its_points_are_those_of_the_daemon_in_their_order() -> None:
    modelled = [name for name in POINTS if name.partition(".")[0] not in ("worker", "call")]
    assert sorted(named("POINT")) == sorted(modelled)
    for room in ("writer|store", "exit"):
        mine = [name for name in modelled if re.match(room, name)]
        assert [name for name in named("POINT") if name in mine] == mine


def test_the_exit_passes_its_points_in_the_model_s_order() -> None:
    source = inspect.getsource(leaving.Exit._nothing_to_do) + inspect.getsource(leaving.Exit._leave)
    passed = list(dict.fromkeys(re.findall(r'reached\("(exit\.[a-z]+)"\)', source)))
    assert passed == [name for name in named("POINT") if name.startswith("exit.")]


def test_the_exit_does_its_things_in_the_model_s_order() -> None:
    of_model = named("IN", TEXT[TEXT.index("        leave:") : TEXT.index("        gone:")])
    assert of_model[0] == "torpord.shell.leaving:Exit._leave"
    source = inspect.getsource(leaving.Exit._leave)
    called = [name.partition(":")[2].lower().replace("exit.", "self.") for name in of_model[1:]]
    of_code = [source.index(f"{each}()") for each in called]
    assert len(of_code) == 5
    assert of_code == sorted(of_code)


def test_steps_end_before_the_last_look_and_nobody_has_a_turn_behind_it() -> None:
    source = inspect.getsource(leaving.Exit._nothing_to_do)
    assert source.index("_steps_end") < source.index("while True") < source.index('reached("exit.looked")')
    run = inspect.getsource(leaving.Exit.run)
    assert re.search(r"if await self\._nothing_to_do\(\):\s+return await self\._leave\(reason\)", run)


def test_its_clients_steps_are_those_of_a_talk() -> None:
    steps = {step.__name__ for step in get_args(talk.Step)}
    only_for_subscriptions = {"Renew", "Deliver"}
    assert set(named("STEP")) == steps - only_for_subscriptions


@pytest.mark.parametrize("name", named("IN"))
def test_what_it_says_it_models_is_there(name: str) -> None:
    assert callable(pkgutil.resolve_name(name))
