"""What the conformance tests serve: sample models, Triton's `simple`, identities, a slow one."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from bridge.contract.datatype import DATATYPES
from tests.system import SAMPLE_MODELS
from tests.tiny_models import IR_VERSION, OPSET, write_version

SAMPLES = ("breast_cancer", "crop_yield", "digits", "evapotranspiration", "fixed_batch")
IDENTITY_WIDTH = 3
SLOW_S = 0.5

_ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
assert set(_ONNX_TYPES) == set(DATATYPES)

# Slow only for callers who ask for it: the profile that a worker makes at load sends zeros.
_SLOW_PIPELINE = f"""
import threading


def predict(inputs):
    if inputs["slow"].any():
        threading.Event().wait({SLOW_S})
    return {{"y": inputs["slow"]}}
"""
_SLOW_CONTRACT = """
[serving]
latency_target_ms = 5000
[inputs.slow]
datatype = "BOOL"
[outputs.y]
datatype = "BOOL"
"""


def copy_samples(root: Path) -> None:
    """Put the sample models into the repository `root`."""
    for name in SAMPLES:
        shutil.copytree(SAMPLE_MODELS / name, root / name)


def write_simple(root: Path) -> None:
    """Triton's `simple`: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1, INT32 [-1, 16]."""
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
    ]
    names = (["INPUT0", "INPUT1"], ["OUTPUT0", "OUTPUT1"])
    write_version(root, "simple", graph=_graph(nodes, *names, TensorProto.INT32, 16))


def identity_name(datatype: str) -> str:
    """The name of the identity model of a datatype."""
    return f"identity_{datatype.lower()}"


def write_identities(root: Path) -> None:
    """A model y = x for each datatype of the protocol, [-1, IDENTITY_WIDTH]."""
    for datatype, onnx_type in _ONNX_TYPES.items():
        nodes = [helper.make_node("Identity", ["x"], ["y"])]
        graph = _graph(nodes, ["x"], ["y"], onnx_type, IDENTITY_WIDTH)
        write_version(root, identity_name(datatype), graph=graph)


def write_slow(root: Path) -> None:
    """A model that takes SLOW_S for a row whose input `slow` is true."""
    write_version(root, "slow", pipeline=_SLOW_PIPELINE, contract=_SLOW_CONTRACT)


def _graph(
    nodes: list[onnx.NodeProto], inputs: list[str], outputs: list[str], onnx_type: int, width: int
) -> onnx.ModelProto:
    shape = ["rows", width]
    model: onnx.ModelProto = helper.make_model(
        helper.make_graph(
            nodes,
            "conformance",
            [helper.make_tensor_value_info(name, onnx_type, shape) for name in inputs],
            [helper.make_tensor_value_info(name, onnx_type, shape) for name in outputs],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model
