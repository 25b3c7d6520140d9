"""What is to blame when padding changes an answer: what the model is told of it, or its graph."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from bridge.contract.invalid import shown
from bridge.contract.model import TensorSpec
from bridge.contract.padding import Padder
from bridge.contract.repository import CONTRACT_FILE, MODEL_FILE, PIPELINE_FILE
from workers.check.finding import Finding
from workers.check.row_independence import Runs
from workers.check.suspect import Suspect
from workers.model import Array, ModelError


def padding_suspects(model: Runs, finding: Finding) -> tuple[Suspect, ...]:
    """Return what is to blame for a finding of the kind PADDING.

    Each input that is filled in is filled as if nothing were padding: a model that answers the
    same then does not heed it.
    """
    padding = model.contract.padding
    assert padding is not None
    name, value = next(iter(padding.values.items()))
    if not padding.filled:
        reason = f"is {value!r}, which is not without effect, and no mask or length tells it apart"
        return (Suspect(CONTRACT_FILE, f"inputs.{name}.pad", reason),)
    tensors = finding.probe.taken(finding.batch)
    ignored = [spec for spec in padding.filled if _is_ignored(model, spec, tensors)]
    if ignored:
        where = MODEL_FILE if model.contract.platform != "python" else PIPELINE_FILE
        reason = "is filled in, but the answer is the same whatever it says"
        return tuple(Suspect(where, f"input {shown(spec.name)}", reason) for spec in ignored)
    reason = "is heeded, but not wherever values of a row are mixed with its padding"
    return tuple(
        Suspect(MODEL_FILE, f"input {shown(spec.name)}", reason) for spec in padding.filled
    )


def _is_ignored(model: Runs, spec: TensorSpec, tensors: Mapping[str, Array]) -> bool:
    """Whether the model answers the same when this input says that nothing is padding."""
    padder = Padder(model.contract)
    rows = len(tensors[spec.name])
    size = padder.length(tensors)
    without = padder.filled(np.full(rows, size), size)[spec.name]
    with suppress(ModelError), np.errstate(all="ignore"):
        told = model.run(dict(tensors), rows)
        untold = model.run({**tensors, spec.name: without}, rows)
        return all(np.array_equal(told[name], untold[name]) for name in told)
    return False
