"""The pipe and the output of workers that follow no rule: each costs its worker, and the daemon a bounded memory."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc

import anyio
import pytest

from host.workers import ECHO, workers
from torpord.core.limits import MAX_PIPE_LINE_BYTES
from torpord.host import output_tail, worker_pipe
from torpord.host.worker_pipe import LineTooLongError, WorkerDeafError
from torpord.host.worker_process import WorkerProcess
from waiting import until_async

pytestmark = pytest.mark.asyncio

WHOLE_TAIL = output_tail.TAIL_BYTES


async def received(worker: WorkerProcess, count: int) -> list[bytes]:
    """Receive until there are so many lines."""
    lines: list[bytes] = []
    with anyio.fail_after(30):
        while len(lines) < count:
            came = await worker.receive()
            assert came, worker.output_tail().decode()
            lines += came
    return lines


async def test_a_line_goes_there_and_back() -> None:
    async with workers() as start:
        worker = await start(ECHO)
        for text in (b"{}", b"", b"x" * 300_000, b"y" * MAX_PIPE_LINE_BYTES):
            worker.send(text + b"\n")
            assert await received(worker, 1) == [text]
        worker.send(b"a\nb\n\n")
        worker.send(b"c\n")
        assert await received(worker, 4) == [b"a", b"b", b"", b"c"]


async def test_lines_in_pieces_are_put_together() -> None:
    script = """
for piece in (b"a", b"b\\n", b"c\\nd", b"\\n", b"e\\n\\nf\\nha"):
    pipe.sendall(piece)
    lines.readline()
os._exit(0)
"""
    async with workers() as start:
        worker = await start(script)
        lines: list[bytes] = []
        with anyio.fail_after(20):
            worker.send(b"\n" * 5)
            while came := await worker.receive():
                lines += came
        assert lines == [b"ab", b"c", b"d", b"e", b"", b"f"]  # half a line was never said


async def test_who_waits_for_a_line_can_be_cancelled_and_loses_none() -> None:
    async with workers() as start:
        worker = await start("lines.readline(); tell(1); lines.read()")
        with anyio.move_on_after(0.01):
            await worker.receive()
        worker.send(b"go\n")
        assert await received(worker, 1) == [b"1"]


async def test_a_flood_of_lines_waits_in_its_worker() -> None:
    script = """
pipe.settimeout(0.3)
sent = 0
try:
    while True:
        pipe.sendall(b"%d\\n" % sent)
        sent += 1
except TimeoutError:
    print("stalled at", sent, flush=True)
lines.read()
"""
    async with workers() as start:
        worker = await start(script)
        await until_async(lambda: b"stalled at" in worker.output_tail())
        count = int(worker.output_tail().split()[2])
        assert count < 400_000
        first = await worker.receive()
        assert sum(map(len, first)) <= worker_pipe.READ_BYTES
        lines = first + await received(worker, count - len(first))
        assert lines[:count] == [b"%d" % number for number in range(count)]


async def test_a_line_too_long_is_an_error_after_the_lines_before_it() -> None:
    script = f"pipe.sendall(b'good\\n'); lines.readline(); pipe.sendall(b'x' * {MAX_PIPE_LINE_BYTES + 1}); lines.read()"
    async with workers() as start:
        worker = await start(script)
        assert await received(worker, 1) == [b"good"]
        worker.send(b"\n")
        for _ in range(2):
            with pytest.raises(LineTooLongError), anyio.fail_after(20):
                await worker.receive()


async def test_a_line_too_long_is_one_also_with_its_end() -> None:
    script = f"pipe.sendall(b'x' * {MAX_PIPE_LINE_BYTES + 1} + b'\\nmore\\n'); lines.read()"
    async with workers() as start:
        worker = await start(script)
        with pytest.raises(LineTooLongError), anyio.fail_after(20):
            await worker.receive()


async def test_an_endless_line_costs_no_more_than_a_line() -> None:
    async with workers() as start:
        worker = await start("while True: pipe.sendall(b'x' * 1_000_000)")
        tracemalloc.start()
        try:
            with pytest.raises(LineTooLongError), anyio.fail_after(20):
                await worker.receive()
            assert tracemalloc.get_traced_memory()[1] < 2.5 * MAX_PIPE_LINE_BYTES
            assert tracemalloc.get_traced_memory()[0] < MAX_PIPE_LINE_BYTES / 4
        finally:
            tracemalloc.stop()


async def test_a_worker_that_reads_nothing_is_an_error_and_no_memory() -> None:
    line = b"x" * 1_000_000 + b"\n"
    async with workers() as start:
        worker = await start("tell('up'); threading.Event().wait()")
        assert await received(worker, 1) == [b'"up"']
        for _ in range(worker_pipe.MAX_UNSENT_BYTES // len(line)):
            worker.send(line)  # the socket takes a little of it
        with pytest.raises(WorkerDeafError):
            worker.send(b"x" * 2 * len(line))
        assert len(worker._pipe._unsent) <= worker_pipe.MAX_UNSENT_BYTES


async def test_a_worker_that_ends_without_reading_is_the_end_and_no_error() -> None:
    async with workers() as start:
        worker = await start("tell('up'); lines.raw.readinto(bytearray(1)); os._exit(0)")
        worker.send(b"x" * 5_000_000 + b"\n")
        assert await received(worker, 1) == [b'"up"']
        with anyio.fail_after(20):
            assert await worker.receive() == []
            await worker.ended()
        await until_async(lambda: not worker._pipe._unsent)
        worker.send(b"x" * 5_000_000)
        assert not worker._pipe._unsent


async def test_a_flood_of_output_blocks_its_worker_alone() -> None:
    script = """
def flood():
    global written
    while True:
        written += os.write(1, b"x" * 65_536)
written = 0
threading.Thread(target=flood, daemon=True).start()
for line in lines: tell(written)
"""
    async with workers() as start:
        worker = await start(script)
        begin_s = time.monotonic()
        worker.send(b"ask\n")
        await received(worker, 1)
        await until_async(lambda: len(worker.output_tail()) == WHOLE_TAIL)
        for _ in range(200):
            worker.send(b"ask\n")
            (line,) = await received(worker, 1)
        reads = (time.monotonic() - begin_s) / output_tail.PAUSE_S + 1
        in_the_pipe = 2 * 65_536
        assert json.loads(line) <= reads * output_tail.READ_BYTES + in_the_pipe
        assert worker.output_tail() == b"x" * WHOLE_TAIL


async def test_the_last_words_are_kept_whatever_came_before() -> None:
    async with workers() as start:
        worker = await start("print('x' * 60_000, flush=True); print('my last words', file=sys.stderr)")
        with anyio.fail_after(20):
            await worker.ended()
        assert worker.output_tail().endswith(b"my last words\n")
        assert len(worker.output_tail()) == WHOLE_TAIL


@pytest.mark.parametrize("script", ["pass", "os.close(1); os.close(2)"])
async def test_a_silent_worker_costs_no_wake_up(script: str) -> None:
    async with workers() as start:
        worker = await start(f"print('a word', flush=True); {script}; lines.read()")
        output = worker._output
        at_its_end = bool(script != "pass")
        # No timer, and the loop looks at the output only while more can come: the end is readable for ever.
        looked_at = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
        await until_async(lambda: output.tail() and output._pause is None and (output._fd in looked_at) != at_its_end)
