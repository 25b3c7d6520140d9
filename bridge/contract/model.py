"""What a model version accepts and promises: tensors, columns, values and serving targets."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from bridge.contract.datatype import DATATYPES, Datatype

Nulls = Literal["unset", "refuse", "allow"]
Category = int | str
OnRowDependence = Literal["refuse", "serve-alone", "allow"]

LATENCY_TARGET_S_DEFAULT = 0.1
TIMEOUTS_PER_TARGET = 10


class ValueRules(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a tensor, or one of its columns, may hold.

    `range` is inclusive. `nulls`: "unset" refuses JSON null and passes NaN in binary, "refuse"
    refuses both, "allow" accepts both (floating tensors only; null becomes NaN).
    """

    range: tuple[float, float] | None = None
    categories: tuple[Category, ...] | None = None
    unit: str | None = None
    nulls: Nulls = "unset"
    description: str = ""


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


class ModelContract(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a gateway must know to accept and answer requests for one model version.

    `model_sha256` covers the artefacts that decide the answers (model.onnx, pipeline.py,
    contract.toml), so that two workers which serve different files under one name are noticed.
    """

    name: str
    version: str
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    serving: Serving = Serving()
    model_sha256: str = ""
    description: str = ""

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
