"""One worker: its process from the start to the end, and how it is made to end. What is said is `dialogue.py`'s."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup

from torpord.core import run_events as re
from torpord.host.home import refuse_link
from torpord.host.worker_process import Exit, WorkerProcess
from torpord.shell import reports, shortage
from torpord.shell.dialogue import RETRY_REPORT_S, Dialogue, output_of
from torpord.shell.greeting import TooMuchError, greeting
from torpord.shell.surroundings import Surroundings
from torpord.store import runs as rows

log = structlog.get_logger("torpord.worker")

# A flow's imports may take their time, but not for ever: meanwhile the daemon stays awake for it.
LOAD_LIMIT_S = 120.0
# What an ending worker gets after each word, before the next and stronger one.
EXIT_S = 2.0
CANCEL_S = 1.0
LAST_S = 0.3
# What a process that has ended had still sent is taken, as long as the store takes it.
LAST_WORDS_S = 5.0


@dataclass(slots=True)
class Worker:
    """The worker `number` of a run. `gone` is set when nothing of it is left.

    `short`: it could not be started, as the machine was short of something; `shortages`: so many before it, in a row.
    """

    run_id: str
    number: int
    around: Surroundings
    gone: anyio.Event = field(default_factory=anyio.Event)
    progress: dict[str, Any] = field(default_factory=dict)
    shortages: int = 0
    short: bool = False
    _process: WorkerProcess | None = None
    _tasks: TaskGroup | None = None
    _talk: Dialogue | None = None
    _spec: Mapping[str, Any] = field(default_factory=dict)
    _called_off: bool = False  # it is to end: what works for it gives way
    _ending: bool = False
    _blameless: bool = False
    _how: str = ""
    _last_word: str = ""  # what it was told before there was a process to tell
    _off: anyio.Event = field(default_factory=anyio.Event)  # set with `_called_off` by who ends it

    @property
    def pid(self) -> int | None:
        """The process, once there is one."""
        return self._process.pid if self._process else None

    async def live(self) -> None:
        """Start it, serve it until it has ended, and say so."""
        exit_ = None
        try:
            hello = await self._hello()
            if hello is not None and not self._called_off:
                exit_ = await self._serve(hello)
                self._look_whether_outdated()
        except OSError as error:
            self._how = f"it cannot be started: {error}"
            log.warning("worker_not_started", run_id=self.run_id, error=str(error))
            await self._wait_for_room(error)
        except Exception as error:
            # A mistake of ours costs one run, not the daemon.
            self._how = f"a mistake of the daemon's: {error!r}"[:500]
            log.exception("internal_error", run_id=self.run_id)
        finally:
            if self._process is not None:
                with anyio.CancelScope(shield=True):
                    await self._process.close()
                    await anyio.to_thread.run_sync(_removed, self._work_dir)  # it may have left any amount there
        self.around.writer.owe(self._gone(exit_))

    async def _wait_for_room(self, error: OSError) -> None:
        """Wait before the next worker is tried. Who ends this one does not wait for that."""
        is_short = shortage.is_shortage(error, self.around.writer.world.runs.live.get(self.run_id))
        self._blameless = self._blameless or is_short
        with anyio.move_on_after(shortage.pause_s(self.shortages) if is_short else RETRY_REPORT_S):
            await self._off.wait()
        self.short = is_short and not self._off.is_set()

    def _look_whether_outdated(self) -> None:
        """Blame nobody for a worker that could not even load its flow, while its code was being replaced."""
        installed = self.around.installed
        if installed.is_replaced and self._talk is not None and not self._talk.loaded and not self._called_off:
            why = installed.differs(installed.view()["version"], self.around.home)
            self.around.writer.owe(re.WorkerOutdated(reports.CAUSE, self.run_id, self.number, why))

    def _gone(self, exit_: Exit | None) -> re.WorkerGone:
        talk = self._talk
        how = (talk.fault if talk else "") or self._how
        how = how or (_ended_how(exit_.returncode) if exit_ else "it was not started")
        return re.WorkerGone(
            reports.CAUSE,
            self.run_id,
            self.number,
            how,
            blame=(talk is None or talk.blamed) and not self._blameless,
            output=output_of(self._process) if self._process else "",
            cpu_s=exit_.cpu_s if exit_ else None,
            peak_rss_bytes=exit_.peak_rss_bytes if exit_ else None,
        )

    @property
    def _work_dir(self) -> Path:
        return self.around.work_dir(self.run_id)

    async def _hello(self) -> bytes | None:
        """Read what the worker is told first; None where its flow is in no settings any more."""
        run = self.around.writer.world.runs.live.get(self.run_id)
        if run is None or run.worker != self.number:
            self._called_off = True
            return None
        spec = self.around.flows().get(run.flow)
        if spec is None:
            self._cannot_go_on(f"there is no flow {run.flow!r} in the settings any more: put it back, and retry")
            return None
        self._spec = spec
        found = await self.around.read(lambda db: rows.resumption(db, run))
        try:
            return greeting(run, spec, found, self._work_dir)
        except TooMuchError as error:
            self._cannot_go_on(str(error))
            return None

    def _cannot_go_on(self, message: str) -> None:
        error = {"type": "FlowError", "message": message, "traceback": ""}
        self.around.writer.owe(re.WorkerCannotLoad(reports.CAUSE, self.run_id, self.number, error))

    async def _serve(self, hello: bytes) -> Exit:
        self.around.places.mkdir(mode=0o700, exist_ok=True)
        refuse_link(self.around.places)
        self._work_dir.mkdir(mode=0o700, exist_ok=True)
        # -P: the working directory is no place for modules.
        argv = [sys.executable, "-P", "-m", "torpord.flows.worker"]
        self._process = process = await WorkerProcess.spawn(argv, self.around.environment())
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._talk = talk = Dialogue(
                self.run_id,
                self.number,
                self.around,
                process,
                tasks,
                self._spec,
                self.progress,
                lambda: self._called_off,
            )
            process.send(hello)
            if self._last_word:
                self._end(self._last_word)
            tasks.start_soon(self._limit_loading, talk)
            listened = anyio.Event()
            tasks.start_soon(self._listen, talk, listened)
            # From the first moment on: it is also what notices the end of the group's guardian.
            exit_ = await process.ended()
            with anyio.move_on_after(LAST_WORDS_S):
                await listened.wait()
                await talk.all_answered()
            self._tasks, talk.over = None, True
            tasks.cancel_scope.cancel()
        return exit_

    async def _limit_loading(self, talk: Dialogue) -> None:
        await anyio.sleep(LOAD_LIMIT_S)
        if not talk.loaded:
            self._cannot_go_on(f"loading it took over {LOAD_LIMIT_S:g} s: what does it do when it is imported?")
            await self._kill_after(0)

    async def _listen(self, talk: Dialogue, listened: anyio.Event) -> None:
        await talk.listen()
        listened.set()
        if not self._ending:  # it has closed the pipe, or broken the protocol: there is no more to come
            await self._kill_after(CANCEL_S)

    # What was decided.

    def begin(self, steps: Sequence[Mapping[str, Any]], join: str | None) -> None:
        """Tell it to begin steps, or to merge."""
        if self._talk is not None:
            self._start(self._talk.tell, {"t": "begin"}, steps, join)

    def warn(self, within_s: float) -> None:
        """Tell it to end its steps; after that time it is ended."""
        self._called_off = True
        self._off.set()
        if self._ending:
            return
        self._say("yield")
        self._last_word = "cancel"
        self._start(self._end_after, within_s)

    async def _end_after(self, within_s: float) -> None:
        await anyio.sleep(within_s)
        if not self._ending and self._process is not None:
            self._ending = True
            self._how = f"it did not end within {within_s:g} s"
            self._say("cancel")
            self._process.terminate()
            await self._kill_after(LAST_S)

    def stop(self, *, broken_off: bool) -> None:
        """End it: at once, where steps of it are broken off; else when it has cleaned up."""
        self._called_off = True
        self._off.set()
        if not self._ending:
            self._end("cancel" if broken_off else "exit")

    def give_up(self, why: str) -> None:
        """End it now, and blame nobody."""
        self._how, self._blameless = why, True
        self.stop(broken_off=True)  # also where there is no process yet: it would begin with what is not so any more
        self._start(self._kill_after, 0)

    def hurry(self) -> None:
        """End it now: the run's next worker waits."""
        self.stop(broken_off=True)  # nobody else may have, and it may have no process yet
        self._start(self._kill_after, CANCEL_S)

    def _say(self, word: str) -> None:
        if self._talk is not None:
            self._talk.send({"t": word})

    def _start(self, call: Callable[..., Any], *args: Any) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(call, *args)

    def _end(self, word: str) -> None:
        self._last_word = word
        if self._tasks is None:
            return
        self._ending = True
        self._say(word)
        self._start(self._insist, word)

    async def _insist(self, word: str) -> None:
        await anyio.sleep(CANCEL_S if word == "cancel" else EXIT_S)
        if self._process is not None:
            self._process.terminate()
            await self._kill_after(CANCEL_S)

    async def _kill_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        if self._process is not None:
            self._process.kill()


def _removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _ended_how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
