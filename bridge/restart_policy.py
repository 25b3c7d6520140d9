"""When to start an ended child again, and when to give up on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONFIGURATION_ERROR: Final = 2
"""Exit code of a child whose settings are wrong: starting it again cannot help."""


@dataclass(frozen=True)
class RestartPolicy:
    """Exponential back-off, with bounds.

    The first new start comes after `first_delay_s`, each further one after twice the wait before,
    up to `longest_delay_s`. A child that was ready for `healthy_s` starts again from the first
    delay. A child that was never ready is started at most `first_starts_max` times.
    """

    first_delay_s: float = 0.1
    longest_delay_s: float = 10.0
    healthy_s: float = 30.0
    first_starts_max: int = 3

    def delay_s(self, short_lives: int) -> float:
        """Seconds to wait after `short_lives` (at least 1) lives in a row below `healthy_s`."""
        # 2.0 ** 1024 overflows; no delay needs that many doublings.
        return min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(short_lives - 1, 64))

    def fatal_exit_code(self, child_exit_code: int, first_starts: int | None) -> int | None:
        """The exit code of the whole program if this child must not be started again, else None.

        `first_starts` counts the starts of a child that was never ready; None once it was.
        """
        if child_exit_code == CONFIGURATION_ERROR:
            return CONFIGURATION_ERROR
        if first_starts is None or first_starts < self.first_starts_max:
            return None
        return child_exit_code if child_exit_code > 0 else 1
