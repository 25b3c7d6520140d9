"""Shapes of S(b): the straight line through measured times, and the curve of a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

_ROWS_FAR = 2.0**40
_PROFILE_QUANTILE = 0.25


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds by rows."""

    fixed_s: float
    per_row_s: float

    def at(self, rows: Array) -> Array:
        """Return the seconds of each number of rows."""
        return self.fixed_s + self.per_row_s * rows


def fitted_line(sizes: Array, seconds: Array, shape: Line) -> Line:
    """Return the line with the least squares of relative errors; neither part is negative.

    `sizes` are at least 1, `seconds` above 0. Where all sizes are equal neither part is known: the
    line is then a multiple of `shape`.
    """
    # Minimizes the sum of (a x + c y - 1)^2 with x = 1/s and y = b/s.
    x, y = 1 / seconds, sizes / seconds
    xx, xy, yy, sum_x, sum_y = x @ x, x @ y, y @ y, x.sum(), y.sum()
    determinant = xx * yy - xy * xy
    if len(sizes) == 1 or determinant <= 1e-12 * xx * yy:
        scale = float(seconds[0] / (shape.fixed_s + shape.per_row_s * sizes[0]))
        return Line(shape.fixed_s * scale, shape.per_row_s * scale)
    fixed_s = (sum_x * yy - sum_y * xy) / determinant
    per_row_s = (sum_y * xx - sum_x * xy) / determinant
    if per_row_s < 0:
        return Line(float(sum_x / xx), 0.0)
    if fixed_s < 0:
        return Line(0.0, float(sum_y / yy))
    return Line(float(fixed_s), float(per_row_s))


@dataclass(frozen=True, slots=True)
class Curve:
    """A shape of S(b): straight between knots. `sizes`: where it was measured by a profile."""

    sizes: Array
    knot_rows: Array
    knot_s: Array

    @classmethod
    def profiled(cls, profile: Mapping[int, Sequence[float]], shape: Line) -> Curve:
        """Return the curve through the usual time of each size; beyond the last a line goes on.

        `profile`: the seconds of the runs of each size; `shape` as in `fitted_line`.
        """
        sizes = np.array(sorted(profile), dtype=np.float64)
        # The lower quartile: nothing makes a run shorter than it is.
        seconds = np.array(
            [float(np.quantile(profile[int(rows)], _PROFILE_QUANTILE)) for rows in sizes]
        )
        beyond_s = seconds[-1] + fitted_line(sizes, seconds, shape).per_row_s * _ROWS_FAR
        return cls(sizes, np.append(sizes, sizes[-1] + _ROWS_FAR), np.append(seconds, beyond_s))

    @classmethod
    def along(cls, line: Line) -> Curve:
        """Return a line as a curve that was measured nowhere."""
        knots = np.array([0.0, _ROWS_FAR])
        return cls(np.empty(0), knots, line.at(knots))

    def at(self, rows: Array) -> Array:
        """Return the seconds of each number of rows."""
        times: Array = np.interp(rows, self.knot_rows, self.knot_s)
        return times
