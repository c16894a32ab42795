"""Errors a caller can act on, and the exit codes they become.

Misuse and refused input raise a :class:`WslogError` whose text is one line that names what exists.
A line nobody can read is not an error but a row of ``rejects``; a failed connection is ordinary data.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_PARTIAL = 3  # done, but a source was refused, read in part, or rejected too much
EXIT_NOTHING = 4  # nothing was ingested
EXIT_CANNOT_WRITE = 5
EXIT_BUSY = 6
EXIT_DAMAGED = 7
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141
EXIT_TERMINATED = 143


class WslogError(Exception):
    """Base of every error wslog raises on purpose; ``exit_code`` is what the command line returns."""

    exit_code = EXIT_USAGE


class UsageError(WslogError):
    """An argument is unknown, missing or contradicts another; the text lists the choices."""


class SourceError(WslogError):
    """One input cannot be read: the others of the run are still ingested.

    Parameters
    ----------
    reason : str
        A word of the closed list in :data:`wslog.schema.SOURCE_REASONS`.
    message : str
        One line: what is wrong and what to try.
    """

    exit_code = EXIT_PARTIAL

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LakeWriteError(WslogError):
    """The lake cannot be written (read-only, full, not a folder); nothing of the source was added."""

    exit_code = EXIT_CANNOT_WRITE


class LakeBusyError(WslogError):
    """Another process holds the lake's commit lock for too long."""

    exit_code = EXIT_BUSY


class LakeDamagedError(WslogError):
    """The ledger names a file that is missing or changed, or the ledger itself cannot be read."""

    exit_code = EXIT_DAMAGED
