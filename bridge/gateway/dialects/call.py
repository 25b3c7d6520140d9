"""What every dialect reads into and writes from: a validated call, an HTTP body, the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from bridge.contract.padding import PaddedRows

Array = np.ndarray[Any, np.dtype[Any]]
AnswerForm = Literal["json", "binary", "messagepack", "named"]

TIMEOUT_MAX_S = 3600.0
# A longer wish is not a long timeout but a wrong unit or a broken caller.
TIMEOUT_PLAUSIBLE_MAX_S = 10 * 365 * 86_400.0
PRIORITY_MAX = 65_535
# What the name `batch` means: below every number that a caller can give.
BATCH_PRIORITY = PRIORITY_MAX + 1


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The bounds on what one request may hold; the bound on its bytes is the HTTP layer's.

    `json_bytes_max` bounds the text that is parsed in one go on the event loop: 2 MiB of the
    costliest JSON that is accepted take 50 ms (measured), and nobody else is served meanwhile.
    """

    rows_max: int = 65_536
    dimension_max: int = 2**31 - 1
    id_chars_max: int = 256
    parameters_max: int = 64
    json_depth_max: int = 32
    json_bytes_max: int = 2 * 2**20


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that the caller wants, as a binary block or as JSON."""

    name: str
    binary: bool


# Structs where one is made for each request: a frozen dataclass of this size takes 0.9 µs, not 0.2.
class InferCall(msgspec.Struct, frozen=True):
    """One caller's rows, checked against the contract.

    `tensors` are in the contract's order, shape (rows, ...), in the contract's little-endian
    dtype, C-contiguous, aligned, possibly read-only; BYTES are object arrays of `str`. `outputs`
    are never empty. `timeout_s` is the caller's own, at most `TIMEOUT_MAX_S`, None where it gave
    none; `timeout_is_capped` says that the caller asked for more. `priority` 0 is the default, 1
    the highest, `BATCH_PRIORITY` the batch lane. `padded`: what `tensors` were made of, if they
    were padded; then they hold all that a run takes, as `ModelContract.run_inputs`.
    """

    id: str | None
    rows: int
    tensors: dict[str, Array]
    outputs: tuple[WantedOutput, ...]
    timeout_s: float | None
    timeout_is_capped: bool
    priority: int
    form: AnswerForm
    padded: PaddedRows | None = None

    def with_timeout(self, timeout_s: float) -> InferCall:
        """Return the same call with another timeout, capped at `TIMEOUT_MAX_S`."""
        return msgspec.structs.replace(
            self,
            timeout_s=min(timeout_s, TIMEOUT_MAX_S),
            timeout_is_capped=timeout_s > TIMEOUT_MAX_S,
        )

    def with_priority(self, priority: int) -> InferCall:
        """Return the same call with another priority, 0 to `PRIORITY_MAX`."""
        return msgspec.structs.replace(self, priority=priority)


class Body(msgspec.Struct, frozen=True):
    """An HTTP body, its content type and the headers that belong to it."""

    content_type: str
    headers: tuple[tuple[str, str], ...]
    data: bytes


class OutputMismatch(Exception):
    """An output array is not what the contract says; the worker's fault, never the caller's."""
