"""What is to blame for a finding: a function of `pipeline.py`, or nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suspect:
    """`where`: pipeline.py or model.onnx. `name`: the function or node. `reason`: what it does."""

    where: str
    name: str
    reason: str
