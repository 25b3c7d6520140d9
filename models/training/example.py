"""The example request beside each model: one row as a complete V2 inference request body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ExampleTensor:
    """One input tensor of one row; `data` is flat, in row-major order."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: Sequence[float | int | str | bool]


def write_example(folder: Path, tensors: Sequence[ExampleTensor]) -> None:
    """Write `example.json` into a version folder, one line per tensor."""
    lines = [
        json.dumps(
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(tensor.shape),
                "data": list(tensor.data),
            }
        )
        for tensor in tensors
    ]
    body = '{"inputs": [\n  ' + ",\n  ".join(lines) + "\n]}\n"
    (folder / "example.json").write_text(body, encoding="utf-8")
