"""The OpenAPI document of the HTTP interface."""

from __future__ import annotations

from typing import Any


def openapi_document() -> dict[str, Any]:
    """Return the document as a JSON-able value."""
    return {"openapi": "3.1.0", "info": {"title": "Batchbridge", "version": "0"}, "paths": {}}
