"""Partition by partition: Dask reads, maps ONNX Runtime over the partitions, and writes a folder.

    python loadtest/job_tools/dask_script.py MODEL.onnx IN.parquet OUT [--rows 1024] [--workers 1]

Each of `--workers` threads runs the one session, which has one thread itself.
"""

from __future__ import annotations

import argparse
from functools import cache, partial
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import onnxruntime as ort
import pandas as pd


def main() -> None:
    """Score as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--rows", type=int, default=1_024, help="of each run")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    # Without it Dask reads the file as one partition.
    table = dd.read_parquet(options.input, split_row_groups=1)
    work = partial(scored, model=options.model, rows=options.rows)
    empty = work(pd.DataFrame(np.zeros((1, len(table.columns)), np.float32)))
    with dask.config.set(scheduler="threads", num_workers=options.workers):
        table.map_partitions(work, meta=empty).to_parquet(options.output)


@cache
def session_of(model: str) -> ort.InferenceSession:
    """Return the one session: Dask names its tasks by their arguments, and can name no session."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def scored(part: pd.DataFrame, model: str, rows: int) -> pd.DataFrame:
    """Return the outputs of one partition."""
    session = session_of(model)
    features = part.to_numpy(dtype=np.float32)
    name = session.get_inputs()[0].name
    runs: list[Any] = [
        session.run(None, {name: features[start : start + rows]})
        for start in range(0, len(features), rows)
    ]
    found: dict[str, Any] = {}
    for place, output in enumerate(session.get_outputs()):
        array = np.concatenate([run[place] for run in runs])
        flat = array.reshape(len(array), -1)
        for column in range(flat.shape[1]):
            found[f"{output.name}.{column}"] = flat[:, column]
    return pd.DataFrame(found)


if __name__ == "__main__":
    main()
