"""What the server and a model version say about themselves: V2, our additions in `parameters`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bridge.contract.model import Decision, ModelContract, TensorSpec, ValueRules
from bridge.gateway.dialects.named_example import named_example, named_path
from bridge.scheduling.forecast import Capacity

SERVER_NAME = "batchbridge"
EXTENSIONS = ("binary_tensor_data", "schedule_policy")


@dataclass(frozen=True, slots=True)
class Measured:
    """What the workers of a version say: its capacity, and whether D can be kept at all."""

    capacity: Capacity
    keeps_target: bool


def server_metadata() -> dict[str, Any]:
    """Return the document of `GET /v2`."""
    try:
        release = version(SERVER_NAME)
    except PackageNotFoundError:
        release = "unknown"
    return {"name": SERVER_NAME, "version": release, "extensions": list(EXTENSIONS)}


def model_metadata(
    contract: ModelContract, versions: Sequence[str], measured: Measured | None = None
) -> dict[str, Any]:
    """Return the document of `GET /v2/models/{m}[/versions/{v}]`; -1 is a variable dimension.

    `parameters` hold what the protocol has no word for, of the model and of each tensor; among
    them, where a worker serves the version, what was `measured` there.
    """
    serving = contract.serving
    parameters: dict[str, Any] = {
        "version": contract.version,
        "latency_target_ms": serving.latency_target_s * 1e3,
        "timeout_ms": serving.timeout_s * 1e3,
    }
    if serving.max_batch_rows is not None:
        parameters["max_batch_rows"] = serving.max_batch_rows
    if contract.padding is not None:
        parameters["padded_to"] = list(contract.padding.buckets)
    if contract.decision is not None:
        parameters["decision"] = _decision(contract.decision)
    if contract.description:
        parameters["description"] = contract.description
    if contract.commodities is not None:
        parameters["test_weights_lb_per_bushel"] = dict(contract.commodities.test_weights)
    parameters["named_rows"] = _named_rows(contract)
    if measured is not None:
        parameters["measured"] = _measured(measured)
    return {
        "name": contract.name,
        "versions": list(versions),
        "platform": contract.platform,
        "inputs": [_tensor(spec) for spec in contract.inputs],
        "outputs": [_tensor(spec) for spec in contract.outputs],
        "parameters": parameters,
    }


def _named_rows(contract: ModelContract) -> dict[str, Any]:
    """Where rows are sent by their columns' names, and such a request as an example."""
    document: dict[str, Any] = {"path": named_path(contract)}
    example = named_example(contract)
    if example is not None:
        document["example"] = example
    return document


def _decision(decision: Decision) -> dict[str, Any]:
    """From which probability on a row counts as positive, and what that rests on."""
    document: dict[str, Any] = {"output": decision.output, "positive": decision.positive}
    if decision.column:
        document["column"] = decision.column
    if decision.threshold is not None:
        document["threshold"] = decision.threshold
        document["threshold_version"] = decision.threshold_version
    for name in ("cost_false_negative", "cost_false_positive", "recall_floor"):
        value = getattr(decision, name)
        if value is not None:
            document[name] = value
    return document


def _measured(measured: Measured) -> dict[str, Any]:
    """S(b) = fixed + per_row b and what follows from it; times in milliseconds."""
    capacity = measured.capacity
    service = capacity.service
    return {
        "workers": len(capacity.workers),
        "batch_rows": capacity.batch_rows,
        "fixed_ms": service.fixed_s * 1e3,
        "per_row_ms": service.per_row_s * 1e3,
        "jitter": service.jitter,
        "typical": service.typical,
        "rows_per_s": len(capacity.workers) * service.rows_per_s(capacity.batch_rows),
        "keeps_latency_target": measured.keeps_target,
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(spec.shape),
    }
    parameters = _rules(spec.rules)
    if spec.columns:
        parameters["columns"] = list(spec.columns)
    if spec.column_rules:
        parameters["column_rules"] = {
            name: _rules(rules) for name, rules in spec.column_rules.items()
        }
    if parameters:
        document["parameters"] = parameters
    return document


def _rules(rules: ValueRules) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if rules.description:
        document["description"] = rules.description
    if rules.unit is not None:
        document["unit"] = rules.unit
    if rules.range is not None:
        document["range"] = list(rules.range)
    if rules.categories is not None:
        document["categories"] = list(rules.categories)
    if rules.nulls != "unset":
        document["nulls"] = rules.nulls
    if rules.default is not None:
        document["default"] = rules.default
    return document
