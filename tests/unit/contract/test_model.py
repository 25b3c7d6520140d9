"""A contract travels from worker to gateway and arrives as it was."""

from __future__ import annotations

import msgspec
import pytest

from bridge.contract.model import (
    ModelContract,
    Serving,
    TensorSpec,
    ValueRules,
    contract_digest,
    decode_contract,
    encode_contract,
)

CONTRACT = ModelContract(
    name="yield",
    version="3",
    platform="onnx_onnxv1",
    inputs=(
        TensorSpec(
            name="x",
            datatype="FP32",
            shape=(-1, 2),
            columns=("age", "crop"),
            rules=ValueRules(range=(0.5, 2), nulls="allow"),
            column_rules={"age": ValueRules(unit="years", categories=(1, 2))},
        ),
    ),
    outputs=(TensorSpec(name="y", datatype="BYTES", shape=(-1,)),),
    serving=Serving(latency_target_s=0.25, timeout_s=2, max_batch_rows=8),
    model_sha256="ab" * 32,
    description="kg/ha",
)


def test_a_contract_arrives_as_it_was_sent() -> None:
    assert decode_contract(encode_contract(CONTRACT)) == CONTRACT


def test_a_contract_is_known_by_model_and_version() -> None:
    assert CONTRACT.key == "yield@3"


def test_the_digest_of_a_contract_is_stable() -> None:
    assert contract_digest(encode_contract(CONTRACT)) == contract_digest(encode_contract(CONTRACT))


@pytest.mark.parametrize(
    "change",
    [
        {"model_sha256": "cd" * 32},
        {"description": ""},
        {"serving": Serving()},
        {"outputs": ()},
    ],
)
def test_the_digest_changes_with_the_contract(change: dict[str, object]) -> None:
    other = msgspec.structs.replace(CONTRACT, **change)
    assert contract_digest(encode_contract(other)) != contract_digest(encode_contract(CONTRACT))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x90", encode_contract(CONTRACT)[:-1]])
def test_bytes_that_are_no_contract_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_contract(data)
