"""The command `torpor`: one row a command in `table`, its work in the module beside it that the row names."""

from __future__ import annotations

import sys

from torpor import wire
from torpor.cli import exits, parsing, streams
from torpor.errors import Error, Refused


def main(argv: list[str]) -> int:
    """Run the command line `argv`, without the program's name, and return the exit status.

    A failure is one line on standard error: whose fault, and what next. Ctrl-C is 130, and a reader that went away
    141 as if by SIGPIPE: both without a word. Where standard output takes nothing (closed, a full disk), 74.
    """
    streams.fill_closed()
    try:
        status = parsing.run(argv)
        sys.stdout.flush()
    except parsing.UsageError as error:
        streams.complain(str(error))
        return error.status
    except Error as error:
        streams.complain(" ".join(_told(error).split()))
        return exits.status_of(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        streams.give_up(sys.stdout)
        return 141
    except OSError as error:
        if not streams.is_about_output(error):
            raise  # a mistake of ours: to be seen
        streams.give_up(sys.stdout)
        streams.complain(f"standard output does not take the answer, which is lost: {error.strerror}")
        return wire.EX_IOERR
    return status


def _told(error: Error) -> str:
    if not isinstance(error, Refused):
        return str(error)
    from torpor.cli import refusals  # noqa: PLC0415 - where there is one

    return refusals.told(error)
