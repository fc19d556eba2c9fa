"""The client is standard library only: hooks, editors and agents import it into their own environments."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import torpor
from client.fake_daemon import FakeDaemon

CLIENT = pathlib.Path(torpor.__file__).parent
# -S: no site-packages, and so nothing that a .pth file there has loaded into every interpreter of this environment.
_OPTIONS = ("-S", "-P")
_USE = """
import asyncio, importlib, json, pathlib, sys
client, home = sys.argv[1:]
sys.path.insert(0, str(pathlib.Path(client).parent))
for path in sorted(pathlib.Path(client).rglob("*.py")):
    name = ".".join(path.relative_to(pathlib.Path(client).parent).with_suffix("").parts).removesuffix(".__init__")
    if not name.endswith("__main__"):
        importlib.import_module(name)
import torpor, torpor.cli
assert torpor.Client(home).event("wake_signal")["state"] == "WAKE"
assert torpor.Client(home).run_import(torpor.Client(home).run_export("4f1c2d3e"))["status"] == "paused"
assert torpor.send("wake_signal", home=home).how == "sent"
async def ask():
    async with torpor.AsyncClient(home) as client:
        return await client.status()
assert asyncio.run(ask())["state"] == "WAKE"
for line in (["status"], ["why"], ["log"], ["wake"], ["runs"], ["completion", "bash"]):
    assert torpor.cli.main([*line, "--home", home]) == 0
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def _python(*args: str) -> Any:
    done = subprocess.run([sys.executable, *_OPTIONS, *args], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_and_using_all_of_it_loads_the_standard_library_only(short_dir: pathlib.Path) -> None:
    home = short_dir / "h"
    with FakeDaemon(home):
        loaded = set(_python("-c", _USE, str(CLIENT), str(home)))
    assert not loaded & {"torpord", "anyio", "orjson", "structlog", "psutil"}
    assert loaded - set(sys.stdlib_module_names) - {"__main__"} == {"torpor"}


def test_importing_torpor_alone_loads_nothing_at_all() -> None:
    use = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); import torpor, json as _;"
        "print(_.dumps(sorted(n for n in set(sys.modules) - before if n.startswith('torpor') or n == 'typing')))"
    )
    assert _python("-c", use, str(CLIENT.parent)) == ["torpor"]


def test_every_name_that_is_promised_is_there() -> None:
    promised = {"AsyncClient", "Client", "Error", "NotPermitted", "ProtocolError", "Refused", "Timeout", "Unreachable"}
    assert set(torpor.__all__) == promised | {"__version__", "send"}
    assert set(dir(torpor)) == set(torpor.__all__)
    for name in promised - {"AsyncClient", "Client", "Error"}:
        assert issubclass(getattr(torpor, name), torpor.Error)
    assert not hasattr(torpor, "no_such_name")
