"""From what the settings say of a flow to the flow itself, checked."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torpord.flows import commands
from torpord.flows.api import Flow
from torpord.flows.errors import FlowError
from torpord.flows.graph import check

Spec = Mapping[str, Any]

BUILTIN = "torpord.flows.housekeeping:flow"


def load(spec: Spec) -> Flow:
    """Return the flow of a spec, ready to run. Raises FlowError with a text that its author can act on."""
    if "steps" in spec:
        flow = commands.build(spec)
    else:
        flow = _found(spec["name"], BUILTIN if spec.get("builtin") else spec["python"], spec.get("path"))
    check(flow)
    return flow


def _found(name: str, python: str, path: str | None) -> Flow:
    module_name, _, attribute = python.partition(":")
    module = _imported(name, module_name, path)
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            have = ", ".join(each for each, value in vars(module).items() if isinstance(value, Flow)) or "none"
            at = getattr(module, "__file__", None) or "a built-in module"
            text = f"module {module_name} ({at}) has no {attribute!r}; the flows in it: {have}"
            raise FlowError(name, [text]) from None
    if not isinstance(found, Flow):
        raise FlowError(name, [f"{python} is a {type(found).__name__}, not a torpord.Flow"])
    return found


def _imported(name: str, module: str, path: str | None) -> ModuleType:
    if path is not None:
        if not Path(path).is_dir():
            raise FlowError(name, [f"path {path} is not a folder: name the one that the module {module} lies in"])
        sys.path.insert(0, path)
    importlib.invalidate_caches()  # a module may have been written since the folder was last looked at
    try:
        return importlib.import_module(module)
    except SyntaxError as error:
        text = f"module {module} has a syntax error: {error.msg} ({error.filename}, line {error.lineno})"
        if error.text:
            text += f": {error.text.strip()}"
        raise FlowError(name, [text]) from error
    except SystemExit as error:
        text = (
            f'module {module} ends the program when it is imported ({_where(error)}): write if __name__ == "__main__"'
        )
        raise FlowError(name, [text]) from error
    except ModuleNotFoundError as error:
        raise FlowError(name, [_missing(error, module, path)]) from error
    except Exception as error:
        text = f"module {module} cannot be imported: {type(error).__name__}: {error} ({_where(error)})"
        raise FlowError(name, [text]) from error


def _missing(error: ModuleNotFoundError, module: str, path: str | None) -> str:
    if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
        if path is None:
            return f"module {module} is not installed for {sys.executable}; set path to the folder it lies in"
        return f"module {module} is neither in {path} nor installed for {sys.executable}"
    return f"module {module} needs {error.name!r}, which is not installed for {sys.executable} ({_where(error)})"


def _where(error: BaseException) -> str:
    """Return the file and line of the author's that was running; the import system's own lines tell nothing."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in (__file__, importlib.__file__)
    ]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "before any line of it ran"
