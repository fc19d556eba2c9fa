"""Where a daemon's home and its control socket lie. The daemon asks here too, so that both sides go to one place.

Paths are `str`, and nothing is imported that the interpreter has not loaded already: `torpor send` pays for it.
"""

import os
import sys

from torpor import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    PathLike = str | os.PathLike[str]


def home_dir(given: "PathLike | None" = None, environ: "Mapping[str, str]" = os.environ) -> str:
    """Return the absolute path of the home: `given`, else TORPOR_HOME, else this platform's default.

    An empty TORPOR_HOME counts as unset. A relative one is taken from the working directory; a relative
    XDG_STATE_HOME is ignored, as the XDG base directory specification asks. Raises BadHome where `given` is empty: a
    variable that is not set in somebody's script, and the default is not what was meant.
    """
    if given == "":
        from torpor.errors import BadHome  # noqa: PLC0415 - the rare way out of a hot function

        raise BadHome("the home that was given is empty: name a directory, or leave it out for the default")
    named = os.fspath(given) if given is not None else environ.get("TORPOR_HOME", "")
    if named:
        return os.path.abspath(named)
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/torpor")
    state = environ.get("XDG_STATE_HOME", "")
    return os.path.join(state if state.startswith("/") else os.path.expanduser("~/.local/state"), "torpor")


def socket_path(home: str, environ: "Mapping[str, str]" = os.environ) -> str:
    """Return the path of the control socket of `home`: TORPOR_SOCKET, else `torpor.sock` in the home.

    Raises BadHome where the path is longer than this platform's socket addresses; nothing has been touched then.
    """
    named = environ.get("TORPOR_SOCKET", "")
    path = os.path.abspath(named) if named else os.path.join(home, wire.SOCKET_NAME)
    limit = path_limit()
    length = len(os.fsencode(path))
    if length > limit:
        from torpor.errors import BadHome  # noqa: PLC0415 - the rare way out of a hot function

        raise BadHome(
            f"the socket path {path} is {length} bytes long, and this system takes {limit}:"
            " set TORPOR_SOCKET to a shorter path, or choose a shorter home with TORPOR_HOME"
        )
    return path


def command(words: str, home: str, environ: "Mapping[str, str]" = os.environ) -> str:
    """Return a command of torpor's own so that it means `home` also in a shell, of `environ`, whose home is another.

    What the client suggests goes through here: without its home a command would lead to another daemon. The daemon's
    refusals and the file `stopped` name none: they are told beside the home they mean.
    """
    if home == home_dir(None, environ):
        return words
    import shlex  # noqa: PLC0415 - it loads `re`, for the homes that are not the default one

    return f"{words} --home {shlex.quote(home)}"


def path_limit(platform: str = sys.platform) -> int:
    """Return how many bytes a socket's path may have: `sun_path` of unix(7) or unix(4), without the closing NUL."""
    return 103 if platform == "darwin" else 107
