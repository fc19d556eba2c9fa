"""How a daemon stands: in safe mode, of which version, whose service, and whether somebody wakes it. As words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torpor import __version__
from torpor import home as homes
from torpor.cli import run_words, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.replies import Status

_MANAGERS = {
    "systemd-user": "the user's systemd",
    "systemd-system": "the system's systemd",
    "launchd": "launchd",
}
_TEXT_CHARS = 500


def safe(found: Status) -> list[str]:
    """Return the lines of a status in safe mode: why it is, what is served, and what was before."""
    told: Mapping[str, Any] = found["safe_mode"] or {}
    since, reason = told.get("since_ts"), run_words.one_line(told.get("reason") or "nobody says why", _TEXT_CHARS)
    lines = [f"safe mode since {show.moment(since)} ({show.ago(since)}): {reason}"]
    if told.get("suspect"):
        lines.append(f"  suspect   {run_words.one_line(told['suspect'], _TEXT_CHARS)}")
    lines.append("  serves    status, log, doctor, reload and stop; files left in wake.d wait")
    doctor, again = (homes.command(f"torpor {word}", found["home"]) for word in ("doctor", "reload"))
    lines.append(f"  mend      `{doctor}` says how, `{again}` tries again")
    if found["since_ts"] is not None:
        lines.append(f"  before    {found['state']} since {show.moment(found['since_ts'])}")
    return [*lines, process(found), f"  home      {found['home']}", *version(found)]


def process(found: Status) -> str:
    """Return the line about the process."""
    by = f" by {found['start_cause']}" if found["start_cause"] else ""
    service = ""
    if found.get("unit"):
        service = f", {found['unit']} of {_MANAGERS.get(found.get('manager', ''), 'a service manager')}"
    started = f"pid {found['pid']}, started {show.ago(found['started_ts'])}{by}{service}"
    return f"  process   {started}, life {found['generation']}, {found['rss_bytes'] / 1e6:.0f} MB"


def version(found: Status) -> list[str]:
    """Return a line where what runs is not what is installed, or not what this client is of."""
    runs, installed = found["version"], found.get("installed") or {"version": found["version"]}
    restart = homes.command("torpor restart", found["home"])
    if installed["version"] is None:
        return [f"  version   {runs} runs, and its package is gone: install it again, then `{restart}`"]
    if installed["version"] != runs:
        return [f"  version   {runs} runs and {installed['version']} is installed: `{restart}`"]
    if runs != __version__:
        return [f"  version   {runs} runs, and this client is {__version__}: two installations"]
    return []


def armed(found: Mapping[str, Any], *, is_up: bool) -> str:
    """Say whether a timer of the service manager starts the daemon for its next wake; "" where that does not matter.

    A daemon that is up rings by itself, and one that nobody manages says nothing of timers as long as it is.
    """
    if "wake_armed" not in found or (is_up and not found.get("unit")):
        return ""
    if found["wake_armed"] is not None and found["wake_armed"] == found["next_wake_ts"]:
        return ", armed"
    return ", no timer is set for it" if is_up else "; no timer is set for it: at the first start from then on"
