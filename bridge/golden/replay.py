"""Golden rows through the real system: each alone, among strangers, in each form, and as a job."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bridge.client.client import Client
from bridge.client.errors import ClientError
from bridge.contract.model import ModelContract, TensorSpec
from bridge.golden.caller import Caller, NotAnswered
from bridge.golden.comparison import Compared
from bridge.golden.expectation import Expectation, RowPlace
from bridge.golden.golden import ROWS_MAX
from bridge.golden.named_form import named_form
from bridge.golden.served import Served
from bridge.golden.wire_formats import WireFormat, is_carried_by_json, wire_formats
from bridge.jobs.errors import JobError
from bridge.jobs.file_job import FileJob, FileJobSettings
from bridge.jobs.golden_file import read_rows
from bridge.jobs.output_file import rejected_path
from bridge.jobs.outputs import ROW_COLUMN

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]
Answers = dict[RowPlace, Tensors]

# A golden file may hold more: these are spread over it. The job scores them all.
ALONE_ROWS_MAX = 256
TOGETHER_ROWS_MAX = 2048
CALLERS = 16
SEED = 20261124


class _Rejected(msgspec.Struct):
    row: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replay:
    """One version's golden rows, and the system that serves it.

    `path` is the golden file, `scratch` a folder for what a job writes.
    """

    contract: ModelContract
    expectation: Expectation
    served: Served
    path: Path
    scratch: Path

    def ways(self) -> Iterator[Compared]:
        """Yield what came on each way; blocks while the rows are on it."""
        forms = wire_formats(self.contract)
        if is_carried_by_json(self.contract):
            forms.append(named_form(self.contract))
        for form in forms:
            yield self._alone(form)
            yield self._together(form)
        yield from self._streamed()
        yield self._as_job()

    def _alone(self, form: WireFormat) -> Compared:
        rows = _spread(self.expectation.places, ALONE_ROWS_MAX)
        way = Compared(f"{form.name}, one row at a time")
        with self._caller() as caller:
            answers = _collected(way, rows, partial(self._asked, caller, form))
        self.expectation.compare(way, answers)
        return way

    def _together(self, form: WireFormat) -> Compared:
        """So many callers at once that their rows share batches, in an order that mixes them."""
        rows = self._mixed()
        way = Compared(f"{form.name}, among strangers")
        found: list[tuple[Answers, Compared]] = []

        def ask(own: list[RowPlace]) -> None:
            part = Compared(way.way)
            with self._caller() as caller:
                found.append((_collected(part, own, partial(self._asked, caller, form)), part))

        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(ask, [rows[start::CALLERS] for start in range(CALLERS)]))
        answers: Answers = {}
        for answered, part in found:
            answers |= answered
            way.unanswered |= part.unanswered
        self.expectation.compare(way, answers)
        return way

    def _streamed(self) -> Iterator[Compared]:
        key = (self.contract.name, self.contract.version)
        with Client(self.served.url) as client:

            def ask(place: RowPlace) -> Tensors:
                return client.infer(key[0], self.expectation.inputs(place), version=key[1])

            alone = Compared("stream, one row at a time")
            rows = _spread(self.expectation.places, ALONE_ROWS_MAX)
            self.expectation.compare(alone, _collected(alone, rows, ask))
            yield alone
            together = Compared("stream, among strangers")
            futures = {
                place: client.submit(key[0], self.expectation.inputs(place), version=key[1])
                for place in self._mixed()
            }
            answers = _collected(together, futures, lambda place: futures[place].result())
            self.expectation.compare(together, answers)
            yield together

    def _as_job(self) -> Compared:
        way = Compared("job")
        output = self.scratch / "scored.parquet"
        settings = FileJobSettings(model=self.contract.key, input=self.path, output=output)
        try:
            FileJob(settings, threading.Event()).run(self.served.queue_url)
            answers = self._scored(output)
        except JobError as error:
            way.unanswered |= {place.number: str(error) for place in self.expectation.places}
            return way
        way.unanswered |= self._rejected(output)
        self.expectation.compare(way, answers)
        return way

    def _scored(self, output: Path) -> Answers:
        """The job's answers; a row of its output has the number of the row that it is for."""
        number = TensorSpec(name=ROW_COLUMN, datatype="INT64", shape=(-1,))
        specs = [number, *self.expectation.output_specs]
        by_number = {place.number: place for place in self.expectation.places}
        answers: Answers = {}
        for part in read_rows(output, specs, ROWS_MAX).parts:
            for at, row in enumerate(part.tensors[ROW_COLUMN].tolist()):
                if row in by_number:
                    answers[by_number[row]] = {
                        spec.name: part.tensors[spec.name][at : at + 1] for spec in specs[1:]
                    }
        return answers

    def _rejected(self, output: Path) -> dict[int, str]:
        path = rejected_path(output)
        known = {place.number for place in self.expectation.places}
        lines = path.read_bytes().splitlines() if path.exists() else []
        rejected = [msgspec.json.decode(line, type=_Rejected) for line in lines]
        return {one.row: f"{one.code}: {one.reason}" for one in rejected if one.row in known}

    def _asked(self, caller: Caller, form: WireFormat, place: RowPlace) -> Tensors:
        return caller.ask(form, self.expectation.inputs(place))

    def _caller(self) -> Caller:
        return Caller(self.served.host, self.served.port, self.contract)

    def _mixed(self) -> list[RowPlace]:
        rows = _spread(self.expectation.places, TOGETHER_ROWS_MAX)
        random.Random(SEED).shuffle(rows)  # noqa: S311 - an order, not a secret
        return rows


def _collected(
    way: Compared, rows: Iterable[RowPlace], ask: Callable[[RowPlace], Tensors]
) -> Answers:
    """Ask for each row; what was not answered is noted with the way."""
    answers: Answers = {}
    for place in rows:
        try:
            answers[place] = ask(place)
        except (NotAnswered, ClientError) as error:
            way.unanswered[place.number] = str(error)
    return answers


def _spread(places: list[RowPlace], rows_max: int) -> list[RowPlace]:
    """At most so many, from the first to the last in equal steps."""
    if len(places) <= rows_max:
        return list(places)
    steps = np.linspace(0, len(places) - 1, rows_max).astype(int)
    return [places[step] for step in steps.tolist()]
