"""One batch in the making: changes are decided one behind the other, each in the world that the ones before it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

import orjson
import structlog

from torpord.core.decide import decide
from torpord.core.draft import Decision, Refusal
from torpord.core.effects import Effect
from torpord.core.events import Event
from torpord.core.moment import Now
from torpord.core.records import Entry
from torpord.core.run_events import StoredRunEvent
from torpord.core.run_records import RunRecord, RunRemoved
from torpord.core.runs import Run, RunStatus
from torpord.core.value import value
from torpord.core.world import World
from torpord.store.codec import dump
from torpord.store.store import KeptReply, Line, line
from torpord.writer.changes import Change, Outcome

log = structlog.get_logger("torpord.writer")


@value
class Found:
    """What the store was asked before a batch is decided."""

    replies: Mapping[str, KeptReply] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)


class Turn:
    """What was decided so far, and the world after it."""

    def __init__(self, world: World, now: Now, found: Found) -> None:
        self.world = world
        self.now = now
        self.entries: list[Entry] = []
        self.lines: list[Line] = []
        self.effects: list[Effect] = []
        self.replies: list[KeptReply] = []
        self._kept = dict(found.replies)
        self._runs = dict(found.runs)

    def decide(self, event: Event) -> Decision:
        """Decide an event and take over what follows. Raises what `decide` raises; then nothing was changed."""
        decision = decide(self.world, event, self.now)
        self._keep_in_step(decision)
        # Before anything is taken over: what cannot be written as JSON is refused as a whole.
        self.lines += [*filter(None, map(line, decision.entries))]
        self.world = decision.world
        self.entries += decision.entries
        self.effects += decision.effects
        return decision

    def _keep_in_step(self, decision: Decision) -> None:
        """Let what the store was asked before the batch not outlive what the batch itself does to it."""
        for entry in decision.entries:
            record = entry.record
            if not isinstance(record, RunRecord):
                continue
            if isinstance(record, RunRemoved):
                self._runs.pop(record.run_id, None)
            elif record.run_id not in decision.world.runs.live:
                # It has just ended: what it is now, only the next batch can ask.
                last = self.world.runs.live.get(record.run_id)
                if last is not None:
                    self._runs[record.run_id] = replace(last, status=RunStatus.RUNNING)

    def take(self, change: Change) -> Outcome:
        """Decide a change, or give the reply that is kept of the first time."""
        if change.key is not None and change.key in self._kept:
            return _replay(self._kept[change.key], change)
        try:
            event = change.event if isinstance(change.event, Event) else change.event()
            if isinstance(event, StoredRunEvent):
                event = replace(event, stored=self._runs.get(event.run_id))
            reply = event if isinstance(event, Refusal) else self.decide(event).reply
        except Exception as error:
            # A mistake of ours costs one request, not the daemon: a draft that was not finished changed nothing.
            log.exception("internal_error", on=change.event)
            return Refusal("internal_error", f"a mistake of the daemon's: {error!r}; the daemon's log has more")
        if reply is None:
            return {}
        if change.key is not None and not isinstance(reply, Refusal):
            kept = KeptReply(change.key, self.now.wall_s, change.request, dump(reply))
            self._kept[change.key] = kept
            self.replies.append(kept)
        return reply


def _replay(kept: KeptReply, change: Change) -> Outcome:
    if kept.request != change.request:
        message = "this key came before with another method or other params: choose a new key for a new request"
        return Refusal("conflict", message, {"field": "key"})
    return {**orjson.loads(kept.result), "replayed": True}
