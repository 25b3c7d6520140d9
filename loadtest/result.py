"""What a run is worth: the figures, and everything that is needed to repeat it. Written as JSON.

Field names say the unit. A share or percentile that the samples cannot support is None, never a
guess.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from loadtest.errors import LoadtestError

FORMAT_VERSION = 1


class ResultError(LoadtestError):
    """A result file that cannot be read; the message names it."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Latency from the intended send time, in milliseconds, of answers with status 200.

    `percentiles_ms` maps "50", "90", "99", "99.9", "100" to milliseconds, None where there are too
    few samples for the claim (459 for the 99th, 4,603 for the 99.9th: the fewest of which at
    least one lies above the percentile with 99 % confidence). `p99_interval_ms` is the 95 %
    confidence interval of the 99th percentile (order statistics). `histogram` is an HdrHistogram in
    its own base64 encoding, recorded in microseconds with 3 significant digits.
    """

    samples: int
    mean_ms: float | None
    percentiles_ms: dict[str, float | None]
    p99_interval_ms: tuple[float, float] | None
    histogram: str


class ModelPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several models answered; `outcomes` are named as those of the whole run."""

    model: str
    offered: int
    outcomes: dict[str, int]
    latency: Latency


class GeneratorCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the load generator itself did: its lag behind the intended times and its CPU time.

    `void_reason` says why the run proves nothing, None for a sound run.
    """

    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    cpu_s: float
    cpu_us_per_request: float
    processes: int
    connections: int
    void_reason: str | None


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """One second of the run, by intended send time."""

    at_s: float
    offered: int
    in_time: int
    late: int
    refused: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class RateStep(msgspec.Struct, frozen=True, kw_only=True):
    """The answers at one level of offered rate, in a ramp or over several runs."""

    offered_per_s: float
    goodput_per_s: float
    refused_per_s: float
    p50_ms: float | None
    p99_ms: float | None


class ServerSide(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's own metrics say about the run: counts by upper bucket bound."""

    batch_rows: dict[str, int]
    queue_delay_s: dict[str, int]


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run, whole.

    `outcomes` counts every offered request once, by what became of it: in_time, late (200 after
    the target), refused (429), unavailable (503), expired (504), other statuses as "status 400",
    wrong (200 with a wrong answer), lost (connection), timed_out (no answer within the caller's
    own timeout), left (the caller went away on purpose), unsent. `models` are the parts of a run
    that asks several models, empty for one model. `first_wrong` says what was wrong with the first
    wrong answer.
    """

    format_version: int
    name: str
    made_at: str
    command: str
    seed: int
    scenario: dict[str, Any]
    url: str
    model: str
    server: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    loop: str
    seconds: float
    target_ms: float
    offered: int
    offered_per_s: float
    goodput_per_s: float
    outcomes: dict[str, int]
    latency: Latency
    generator: GeneratorCost
    series: list[Second]
    steps: list[RateStep]
    server_side: ServerSide | None
    models: list[ModelPart] = []
    first_wrong: str | None = None


def write_result(result: RunResult, path: Path) -> None:
    """Write a result as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")


def read_result(path: Path) -> RunResult:
    """Return a result that `write_result` wrote.

    Raises:
        ResultError: no such file, not a result, or of another format version.
    """
    try:
        result = msgspec.json.decode(path.read_bytes(), type=RunResult)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: not a result of the load test: {error}") from error
    if result.format_version != FORMAT_VERSION:
        raise ResultError(
            f"{path}: format version {result.format_version}, this program reads {FORMAT_VERSION}"
        )
    return result
