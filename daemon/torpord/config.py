"""`torpor.toml`: read, checked against one table of keys, and turned into what the daemon works by."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torpord.core.policy import Policy
from torpord.host.faults import SetupError

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")
YEAR_S = 366 * 86_400.0
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "json", "text")
HOOKS = ("on_wake", "on_drowsy", "on_sleep", "on_hibernate")

Command = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the settings say. A hook is a list of commands: a string for /bin/sh, or a list of arguments."""

    policy: Policy = field(default_factory=Policy)
    hooks: Mapping[str, tuple[Command, ...]] = field(default_factory=dict)
    log_level: str = "info"
    log_format: str = "auto"


class _BadValueError(Exception):
    """What a key takes."""


def duration_s(value: Any) -> float:
    """Read "5m", "90s", "1h30m" or a number of seconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and re.fullmatch(f"(?:{_DURATION.pattern})+", value):
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION.findall(value))
    else:
        raise ValueError(value)
    if not 0 <= seconds <= YEAR_S:
        raise ValueError(value)
    return seconds


def _duration(value: Any) -> float:
    try:
        return duration_s(value)
    except ValueError as error:
        raise _BadValueError('a duration of up to a year, such as "90s", "5m" or "1h30m"') from error


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _BadValueError("true or false")
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise _BadValueError(" or ".join(f'"{word}"' for word in words))
        return str(value)

    return read


def _percent(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise _BadValueError("a percentage of all cores, over 0 and up to 100")
    return float(value)


def _window(value: Any) -> str:
    if not isinstance(value, str) or (value and not _WINDOW.fullmatch(value)):
        raise _BadValueError('a time of day such as "22:00-06:00", or "" for any time')
    return value


def _commands(value: Any) -> tuple[Command, ...]:
    hint = 'a list of commands, each a string for the shell or a list of strings: ["notify-send awake"]'
    if not isinstance(value, list):
        raise _BadValueError(hint)
    commands: list[Command] = []
    for each in value:
        if isinstance(each, str) and each.strip():
            commands.append(each)
        elif isinstance(each, list) and each and all(isinstance(word, str) for word in each):
            commands.append(tuple(each))
        else:
            raise _BadValueError(hint)
    return tuple(commands)


@dataclass(frozen=True, slots=True)
class Key:
    """A row: where the value goes (a field of Policy, a hook, or `log_*`), and how it is read."""

    target: str
    read: Callable[[Any], Any]


# section, key (`when.power` is `power` in the table `when`)
KEYS: Mapping[tuple[str, str], Key] = {
    ("lifecycle", "drowsy_after"): Key("drowsy_after_s", _duration),
    ("lifecycle", "sleep_after"): Key("sleep_after_s", _duration),
    ("lifecycle", "hibernate_grace"): Key("hibernate_grace_s", _duration),
    ("lifecycle", "min_up"): Key("min_up_s", _duration),
    ("lifecycle", "shadow_run"): Key("shadow_run", _flag),
    ("sleep", "min_interval"): Key("sleep_min_interval_s", _duration),
    ("sleep", "when.power"): Key("power", _one_of("any", "mains")),
    ("sleep", "when.max_cpu"): Key("max_cpu", _percent),
    ("sleep", "when.between"): Key("between", _window),
    ("ledger", "keep"): Key("ledger_keep_s", _duration),
    **{("hooks", hook): Key(hook, _commands) for hook in HOOKS},
    ("log", "level"): Key("log_level", _one_of(*LEVELS)),
    ("log", "format"): Key("log_format", _one_of(*FORMATS)),
}


def load(path: Path, *, required: bool = False) -> Settings:
    """Read the settings; a missing file means the defaults, unless it is `required`: somebody has named it.

    Raises SetupError 78, naming key, value and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:  # of a home that is none, the home's own check tells more
        if required:
            raise SetupError(
                78, f"settings {path} are not there ({error.strerror}): mend the name, or write them"
            ) from error
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(78, f"settings {path} cannot be read ({error}): mend or remove the file") from error
    import tomllib  # noqa: PLC0415 - a megabyte and 12 ms that a home without settings does not pay

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(78, f"settings {path}: {error}: mend that line") from error
    return _checked(document, text, path)


def _checked(document: Mapping[str, Any], text: str, path: Path) -> Settings:
    values: dict[str, Any] = {}
    for section, key, value in _flat(document):
        at = f"settings {path}, line {_line(text, section, key)}"
        row = KEYS.get((section, key))
        if row is None:
            known = sorted(k for s, k in KEYS if s == section) or sorted({s for s, _ in KEYS})
            name = f"{section}.{key}" if key else section
            raise SetupError(78, f"{at}: unknown key {name} = {value!r}; known here: {', '.join(known)}")
        try:
            values[row.target] = row.read(value)
        except _BadValueError as bad:
            raise SetupError(78, f"{at}: {section}.{key} = {value!r} is not {bad}") from bad
    names = {f.name for f in dataclasses.fields(Policy)}
    policy = Policy(**{name: value for name, value in values.items() if name in names})
    if policy.sleep_after_s < policy.drowsy_after_s:
        at = f"settings {path}, line {_line(text, 'lifecycle', 'sleep_after')}"
        raise SetupError(
            78,
            f"{at}: lifecycle.sleep_after ({policy.sleep_after_s:g} s) is shorter than drowsy_after"
            f" ({policy.drowsy_after_s:g} s): both count from the last activity",
        )
    hooks = {name: value for name, value in values.items() if name in HOOKS}
    return Settings(policy, hooks, values.get("log_level", "info"), values.get("log_format", "auto"))


def _flat(document: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """List (section, key, value); a table that is no section of ours comes whole, as an unknown key."""
    sections = {section for section, _ in KEYS}
    rows: list[tuple[str, str, Any]] = []
    for section, body in document.items():
        if section not in sections or not isinstance(body, dict):
            rows.append((section, "", body))
            continue
        for key, value in body.items():
            if (section, key) == ("sleep", "when") and isinstance(value, dict):
                rows += [(section, f"when.{inner}", each) for inner, each in value.items()]
            else:
                rows.append((section, key, value))
    return rows


def _line(text: str, section: str, key: str) -> int:
    """Find the line a key stands on: tomllib does not tell. A section's own line where the key cannot be found."""
    last = key.rpartition(".")[2] or section
    within, best = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
        if header:
            within = header[1]
            if within.partition(".")[0] == section:
                best = number
        here = within.partition(".")[0] == section or not within
        if here and re.search(rf"(?:^|[\s{{,.\"']){re.escape(last)}[\"']?\s*[=.]", line):
            return number
    return best


def changed(before: Settings, after: Settings) -> tuple[str, ...]:
    """Name the keys whose values differ."""

    def value(settings: Settings, target: str) -> Any:
        if target in HOOKS:
            return settings.hooks.get(target)
        return getattr(settings if target.startswith("log_") else settings.policy, target)

    rows = KEYS.items()
    return tuple(f"{s}.{k}" for (s, k), row in rows if value(before, row.target) != value(after, row.target))
