"""Where a model version is served."""

from __future__ import annotations

from urllib.parse import quote


def model_path(model: str, version: str | None) -> str:
    """Return the path of a model, or of one of its versions."""
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"
