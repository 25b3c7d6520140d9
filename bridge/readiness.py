"""How a child tells the process that started it that it is ready.

The parent opens a pipe and hands the number of its writing end to the child in an environment
variable. One byte means ready; the end of the pipe before that means that the child died. A pipe
instead of a probe, because the end of a pipe cannot be missed and nobody has to ask repeatedly.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

READY_FD_VARIABLE = "BATCHBRIDGE_READY_FD"


def ready_fd(environment: Mapping[str, str]) -> int | None:
    """The file descriptor to report readiness on, or None for a process that nobody waits for.

    Raises ValueError, naming the variable, if its value is not the number of a descriptor.
    """
    value = environment.get(READY_FD_VARIABLE)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"{READY_FD_VARIABLE} must be the number of a descriptor, got {value!r}")
    return int(value)


def notify_ready(descriptor: int | None) -> None:
    """Report that this process is ready, once, and close `descriptor`. None does nothing.

    Raises OSError if the descriptor is not an open one.
    """
    if descriptor is None:
        return
    try:
        # A parent that no longer listens is ending, and takes this process with it.
        with contextlib.suppress(BrokenPipeError):
            os.write(descriptor, b"\n")
    finally:
        os.close(descriptor)
