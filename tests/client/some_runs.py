"""Runs as `run.list` and `run.get` tell of them, for the tests to say only what they are about."""

from __future__ import annotations

from typing import Any

from client.fake_daemon import RESULTS, Visitor

TS = "2026-01-02T03:04:05.000+00:00"
LATER_TS = "2026-01-02T03:04:08.500+00:00"


def place(state: str = "read", **more: Any) -> dict[str, Any]:
    return {"branch": "", "state": state, "visit": 1, "attempt": 1, "status": "running", "retry_at": None,
            "since_ts": TS, **more}  # fmt: skip


def run(run_id: str = "4f1c2d3e", status: str = "running", **more: Any) -> dict[str, Any]:
    ended = status in ("completed", "failed", "cancelled")
    return {"run_id": run_id, "flow": "nightly", "status": status, "reason": None, "stopping": "", "worked_s": 1.0,
            "purpose": None, "session_id": None, "cycle": False, "created_ts": TS, "started_ts": TS,
            "ended_ts": LATER_TS if ended else None, "steps": 3, "max_steps": 1000,
            "places": [] if ended else [place()], "progress": {}, "error": None, "worker_pid": None,
            **more}  # fmt: skip


def whole(**more: Any) -> dict[str, Any]:
    return {**run(), "version": 2, "metadata": {}, "data": {}, "data_omitted": {}, "result": None, "errors": [],
            "origin": "4f1c2d3e", "legacy": False, **more}  # fmt: skip


def step(number: int, state: str = "read", **more: Any) -> dict[str, Any]:
    return {"id": number, "branch": "", "state": state, "visit": 1, "attempt": 1, "outcome": "next", "next": ["merge"],
            "started_ts": TS, "duration_s": 0.25, "cpu_s": 0.125, "peak_rss_bytes": 31_000_000, "error": None,
            "output": None, **more}  # fmt: skip


def call(tool: str = "fetch", **more: Any) -> dict[str, Any]:
    return {"key": "k", "branch": "", "state": "read", "visit": 1, "attempt": 1, "tool": tool, "args": {"url": "u"},
            "status": "done", "result": 7, "error": None, "begun_ts": TS, "ended_ts": TS, **more}  # fmt: skip


class Shelf:
    """A daemon with these runs: a scene for any number of connections. `pages` of `run.list` and of `run.get`."""

    def __init__(self, *runs: dict[str, Any], a_page: int = 100) -> None:
        self.runs = list(runs)
        self.a_page = a_page
        self.refused: dict[str, str] = {}

    def __call__(self, visitor: Visitor) -> None:
        while True:
            self.answer(visitor, visitor.request())

    def answer(self, visitor: Visitor, request: dict[str, Any]) -> None:
        method, params = request["method"], request["params"]
        if method == "run.list":
            visitor.answer(request, self._listed(params))
        elif "run_id" in params and params["run_id"] not in [each["run_id"] for each in self.runs]:
            visitor.refuse(request["id"], "not_found", field="run_id")
        elif method in self.refused:
            visitor.refuse(request["id"], self.refused[method], status="completed")
        elif method == "run.get":
            (found,) = [each for each in self.runs if each["run_id"] == params["run_id"]]
            visitor.answer(request, {"run": {**whole(), **found}, "steps": [], "calls": [], "cursor": None})
        elif method == "wait":
            visitor.answer(request, {"run_id": params["run_id"], "status": self.runs[0]["status"], "seq": 9})
        else:
            named = {"run_id": params["run_id"]} if "run_id" in params else {}
            visitor.answer(request, {**RESULTS[method], **named})

    def _listed(self, params: dict[str, Any]) -> dict[str, Any]:
        found = [each for each in self.runs if params.get("status") in (None, each["status"])]
        found = [each for each in found if params.get("flow") in (None, each["flow"])]
        begin = int(params.get("cursor", 0))
        end = begin + self.a_page
        return {"runs": found[begin:end], "cursor": str(end) if end < len(found) else None}
