"""The memory of a worker's sessions under batches of every size: steady once they are warm."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.session import Session

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

GROWTH_MAX = 0.05
ROWS_MAX = 256


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def graph(row_shape: list[int | str], inner: int) -> bytes:
    """y = x + tanh(ReLU(x W) V) on x [rows, …, width], FP32; W is [width, inner]."""
    random, width = np.random.default_rng(0), int(row_shape[-1])
    weights = [
        numpy_helper.from_array(random.random(shape, dtype=np.float32), name)
        for name, shape in (("W", (width, inner)), ("V", (inner, width)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "V"], ["q"]),
        helper.make_node("Tanh", ["q"], ["t"]),
        helper.make_node("Add", ["t", "x"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", *row_shape])
        for name in ("x", "y")
    )
    built: onnx.ModelProto = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return built.SerializeToString()


def test_memory_is_steady_over_two_hundred_thousand_rows_in_batches_of_every_size() -> None:
    session, random = Session(graph([64], 1024), threads=1), np.random.default_rng(1)
    rows = random.random((ROWS_MAX, 64), dtype=np.float32)
    sizes = random.integers(1, ROWS_MAX + 1, size=1600)
    for size in (ROWS_MAX, *sizes[:100]):
        session.run({"x": rows[:size]})
    warm_bytes = resident_bytes()
    for size in sizes:
        session.run({"x": rows[:size]})
    assert resident_bytes() <= warm_bytes * (1 + GROWTH_MAX)


def test_memory_is_steady_over_rows_of_every_shape() -> None:
    # With memory patterns it grew by 9 % after the largest batch.
    session, random = Session(graph(["any", 8], 64), threads=1), np.random.default_rng(2)
    rows_max, length_max = 64, 512
    values = np.zeros(rows_max * length_max * 8, dtype=np.float32)
    session.run({"x": values.reshape(rows_max, length_max, 8)})
    warm_bytes = resident_bytes()
    for number in range(12_000):
        rows = int(random.integers(1, rows_max + 1))
        length = int(random.integers(1, length_max + 1 if number % 8 == 0 else 64))
        session.run({"x": values[: rows * length * 8].reshape(rows, length, 8)})
    assert resident_bytes() <= warm_bytes * (1 + GROWTH_MAX)
