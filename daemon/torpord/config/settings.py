"""`torpor.toml`: read, checked against one table of keys, and turned into what the daemon works by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torpord.config import values
from torpord.config.values import Command, FaultError
from torpord.core.policy import Policy
from torpord.host import small_file
from torpord.host.faults import MACHINE, SetupError

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "json", "text")
HOOKS = ("on_wake", "on_drowsy", "on_sleep", "on_hibernate")
MAX_RUNS_KEPT = 1_000_000
_MOST_SAID = 2_000
_TOO_LONG = "a number in it has thousands of digits: shorten it"
BUILTIN_FLOWS: Mapping[str, Mapping[str, Any]] = {"housekeeping": {"name": "housekeeping", "builtin": True}}


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the settings say. A hook is a list of commands: a string for /bin/sh, or a list of arguments.

    `flows`: specs by name (`config/flows.py`), the built-in one always among them.
    """

    policy: Policy = field(default_factory=Policy)
    hooks: Mapping[str, tuple[Command, ...]] = field(default_factory=dict)
    log_level: str = "info"
    log_format: str = "auto"
    flows: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: BUILTIN_FLOWS)


@dataclass(frozen=True, slots=True)
class Key:
    """A row: where the value goes (a field of Policy, a hook, or `log_*`), and how it is read."""

    target: str
    read: Callable[[Any], Any]


# section, key (`when.power` is `power` in the table `when`). Flows have names of their users' own: see config/flows.py.
KEYS: Mapping[tuple[str, str], Key] = {
    ("lifecycle", "drowsy_after"): Key("drowsy_after_s", values.duration),
    ("lifecycle", "sleep_after"): Key("sleep_after_s", values.duration),
    ("lifecycle", "hibernate_grace"): Key("hibernate_grace_s", values.duration),
    ("lifecycle", "min_up"): Key("min_up_s", values.duration),
    ("lifecycle", "planned_reach"): Key("planned_reach_s", values.duration),
    ("lifecycle", "shadow_run"): Key("shadow_run", values.flag),
    ("sleep", "flow"): Key("sleep_flow", values.name),
    ("sleep", "min_interval"): Key("sleep_min_interval_s", values.duration),
    ("sleep", "yield_within"): Key("yield_within_s", values.duration),
    ("sleep", "when.power"): Key("power", values.one_of("any", "mains")),
    ("sleep", "when.max_cpu"): Key("max_cpu", values.percent),
    ("sleep", "when.between"): Key("between", values.window),
    ("agents", "heartbeat_timeout"): Key("heartbeat_timeout_s", values.timeout),
    ("agents", "default_recovery"): Key("default_recovery_s", values.duration),
    ("ledger", "keep"): Key("ledger_keep_s", values.duration),
    ("runs", "keep"): Key("runs_keep_s", values.duration),
    ("runs", "keep_count"): Key("runs_keep_count", values.whole_number(MAX_RUNS_KEPT)),
    **{("hooks", hook): Key(hook, values.commands) for hook in HOOKS},
    ("log", "level"): Key("log_level", values.one_of(*LEVELS)),
    ("log", "format"): Key("log_format", values.one_of(*FORMATS)),
}


def load(path: Path, *, required: bool = False) -> Settings:
    """Read the settings; a missing file means the defaults, unless it is `required`: somebody has named it.

    Raises SetupError: 78, naming key, value and line; 75 where the disk or the machine fails, and not the settings.
    """
    try:
        text = small_file.read(path).decode()
    except (FileNotFoundError, NotADirectoryError) as error:  # of a home that is none, the home's own check tells more
        if required:
            raise SetupError(
                78, f"settings {path} are not there ({error.strerror}): mend the name, or write them"
            ) from error
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno in MACHINE:
            whose = "the disk fails, or the machine is short of something: mend that, and leave the file as it is"
            raise SetupError(75, f"settings {path} cannot be read now ({error.strerror}): {whose}") from error
        raise SetupError(78, f"settings {path} cannot be read ({error}): mend or remove the file") from error
    import tomllib  # noqa: PLC0415 - a megabyte and 12 ms that a home without settings does not pay

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(78, f"settings {path}: {error}: mend that line") from error
    except RecursionError as error:
        raise SetupError(78, f"settings {path}: lists or tables lie in each other too deep to be read") from error
    except ValueError as error:  # TOML has whole numbers of any size, and Python does not read them
        raise SetupError(78, f"settings {path}: {_TOO_LONG}") from error
    try:
        return _checked(document, path.absolute().parent)
    except ValueError as error:  # such a one in hexadecimal is read, and cannot be shown
        raise SetupError(78, f"settings {path}: {_TOO_LONG}") from error
    except FaultError as fault:
        from torpord.config.lines import line_of  # noqa: PLC0415 - its patterns are compiled when something is wrong

        said = _one_line(str(fault))
        raise SetupError(78, f"settings {path}, line {line_of(text, fault.place)}: {said}") from fault


