"""The sizes of what runs carry: the same bounds for the worker, which checks, and the daemon, which relies on none."""

from __future__ import annotations

# All of a run's data as JSON (a branch: main's and its patch), and so much again for one call's arguments or result,
# and for the run's result. What is larger belongs into a file whose path is in the data: each transition is a commit,
# and a commit of megabytes would make everybody wait.
MAX_DATA_BYTES = 1 << 20

# The results of all calls that one visit to a state has recorded: a later attempt is told them in one line, and what a
# worker has not read yet is bounded too (host/worker_pipe.py). Over it no further call is made: with the result of the
# last one these are at most 9 MiB.
MAX_VISIT_CALLS_BYTES = 8 << 20

# An error with its traceback: type, message and traceback together.
MAX_ERROR_BYTES = 64 << 10

# One line on the pipe between daemon and worker: a step's data, its result and its error, with room for escapes.
MAX_PIPE_LINE_BYTES = 4 << 20
