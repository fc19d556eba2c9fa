"""`torpord flows` and `torpord check`: what can be run, told without a daemon and without running it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Torpord = Callable[..., Done]

SETTINGS = """
[flows.nightly]
python = "nightly:flow"
path = "one"

[flows.other]
python = "nightly:flow"
path = "two"

[[flows.mend.steps]]
name = "collect"
command = "git gc"
timeout = "5m"

[[flows.mend.steps]]
name = "both"
parallel = ["a", "b"]
join = "end"

[[flows.mend.steps]]
name = "a"
command = ["true"]

[[flows.mend.steps]]
name = "b"
command = ["true"]
retries = 3

[[flows.mend.steps]]
name = "end"
command = "true"
"""
NIGHTLY = """
import os
from torpord import Complete, Flow, Run
from near import NAME
print("said while it is loaded")
os.write(1, b"past Python\\n")
flow = Flow("nightly", version=2)

@flow.state(initial=True, retries=1, timeout=90)
async def read(run: Run):
    '''Read all there is.

    And more.'''
    return Complete(NAME) if run.data else write

@flow.state
def write(run: Run):
    return run.data["where"]
"""


@pytest.fixture
def torpord(tmp_path: pathlib.Path) -> Torpord:
    (tmp_path / "torpor.toml").write_text(SETTINGS)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nightly.py").write_text(NIGHTLY)
        (tmp_path / name / "near.py").write_text(f"NAME = {name!r}")

    def run(*words: str) -> Done:
        command = [sys.executable, "-P", "-m", "torpord", *words, "--config", str(tmp_path / "torpor.toml")]
        if words[0] == "check":
            command += ["--home", str(tmp_path / "h")]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    return run


def told(done: Done, status: int = 0) -> Any:
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_the_list(torpord: Torpord, tmp_path: pathlib.Path) -> None:
    done = torpord("flows", "--json")
    where = f"nightly:flow in {tmp_path}"
    rows = [
        ("housekeeping", "builtin", "torpord.flows.housekeeping:flow"),
        ("nightly", "python", f"{where}/one"),
        ("other", "python", f"{where}/two"),
        ("mend", "commands", "the settings"),
    ]
    assert told(done) == {"flows": [{"name": n, "kind": k, "where": w, "error": None} for n, k, w in rows]}
    assert done.stderr.splitlines() == ["said while it is loaded", "past Python"] * 2
    text = torpord("flows").stdout
    assert text.splitlines()[0] == "housekeeping  builtin   torpord.flows.housekeeping:flow"


def test_a_page(torpord: Torpord) -> None:
    page = told(torpord("flows", "nightly", "--json"))
    assert (page["name"], page["version"], page["kind"], page["initial"]) == ("nightly", 2, "python", "read")
    read, write = page["states"]
    assert read == {
        "name": "read",
        "next": ["write"],
        "parallel": None,
        "parallels": [],
        "completes": True,
        "anywhere": False,
        "retries": 1,
        "timeout_s": 90.0,
        "doc": "Read all there is.",
    }
    assert write["anywhere"]
    both = told(torpord("flows", "mend", "--json"))["states"][1]
    assert both["parallel"] == [["a", "b"], "end"]
    text = torpord("flows", "mend").stdout
    assert "  collect (initial, timeout 300 s) -> both\n      git gc\n" in text
    assert "  both -> (a | b) joined at end\n" in text


def test_a_drawing(torpord: Torpord) -> None:
    done = torpord("flows", "nightly", "--graph")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "stateDiagram-v2",
        "    [*] --> read",
        "    read --> write",
        "    read --> [*]",
        "    write --> anywhere",
    ]


def test_a_flow_with_an_error(torpord: Torpord, tmp_path: pathlib.Path) -> None:
    (tmp_path / "one" / "nightly.py").write_text("def broken(:")
    done = torpord("flows", "nightly", "--json")
    page = told(done, 65)
    assert "syntax error" in page["error"]
    assert done.stderr == f"torpord: {page['error']}\n"
    assert torpord("flows", "nightly", "--graph").returncode == 65
    errors = {line["name"]: line["error"] for line in told(torpord("flows", "--json"))["flows"]}
    assert errors == {"housekeeping": None, "nightly": page["error"], "other": None, "mend": None}
    checked = torpord("check")
    assert checked.returncode == 65
    assert page["error"] in checked.stderr


def test_a_check_loads_every_flow(torpord: Torpord) -> None:
    done = torpord("check")
    assert done.returncode == 0, done.stderr
    assert "flows housekeeping, nightly, other, mend: good" in done.stdout


def test_what_is_asked_wrongly(torpord: Torpord, tmp_path: pathlib.Path) -> None:
    done = torpord("flows", "nix")
    assert done.returncode == 64
    assert "have no flow 'nix'; they have housekeeping, nightly, other, mend" in done.stderr
    assert torpord("flows", "--graph").returncode == 64
    (tmp_path / "torpor.toml").write_text("[flows.nightly]\npython = 7")
    assert torpord("flows").returncode == 78
    assert torpord("flows", "nightly").returncode == 78


def _loaded(code: str) -> set[str]:
    code += "; import sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_package_loads_nothing_until_it_is_asked() -> None:
    bare = _loaded("pass")
    assert _loaded("import torpord") - bare <= {"torpord", "__future__"}
    every = _loaded("from torpord import Complete, Failed, Flow, Parallel, Retry, Run")
    assert "torpord.flows.run" in every
    assert not every & {"torpord.app", "torpord.store", "sqlite3", "structlog", "anyio", "psutil"}


def test_the_package_has_what_it_says() -> None:
    import torpord

    for name in torpord.__all__:
        assert getattr(torpord, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Flows'"):
        torpord.Flows  # type: ignore[attr-defined]  # noqa: B018 - asking is the point
