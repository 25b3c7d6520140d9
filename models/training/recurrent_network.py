"""A gated recurrent unit: trained by backpropagation through time, written as ONNX.

Equations of the ONNX operator GRU with linear_before_reset = 1 (Cho et al., 2014, as cuDNN has it):
z = σ(x Wz + h Rz + b), r = σ(x Wr + h Rr + b), n = tanh(x Wn + b + r (h Rn + c)),
h' = (1 − z) n + z h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.training.dense_network import IR_VERSION, OPSET_VERSION

GATES = 3
ADAM_FIRST, ADAM_SECOND, ADAM_EPSILON = 0.9, 0.999, 1e-8

Array = npt.NDArray[np.float64]
Weights = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how fast: steps of Adam whose rate falls to zero along a half cosine."""

    units: int
    steps: int
    batch: int
    rate: float
    seed: int


def train(inputs: Array, targets: Array, training: Training) -> Weights:
    """Return weights that give `targets` [rows, steps] for `inputs` [rows, steps, features]."""
    random = np.random.default_rng(training.seed)
    weights = _initial(random, inputs.shape[2], training.units)
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    for step in range(1, training.steps + 1):
        chosen = random.integers(0, len(inputs), training.batch)
        slopes = _slopes(weights, inputs[chosen].swapaxes(0, 1), targets[chosen].T)
        norm = np.sqrt(sum(float((slope**2).sum()) for slope in slopes.values()))
        rate = training.rate * 0.5 * (1 + np.cos(np.pi * step / training.steps))
        for name, slope in slopes.items():
            clipped = slope / max(1.0, norm)
            first[name] = ADAM_FIRST * first[name] + (1 - ADAM_FIRST) * clipped
            second[name] = ADAM_SECOND * second[name] + (1 - ADAM_SECOND) * clipped**2
            mean = first[name] / (1 - ADAM_FIRST**step)
            spread = np.sqrt(second[name] / (1 - ADAM_SECOND**step)) + ADAM_EPSILON
            weights[name] -= rate * mean / spread
    return weights


def predict(weights: Weights, inputs: Array) -> Array:
    """Return the output of every step, [rows, steps]."""
    states = _forward(weights, inputs.swapaxes(0, 1)).states[1:]
    return np.asarray((states @ weights["out"] + weights["out_bias"]).T)


def sequence_model(
    weights: Weights, scale: npt.NDArray[np.float32], unit: float, names: tuple[str, str, str, str]
) -> onnx.ModelProto:
    """Return a graph from rows of any length and their own lengths to an output for each step.

    Inputs: values FP32 [rows, steps, features], divided by `scale`, and lengths INT32 [rows].
    Outputs, times `unit`: every step FP32 [rows, steps], and the last of each row's own, FP32
    [rows]. `names`: of the two inputs and the two outputs.
    """
    values, length, every, last = names
    nodes = [
        helper.make_node("Div", [values, "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU",
            ["steps", "w", "r", "b", length],
            ["states", "last_state"],
            hidden_size=len(weights["out"]),
            linear_before_reset=1,
        ),
        helper.make_node("Squeeze", ["states", "direction"], ["state_of_step"]),
        helper.make_node("MatMul", ["state_of_step", "out"], ["raw"]),
        helper.make_node("Add", ["raw", "out_bias"], ["steps_first"]),
        helper.make_node("Transpose", ["steps_first"], [every], perm=[1, 0]),
        helper.make_node("Squeeze", ["last_state", "last_direction"], ["own_last_state"]),
        helper.make_node("MatMul", ["own_last_state", "out"], ["own_raw"]),
        helper.make_node("Add", ["own_raw", "out_bias"], [last]),
    ]
    features = len(scale)
    graph = helper.make_graph(
        nodes,
        "sequence",
        [
            helper.make_tensor_value_info(values, TensorProto.FLOAT, ["rows", "days", features]),
            helper.make_tensor_value_info(length, TensorProto.INT32, ["rows"]),
        ],
        [
            helper.make_tensor_value_info(every, TensorProto.FLOAT, ["rows", "days"]),
            helper.make_tensor_value_info(last, TensorProto.FLOAT, ["rows"]),
        ],
        _constants(weights, scale, unit),
    )
    opsets = [helper.make_opsetid("", OPSET_VERSION)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="batchbridge"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _constants(
    weights: Weights, scale: npt.NDArray[np.float32], unit: float
) -> list[onnx.TensorProto]:
    biases = np.concatenate([weights["b"], weights["c"]])[None]
    arrays: dict[str, npt.NDArray[Any]] = {
        "scale": scale,
        "w": weights["w"].T[None],
        "r": weights["r"].T[None],
        "b": biases,
        "out": weights["out"] * unit,
        "out_bias": np.array(weights["out_bias"] * unit),
    }
    made = [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()]
    axes = {"direction": 1, "last_direction": 0}
    return made + [numpy_helper.from_array(np.array([a], np.int64), n) for n, a in axes.items()]


@dataclass(slots=True)
class _Pass:
    """What the way back needs: for each step the state before and after it, gates and parts."""

    states: Array
    update: Array
    reset: Array
    new: Array
    recurrent_new: Array


def _initial(random: np.random.Generator, features: int, units: int) -> Weights:
    bound = 1 / np.sqrt(units)
    return {
        "w": random.uniform(-bound, bound, (features, GATES * units)),
        "r": random.uniform(-bound, bound, (units, GATES * units)),
        "b": np.concatenate([np.ones(units), np.zeros(2 * units)]),
        "c": np.zeros(GATES * units),
        "out": random.uniform(-bound, bound, units),
        "out_bias": np.zeros(()),
    }


def _sigmoid(value: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * value)))


