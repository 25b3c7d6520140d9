"""The only file that knows ONNX Runtime: a session with named, typed tensors.

SessionError
└── the graph cannot be loaded, or has tensors that V2 cannot carry
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from bridge.contract.model import TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class SessionError(Exception):
    """ONNX Runtime refuses the graph, or its tensors cannot be carried by the protocol."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The graph's tensors as callers see them, rows first, and its fixed batch size if any."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    fixed_rows: int | None


class Session:
    """One loaded graph."""

    def __init__(self, model_bytes: bytes, threads: int) -> None:
        """Load a serialized ONNX model with `threads` intra-op threads.

        Raises:
            SessionError: see the class.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning pool burns the cores that the gateway and the queue need, and two sessions
        # slow each other by half.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Memory patterns gain nothing where the batch varies: the same speed with and without, but
        # where row shapes vary too the arena grew by 9 % after its largest batch, and by nothing
        # without them (20,000 runs, measured 2026-11-23). The arena stays: small trees are 15 %
        # slower without it. Batches are not padded to buckets: memory is as steady without, and
        # padding cost 19 % (MLP) to 25 % (trees) of the throughput.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                model_bytes, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            raise SessionError(f"ONNX Runtime cannot load the model: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._output_names = [output.name for output in outputs]
        self.signature = Signature(
            inputs=tuple(_spec(node) for node in inputs),
            outputs=tuple(_spec(node) for node in outputs),
            fixed_rows=_fixed_rows(inputs),
        )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph on arrays by input name; return arrays by output name.

        Raises:
            Exception: whatever ONNX Runtime raises; its exceptions share no base.
        """
        values = self._session.run(self._output_names, dict(inputs))
        return dict(zip(self._output_names, values, strict=True))


def _spec(node: Any) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise SessionError(
            f"tensor {node.name!r} is a {node.type}, which the protocol cannot carry; for a "
            "scikit-learn classifier, export with zipmap off"
        )
    sizes = [size if isinstance(size, int) and size > 0 else -1 for size in node.shape]
    return TensorSpec(name=node.name, datatype=datatype, shape=(-1, *sizes[1:]))


def _fixed_rows(inputs: list[Any]) -> int | None:
    sizes = {
        node.shape[0] if node.shape and isinstance(node.shape[0], int) else None for node in inputs
    }
    if len(sizes) != 1:
        if sizes - {None}:
            raise SessionError("the inputs have different first dimensions; rows come first")
        return None
    return sizes.pop()
