"""Files for `batchbridge score`, models for them, and what must come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from tests.tiny_models import PATIENT, write_version

RAISES, FORGETS, ABORTS = 13, 17, 666

# y = 2 x + 1, except for rows that raise (until it is healed), make the model lose a row, or kill
# the process. A pause keeps a job long enough under way to be killed.
_PIPELINE = f"""
import os
import threading
from pathlib import Path

PAUSE = Path(__file__).with_name("pause")
HEALED = Path(__file__).with_name("healed")


def predict(inputs):
    x = inputs["x"]
    if PAUSE.exists():
        threading.Event().wait(float(PAUSE.read_text()))
    if (x == {ABORTS}).any():
        os.abort()
    if (x == {RAISES}).any() and not HEALED.exists():
        raise ValueError("a marked row")
    y = x * 2 + 1
    return {{"y": y[:-1] if (x == {FORGETS}).any() else y}}
"""
_TENSORS = """
[inputs.x]
datatype = "INT64"
range = [0, 1000000000]
[outputs.y]
datatype = "INT64"
"""


def write_marked_model(root: Path, *, pause_s: float = 0.0, batch_rows: int = 64) -> Path:
    """Write the model `marked`; each of its runs takes `pause_s` longer."""
    contract = f"{PATIENT}max_batch_rows = {batch_rows}\n{_TENSORS}"
    folder = write_version(root, "marked", pipeline=_PIPELINE, contract=contract)
    if pause_s:
        (folder / "pause").write_text(str(pause_s))
    return folder


def write_numbers(path: Path, values: list[int]) -> Path:
    """Write rows of a key `id` ("a0", "a1", …) and the input x."""
    return write_table(path, pa.table({"id": [f"a{n}" for n in range(len(values))], "x": values}))


def write_table(path: Path, table: pa.Table) -> Path:
    """Write a table in the format of the path's suffix."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=5_000)
    elif path.suffix == ".csv":
        pc.write_csv(table, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=3_000)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


def read_table(path: Path) -> list[dict[str, Any]]:
    """Every row of an output."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        rows = pc.read_csv(path).to_pylist()
    elif path.suffix == ".arrow":
        rows = pa.ipc.open_file(path).read_all().to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    return rows


def read_rejected(output: Path) -> list[dict[str, Any]]:
    """The rejected rows beside an output."""
    lines = output.with_suffix(".rejected.ndjson").read_text().splitlines()
    return [json.loads(line) for line in lines]


def answers(values: list[int]) -> list[dict[str, Any]]:
    """What must come out for values of which none is marked."""
    return [{"id": f"a{row}", "y": 2 * value + 1} for row, value in enumerate(values)]
