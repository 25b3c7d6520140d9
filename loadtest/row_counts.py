"""How many rows a body has: one number, or a mix such as "1:0.9,64:0.1"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadtest.errors import BadRows

ROWS_PER_BODY_MAX = 65_536


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Numbers of rows and the share of bodies that have each; the shares add up to 1."""

    counts: tuple[int, ...]
    shares: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> RowCounts:
        """Return the mix that "64" or "1:0.9,64:0.1" stands for; shares are scaled to add up to 1.

        Raises:
            BadRows: anything else.
        """
        try:
            pairs = [part.partition(":") for part in text.split(",")]
            counts = tuple(int(count) for count, _, _ in pairs)
            weights = [float(share) if colon else 1.0 for _, colon, share in pairs]
        except ValueError:
            raise BadRows(
                f"rows: {text!r} is neither a number nor of the form 1:0.9,64:0.1"
            ) from None
        if not all(1 <= count <= ROWS_PER_BODY_MAX for count in counts):
            raise BadRows(f"rows: {text!r}: a body has 1 to {ROWS_PER_BODY_MAX} rows")
        if not all(0 < weight < float("inf") for weight in weights):
            raise BadRows(f"rows: {text!r}: a share is positive")
        return cls(counts, tuple(weight / sum(weights) for weight in weights))

    def spread(self, bodies: int, random: np.random.Generator) -> list[int]:
        """Return the number of rows of each body: the shares as exact as whole bodies allow, mixed.

        Every count has at least one body, where there are enough bodies.
        """
        ideal = np.array(self.shares) * bodies
        whole = np.floor(ideal).astype(int)
        # Largest remainder; a count without a body comes first.
        order = np.argsort(np.where(whole == 0, -2.0, -(ideal - whole)), kind="stable")
        whole[order[: bodies - int(whole.sum())]] += 1
        spread = np.repeat(self.counts, whole)
        random.shuffle(spread)
        return [int(count) for count in spread]
