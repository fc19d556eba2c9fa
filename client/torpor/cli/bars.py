"""How a run looks while it works: a head line, and a line a branch with its bar."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from torpor import durations
from torpor.cli import run_words, show

if TYPE_CHECKING:
    from torpor.run_replies import Run, RunPlace, RunProgress

_BAR_CELLS = 24
_NOTE_CHARS = 60
_STOPPING = {"pause": "pauses after its step", "yield": "gives way", "fail": "fails when its branches have ended"}
# Of a run that failed: nobody waits any more, and what it failed with is told of the run.
_AFTER = {"at_join": "done", "failed": "failed"}
_BLOCKS, _ASCII = ("█", "░"), ("#", ".")  # an ASCII terminal has no blocks


def lines(run: Run, *, encoding: str = "utf-8") -> list[str]:
    """Return the lines for a run as it is now."""
    full, empty = _BLOCKS if _can_say("".join(_BLOCKS), encoding) else _ASCII
    told = [head(run)]
    is_over = run["status"] in ("completed", "cancelled")
    places = [] if is_over else [place for place in run["places"] if place["status"] != "forked"]
    names = [run_words.place(place, places) for place in places]
    width = max(map(len, names), default=0)
    for name, place in zip(names, places, strict=True):
        progress = run["progress"].get(place["branch"]) if place["status"] == "running" else None
        doing = _doing(place, progress, full, empty)
        if run["status"] == "failed":
            doing = _AFTER.get(place["status"], "")
        told.append(f"  {name:{width}}  {doing}".rstrip())
    return told


def head(run: Run) -> str:
    """Return the line about the run as a whole."""
    lived_s = run_words.lived(run)
    time = show.elapsed(run["started_ts"] or run["created_ts"]) if lived_s is None else durations.show(lived_s)
    # What a failed run failed with is told beside its places.
    reason = f": {run_words.one_line(run['reason'])}" if run["reason"] and run["status"] != "failed" else ""
    stopping = f", {_STOPPING.get(run['stopping'], run['stopping'])}" if run["stopping"] else ""
    waits = f", {waiting}" if (waiting := waits_until(run)) else ""
    name = f"{run['flow'] or 'a run without a flow'} {run['run_id']}"
    return f"{name}: {run['status']}{stopping}{waits}{reason}, {run_words.steps(run['steps'])} done, {time}"


def waits_until(run: Run) -> str:
    """Return until when a run waits for its next attempt; "" where something in it goes on before."""
    going = [place for place in run["places"] if place["status"] not in ("forked", "at_join")]
    times = [place["retry_at"] for place in going if place["status"] == "waiting" and place["retry_at"]]
    if run["status"] != "running" or not times or len(times) < len(going):
        return ""
    return f"waits until {show.soon(min(times, key=datetime.fromisoformat))}"


def measure(progress: RunProgress) -> str:
    """Return a progress in figures: "3 of 10, fetching"."""
    of = f" of {progress['of']:g}" if progress["of"] else ""
    note = f", {run_words.one_line(progress['note'], _NOTE_CHARS)}" if progress["note"] else ""
    return f"{progress['done']:g}{of}{note}"


def tenth(progress: RunProgress) -> int:
    """Return in which tenth of its way a progress is; 0 where it knows no end."""
    return int(10 * _share(progress))


def _doing(place: RunPlace, progress: RunProgress | None, full: str, empty: str) -> str:
    match place["status"]:
        case "running" if progress is not None and progress["of"]:
            filled = int(_BAR_CELLS * _share(progress))
            bar = full * filled + empty * (_BAR_CELLS - filled)
            return f"{bar} {_share(progress):4.0%}  {measure(progress)}  {show.elapsed(place['since_ts'])}"
        case "running":
            told = f"{measure(progress)}  " if progress is not None else ""
            return f"running  {told}{show.elapsed(place['since_ts'])}"
        case "waiting":
            again = f"again in {show.until(place['retry_at'])}" if place["retry_at"] else "waits for its next attempt"
            error = place.get("error")
            # One of the type Retry is that the state asked for another attempt.
            return f"{again} after {_error(place)}" if error and error.get("type") != "Retry" else again
        case "at_join":
            return "done, waits for the other branches"
        case status:
            return f"{status}: {_error(place)}" if place.get("error") else status


def _error(place: RunPlace) -> str:
    return run_words.error(place.get("error") or {})


def _share(progress: RunProgress) -> float:
    """Return how far it is, from 0 to 1: what a step says of itself may be anything."""
    if not progress["of"] or progress["of"] < 0:
        return 0.0
    return min(max(progress["done"] / progress["of"], 0.0), 1.0)


def _can_say(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
