"""Why a call has no outputs.

ClientError
├── InvalidRequest      it is not accepted as it is (4xx); sending it again is of no use
│   └── UnknownModel    nobody serves such a model or version (404)
├── Refused             nothing was started: it is safe to send it again
│   ├── Overloaded      it could not have been answered in time (429)
│   └── Unavailable     there is no connection, no queue or no worker (503)
├── DeadlineExceeded    its time was up (504, or by the client's own clock); it may have run
├── Interrupted         connection or queue were lost on the way; it may have run
├── Failed              model or server failed on it (422, 500)
├── BadAnswer           what came back is not an answer
└── ClientClosed        the client was closed before the answer came
"""

from __future__ import annotations

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """What a server says instead of an answer; `refused` that nothing was started."""

    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    refused: bool = False


class ClientError(Exception):
    """A call without outputs; `failure` is what the server said, None where it said nothing."""

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure

    @property
    def code(self) -> str | None:
        """The server's `code`, such as `wrong_shape` or `overloaded`."""
        return None if self.failure is None else self.failure.code

    @property
    def retry_after_s(self) -> float | None:
        """After how long the server asks to come back, in seconds."""
        return None if self.failure is None else self.failure.retry_after_s


class InvalidRequest(ClientError):
    """The request is not accepted as it is."""


class UnknownModel(InvalidRequest):
    """Nobody serves a model or version of this name."""


class Refused(ClientError):
    """Nothing was started."""


class Overloaded(Refused):
    """The request could not have been answered in time."""


class Unavailable(Refused):
    """There is no connection, no queue or no worker."""


class DeadlineExceeded(ClientError):
    """The time was up; the request may have run."""


class Interrupted(ClientError):
    """Connection or queue were lost on the way; the request may have run."""


class Failed(ClientError):
    """Model or server failed on the request."""


class BadAnswer(ClientError):
    """What came back is not an answer."""


class ClientClosed(ClientError):
    """The client was closed before the answer came."""


_OF_STATUS: dict[int, type[ClientError]] = {
    404: UnknownModel,
    408: Unavailable,
    422: Failed,
    429: Overloaded,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(failure: Failure) -> ClientError:
    """Return the exception that a server's failure stands for."""
    kind = _OF_STATUS.get(failure.status)
    if kind is None:
        kind = InvalidRequest if 400 <= failure.status < 500 else Failed
    if issubclass(kind, Refused) and not failure.refused:
        kind = Interrupted
    return kind(f"{failure.code}: {failure.message}", failure)
