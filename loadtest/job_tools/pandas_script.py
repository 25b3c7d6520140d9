"""The file at once: pandas reads it, ONNX Runtime runs over it in pieces, pandas writes.

python loadtest/job_tools/pandas_script.py MODEL.onnx IN.parquet OUT.parquet [--rows 1024]
"""

from __future__ import annotations

import argparse
from typing import Any

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
    options = parser.parse_args()
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = ort.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows = pd.read_parquet(options.input).to_numpy(dtype=np.float32)
    parts: list[Any] = [
        session.run(None, {name: rows[start : start + options.rows]})
        for start in range(0, len(rows), options.rows)
    ]
    found: dict[str, Any] = {"row": np.arange(len(rows))}
    for place, output in enumerate(session.get_outputs()):
        array = np.concatenate([part[place] for part in parts])
        flat = array.reshape(len(array), -1)
        for column in range(flat.shape[1]):
            found[f"{output.name}.{column}"] = flat[:, column]
    pd.DataFrame(found).to_parquet(options.output)


if __name__ == "__main__":
    main()
