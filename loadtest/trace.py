"""Send times from a trace of real requests, a CSV file.

Known forms: a column of timestamps, in seconds or as dates in ISO 8601 (BurstGPT, Azure LLM
inference); `end_timestamp` with `duration` (Azure Functions 2021: the request came that much
earlier); and one column per minute of the day, "1" to "1440", with counts (Azure Functions 2019).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.errors import LoadtestError

Times = np.ndarray[Any, np.dtype[np.float64]]

TIME_COLUMNS = ("timestamp", "Timestamp", "TIMESTAMP", "time", "arrived_at", "end_timestamp")
END_COLUMN, LENGTH_COLUMN = "end_timestamp", "duration"
MINUTES = tuple(str(minute) for minute in range(1, 1441))
REQUESTS_PER_MINUTE_MAX = 10_000_000


class ArrivalsError(LoadtestError):
    """Arrivals that cannot be drawn; the message names the setting or the trace's line."""


def read_trace(path: Path, column: str | None, random: np.random.Generator) -> Times:
    """Return the seconds of all requests since the first one, ascending.

    `random` places the requests of a minute evenly in it, where only their number is known.

    Raises:
        ArrivalsError: no such file, no such column, no rows, or a line that cannot be understood.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            if column is None and MINUTES[0] in names and MINUTES[1] in names:
                times = _within_minutes(_per_minute(reader, names, path), random)
            else:
                name = _column(names, column, path)
                times = np.array(list(_stamps(reader, name, path)), dtype=np.float64)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArrivalsError(f"arrivals.file: {path}: {error}") from error
    if not len(times):
        raise ArrivalsError(f"arrivals.file: {path}: holds no requests")
    times.sort()
    since_first: Times = times - times[0]
    return since_first


def _column(names: Sequence[str], wanted: str | None, path: Path) -> str:
    for name in (wanted,) if wanted else TIME_COLUMNS:
        if name in names:
            return name
    raise ArrivalsError(f"arrivals.column: {path} has the columns {', '.join(names)}; name one")


def _stamps(reader: csv.DictReader[str], name: str, path: Path) -> Iterator[float]:
    is_end = name == END_COLUMN and LENGTH_COLUMN in (reader.fieldnames or [])
    for row in reader:
        at_s = _seconds(row[name], path, reader.line_num)
        yield at_s - _seconds(row[LENGTH_COLUMN], path, reader.line_num) if is_end else at_s


def _seconds(text: str | None, path: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        try:
            date = datetime.fromisoformat(text or "")
        except ValueError:
            raise ArrivalsError(
                f"arrivals.file: {path}, line {line}: {text!r} is neither seconds nor a date"
            ) from None
        # Without a zone, any fixed one will do: a local one could change its offset in the middle.
        value = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(value):
        raise ArrivalsError(f"arrivals.file: {path}, line {line}: {text!r} is not a time")
    return value


def _per_minute(reader: csv.DictReader[str], names: Sequence[str], path: Path) -> list[int]:
    minutes = [name for name in MINUTES if name in names]
    totals = [0] * len(minutes)
    for row in reader:
        for index, name in enumerate(minutes):
            text = row[name] or "0"
            if not text.isascii() or not text.isdigit():
                raise ArrivalsError(
                    f"arrivals.file: {path}, line {reader.line_num}: minute {name}: {text!r} is "
                    "not a count"
                )
            totals[index] += int(text)
            if totals[index] > REQUESTS_PER_MINUTE_MAX:
                raise ArrivalsError(
                    f"arrivals.file: {path}: more than {REQUESTS_PER_MINUTE_MAX} requests in "
                    f"minute {name}"
                )
    return totals


def _within_minutes(totals: list[int], random: np.random.Generator) -> Times:
    parts = [60 * (minute + random.random(count)) for minute, count in enumerate(totals)]
    return np.concatenate(parts) if parts else np.empty(0)
