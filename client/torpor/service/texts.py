"""The units of one home: the shipped ones, with the paths of this installation put into them.

Replaced are the interpreter, the home, the socket and the names of the units among each other; all else is as shipped
and tested there (`systemd/` in the tree, `torpor/units` in what is installed). Comments stay behind: they speak of
installing by hand, and give reasons for whoever reads the source.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import TYPE_CHECKING

from torpor import __version__, wire
from torpor.service import markers

if TYPE_CHECKING:
    from torpor.service.names import Place

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# As the shipped units have it: %h is the home directory in a user's manager.
_SHIPPED_HOME = "%h/.local/state/torpor"
_SECTION = re.compile(r"^\[", re.MULTILINE)


def shipped(name: str) -> str:
    """Return the text of a shipped unit, or of the property list. Raises AssertionError where there is none."""
    checkout = _PACKAGE.parents[1]
    for folder in (_PACKAGE / "units", checkout / "systemd", checkout / "launchd"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise AssertionError(f"{name} is not in this installation of torpor, {_PACKAGE}")


def quoted(value: str) -> str:
    """Return `value` as one word of Environment=, systemd.syntax(7): quoted, no specifier and no escape in it."""
    return '"' + value.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"') + '"'


def program(path: str) -> str:
    """Return `path` as the beginning of ExecStart=.

    There `$` begins a variable in the words, and is taken as it is in the path that is run: so one of both kinds would
    be told a name that is not its own, and a Python finds its environment by that. env(1) has words only.
    """
    return quoted(path) if "$" not in path else "/usr/bin/env " + quoted(path).replace("$", "$$")


def escaped(value: str) -> str:
    """Return `value` as the rest of a line that takes a path as it is: ListenStream=, PathExists=, a condition."""
    return value.replace("%", "%%")


def texts(place: Place, interpreter: str) -> dict[str, str]:
    """Return the whole text of each unit of a home by the name of its file, the marker included.

    `interpreter` is the absolute path of the Python that has torpord: a link is kept as it is, a venv's is one.
    """
    found = {name: _marked(place.home, place.unit, _text(place, name, interpreter)) for name in place.files}
    # What is shared is no home's, and knows no interpreter.
    return found | {name: _marked("", name.partition(".")[0], _text(place, name, "")) for name in place.shared}


def _marked(home: str, unit: str, body: str) -> str:
    return markers.line(__version__, home, unit, body) + "\n" + body


def _text(place: Place, name: str, interpreter: str) -> str:
    is_template = place.manager == "systemd-system"
    text = _without_comments(shipped(_shipped_as(place, name)))
    edit = "systemctl edit" if is_template else "systemctl --user edit"
    ahead = f"# Written anew by each `torpor service install`: what to change goes into a drop-in, `{edit} {name}`.\n\n"
    if name == place.files[0]:
        text = _with_program(text, place, interpreter)
    if not is_template:
        text = _with_names(text, place)
    return ahead + text


def _shipped_as(place: Place, name: str) -> str:
    """Return the name under which a unit is shipped: torpord-boot-work.timer is torpord-boot.timer there."""
    kind = name.rpartition(".")[2]
    if place.manager == "systemd-system":
        return f"{name.partition('@')[0]}@.{kind}"
    return "torpord-boot.timer" if name == place.boot_timer else f"torpord.{kind}"


def _with_program(text: str, place: Place, interpreter: str) -> str:
    """Put the interpreter in, its folder first on the PATH, and what the daemon is to know of its home."""
    text = _replaced(text, "ExecStart=", f"ExecStart={program(interpreter)} -P -m torpord run")
    folder = os.path.dirname(interpreter)
    path = _line(text, "Environment=PATH=").removeprefix("Environment=PATH=")
    ahead = "PATH=" if folder in path.split(":") else f"PATH={folder}:"
    text = _replaced(text, "Environment=PATH=", f'Environment={quoted(ahead)[:-1]}{path}"')
    if place.manager == "systemd-system":
        return text
    lines = [f"Environment={quoted(f'TORPOR_HOME={place.home}')}"]
    if place.socket != os.path.join(place.home, wire.SOCKET_NAME):
        lines.append(f"Environment={quoted(f'TORPOR_SOCKET={place.socket}')}")
    return _replaced(text, "Environment=TORPOR_HOME=", "\n".join(lines))


def _with_names(text: str, place: Place) -> str:
    """Put the home's path in, where the rest of a line is a path, and the unit's name where it names its neighbours."""
    text = re.sub(r"\btorpord\.(?=service|socket|path)", f"{place.unit}.", text)
    text = text.replace("torpord-boot.timer", place.boot_timer)
    listen = f"ListenStream={_SHIPPED_HOME}/{wire.SOCKET_NAME}"
    text = text.replace(listen, f"ListenStream={escaped(place.socket)}")
    return text.replace(_SHIPPED_HOME, escaped(place.home))


def _line(text: str, begin: str) -> str:
    """Return the one line that begins so. Raises AssertionError where it is not one."""
    found = [each for each in text.splitlines() if each.startswith(begin)]
    if len(found) != 1:
        raise AssertionError(
            f"a shipped unit has {len(found)} lines that begin with {begin}, and one is to be replaced"
        )
    return found[0]


def _replaced(text: str, begin: str, line: str) -> str:
    """Return `text` with the one line that begins so replaced. Raises AssertionError likewise."""
    return text.replace(f"{_line(text, begin)}\n", f"{line}\n", 1)


def _without_comments(text: str) -> str:
    lines = [each for each in text.splitlines() if not each.startswith(("#", ";")) and each]
    return _SECTION.sub("\n[", "\n".join(lines) + "\n").lstrip("\n")
