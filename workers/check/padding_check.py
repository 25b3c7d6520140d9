"""Does padding change an answer? Rows of several lengths, padded, against each unpadded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from bridge.contract.padding import Padder, UnpaddedOutput
from workers.check.agreement import EQUAL, Agreement, Comparison, compare, usual_magnitude
from workers.check.conditioning import NEAR_MAX, NUDGES_WORTH, nudged
from workers.check.finding import Finding, Kind, OutputVerdict, PaddingParity
from workers.check.probe_rows import ProbeRows
from workers.check.row_independence import Runs
from workers.check.shrinking import smallest
from workers.model import Array, ModelError

# Of each length.
PADDED_ROWS = 4
# Rows of one length, each padded alone, are tried however slow the model is.
TRIALS_MIN = 2
# Of a made-up row: a longer one would take long and show no more.
LENGTH_TRIED_MAX = 64
BUCKET_ROWS = 24
_SHRINK_RUNS_MAX = 32


def lengths_tried(buckets: Sequence[int]) -> tuple[int, ...]:
    """Return the lengths of made-up rows: little and much padding, and none, in several buckets."""
    within = [bucket for bucket in buckets if bucket <= LENGTH_TRIED_MAX]
    longest = within[-1] if within else LENGTH_TRIED_MAX
    wanted = {longest, max(1, longest - 1), 3, 1, *(bucket + 1 for bucket in within[:-1][:1])}
    return tuple(sorted((length for length in wanted if length <= buckets[-1]), reverse=True))


def padded_probes(padder: Padder, probes: Sequence[ProbeRows]) -> list[ProbeRows]:
    """Return rows as runs get them: those of one bucket together, with what is filled in.

    Of each bucket at most `BUCKET_ROWS` ordinary rows, some of each length, and all extreme ones.

    Raises:
        InvalidInput: they are longer than every bucket.
    """
    by_bucket: dict[int, list[ProbeRows]] = {}
    for probe in probes:
        bucket = padder.bucket(padder.length(probe.tensors))
        by_bucket.setdefault(bucket, []).append(probe)
    return [_of_one_bucket(padder, bucket, same) for bucket, same in by_bucket.items()]


def _of_one_bucket(padder: Padder, bucket: int, probes: Sequence[ProbeRows]) -> ProbeRows:
    of_each = max(1, BUCKET_ROWS // len(probes))
    chosen = [(probe, tuple(range(min(probe.ordinary, of_each)))) for probe in probes[:BUCKET_ROWS]]
    ordinary = sum(len(rows) for _, rows in chosen)
    chosen += [(probe, tuple(range(probe.ordinary, len(probe.names)))) for probe in probes]
    parts = [(probe, rows) for probe, rows in chosen if rows]
    names = [
        _with_length(probe.names[row], padder.length(probe.tensors))
        for probe, rows in parts
        for row in rows
    ]
    tensors = padder.joined([probe.taken(rows) for probe, rows in parts], bucket)
    return ProbeRows(tensors, tuple(names), ordinary)


def _with_length(name: str, length: int) -> str:
    said = f" of length {length}"
    return name if name.endswith(said) else name + said


def check_padding(
    model: Runs,
    probes: Sequence[ProbeRows],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> PaddingParity:
    """Run rows alone and unpadded, then padded: alone, in longer buckets, beside other lengths.

    `probes` hold rows as callers send them, of one length each, which some bucket holds. A row
    that fails alone is left out. Time that is short leaves out the later runs; `clock` gives
    seconds.
    """
    attempt = _Attempt(model, Padder(model.contract), clock() + seconds, clock)
    for probe in probes:
        attempt.add(probe)
    attempt.run()
    names = [spec.name for spec in model.contract.outputs]
    verdicts = []
    for name in names:
        worst = attempt.worst.get(name, EQUAL)
        finding = attempt.findings.get(name)
        verdicts.append(OutputVerdict(name, worst.agreement, worst.relative, finding))
    return PaddingParity(
        outputs=tuple(verdicts),
        failure=attempt.failure,
        rows=len(attempt.rows),
        batches=attempt.batches,
        padding_share=attempt.padding_share(),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One row as its caller sends it, with its answer: (1, ...) each."""

    name: str
    tensors: Mapping[str, Array]
    length: int
    alone: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows padded to `size`."""

    name: str
    rows: tuple[int, ...]
    size: int


@dataclass
class _Attempt:
    model: Runs
    padder: Padder
    ends_s: float
    clock: Callable[[], float]
    rows: list[_Row] = field(default_factory=list)
    worst: dict[str, Comparison] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    failure: Finding | None = None
    batches: int = 0

    def add(self, probe: ProbeRows) -> None:
        """Run the first rows of a probe alone, without padding."""
        for row in range(min(PADDED_ROWS, probe.ordinary)):
            tensors = probe.taken((row,))
            length = self.padder.length(tensors)
            with suppress(ModelError):
                alone = self._outputs(self.padder.padded_to(tensors, length), 1)
                name = _with_length(probe.names[row], length)
                self.rows.append(_Row(name, tensors, length, alone))

    def padding_share(self) -> float:
        """Return which share of the places is padding, each row in its own bucket."""
        places = sum(self.padder.bucket(row.length) for row in self.rows)
        return 1 - sum(row.length for row in self.rows) / places if places else 0.0

    def run(self) -> None:
        for batch in self._planned():
            if self.batches >= TRIALS_MIN and self.clock() > self.ends_s:
                return
            self._try(batch)
            self.batches += 1

    def _planned(self) -> Iterator[_Batch]:
        """Yield the batches, the most telling first."""
        if not self.rows:
            return
        own = [self.padder.bucket(row.length) for row in self.rows]
        longest = max(own)
        for index, (row, size) in enumerate(zip(self.rows, own, strict=True)):
            if size > row.length:
                yield _Batch(f"padded to length {size}", (index,), size)
        together = tuple(range(len(self.rows)))
        if len(together) <= (self.model.rows_max or len(together)):
            name = f"padded to length {longest}, with rows of other lengths"
            yield _Batch(name, together, longest)
            yield _Batch(name, together[::-1], longest)
        for index, size in enumerate(own):
            if size < longest:
                yield _Batch(f"padded to length {longest}", (index,), longest)

    def _outputs(self, tensors: Mapping[str, Array], rows: int) -> dict[str, Array]:
        with np.errstate(all="ignore"):  # made-up rows may overflow: the models' own affair
            return self.model.run(tensors, rows)

    def _run(self, batch: _Batch) -> dict[str, Array]:
        parts = [self.rows[row].tensors for row in batch.rows]
        return self._outputs(self.padder.joined(parts, batch.size), len(batch.rows))

    def _try(self, batch: _Batch) -> None:
        try:
            outputs = self._run(batch)
        except ModelError as error:
            if self.failure is None:
                self.failure = self._described("", batch, 0, 0, "answered", str(error))
            return
        for name, array in outputs.items():
            for place in range(len(batch.rows)):
                if name not in self.findings:
                    self._judge(name, batch, place, array)

    def _judge(self, name: str, batch: _Batch, place: int, array: Array) -> None:
        row = self.rows[batch.rows[place]]
        try:
            alone = self._own_part(name, row.alone[name], row, row.length)
            padded = self._own_part(name, array[place : place + 1], row, batch.size)
        except UnpaddedOutput as error:
            self.worst[name] = Comparison(Agreement.DIFFERENT, np.inf, 0)
            self.findings[name] = self._described(name, batch, place, 0, "a value each", str(error))
            return
        found = self._compared(name, row, alone, padded)
        before = self.worst.get(name, EQUAL)
        if (found.agreement, found.relative) > (before.agreement, before.relative):
            self.worst[name] = found
        if found.agreement is Agreement.DIFFERENT:
            self.findings[name] = self._smallest(name, batch, place, found, alone, padded)

    def _own_part(self, name: str, answer: Array, row: _Row, size: int) -> Array:
        return self.padder.cut_to({name: answer}, row.length, size)[name]

    def _compared(self, name: str, row: _Row, alone: Array, padded: Array) -> Comparison:
        like = [other.alone[name] for other in self.rows if other.length == row.length]
        usual = usual_magnitude(like)
        found = compare(alone, padded, usual)
        if found.agreement is not Agreement.DIFFERENT or found.relative > NEAR_MAX:
            return found
        moved = 0.0
        for tensors in nudged(row.tensors):
            with suppress(ModelError):
                answer = self._outputs(self.padder.padded_to(tensors, row.length), 1)[name]
                moved = max(moved, compare(alone, answer, usual).relative)
        if found.relative > NUDGES_WORTH * moved:
            return found
        return replace(found, agreement=Agreement.ROUNDING)

    def _smallest(
        self, name: str, batch: _Batch, place: int, found: Comparison, alone: Array, padded: Array
    ) -> Finding:
        """Describe what was found, with as few neighbours as show it."""

        def differs(rows: tuple[int, ...], where: int) -> bool:
            with suppress(ModelError):
                own = self.rows[rows[where]]
                array = self._run(replace(batch, rows=rows))[name][where : where + 1]
                again = self._own_part(name, array, own, batch.size)
                answer = self._compared(name, own, alone, again)
                return answer.agreement is Agreement.DIFFERENT
            return False

        if len(batch.rows) > 1:
            alone_too = (batch.rows[place],)
            if differs(alone_too, 0):
                batch, place = _Batch(f"padded to length {batch.size}", alone_too, batch.size), 0
            else:
                example = smallest(batch.rows, place, differs, _SHRINK_RUNS_MAX)
                batch, place = replace(batch, rows=example.batch), example.place
        texts = (_shown(alone, found.element), _shown(padded, found.element))
        return self._described(name, batch, place, found.element, *texts)

    def _described(
        self, name: str, batch: _Batch, place: int, element: int, alone: str, padded: str
    ) -> Finding:
        rows = [self.rows[row] for row in batch.rows]
        tensors = self.padder.joined([row.tensors for row in rows], batch.size)
        return Finding(
            kind=Kind.PADDING,
            output=name,
            trial=batch.name,
            probe=ProbeRows(tensors, tuple(row.name for row in rows), len(rows)),
            batch=tuple(range(len(rows))),
            place=place,
            element=element,
            alone=alone,
            together=padded,
        )


def _shown(answer: Array, element: int) -> str:
    return repr(answer.ravel().tolist()[element])