def _forward(weights: Weights, inputs: Array) -> _Pass:
    steps, rows, _ = inputs.shape
    units = len(weights["out"])
    given = inputs @ weights["w"] + weights["b"]
    made = _Pass(*(np.zeros((steps + (index == 0), rows, units)) for index in range(5)))
    for step in range(steps):
        state = made.states[step]
        recurrent = state @ weights["r"] + weights["c"]
        gates = _sigmoid(given[step, :, : 2 * units] + recurrent[:, : 2 * units])
        update, reset = gates[:, :units], gates[:, units:]
        own = recurrent[:, 2 * units :]
        new = np.tanh(given[step, :, 2 * units :] + reset * own)
        made.update[step], made.reset[step] = update, reset
        made.new[step], made.recurrent_new[step] = new, own
        made.states[step + 1] = (1 - update) * new + update * state
    return made


def _slopes(weights: Weights, inputs: Array, targets: Array) -> Weights:
    """Return the slopes of the mean squared error by each weight; steps come first."""
    made = _forward(weights, inputs)
    states = made.states[1:]
    error = (states @ weights["out"] + weights["out_bias"] - targets) * (2 / targets.size)
    before_new = np.empty((*error.shape, GATES * len(weights["out"])))
    recurrent = np.empty_like(before_new)
    state_slope = np.zeros_like(states[0])
    for step in reversed(range(len(inputs))):
        state_slope = state_slope + error[step][:, None] * weights["out"]
        update, reset, new = made.update[step], made.reset[step], made.new[step]
        new_slope = state_slope * (1 - update) * (1 - new**2)
        update_slope = state_slope * (made.states[step] - new) * update * (1 - update)
        reset_slope = new_slope * made.recurrent_new[step] * reset * (1 - reset)
        before_new[step] = np.concatenate([update_slope, reset_slope, new_slope], axis=1)
        recurrent[step] = np.concatenate([update_slope, reset_slope, new_slope * reset], axis=1)
        state_slope = state_slope * update + recurrent[step] @ weights["r"].T
    flat = recurrent.reshape(-1, recurrent.shape[2])
    return {
        "w": inputs.reshape(-1, inputs.shape[2]).T @ before_new.reshape(flat.shape),
        "r": made.states[:-1].reshape(len(flat), -1).T @ flat,
        "b": before_new.sum(axis=(0, 1)),
        "c": flat.sum(axis=0),
        "out": np.einsum("sr,sru->u", error, states),
        "out_bias": np.asarray(error.sum()),
    }
