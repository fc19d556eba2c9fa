"""The sleep cycle in words: how the last one ended, when the next can be, how far one is. Each is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torpor.cli import run_words, show, streams

if TYPE_CHECKING:
    from collections.abc import Mapping

# As the daemon says them: `sleep_cycle_skipped`, `status`.
_NOT_DUE, _FAILED_LATELY, _QUARANTINE = "not due yet", "it failed lately", "quarantine"


def lines(sleep: Mapping[str, Any]) -> list[str]:
    """Return the lines of a status about it. What an older daemon, or a state file, does not say is left out."""
    told = [("cycle", _last(sleep)), ("at work", _progress(sleep))]
    return [streams.fitted(f"  {label:<9} {text}") for label, text in told if text]


def skipped(reason: object, due_ts: object) -> str:
    """Return why there is no cycle now, and until when."""
    until = f" until {show.soon(due_ts)}" if due_ts else ""
    setting = " ([sleep] min_interval)" if reason == _NOT_DUE else ""
    told = "in quarantine" if reason == _QUARANTINE else run_words.one_line(reason)
    return f"{told}{until}{setting}"


def has_failed(reason: object) -> bool:
    """Say whether a cycle is put off because it failed: a retry of its run is what would not wait."""
    return reason in (_FAILED_LATELY, _QUARANTINE)


def _last(sleep: Mapping[str, Any]) -> str:
    last, again = sleep.get("last_cycle"), _again(sleep)
    if not isinstance(last, dict):
        return again
    error = last.get("error")
    outcome = last.get("outcome") or ("failed" if error else "done")
    told = " ".join(str(each) for each in (last.get("flow"), last.get("run_id"), outcome) if each)
    told = ", ".join(each for each in (f"{told} {show.ago(last.get('ended_ts'))}", again) if each)
    if not error:
        return told
    where = f" in {run_words.one_line(last['step'])}:" if last.get("step") else ""
    return f"{told}:{where} {run_words.error(error if isinstance(error, dict) else {'message': error})}"


def _again(sleep: Mapping[str, Any]) -> str:
    """Return when the next cycle can be; "" where nothing stands in its way, or nothing is known of it."""
    following, quarantine = sleep.get("next"), sleep.get("quarantine")
    if isinstance(quarantine, dict):
        return f"in quarantine until {show.soon(quarantine.get('until_ts'))}"
    if not isinstance(following, dict) or not following.get("reason"):
        return ""
    reason, due_ts = following["reason"], following.get("due_ts")
    if due_ts and (reason == _NOT_DUE or has_failed(reason)):
        return f"again from {show.soon(due_ts)} on"
    return skipped(reason, due_ts)


def _progress(sleep: Mapping[str, Any]) -> str:
    progress, last = sleep.get("progress"), sleep.get("last_cycle")
    if not isinstance(progress, dict):
        return ""
    run_id = progress.get("run_id")
    if run_id and isinstance(last, dict) and last.get("run_id") == run_id:
        if progress.get("phase") != "running":
            return ""  # it stands where it failed, as told above
        run_id = None
    at = f", at {progress['step']}" if progress.get("step") else ""
    run = f", run {run_id}" if run_id else ""
    return f"{progress.get('done')} of {progress.get('of') or '?'} done{at}{run}"
