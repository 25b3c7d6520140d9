"""Why `batchbridge jobs` does not do what it is asked.

JobCommandError
├── Refused      the server says no; `code` is its own
├── Unreachable  there is no server, or it says that it cannot now
└── BadFile      a file cannot be read or written, or its name does not say its format
"""

from __future__ import annotations


class JobCommandError(Exception):
    """The message is for a person."""


class Refused(JobCommandError):
    """The server says no."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unreachable(JobCommandError):
    """There is no server there, or it cannot answer now."""


class BadFile(JobCommandError):
    """A file cannot be used."""
