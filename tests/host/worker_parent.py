"""A daemon in little, to be killed: it starts a worker, says who is who, and waits. Not a test by itself."""

from __future__ import annotations

import json
import subprocess
import sys

import anyio

from torpord.host.worker_process import WorkerProcess


async def main(argv: list[str]) -> None:
    worker = await WorkerProcess.spawn(argv, {})
    # Whoever is started later gets all that can be inherited; the lifeline must not be among it.
    with subprocess.Popen(["sleep", "1000"], close_fds=False) as hook:  # noqa: ASYNC220 - as quick as any
        told = [json.loads(line) for line in await worker.receive()]
        print(json.dumps({"pgid": worker.pgid, "worker": worker.pid, "hook": hook.pid, "told": told}), flush=True)  # noqa: T201 - to the test
        await worker.ended()


anyio.run(main, sys.argv[1:])