def _one_line(said: str) -> str:
    """Cut out of an error what a key or a value of any length makes of it; both may hold anything."""
    text = said if len(said) <= _MOST_SAID else f"{said[: _MOST_SAID // 2]} … {said[-_MOST_SAID // 2 :]}"
    return "".join(each if each.isprintable() else "?" for each in text)


def _checked(document: Mapping[str, Any], folder: Path) -> Settings:
    known = BUILTIN_FLOWS
    if "flows" in document:
        from torpord.config import flows  # noqa: PLC0415 - most homes have no flow of their own

        known = flows.read(document["flows"], folder, BUILTIN_FLOWS)
    found: dict[str, Any] = {}
    for section, key, value in _flat(document):
        place = (section, *key.split(".")) if key else (section,)
        row = KEYS.get((section, key))
        if row is None:
            here = sorted(k for s, k in KEYS if s == section) or sorted({"flows", *(s for s, _ in KEYS)})
            name = f"{section}.{key}" if key else section
            raise FaultError(place, f"unknown key {name} = {value!r}; known here: {', '.join(here)}")
        try:
            found[row.target] = row.read(value)
        except values.BadValueError as bad:
            raise FaultError(place, f"{section}.{key} = {value!r} is not {bad}") from bad
    names = {f.name for f in dataclasses.fields(Policy)}
    given = {name: value for name, value in found.items() if name in names}
    policy = Policy(**given, flows=tuple(sorted(known)))
    _fit_together(policy)
    hooks = {name: value for name, value in found.items() if name in HOOKS}
    return Settings(policy, hooks, found.get("log_level", "info"), found.get("log_format", "auto"), known)


def _fit_together(policy: Policy) -> None:
    """Check what one key says against another. Raises FaultError."""
    if policy.sleep_after_s < policy.drowsy_after_s:
        raise FaultError(
            ("lifecycle", "sleep_after"),
            f"lifecycle.sleep_after ({policy.sleep_after_s:g} s) is shorter than drowsy_after"
            f" ({policy.drowsy_after_s:g} s): both count from the last activity",
        )
    if policy.sleep_flow not in policy.flows:
        known = ", ".join(policy.flows)
        raise FaultError(
            ("sleep", "flow"), f"sleep.flow = {policy.sleep_flow!r} is the name of no flow; there are: {known}"
        )


def _flat(document: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """List (section, key, value); a table that is no section of ours comes whole, as an unknown key."""
    sections = {section for section, _ in KEYS}
    rows: list[tuple[str, str, Any]] = []
    for section, body in document.items():
        if section == "flows":
            continue
        if section not in sections or not isinstance(body, dict):
            rows.append((section, "", body))
            continue
        for key, value in body.items():
            if (section, key) == ("sleep", "when") and isinstance(value, dict):
                rows += [(section, f"when.{inner}", each) for inner, each in value.items()]
            else:
                rows.append((section, key, value))
    return rows


def changed(before: Settings, after: Settings) -> tuple[str, ...]:
    """Name the keys whose values differ, a flow as `flows.NAME`."""

    def value(settings: Settings, target: str) -> Any:
        if target in HOOKS:
            return settings.hooks.get(target)
        return getattr(settings if target.startswith("log_") else settings.policy, target)

    keys = [f"{s}.{k}" for (s, k), row in KEYS.items() if value(before, row.target) != value(after, row.target)]
    names = sorted({*before.flows, *after.flows})
    return (*keys, *(f"flows.{name}" for name in names if before.flows.get(name) != after.flows.get(name)))
