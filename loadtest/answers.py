"""Are answers right, under load too? Compared with outputs from a file or asked for before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from loadtest.bodies import Body, BodyPool
from loadtest.caller import Caller
from loadtest.datatypes import Array, Rows
from loadtest.errors import BadAnswer, BadRows, excerpt

RTOL_DEFAULT = 1e-5
ATOL_DEFAULT = 1e-6
# Answers to one body may differ in their last bits: so many are known by their bytes.
ACCEPTED_PER_BODY_MAX = 16
ACCEPTED_BYTES_MAX = 256 * 2**20
RECORDED_ROWS_MAX = 200_000


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """Which body was answered wrongly, and what was wrong."""

    choice: int
    why: str


class AnswerCheck:
    """Judges the bodies of answers with status 200.

    Whole numbers, booleans and text must be equal, floating numbers within
    `atol + rtol * |expected|`, NaN where NaN is expected. Outputs that are not expected are not
    looked at, and bodies without expected outputs are right.

    Raises:
        BadRows: no body of the pool has expected outputs: nothing would be checked.
    """

    def __init__(
        self, pool: BodyPool, rtol: float = RTOL_DEFAULT, atol: float = ATOL_DEFAULT
    ) -> None:
        if not pool.is_checkable:
            raise BadRows("no expected outputs are known, so no answer can be checked")
        self._dialect = pool.dialect
        self._expected = [body.expected for body in pool.bodies]
        self._rtol = rtol
        self._atol = atol
        self._accepted: list[list[bytes]] = [[] for _ in pool.bodies]
        self._accepted_bytes = 0
        self.wrong = 0
        self.first_wrong: WrongAnswer | None = None

    def __call__(self, choice: int, body: bytes) -> bool:
        """Return whether `body` answers the pool's body `choice` rightly."""
        if body in self._accepted[choice]:
            return True
        why = self._fault(self._expected[choice], body)
        if why is None:
            self._remember(choice, body)
            return True
        self.wrong += 1
        if self.first_wrong is None:
            self.first_wrong = WrongAnswer(choice, why)
        return False

    def _fault(self, expected: Rows | None, body: bytes) -> str | None:
        if expected is None:
            return None
        try:
            outputs = self._dialect.outputs(body)
        except BadAnswer as error:
            return str(error)
        return difference(
            expected,
            outputs,
            self._rtol,
            self._atol,
            hides_infinities=self._dialect.hides_infinities,
            may_leave_out_rows=self._dialect.may_leave_out_rows,
        )

    def _remember(self, choice: int, body: bytes) -> None:
        accepted = self._accepted[choice]
        if self._expected[choice] is None or len(accepted) >= ACCEPTED_PER_BODY_MAX:
            return
        if self._accepted_bytes + len(body) <= ACCEPTED_BYTES_MAX:
            self._accepted_bytes += len(body)
            accepted.append(body)


def difference(
    expected: Rows,
    outputs: Mapping[str, Array],
    rtol: float = RTOL_DEFAULT,
    atol: float = ATOL_DEFAULT,
    *,
    hides_infinities: bool = False,
    may_leave_out_rows: bool = False,
) -> str | None:
    """Return the first difference as a sentence, None where all expected outputs are right.

    `hides_infinities`: NaN in `outputs` stands for an infinity as well. `may_leave_out_rows`: the
    outputs of one row may have its shape alone.
    """
    for name, wanted in expected.items():
        found = outputs.get(name)
        if found is None:
            return f"output {name!r} is missing"
        if may_leave_out_rows and (1, *found.shape) == wanted.shape:
            found = found.reshape(wanted.shape)
        if found.shape != wanted.shape:
            return f"output {name!r}: shape {list(found.shape)}, expected {list(wanted.shape)}"
        is_right = _is_right(wanted, found, rtol, atol, hides_infinities=hides_infinities)
        if not is_right.all():
            at = np.unravel_index(int(np.argmin(is_right)), is_right.shape)
            place = [int(index) for index in at]
            return (
                f"output {name!r}, element {place}: {_shown(found[at])}, "
                f"expected {_shown(wanted[at])}"
            )
    return None


def _shown(value: object) -> str:
    """A value as JSON would hold it, not as numpy would."""
    return f"{value.item() if isinstance(value, np.generic) else value!r:.80}"


def _is_right(
    wanted: Array, found: Array, rtol: float, atol: float, *, hides_infinities: bool
) -> Array:
    if wanted.dtype.kind != "f" or found.dtype.kind not in "iuf":
        # Also where the kinds differ: text is never equal to a number.
        pairs = zip(wanted.ravel().tolist(), found.ravel().tolist(), strict=True)
        return np.array([first == second for first, second in pairs], bool).reshape(wanted.shape)
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    # By hand, because np.isclose takes 50 µs.
    is_finite = np.isfinite(wanted)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        is_near = is_finite & (np.abs(found - wanted) <= atol + rtol * np.abs(wanted))
    may_be_nan = ~is_finite if hides_infinities else np.isnan(wanted)
    is_right: Array = is_near | (found == wanted) | (may_be_nan & np.isnan(found))
    return is_right


def record_expected(
    pool: BodyPool,
    base_url: str,
    *,
    row_by_row: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> BodyPool:
    """Return the pool with the outputs that the server answers before the run as expected ones.

    One request at a time, one row in each, so that no row shares a batch with another: under load
    the answers must be the same. With `row_by_row` False, and for bodies that the caller made,
    each body is asked as it is. `on_progress(asked, of)` is called after each body.

    Raises:
        NoAnswer: the server does not answer.
        BadAnswer: a row is not answered with 200, or the answer cannot be read.
        BadRows: more rows than `RECORDED_ROWS_MAX`.
    """
    rows = sum(count or 1 for count in pool.row_counts)
    if row_by_row and rows > RECORDED_ROWS_MAX:
        raise BadRows(
            f"{rows} rows to ask before the run, at most {RECORDED_ROWS_MAX}: take fewer bodies"
        )
    recorded: list[Body] = []
    with Caller(base_url) as caller:
        for body in pool.bodies:
            expected = _ask_rows(caller, pool, body) if row_by_row else _ask(caller, pool, body)
            recorded.append(replace(body, expected=expected))
            if on_progress is not None:
                on_progress(len(recorded), len(pool.bodies))
    return replace(pool, bodies=tuple(recorded))


def _ask_rows(caller: Caller, pool: BodyPool, body: Body) -> Rows:
    if body.rows is None or body.row_count == 1:
        return _ask(caller, pool, body)
    answers: list[Rows] = []
    for index in range(body.row_count or 0):
        row = {name: array[index : index + 1] for name, array in body.rows.items()}
        request = pool.dialect.request(pool.host_header, pool.target, row)
        answers.append(_ask(caller, pool, Body(request, row)))
    for name, output in answers[0].items():
        if any(answer.get(name, output).shape[:1] != (1,) for answer in answers):
            raise BadAnswer(
                f"output {name!r}: not one row for one row; record whole bodies instead"
            )
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _ask(caller: Caller, pool: BodyPool, body: Body) -> Rows:
    answer = caller.ask(body.request)
    if answer.status != 200:
        raise BadAnswer(
            f"asked before the run, {pool.target} answered {answer.status}: {excerpt(answer.body)}"
        )
    return pool.dialect.outputs(answer.body)
