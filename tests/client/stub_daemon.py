"""What the tests start in place of torpord: `stub_daemon.py MODE HOME`. It leaves a line in HOME/starts."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import signal
import socket
import sys


def _note(home: pathlib.Path) -> None:
    umask = os.umask(0)
    about = {
        "pid": os.getpid(),
        "leads_session": os.getsid(0) == os.getpid(),
        "cwd": str(pathlib.Path.cwd()),
        "environ": dict(os.environ),
        "umask": umask,
        "stdin": str(pathlib.Path("/proc/self/fd/0").readlink()) if sys.platform == "linux" else os.devnull,
        "fds": len(list(pathlib.Path("/proc/self/fd").iterdir())) - 1 if sys.platform == "linux" else 3,
    }
    with (home / "starts").open("a") as file:
        file.write(json.dumps(about) + "\n")


def _serve(home: pathlib.Path) -> None:
    lock = os.open(home / "torpor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(75)
    path = home / "torpor.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                result = {"state": "WAKE", "seq": 1, "changed": True, "wrapper_event_seq": 1}
                answer = {"jsonrpc": "2.0", "id": request["id"], "result": result}
                connection.sendall(json.dumps(answer).encode() + b"\n")


def main() -> None:
    mode, home = sys.argv[1], pathlib.Path(sys.argv[2])
    _note(home)
    if mode == "serve":
        _serve(home)
    elif mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "hang":
        signal.pause()
    else:
        sys.stdout.write("first it says this\n")
        sys.stderr.write("settings: no such key 'drowsy'\n")
        sys.exit(int(mode))


if __name__ == "__main__":
    main()
