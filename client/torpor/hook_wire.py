"""A hook's word with the daemon: one connection, all requests at once, half a second for everything.

`json` costs more than all the rest of a hook; its C scanner alone, which it is made of, next to nothing.
"""

import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Sequence
    from typing import Any

    from torpor.claude_code import Meaning, Word

    Refusal = dict[str, Any]

_LIMIT_S = 0.5
_BACKLOG_PAUSE_S = 0.01
_MOST_REPLY_BYTES = 1024 * 1024  # wire.MAX_LINE_BYTES
_ROUNDS = 4  # without the pid, with an introduction, with another word: each at most once, and one for luck
# A report of a quota may be late: hooks run beside each other, and one of the work before it is no proof against it.
_LATE_HOOK_S = 60.0
_SHELLS = {"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "csh", "tcsh", "busybox", "nu", "pwsh"}
# What is about the word itself. All else another day or another daemon may answer otherwise.
_LAST_WORDS = {"not_found", "conflict", "invalid_params"}


class Unheard(Exception):  # noqa: N818 - no error of anybody's
    """The daemon has not taken it. `is_down`: nobody is there, or is about to leave."""

    def __init__(self, *, is_down: bool) -> None:
        super().__init__()
        self.is_down = is_down


class _Scanned:
    """What the C scanner asks for, with `json`'s own settings but for control characters, which it lets pass."""

    strict = False
    object_hook = object_pairs_hook = array_hook = None
    parse_float = parse_constant = float
    parse_int = int


def parsed(text: str) -> object:
    """Return the JSON value in `text`. Raises ValueError, StopIteration or RecursionError where it is none."""
    try:
        from _json import make_scanner  # noqa: PLC0415 - see the docstring
    except ImportError:  # an interpreter without it
        import json  # noqa: PLC0415

        return json.loads(text)
    return make_scanner(_Scanned())(text.strip(" \t\r\n\ufeff"), 0)[0]  # type: ignore[arg-type]  # its type says itself


def written(value: "Any") -> str:
    """Return what hooks say as JSON: texts, numbers, and objects of them."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{written(name)}:{written(each)}" for name, each in value.items()) + "}"
    if isinstance(value, int):
        return str(value)
    try:
        from _json import encode_basestring_ascii  # noqa: PLC0415 - see the docstring
    except ImportError:
        import json  # noqa: PLC0415

        return json.dumps(value)
    return encode_basestring_ascii(value)


class Line:
    """One connection. `pid`: of the process that the agents live in, once somebody had to know; 0: of none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._end_s = time.monotonic() + _LIMIT_S
        self._socket: _socket.socket | None = None
        self._number = 0
        self._rest = b""

    def ask(self, words: "Sequence[Word]") -> "list[Refusal | None]":
        """Say all of them, and return for each why it was refused, or None. Raises Unheard."""
        first = self._number + 1
        self._number += len(words)
        lines = [
            f'{{"jsonrpc":"2.0","id":{first + place},"method":"{method}","params":{written(params)}}}\n'
            for place, (method, params) in enumerate(words)
        ]
        try:
            connection = self._connected()
            connection.settimeout(self._left_s())
            connection.sendall("".join(lines).encode())
            return [self._reply(connection, first + place) for place in range(len(words))]
        except (TimeoutError, ValueError, StopIteration, RecursionError):  # no answer, or one that is no JSON
            raise Unheard(is_down=False) from None
        except OSError as error:
            lost = (errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE)
            raise Unheard(is_down=error.errno in lost) from None

    def close(self) -> None:
        """Close the connection, if there is one: left to the interpreter it may be told as a mistake."""
        if self._socket is not None:
            self._socket.close()

    def _connected(self) -> "_socket.socket":
        if self._socket is not None:
            return self._socket
        import _socket  # noqa: PLC0415 - as in `torpor.quick`

        fresh = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        while True:
            fresh.settimeout(self._left_s())
            try:
                fresh.connect(self._path)
            except BlockingIOError:  # the backlog is full: that passes
                time.sleep(min(_BACKLOG_PAUSE_S, self._left_s()))
            else:
                self._socket = fresh
                return fresh

    def _reply(self, connection: "_socket.socket", number: int) -> "Refusal | None":
        while True:
            message = parsed(self._line(connection))
            if not isinstance(message, dict):
                raise Unheard(is_down=False)
            if "error" in message and message.get("id") in (number, None):
                error = message["error"]
                refusal = error.get("data") if isinstance(error, dict) else None
                if not isinstance(refusal, dict):
                    raise Unheard(is_down=False)
                if refusal.get("name") == "draining" or message.get("id") is None:
                    raise Unheard(is_down=refusal.get("name") == "draining")
                return refusal
            if message.get("id") == number:
                return None

    def _line(self, connection: "_socket.socket") -> str:
        while b"\n" not in self._rest:
            connection.settimeout(self._left_s())
            more = connection.recv(65536)
            if not more:
                raise Unheard(is_down=True)
            self._rest += more
            if len(self._rest) > _MOST_REPLY_BYTES:
                raise Unheard(is_down=False)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def _left_s(self) -> float:
        left = self._end_s - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def tell(line: Line, meaning: "Meaning") -> None:
    """Say what the hook means until it is granted, in other words where it has to be. Raises Unheard."""
    registers, words, pid = meaning.registers, [meaning.word], None
    for _ in range(_ROUNDS):
        said = [*([meaning.register()] if registers else []), *words, *meaning.beside]
        if pid is None and any(method == "agent.register" for method, _ in said):
            pid = harness_pid()
        refusals = line.ask(with_pid(said, pid or 0))
        if pid and any(map(_is_about_pid, said, refusals)):
            pid = 0  # it means nothing to a daemon outside this container, or has no watch left
            continue
        refusal = refusals[len(said) - len(meaning.beside) - 1]
        if refusal is None:
            return
        match refusal.get("name"):
            case "not_found" if meaning.introduces and not registers:
                registers = True
            case "conflict" if len(words) == 1 and meaning.proves and _is_over(refusal):
                words = [("agent.transition", {"agent_id": meaning.agent_id, "to": "idle"}), meaning.word]
            case "conflict" if "doing" in words[-1][1]:
                words = [("agent.heartbeat", {"agent_id": meaning.agent_id})]  # refused, it were no presence either
            case name if name in _LAST_WORDS:
                return  # at an end, an agent it does not know
            case _:
                raise Unheard(is_down=False)


def with_pid(words: "Sequence[Word]", pid: int) -> "Sequence[Word]":
    """Return the words with all that register bound to the process `pid`, if there is one."""
    if not pid:
        return words
    return [(method, {**params, "pid": pid} if method == "agent.register" else params) for method, params in words]


def harness_pid() -> int:
    """Return the pid of the process that runs the hooks, 0 where that is not known.

    It is our parent, but for a shell between us: one of those is gone before the next hook, and its agent would be.
    """
    pid = os.getppid()
    return pid if pid > 1 and _program(pid).lstrip("-") not in {"", *_SHELLS} else 0


def _program(pid: int) -> str:
    """Return the name of the program that a process runs, "" where nobody says."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        if os.path.isdir("/proc/self"):
            return ""
    import subprocess  # noqa: PLC0415 - macOS, once a session

    asked = ["ps", "-o", "comm=", "-p", str(pid)]
    done = subprocess.run(
        asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    return os.path.basename(done.stdout.strip())


def _is_about_pid(word: "Word", refusal: "Refusal | None") -> bool:
    return word[0] == "agent.register" and refusal is not None and refusal.get("field") == "pid"


def _is_over(refusal: "Refusal") -> bool:
    """Say whether a quota that is said to be used up was so long enough ago for work to prove the contrary."""
    if refusal.get("status") != "exhausted":
        return False
    from datetime import datetime  # noqa: PLC0415 - the rarest of cases

    try:
        return time.time() - datetime.fromisoformat(refusal["exhausted_at"]).timestamp() > _LATE_HOOK_S
    except (KeyError, TypeError, ValueError):
        return False
