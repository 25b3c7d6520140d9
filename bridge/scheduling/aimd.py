"""The batch size when the model of time cannot be trusted: additive increase, multiplicative cut.

For models whose time depends on something else than the number of rows. Everywhere else the fit is
better: AIMD learns that a batch is too large only from a run that was too long.
"""

from __future__ import annotations

RESIDUAL_BAD = 0.20
RESIDUAL_GOOD = 0.15
BAD_FITS = 3
GOOD_FITS = 20
STEP_ROWS = 1
CUT = 0.75


class FitTrust:
    """Whether the fit may choose the batch size, with hysteresis.

    Lost after `BAD_FITS` fits in a row with a residual above 20 %, regained after `GOOD_FITS` in
    a row below 15 %: a step in the time of a model is a bad fit or two, not a bad model of time.
    """

    def __init__(self) -> None:
        self.is_trusted = True
        self._against = 0

    def judge(self, residual: float) -> bool:
        """Take in the residual of one more fit; return whether the fit is trusted."""
        speaks_against = residual > RESIDUAL_BAD if self.is_trusted else residual < RESIDUAL_GOOD
        self._against = self._against + 1 if speaks_against else 0
        if self._against >= (BAD_FITS if self.is_trusted else GOOD_FITS):
            self.is_trusted, self._against = not self.is_trusted, 0
        return self.is_trusted


class AimdBatchRows:
    """A batch size that grows by a row per full run within the budget and is cut by one above it.

    The budget is half of the latency target, so that a request which just missed one batch still
    makes the next. From 1 row to r takes at most r - 1 full runs; from r rows to 1, when every run
    is too long, at most log(r) / log(4/3) + 1 runs. Between the two the size swings from 3/4 of the
    largest that keeps the budget to one row above it.
    """

    def __init__(self, rows: int, rows_cap: int) -> None:
        """Start at `rows`, never exceed `rows_cap`; both at least 1."""
        self._rows_cap = rows_cap
        self.rows = max(1, min(rows, rows_cap))

    def observe(self, rows: int, run_s: float, budget_s: float) -> int:
        """Take in one run of `rows` rows; return the batch size from now on.

        A run with fewer rows than the present size says nothing about larger ones, so it does not
        increase it; one with more, a single large request, says nothing against it.
        """
        if run_s > budget_s:
            if rows <= self.rows:
                self.rows = max(1, int(self.rows * CUT))
        elif rows >= self.rows:
            self.rows = min(self.rows + STEP_ROWS, self._rows_cap)
        return self.rows
