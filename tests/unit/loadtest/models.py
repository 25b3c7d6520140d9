"""Model contracts for the load tester's tests, as a server's metadata would give them."""

from __future__ import annotations

from typing import Any

import msgspec

from loadtest.server_model import ServerModel, parse_model


def tensor(name: str, datatype: str, shape: list[int], **parameters: Any) -> dict[str, Any]:
    """One tensor of V2 metadata."""
    document: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    return {**document, "parameters": parameters} if parameters else document


def model(
    *inputs: dict[str, Any], outputs: list[dict[str, Any]] | None = None, url: str = ""
) -> ServerModel:
    """A model with these inputs."""
    document = {"name": "half", "inputs": list(inputs), "outputs": outputs or []}
    parsed = parse_model(msgspec.json.encode(document), "metadata")
    return msgspec.structs.replace(parsed, url=url)
