"""What a model version accepts and promises: tensors, columns, values and serving targets."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from bridge.contract.datatype import DATATYPES, Datatype

Nulls = Literal["unset", "refuse", "allow", "default"]
Category = int | str
Default = bool | int | float | str
PadValue = bool | int | float | str
OnRowDependence = Literal["refuse", "serve-alone", "allow"]

LATENCY_TARGET_S_DEFAULT = 0.1
TIMEOUTS_PER_TARGET = 10


class ValueRules(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a tensor, or one of its columns, may hold.

    `range` is inclusive. `nulls`: "unset" refuses JSON null and passes NaN in binary, "refuse"
    refuses both, "allow" accepts both (floating tensors only; null becomes NaN), "default" puts
    `default` in their place. `default`, in the contract's unit, also stands for a value that is
    not sent, where values have names: in named rows and in files.
    """

    range: tuple[float, float] | None = None
    categories: tuple[Category, ...] | None = None
    unit: str | None = None
    nulls: Nulls = "unset"
    description: str = ""
    default: Default | None = None


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output tensor as callers see it.

    `shape[0]` is -1, the rows; another -1 is a dimension that may vary from request to request.
    `columns` name the positions along the last axis; `column_rules` are keyed by these names.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    rules: ValueRules = ValueRules()
    column_rules: dict[str, ValueRules] = {}

    @property
    def type(self) -> Datatype:
        """The datatype with its numpy dtype."""
        return DATATYPES[self.datatype]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row; -1 where it may vary."""
        return self.shape[1:]


class Padding(msgspec.Struct, frozen=True, kw_only=True):
    """How rows of different lengths are brought to one of a few, so that they share batches.

    The length is the size of the varying dimension, of which each input in `values` has one; there
    stands what follows the values of a shorter row. `buckets`, ascending, are the lengths that a
    model runs with. Callers do not send `mask`, 1 for each value of a row and 0 for padding, nor
    `length`, each row's own.
    """

    buckets: tuple[int, ...]
    values: dict[str, PadValue]
    mask: TensorSpec | None = None
    length: TensorSpec | None = None

    @property
    def filled(self) -> tuple[TensorSpec, ...]:
        """The inputs of the model that callers do not send."""
        return tuple(spec for spec in (self.mask, self.length) if spec is not None)


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What a model version promises: latency target (p99), hard timeout, cap on a batch's rows.

    `on_row_dependence`: what a worker does with a model whose answer to a row depends on the other
    rows of its batch: refuse to serve it, serve each row in a batch of its own, or, where answers
    are meant to depend, serve it like any other.
    """

    latency_target_s: float = LATENCY_TARGET_S_DEFAULT
    timeout_s: float = LATENCY_TARGET_S_DEFAULT * TIMEOUTS_PER_TARGET
    max_batch_rows: int | None = None
    on_row_dependence: OnRowDependence = "refuse"


class Commodities(msgspec.Struct, frozen=True, kw_only=True):
    """What a bushel of each commodity weighs, for kg/ha ⇄ bushel/acre.

    `column` names the input, or the column of one, whose text says a row's commodity; or all rows
    are of one `commodity`. `test_weights` are pounds per bushel, by commodity.
    """

    column: str | None = None
    commodity: str | None = None
    test_weights: dict[str, float]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """When a probability counts as positive, and what a mistake costs.

    The probability is the value `place` of a row of `output`; it is positive from `threshold` on.
    While that is None nothing is decided. `model_sha256`: of the model it was found for, if known.
    `label_column`: of golden data, where `positive` stands for a true positive. Either both costs
    are given or `recall_floor`.
    """

    output: str
    place: int
    column: str
    positive: str
    label_column: str = ""
    cost_false_negative: float | None = None
    cost_false_positive: float | None = None
    recall_floor: float | None = None
    threshold: float | None = None
    threshold_version: str = ""
    model_sha256: str = ""


class ModelContract(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a gateway must know to accept and answer requests for one model version.

    `inputs` are what callers send. With `padding` these travel padded, see `run_inputs`.
    `model_sha256` covers the artefacts that decide the answers (model.onnx, pipeline.py,
    contract.toml, threshold.toml), so that two workers which serve different files under one name
    are noticed.
    """

    name: str
    version: str
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    serving: Serving = Serving()
    model_sha256: str = ""
    description: str = ""
    padding: Padding | None = None
    decision: Decision | None = None
    commodities: Commodities | None = None

    @property
    def run_inputs(self) -> tuple[TensorSpec, ...]:
        """What a run takes, and a frame holds: the callers' inputs, then those that are filled."""
        return self.inputs if self.padding is None else (*self.inputs, *self.padding.filled)

    @property
    def key(self) -> str:
        """`model@version`, the name under which the version travels."""
        return f"{self.name}@{self.version}"


_decoder = msgspec.msgpack.Decoder(ModelContract)


def encode_contract(contract: ModelContract) -> bytes:
    """Return the contract as MessagePack."""
    return msgspec.msgpack.encode(contract)


def decode_contract(data: bytes) -> ModelContract:
    """Return the contract that `encode_contract` wrote.

    Raises:
        msgspec.DecodeError: not MessagePack, or not a contract.
    """
    return _decoder.decode(data)


def contract_digest(encoded: bytes) -> str:
    """Return a short digest of an encoded contract, by which gateways notice a change."""
    return hashlib.sha256(encoded).hexdigest()[:16]
