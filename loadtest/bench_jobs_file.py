"""A Parquet file of random rows for a model, and the bare loop over it."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loadtest.bare_loop import BareLoop

ROW_GROUP_ROWS = 131_072
# What the bare loop is tried with: it is given the fastest of them.
SIZES = (64, 256, 1_024)


@dataclass(frozen=True, slots=True)
class JobFile:
    """An input file: so many rows of one model's columns, FP32."""

    path: Path
    rows: int


@dataclass(frozen=True, slots=True)
class BareRun:
    """What the bare loop took for a file: reading it, and running over it."""

    read_s: float
    run_s: float

    @property
    def seconds(self) -> float:
        """Both."""
        return self.read_s + self.run_s


def make_file(path: Path, model: Path, loop: BareLoop, rows: int) -> JobFile:
    """Write `rows` rows: uniform within the contract's ranges, in groups of `ROW_GROUP_ROWS`."""
    names, low, high = _columns(model, loop)
    random = np.random.default_rng(1)
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, rows, ROW_GROUP_ROWS):
            count = min(ROW_GROUP_ROWS, rows - start)
            block = low + (high - low) * random.random((count, loop.width), dtype=np.float32)
            arrays = [pa.array(block[:, place]) for place in range(loop.width)]
            file.write_table(pa.table(arrays, schema=schema))
    return JobFile(path, rows)


def _columns(model: Path, loop: BareLoop) -> tuple[list[str], Any, Any]:
    """The names of the file's columns and their bounds: the contract's, or any."""
    contract: dict[str, Any] = {}
    if (model / "contract.toml").is_file():
        contract = tomllib.loads((model / "contract.toml").read_text())
    tensor = contract.get("inputs", {}).get(loop.input_name, {})
    names = tensor.get("columns")
    if names is None:
        names = [f"{loop.input_name}.{place}" for place in range(loop.width)]
    rules: dict[str, Any] = tensor.get("column", {})
    ranges = [rules.get(name, {}).get("range", tensor.get("range", [0.0, 1.0])) for name in names]
    low, high = np.array(ranges, dtype=np.float32).T
    return names, low, high


def fastest_size(loop: BareLoop, seconds: float) -> int:
    """Return the size of `SIZES` with which the bare loop does most rows a second."""
    return max(SIZES, key=lambda rows: loop.rows_per_s(rows, seconds))


def bare_run(loop: BareLoop, file: JobFile, size: int) -> BareRun:
    """Read the file, row group by row group, and run over it in batches of `size`.

    The outputs are kept, not written.
    """
    source = pq.ParquetFile(file.path)
    read_s = run_s = 0.0
    kept: list[Any] = []
    for group in range(source.num_row_groups):
        began_s = time.perf_counter()
        table = source.read_row_group(group, use_threads=False)
        rows = np.stack([column.to_numpy() for column in table.columns], axis=1)
        read_s += time.perf_counter() - began_s
        began_s = time.perf_counter()
        for start in range(0, len(rows), size):
            kept.append(loop.session.run(None, {loop.input_name: rows[start : start + size]}))
        run_s += time.perf_counter() - began_s
    return BareRun(read_s, run_s)
