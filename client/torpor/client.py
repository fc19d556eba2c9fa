"""The blocking client: one method for each of the daemon's."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from torpor import calls, pieces, talk
from torpor import home as homes
from torpor.agent_methods import WAIT_GRACE_S, AgentMethods
from torpor.deadline import Deadline
from torpor.errors import Down, Refused
from torpor.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from torpor import replies, run_replies

    Steps = Callable[[talk.Talk], Generator[talk.Step, Any, Any]]

R = TypeVar("R")


def who_asks() -> str:
    """Return how this process is named where it does not say so itself: its program and pid."""
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    return f"{program}[{os.getpid()}]"


class Client(AgentMethods):
    """A blocking client of the daemon of one home. Makes its connection at the first call and keeps it.

    Each call has one deadline for all of it, `timeout` seconds (None: no limit): connecting, starting the daemon where
    it is down, asking again where the connection broke. Looking (`hello`, `status`, `why`, `doctor`, `log`,
    `subscribe`, `wait`, `hold_list`, `run_list`, `run_get`, `run_export`, `wait_run`, `agent_get`, `agent_list`,
    `slot_list`, `wait_agent`) never starts the daemon, and neither does the heartbeat of an agent that does not work,
    nor that one leaves.

    Any call may raise: Unreachable (nobody answers and nobody could be started; `torpor.errors.Down` where this call
    would not start anybody), NotPermitted, Timeout, ProtocolError, or Refused where the daemon said no; and BadHome
    where the home or the socket's path cannot be used.

    Threads may share one: calls wait for each other. `wait`, `wait_run`, `wait_agent`, `subscribe`, `run_export` and
    `run_import` use connections of their own and hold up nobody. Not to be used on both sides of a fork.
    """

    def __init__(
        self, home: str | os.PathLike[str] | None = None, *, timeout: float | None = 30.0, name: str | None = None
    ) -> None:
        """Take `home`, else TORPOR_HOME, else the platform's. `name`: say hello under it on each connection."""
        directory = homes.home_dir(home)
        self._place = talk.Place(directory, homes.socket_path(directory))
        self._timeout = timeout
        self._name = name
        self._lock = threading.Lock()
        self._link = Link(self._place)
        self._talk = talk.Talk(self._place, name=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; holds that are bound to it end. A later call opens another.

        A call that another thread is waiting for ends with Unreachable. Does not wait for it, and may be called by a
        signal's handler.
        """
        link, self._link = self._link, Link(self._place)
        link.hang_up()
        if self._lock.acquire(blocking=False):
            # Nobody is at it. Else whoever is closes it at the end of the call.
            link.close()
            self._lock.release()

    @property
    def home(self) -> str:
        """The directory of the daemon that is talked to."""
        return self._place.home

    def hello(self) -> replies.Hello:
        """Ask who is there, on a connection of its own."""
        reply: replies.Hello = self._aside(lambda t: t.ask(calls.hello(self._name or who_asks())), self._timeout)
        return reply

    def event(self, event: str, *, key: str | None = None, by: str | None = None) -> replies.Event:
        """Send one of `torpor.wire.EVENTS`. With `key` it is applied once, however often it is sent."""
        return self._ask(calls.event(event, key, by))

    def status(self) -> replies.Status:
        """Return the daemon's figures."""
        return self._ask(calls.status())

    def why(self) -> replies.Why:
        """Return why the daemon is in its state, and what comes next."""
        return self._ask(calls.why())

    def doctor(self) -> replies.Examined:
        """Return what only the daemon knows of how well it is. Nothing is checked for it."""
        return self._ask(calls.doctor())

    def log(
        self, *, after: int | None = None, limit: int | None = None, kinds: Iterable[str] | None = None
    ) -> replies.LogPage:
        """Return a page of the ledger after position `after`, else from the oldest record on; newer ones follow `next`.

        A page without records is no end: that is where `next` is the `after` that was asked with.
        Refused `not_found` where records right after `after` are no longer kept; `data["oldest"]` says which are.
        """
        return self._ask(calls.log(after, limit, kinds))

    def subscribe(self, *, after: int | None = None, kinds: Iterable[str] | None = None) -> Iterator[replies.Record]:
        """Yield the ledger's records after position `after`, else from now on, as they are made; does not end.

        It goes on through restarts of the daemon without a gap or a repeat, and waits while it is down. Only at the
        beginning, a daemon that is down is an error (Down). It begins with the first `next()`.
        """
        link, fresh = Link(self._place), talk.Talk(self._place, name=self._name)
        steps, deadline = fresh.follow(after, kinds), Deadline(self._timeout)
        with contextlib.closing(link), contextlib.closing(steps):
            while True:
                yield link.run(fresh, steps, deadline).record

    def wait(self, state: str, *, timeout_s: float | None = None) -> replies.Waited:
        """Return as soon as `state` holds; Timeout after `timeout_s` seconds, without it there is no limit.

        A daemon that goes down in that state, or is down in it, counts; one that is down in another is Down.
        """
        limit_s = None if timeout_s is None else timeout_s + WAIT_GRACE_S
        reply: replies.Waited = self._aside(lambda fresh: fresh.wait(state, timeout_s), limit_s)
        return reply

    @contextlib.contextmanager
    def hold(
        self, why: str, *, who: str | None = None, ttl_s: float | None = None, pid: int | None = None
    ) -> Iterator[replies.Acquired]:
        """Keep the daemon awake inside the `with`. Where it is restarted meanwhile, a hold of the connection ends."""
        acquired = self.hold_acquire(why, who=who, ttl_s=ttl_s, pid=pid)
        link, epoch = self._link, self._link.epoch
        try:
            yield acquired
        finally:
            if ttl_s is not None or pid is not None or (link is self._link and epoch == link.epoch):
                self._let_go(acquired["hold_id"])

    def hold_acquire(
        self, why: str, *, who: str | None = None, ttl_s: float | None = None, pid: int | None = None
    ) -> replies.Acquired:
        """Keep the daemon awake: `ttl_s` seconds, as long as process `pid` lives, else as long as this connection.

        Where such a hold of the connection gets no answer in time, the connection is closed and whatever is
        bound to it ends: else the daemon might keep a hold whose name nobody knows.
        """
        return self._ask(calls.hold_acquire(who or self._name or who_asks(), why, ttl_s, pid))

    def hold_release(self, hold_id: str) -> replies.Released:
        """Let go of a hold."""
        return self._ask(calls.hold_release(hold_id))

    def hold_list(self, *, cursor: str | None = None) -> replies.Holds:
        """Return who keeps the daemon awake: a page of some hundred, then the one after its `cursor`."""
        return self._ask(calls.hold_list(cursor))

    def hibernate(self, *, now: bool = False) -> replies.Hibernating:
        """Ask the daemon to go down as soon as nothing is busy; `now` interrupts its sleep cycle."""
        return self._ask(calls.hibernate(now=now))

    def stop(self) -> replies.Stopping:
        """Ask the daemon to end, and to stay down until `torpor start`."""
        return self._ask(calls.stop())

    def reload(self) -> replies.Reloaded:
        """Ask the daemon to read its settings again; Refused where they are bad, and then nothing has changed."""
        return self._ask(calls.reload())

    def way_proven(self, way: str, took_s: float | None = None) -> replies.WayProven:
        """Record that the way by which this daemon was started works, one of `torpor.wire.WAYS`, and how long it took.

        Refused `conflict` where its `start_cause` is another.
        """
        return self._ask(calls.way_proven(way, took_s))

    def run_start(
        self,
        flow: str,
        data: Mapping[str, Any] | None = None,
        *,
        state: str | None = None,
        purpose: str | None = None,
        session_id: str | None = None,
        max_steps: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> run_replies.RunIs:
        """Begin a run of `flow` with `data`, at its initial state or at `state`.

        `purpose`, `session_id` and `metadata` are the caller's own. With `key` it is begun once, however often asked.
        """
        call = calls.run_start(
            flow,
            data,
            state=state,
            purpose=purpose,
            session_id=session_id,
            max_steps=max_steps,
            metadata=metadata,
            key=key,
        )
        return self._ask(call)

    def run_list(
        self,
        *,
        status: str | None = None,
        flow: str | None = None,
        session_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> run_replies.Runs:
        """Return runs, the newest first: a page, then the one after its `cursor`."""
        return self._ask(calls.run_list(status, flow, session_id, cursor, limit))

    def run_get(self, run_id: str, cursor: str | None = None) -> run_replies.RunPage:
        """Return a run with a page of its history, the oldest first, then the page after its `cursor`."""
        return self._ask(calls.run_get(run_id, cursor))

    def run_pause(self, run_id: str) -> run_replies.RunIs:
        """Stop a run after the step it is in."""
        return self._ask(calls.run_pause(run_id))

    def run_resume(self, run_id: str, *, flow: str | None = None, state: str | None = None) -> run_replies.RunIs:
        """Let a paused run go on; name `flow` or `state` where it does not know its own."""
        return self._ask(calls.run_resume(run_id, flow, state))

    def run_cancel(self, run_id: str) -> run_replies.RunIs:
        """End a run now, in the middle of its step."""
        return self._ask(calls.run_cancel(run_id))

    def run_retry(self, run_id: str) -> run_replies.RunIs:
        """Let a failed run go on from the state that failed; what had finished is not done again."""
        return self._ask(calls.run_retry(run_id))

    def run_remove(self, run_id: str) -> run_replies.RunIs:
        """Forget a run and its history."""
        return self._ask(calls.run_remove(run_id))

    def run_export(self, run_id: str) -> dict[str, Any]:
        """Return all that is known of a run as one JSON document. On a connection of its own."""
        document: dict[str, Any] = self._aside(lambda fresh: pieces.exported(fresh, run_id), self._timeout)
        return document

    def run_import(self, document: Mapping[str, Any]) -> run_replies.RunTaken:
        """Make a run of a document that `run_export` returned, or of an older one. On a connection of its own.

        Raises the built-in TypeError or ValueError where the document is not JSON.
        """
        key = calls.new_key()
        taken: run_replies.RunTaken = self._aside(lambda fresh: pieces.imported(fresh, document, key), self._timeout)
        return taken

    def wait_run(
        self, run_id: str, status: str | None = None, *, timeout_s: float | None = None
    ) -> run_replies.WaitedRun:
        """Return as soon as a run is in `status`, or without one as soon as it has ended; Timeout after `timeout_s`.

        Refused `conflict` where it ended in another way. A daemon that is down or goes down meanwhile is Down.
        """
        limit_s = None if timeout_s is None else timeout_s + WAIT_GRACE_S
        call = calls.wait_run(run_id, status, timeout_s)
        reply: run_replies.WaitedRun = self._aside(lambda fresh: fresh.ask(call), limit_s)
        return reply

    def _let_go(self, hold_id: str) -> None:
        try:
            self.hold_release(hold_id)
        except Down:
            return  # it went down after the hold had ended, or was stopped in spite of it
        except Refused as refusal:
            if refusal.name != "not_found":  # its time had run out, or its process is gone: it ended by itself
                raise

    def _ask(self, call: calls.Call[R]) -> R:
        deadline = Deadline(self._timeout)
        with self._lock:
            link = self._link
            try:
                answer: R = link.run(self._talk, self._talk.ask(call), deadline)
            except Refused:
                raise
            except BaseException:  # Ctrl-C, too
                if call.binds:
                    link.close()
                raise
        return answer

    def _aside(self, steps_of: Steps, timeout_s: float | None) -> Any:
        """Ask on a connection of its own, so that nobody else waits for the answer."""
        fresh = talk.Talk(self._place)
        with contextlib.closing(Link(self._place)) as link:
            return link.run(fresh, steps_of(fresh), Deadline(timeout_s))
