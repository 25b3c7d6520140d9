"""Does a version still answer its golden rows as recorded, on every way that a row can take?"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.contract.invalid import shown
from bridge.contract.repository import GOLDEN_FILE, VersionFolder, model_digest
from bridge.golden.blame import Blame, Recomputed
from bridge.golden.comparison import Compared, Difference
from bridge.golden.expectation import Expectation
from bridge.golden.golden import Golden, read
from bridge.golden.replay import Replay
from bridge.golden.served import NotServed, served
from bridge.queue_server import QueueUnavailable
from workers.check.agreement import Agreement
from workers.check.stages import Stages
from workers.model import Model

EXIT_STOPPED = 128 + signal.SIGTERM
REASONS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCheck:
    """What became of one version's golden rows.

    `blame` is for the first row that is not as expected. `left_out`: why the real system was not
    tried, empty if it was.
    """

    model: str
    golden: Golden
    is_same_model: bool
    ways: tuple[Compared, ...]
    blame: Blame | None
    left_out: str

    @property
    def name(self) -> str:
        """Its key in the report."""
        return "golden"

    @property
    def is_passed(self) -> bool:
        """Whether every golden row is accepted, and answered as expected on every way tried."""
        return bool(self.golden.rows) and not self.failed_rows

    @property
    def failed_rows(self) -> list[int]:
        """The rows that are not as expected, or not accepted any more, in order."""
        found = set(self.golden.refused)
        for way in self.ways:
            found |= {*way.differences, *way.unanswered}
        return sorted(found)

    def lines(self) -> Iterator[str]:
        """Yield the page for a person, line by line."""
        rows = f"{self.golden.rows + len(self.golden.refused)} golden rows"
        if self.is_passed:
            yield f"{self.model}: passed: {rows} get the answers that are expected."
        else:
            yield (
                f"{self.model}: FAILED: {len(self.failed_rows)} of {rows} do not get the answers "
                "that are expected."
            )
        for row, reason in list(self.golden.refused.items())[:REASONS_SHOWN_MAX]:
            yield f"  row {row} is not accepted any more: {shown(reason)}"
        if not self.is_same_model:
            yield "  recorded with another model.onnx or pipeline.py than these"
        yield from (f"  {_way_line(way)}" for way in self.ways)
        yield from (f"  {line}" for line in self._first())
        if self.left_out:
            yield f"  not sent through gateway, queue and worker: {self.left_out}"

    def _first(self) -> Iterator[str]:
        way = self.first_way
        if way is None or way.first_row is None:
            return
        row = way.first_row
        yield f"the first is row {row}, {way.way}:"
        if row in way.unanswered:
            yield f"  no answer: {way.unanswered[row]}"
        else:
            yield f"  {_difference_text('output', way.differences[row])}"
        blame = self.blame
        if blame is not None:
            yield f"  stage: {blame.stage.value}, {blame.when}"
            if blame.difference is not None:
                yield f"  {_difference_text(blame.stage.value, blame.difference)}"

    @property
    def first_way(self) -> Compared | None:
        """The way on which the first of the rows that are not as expected was seen."""
        failing = [way for way in self.ways if way.first_row is not None]
        return min(failing, key=lambda way: way.first_row or 0, default=None)

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        head, way = self.golden.head, self.first_way
        first: dict[str, Any] | None = None
        if way is not None and way.first_row is not None:
            row = way.first_row
            first = {
                "row": row,
                "way": way.way,
                "unanswered": way.unanswered.get(row),
                "difference": _difference(way.differences.get(row)),
                "stage": None if self.blame is None else self.blame.stage.value,
                "when": None if self.blame is None else self.blame.when,
                "stage_difference": None
                if self.blame is None
                else _difference(self.blame.difference),
            }
        return {
            "passed": self.is_passed,
            "rows": self.golden.rows,
            "failed_rows": self.failed_rows,
            "refused": {str(row): reason for row, reason in self.golden.refused.items()},
            "source": head.source,
            "outputs_from": head.outputs_from or "the model",
            "recorded_model_sha256": head.model_sha256,
            "same_model": self.is_same_model,
            "ways": [_way(way) for way in self.ways],
            "first": first,
            "left_out": self.left_out,
        }


def check_golden(
    folder: VersionFolder,
    model: Model,
    *,
    threads: int,
    left_out: str,
    environment: Mapping[str, str],
) -> tuple[GoldenCheck, Recomputed]:
    """Replay the version's golden rows in this process, and through a system of their own.

    That is left out if `left_out` says why. Call it on the main thread: processes are started.

    Raises:
        GoldenError: the golden file cannot be used.
    """
    path = folder.path / GOLDEN_FILE
    golden = read(path, model.contract)
    stages = Stages(folder, model, threads)
    expectation = Expectation(golden, model.contract, stages, model_digest(folder))
    recomputed = Recomputed(expectation, stages)
    ways = [recomputed.way()]
    if not left_out and golden.rows:
        try:
            ways += asyncio.run(_replayed(folder, expectation, model, threads, environment))
        except (NotServed, QueueUnavailable) as error:
            left_out = str(error)
    found = GoldenCheck(
        model=model.contract.key,
        golden=golden,
        is_same_model=expectation.is_same_model,
        ways=tuple(ways),
        blame=_blame(ways, expectation, recomputed),
        left_out=left_out,
    )
    return found, recomputed


def _blame(ways: list[Compared], expectation: Expectation, recomputed: Recomputed) -> Blame | None:
    rows = [way.first_row for way in ways if way.first_row is not None]
    if not rows:
        return None
    first = min(rows)
    place = next(place for place in expectation.places if place.number == first)
    return recomputed.blame(place)


async def _replayed(
    folder: VersionFolder,
    expectation: Expectation,
    model: Model,
    threads: int,
    environment: Mapping[str, str],
) -> list[Compared]:
    main = asyncio.current_task()
    assert main is not None
    # Ended in order, or queue and worker would be left, and their folders.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
    try:
        async with served(folder, threads, environment) as system:
            with tempfile.TemporaryDirectory(prefix="batchbridge-golden-") as temporary:
                replay = Replay(
                    model.contract, expectation, system, folder.path / GOLDEN_FILE, Path(temporary)
                )
                return await asyncio.to_thread(lambda: list(replay.ways()))
    except asyncio.CancelledError:
        raise SystemExit(EXIT_STOPPED) from None


def _way_line(way: Compared) -> str:
    text = f"{way.way}: {way.rows + len(way.unanswered)} rows"
    if way.unanswered:
        text += f", {len(way.unanswered)} not answered"
    if way.differences:
        return f"{text}, {len(way.differences)} DIFFERENT"
    if way.agreement is Agreement.EXACT:
        return f"{text}, exact, to the bit"
    return f"{text}, equal up to rounding, {way.relative:.1e} at most"


def _difference_text(what: str, difference: Difference) -> str:
    column = f", column {shown(difference.column)}" if difference.column else ""
    return (
        f"{what} {shown(difference.tensor)}{column}: {shown(difference.got)} instead of "
        f"{shown(difference.expected)}"
    )


def _difference(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {
        "tensor": difference.tensor,
        "column": difference.column,
        "expected": difference.expected,
        "got": difference.got,
    }


def _way(way: Compared) -> dict[str, Any]:
    return {
        "way": way.way,
        "passed": way.is_passed,
        "rows": way.rows + len(way.unanswered),
        "different": sorted(way.differences),
        "unanswered": sorted(way.unanswered),
        "agreement": way.agreement.name.lower(),
        "largest_relative_difference": way.relative,
    }
