"""`[flows.NAME]`: what becomes of a good one, and what is said of each kind of bad one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from config.reading import given, refusal

FORK = """
[[flows.f.steps]]
name = "split"
parallel = ["a", "b"]
join = "merge"
[[flows.f.steps]]
name = "a"
command = "true"
[[flows.f.steps]]
name = "b"
command = "true"
next = "b2"
[[flows.f.steps]]
name = "b2"
command = "true"
[[flows.f.steps]]
name = "merge"
command = "true"
"""


def steps(*bodies: str) -> str:
    """Write a flow `f` of these steps; each body begins on the second line of its step."""
    return "".join(f"[[flows.f.steps]]\n{body}\n" for body in bodies)


def plain(name: str, more: str = "") -> str:
    return f'name = "{name}"\ncommand = "true"\n{more}'


def spec(folder: Path, text: str, name: str = "f") -> Any:
    settings = given(folder, text)
    assert settings.policy.flows == tuple(sorted(settings.flows))
    assert settings.flows["housekeeping"] == {"name": "housekeeping", "builtin": True}
    found = settings.flows[name]
    assert orjson.loads(orjson.dumps(found)) == found
    return found


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("", None),
        ("path = '/srv/flows'", "/srv/flows"),
        ("path = '~/flows'", "{home}/flows"),
        ("path = 'flows'", "{folder}/flows"),
        ("path = '../flows'", "{folder}/../flows"),
    ],
)
def test_a_flow_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, path: str | None) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    found = spec(tmp_path, f"[flows.nightly]\npython = 'my.notes:flows.nightly'\n{written}\n", "nightly")
    wanted = path and path.format(home="/home/ann", folder=tmp_path)
    assert found == {"name": "nightly", "python": "my.notes:flows.nightly", "path": wanted}


def test_a_relative_path_is_made_whole_wherever_the_settings_were_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert spec(Path(), "[flows.f]\npython = 'a:b'\npath = 'x'")["path"] == str(tmp_path / "x")


def test_a_flow_of_commands(tmp_path: Path) -> None:
    env = "env = { LC_ALL = 'C' }"
    text = steps(
        plain("one", f"cwd = 'work'\ntimeout = '1m30s'\nretries = 3\n{env}"),
        'name = "two"\ncommand = ["git", "gc", ""]\nnext = "two"',
    )
    assert spec(tmp_path, text) == {
        "name": "f",
        "steps": [
            {
                "name": "one",
                "command": "true",
                "cwd": str(tmp_path / "work"),
                "env": {"LC_ALL": "C"},
                "timeout_s": 90.0,
                "retries": 3,
                "next": None,
                "parallel": None,
                "join": None,
            },
            {
                "name": "two",
                "command": ["git", "gc", ""],
                "cwd": None,
                "env": {},
                "timeout_s": None,
                "retries": 0,
                "next": "two",
                "parallel": None,
                "join": None,
            },
        ],
    }


def following(found: Any) -> dict[str, str | None]:
    return {step["name"]: step["next"] for step in found["steps"]}


def test_branches_end_at_their_join(tmp_path: Path) -> None:
    found = spec(tmp_path, FORK)
    assert following(found) == {"split": None, "a": "merge", "b": "b2", "b2": "merge", "merge": None}
    assert (found["steps"][0]["parallel"], found["steps"][0]["join"]) == (["a", "b"], "merge")
    assert found["steps"][0]["command"] is None


@pytest.mark.parametrize(
    "text",
    [
        FORK.replace('["a", "b"]', '["a", "b", "a"]'),  # the same branch twice is two branches
        steps(plain("a", 'next = "b"'), plain("b", 'next = "a"')),  # round and round: max_steps is for that
        steps('name = "s"\nparallel = ["a"]\njoin = "j"', plain("a", 'next = "a"'), plain("j", 'next = "s"')),
        steps('name = "s"\nparallel = ["a", "b"]\njoin = "j"', plain("a", 'next = "b"'), plain("b"), plain("j")),
    ],
)
def test_a_graph_that_goes_round_or_shares_a_step_is_none_of_our_business(tmp_path: Path, text: str) -> None:
    spec(tmp_path, text)


BAD_FLOWS = [
    ("flows = 3", "line 1: flows = 3 is not a table of flows: write [flows.NAME]"),
    ("[flows]\nf = 3", "line 2: flows.f = 3 is not a table with python"),
    ("[flows.'a b']\npython = 'a:b'", "line 1: flows: 'a b' is not a name: 1 to 64 letters"),
    ("[flows.'../x']\npython = 'a:b'", "line 1: flows: '../x' is not a name"),
    (f"[flows.{'x' * 65}]\npython = 'a:b'", f"line 1: flows: '{'x' * 65}' is not a name"),
    ("\n[flows.housekeeping]\npython = 'a:b'", "line 2: flows.housekeeping: this name belongs to the built-in flow"),
    ("[flows.f]", "line 1: flow f has neither python nor steps"),
    ("[flows.f]\npython = 'a:b'\nsteps = []", "line 1: flow f has both python and steps"),
    ("[flows.f]\npithon = 'a:b'", "line 2: flow f: unknown key pithon = 'a:b'; known here: path, python, steps"),
    ("[flows.f]\npython = 'a.py'", "line 2: flow f: python = 'a.py' is not a module and the flow in it"),
    ("[flows.f]\npython = 'a:b'\npath = ''", "line 3: flow f: path = '' is not a path"),
    ("[flows.f]\npython = 'a:b'\npath = '~nobody-here/x'", "line 3: flow f: path = '~nobody-here/x' is not a path"),
    ("[flows.f]\npath = 'x'\n[[flows.f.steps]]\nname = 'a'\ncommand = 'true'", "line 2: flow f: path = 'x' belongs to"),
    ("[flows.f]\nsteps = []", "line 2: flow f: steps = [] is not a list of steps"),
    ("[flows.f]\nsteps = ['x']", "line 2: flow f: steps = ['x'] is not a list of steps"),
]

BAD_STEPS = [
    (("command = 'true'",), "line 1: flow f, step 1 has no name"),
    (("name = 'a b'",), "line 2: flow f, step 1: name = 'a b' is not a name"),
    ((plain("a"), "name = 7"), "line 6: flow f, step 2: name = 7 is not a name"),
    (("name = 'a'",), "line 1: flow f, step a has neither command nor parallel"),
    ((plain("a", "parallel = ['a']"),), "line 1: flow f, step a has both command and parallel"),
    (("name = 'a'\nparallel = ['a']",), "line 1: flow f, step a: parallel = ['a'] has no join"),
    (("name = 'a'\nparallel = []\njoin = 'a'",), "line 3: flow f, step a: parallel = [] is not a list of names"),
    ((plain("a", "join = 'a'"),), "line 4: flow f, step a: join = 'a' belongs to parallel"),
    (("name = 'a'\nparallel = ['a']\njoin = 'a'\nnext = 'a'",), "line 5: flow f, step a: next = 'a' belongs to a com"),
    (("name = 'a'\nparallel = ['a']\njoin = 'a'\nretries = 1",), "line 5: flow f, step a: retries = 1 belongs to a"),
    (("name = 'a'\ncommand = []",), "line 3: flow f, step a: command = [] is not a command"),
    (("name = 'a'\ncommand = ['']",), "line 3: flow f, step a: command = [''] is not a command"),
    (("name = 'a'\ncommand = \"a\\u0000b\"",), "line 3: flow f, step a: command = 'a\\x00b' is not a command"),
    ((plain("a", "env = { A = 1 }"),), "line 4: flow f, step a: env = {'A': 1} is not a table of strings"),
    ((plain("a", "env = { 'A=' = '1' }"),), "line 4: flow f, step a: env = {'A=': '1'} is not a table of environment"),
    (
        (plain("a", "[flows.f.steps.env]\nTORPOR_KEY = 'k'"),),
        "line 4: flow f, step a: env = {'TORPOR_KEY': 'k'} is not",
    ),
    ((plain("a", "timeout = 0"),), "line 4: flow f, step a: timeout = 0 is not longer than nothing"),
    ((plain("a", "timeout = 'soon'"),), "line 4: flow f, step a: timeout = 'soon' is not a duration"),
    ((plain("a", "retries = 1001"),), "line 4: flow f, step a: retries = 1001 is not a whole number from 0 to 1000"),
    ((plain("a", "cwd = 3"),), "line 4: flow f, step a: cwd = 3 is not a path"),
    ((plain("a", "next = 3"),), "line 4: flow f, step a: next = 3 is not the name of a step"),
    ((plain("a", "nxt = 'a'"),), "line 4: flow f, step a: unknown key nxt = 'a'; known here: command, cwd, env, join"),
]

SPLIT = "name = 's'\nparallel = ['a', 'b']\njoin = 'j'\n"
BAD_GRAPHS = [
    ((plain("a"), plain("b"), plain("a")), "line 10: flow f, step a: there is a step a already"),
    ((plain("a", "next = 'x'"),), "line 4: flow f, step a: next names 'x', which is no step of it; there are: a"),
    (
        ("name = 's'\nparallel = ['s', 'x']\njoin = 's'",),
        "line 3: flow f, step s: parallel names 'x', which is no step",
    ),
    (("name = 's'\nparallel = ['s']\njoin = 'x'",), "line 4: flow f, step s: join names 'x', which is no step"),
    ((SPLIT.replace("'j'", "'a'"), plain("a"), plain("b")), "line 4: flow f, step s: its join 'a' is one of its own"),
    ((plain("a", "next = 'c'"), plain("b"), plain("c")), "line 6: flow f, step b: nothing leads to it"),
    ((SPLIT, plain("a"), plain("b"), plain("c"), plain("j")), "line 15: flow f, step c: nothing leads to it"),
    (
        (SPLIT, plain("a", "next = 'k'"), plain("b"), plain("j"), plain("k")),
        "line 9: flow f, step a: it leads a branch of s to k, which is on the main line: the branch ends at its",
    ),
    (
        (SPLIT, plain("j"), plain("a"), plain("b")),
        "line 6: flow f, step j: it leads the main line to a, which is a branch of s: put the branches before",
    ),
    (
        (plain("a"), SPLIT, plain("b"), plain("j")),
        "line 7: flow f, step s: its branch a is the flow's first step, on the main line",
    ),
    (
        (SPLIT, plain("a"), "name = 'b'\nparallel = ['a']\njoin = 'j'", plain("j")),
        "line 12: flow f, step b: it is in a branch of s: a branch cannot fork again",
    ),
    (
        (SPLIT, plain("a"), plain("b"), plain("j"), "name = 't'\nparallel = ['a']\njoin = 'k'", plain("k")),
        "line 7: flow f, step a: it is in branches of s and t, whose joins differ: make it two steps",
    ),
]


@pytest.mark.parametrize(("text", "said"), BAD_FLOWS)
def test_a_bad_flow_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text).startswith(said)


@pytest.mark.parametrize(("bodies", "said"), BAD_STEPS)
def test_a_bad_step_is_refused_with_flow_and_step(tmp_path: Path, bodies: tuple[str, ...], said: str) -> None:
    assert refusal(tmp_path, steps(*bodies)).startswith(said)


@pytest.mark.parametrize(("bodies", "said"), BAD_GRAPHS)
def test_a_bad_graph_is_refused_with_flow_and_step(tmp_path: Path, bodies: tuple[str, ...], said: str) -> None:
    assert refusal(tmp_path, steps(*bodies)).startswith(said)


def test_a_flow_of_ten_thousand_steps_is_read(tmp_path: Path) -> None:
    found = spec(tmp_path, steps(*(f"name = 's{n}'\ncommand = ':'" for n in range(10_000))))
    assert len(found["steps"]) == 10_000


def test_a_flow_too_large_for_its_worker_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, steps(f"name = 'a'\ncommand = '{'x' * 2**21}'"))
    assert said.startswith("line 1: flow f takes 20")
