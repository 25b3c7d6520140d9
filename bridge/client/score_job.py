"""One job of scoring: its chunks in the batch lane, each until it has its outputs.

What a gateway refuses or loses is asked again: scoring a row twice changes nothing, and nobody
waits for an answer by a certain time. A chunk with a row that is not accepted, or on which the
model fails, is asked in halves until that row stands alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bridge.client.call import Answer, Call
from bridge.client.errors import (
    BadAnswer,
    ClientError,
    DeadlineExceeded,
    Interrupted,
    InvalidRequest,
    Refused,
    error_of,
)
from bridge.client.retry import backoff_s, retry_s
from bridge.client.score_chunks import Chunk, RejectedRow
from bridge.client.settings import ClientSettings
from bridge.client.tensors import Array, decode_outputs, encode_inputs
from bridge.client.transport import Transport, chance
from bridge.contract.invalid import InvalidCode

BATCH_PRIORITY = "batch"
# What a gateway says of rows, in contrast to what it says of a whole request.
_ROW_CODES = frozenset(
    {
        InvalidCode.VALUE_RANGE.value,
        InvalidCode.UNKNOWN_CATEGORY.value,
        InvalidCode.NULL_VALUE.value,
        InvalidCode.NUMBER_RANGE.value,
        InvalidCode.WRONG_TYPE.value,
        InvalidCode.TOO_LARGE.value,
        InvalidCode.TOO_MANY_ROWS.value,
        "rows_failed",
        "bad_output",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """How a job is cut and how patient it is.

    A chunk holds `chunk_rows` rows, or fewer that take `chunk_bytes`; `window_chunks` are on the
    way or wait for the caller to take them. A chunk is asked again when it has no answer after
    `answer_s`. The job ends with the error of the last attempt when none of its chunks has been
    answered for `away_s`.
    """

    chunk_rows: int = 1_024
    chunk_bytes: int = 2**20
    window_chunks: int = 16
    answer_s: float = 300.0
    away_s: float = 300.0

    def __post_init__(self) -> None:
        """Check each setting.

        Raises:
            ValueError: naming the setting.
        """
        for name in ("chunk_rows", "chunk_bytes", "window_chunks", "answer_s", "away_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not above 0")


DEFAULT_SCORE_SETTINGS = ScoreSettings()


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What became of rows `first_row` to `end_row` of what was given, counted from 0.

    `outputs`: of those that were scored, by name, shape (rows, ...); `row_numbers`: which these
    are; `rejected`: the others. `outputs` is empty where no row was scored.
    """

    first_row: int
    end_row: int
    row_numbers: Array
    outputs: Mapping[str, Array]
    rejected: tuple[RejectedRow, ...]


class ScoreJob:
    """Scores the chunks of one job with one model version; any number of them at once."""

    def __init__(
        self,
        transport: Transport,
        model: str,
        version: str,
        settings: ScoreSettings,
        client_settings: ClientSettings,
    ) -> None:
        self.settings = settings
        self._transport = transport
        self._model = model
        self._version = version
        self._client_settings = client_settings
        self._loop = asyncio.get_running_loop()
        self._answered_s = self._loop.time()

    async def score(self, chunk: Chunk) -> ScoredRows:
        """Return what became of a chunk.

        Raises:
            ClientError: the job cannot go on.
        """
        parts: list[Mapping[str, Array]] = []
        scored: list[Array] = []
        rejected = list(chunk.rejected)
        left = [(0, len(chunk.row_numbers))] if len(chunk.row_numbers) else []
        while left:
            start, end = left.pop()
            try:
                outputs = await self._outputs(chunk, start, end)
            except ClientError as error:
                if not _is_of_rows(error):
                    raise
                if end - start > 1:
                    middle = (start + end) // 2
                    left += [(middle, end), (start, middle)]
                else:
                    row = int(chunk.row_numbers[start])
                    code = error.code or InvalidCode.TOO_LARGE.value
                    rejected.append(RejectedRow(row, code, _reason(error)))
            else:
                parts.append(outputs)
                scored.append(chunk.row_numbers[start:end])
        rejected.sort(key=lambda row: row.row)
        numbers = np.concatenate(scored) if scored else chunk.row_numbers[:0]
        return ScoredRows(chunk.first_row, chunk.end_row, numbers, _joined(parts), tuple(rejected))

    async def close(self) -> None:
        """Close the job's connections; what is on the way need not be run."""
        await self._transport.close()

    async def _outputs(self, chunk: Chunk, start: int, end: int) -> dict[str, Array]:
        """Ask until there is an answer that is no refusal and no loss."""
        raw = encode_inputs({name: array[start:end] for name, array in chunk.tensors.items()})
        tries = 0
        while True:
            deadline_s = self._loop.time() + self.settings.answer_s
            call = Call(self._model, self._version, raw, deadline_s, True, BATCH_PRIORITY)
            try:
                outputs = _decoded(await self._transport.ask(call), end - start)
            except (Refused, Interrupted, DeadlineExceeded) as error:
                if self._loop.time() - self._answered_s > self.settings.away_s:
                    raise
                await asyncio.sleep(self._wait_s(error, tries))
                tries += 1
            except ClientError as error:
                if _is_of_rows(error):
                    self._answered_s = self._loop.time()
                raise
            else:
                self._answered_s = self._loop.time()
                return outputs

    def _wait_s(self, error: ClientError, tries: int) -> float:
        luck = chance()
        if error.retry_after_s is not None:
            return retry_s(error.retry_after_s, luck)
        settings = self._client_settings
        return backoff_s(tries, luck, settings.backoff_first_s, settings.backoff_s_max)


def _decoded(answer: Answer, rows: int) -> dict[str, Array]:
    if answer.outputs is None:
        raise error_of(answer.failure) if answer.status else BadAnswer("neither outputs nor error")
    outputs = decode_outputs(answer.outputs)
    for name, array in outputs.items():
        if array.shape[:1] != (rows,):
            raise BadAnswer(f"output {name}: shape {array.shape} for {rows} rows")
    return outputs


def _is_of_rows(error: ClientError) -> bool:
    """Whether fewer of the rows may be accepted."""
    if error.failure is None:
        # Of this client: larger than what a gateway takes.
        return isinstance(error, InvalidRequest)
    return error.code in _ROW_CODES


def _reason(error: ClientError) -> str:
    if error.failure is None:
        return str(error)
    # The row is told beside it, by its number in what was given.
    return error.failure.message.replace(", row 0", "", 1)


def _joined(parts: list[Mapping[str, Array]]) -> Mapping[str, Array]:
    if len(parts) == 1:
        return parts[0]
    names = parts[0] if parts else {}
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in names}
    except (KeyError, ValueError):
        raise BadAnswer("outputs that differ from one part of a chunk to the next") from None
