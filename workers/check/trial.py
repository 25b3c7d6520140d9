"""The batches that probe rows are tried in, the most telling first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SIZES = (2, 3, 7)
PAIRS_MAX = 8
SHUFFLES = 3
_STEPS = (5, 7, 11, 13)


@dataclass(frozen=True, slots=True)
class Trial:
    """One batch: what it tries, and its rows in order; a row may stand there twice."""

    name: str
    rows: tuple[int, ...]


def first_trials(rows: Sequence[int], cap: int) -> Iterator[Trial]:
    """Yield the most telling batches of at most `cap` rows: all, backwards, twice each, pairs."""
    yield from _real(
        Trial("together", tuple(rows[:cap])),
        Trial("in reverse", tuple(rows[:cap][::-1])),
        Trial("beside itself", (rows[0], rows[0])),
        Trial("each twice", tuple(row for row in rows for _ in range(2))[:cap]),
    )
    for first, second in list(pairwise(rows))[:PAIRS_MAX]:
        yield from _real(Trial("in a pair", (first, second)), Trial("in a pair", (second, first)))


def beside_strangers(
    rows: Sequence[int], strangers: Mapping[int, str], cap: int
) -> Iterator[Trial]:
    """Yield the rows with each of the named extreme rows after and before them."""
    for stranger, name in strangers.items():
        yield from _real(
            Trial(f"before {name}", (*rows[: cap - 1], stranger)),
            Trial(f"after {name}", (stranger, *rows[: cap - 1])),
        )


def further_trials(rows: Sequence[int], cap: int, full: int) -> Iterator[Trial]:
    """Yield sizes 2, 3, 7, `full` and `full` + 1, each row at other positions, shuffled."""
    for size in (*SIZES, full, full + 1):
        if size <= cap:
            repeated = tuple(rows[place % len(rows)] for place in range(size))
            yield Trial(f"among {size} rows", repeated)
    for turn in range(1, len(rows)):
        turned = (*rows[turn:], *rows[:turn])
        yield from _real(Trial("at another position", turned[: min(SIZES[-1], cap)]))
    count = len(rows)
    for step in [step for step in _STEPS if count % step][:SHUFFLES]:
        shuffled = tuple(rows[place * step % count] for place in range(count))
        yield from _real(Trial("shuffled", shuffled[:cap]))


def _real(*tried: Trial) -> Iterator[Trial]:
    """Leave out batches of one row, which are none."""
    yield from (trial for trial in tried if len(trial.rows) > 1)
