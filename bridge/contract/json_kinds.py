"""Which JSON values a datatype is written as, wherever values have names."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.contract.datatype import Kind

# By exact type: true is no number here, although Python thinks so.
JSON_TYPES: Mapping[Kind, tuple[type, ...]] = {
    "bool": (bool,),
    "integer": (int,),
    "floating": (int, float),
    "bytes": (str,),
}
EXPECTED: Mapping[Kind, str] = {
    "bool": "true or false",
    "integer": "a whole number",
    "floating": "a number",
    "bytes": "text",
}
