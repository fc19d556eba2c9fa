"""The command `torpor`: one row a command in `table`, its work in the module beside it that the row names."""

from __future__ import annotations

import os
import sys

from torpor.cli import exits, parsing
from torpor.errors import Error


def main(argv: list[str]) -> int:
    """Run the command line `argv`, without the program's name, and return the exit status.

    A failure is one line on standard error: whose fault, and what next. Ctrl-C is 130, and a reader that went away
    141 as if by SIGPIPE: both without a word.
    """
    try:
        status = parsing.run(argv)
        sys.stdout.flush()
    except parsing.UsageError as error:
        print(f"torpor: {error}", file=sys.stderr)
        return error.status
    except Error as error:
        print(f"torpor: {' '.join(str(error).split())}", file=sys.stderr)
        return exits.status_of(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The interpreter flushes once more when it ends, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status
