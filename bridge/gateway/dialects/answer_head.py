"""What every answer of a model version begins with, in whatever dialect."""

from __future__ import annotations

from typing import Any

from bridge.contract.model import ModelContract


def answer_head(contract: ModelContract) -> dict[str, Any]:
    """Return the keys before `id` and `outputs`: V2's, and by which threshold was decided.

    A threshold is found anew from time to time: who keeps a decision keeps the version, too.
    """
    head: dict[str, Any] = {"model_name": contract.name, "model_version": contract.version}
    decision = contract.decision
    if decision is not None and decision.threshold is not None:
        head["parameters"] = {"threshold_version": decision.threshold_version}
    return head
