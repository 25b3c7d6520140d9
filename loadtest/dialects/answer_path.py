"""Where an output is in an answer of any shape: `predictions[].score`, `[0].label`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from loadtest.datatypes import Array, text_array
from loadtest.errors import BadAnswer

WHOLE_ANSWER = "answer"

_STEP = re.compile(r"\[(\d*)\]|([^.\[\]]+)")


def outputs_of(document: Any, answers: Mapping[str, str]) -> dict[str, Array]:
    """Return the outputs at the paths of `answers`; all that can be found where it is empty.

    Numbers become INT64 or FP64 arrays, null NaN, text object arrays.

    Raises:
        BadAnswer: nothing at a path, or something that is no array of one type.
    """
    if answers:
        return {name: _array(name, _at(document, path)) for name, path in answers.items()}
    if not isinstance(document, dict):
        return {WHOLE_ANSWER: _array(WHOLE_ANSWER, document)}
    found = {key: value for key, value in document.items() if not isinstance(value, dict)}
    return {str(key): _array(str(key), value) for key, value in found.items()}


def _at(document: Any, path: str) -> Any:
    steps = [(match[1], match[2]) for match in _STEP.finditer(path)]
    try:
        return _follow(document, steps)
    except (KeyError, IndexError, TypeError) as error:
        raise BadAnswer(f"nothing at {path!r}: {type(error).__name__}: {error}") from error


def _follow(value: Any, steps: list[tuple[str | None, str | None]]) -> Any:
    for position, (index, key) in enumerate(steps):
        if key is not None:
            value = value[key]
        elif index:
            value = value[int(index)]
        else:
            if not isinstance(value, list):
                raise TypeError(f"{type(value).__name__} is no list")
            return [_follow(item, steps[position + 1 :]) for item in value]
    return value


def _array(name: str, value: Any) -> Array:
    try:
        array: Array = np.array(value)
    except ValueError as error:
        raise BadAnswer(f"{name!r}: lists of different lengths") from error
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "U":
        return text_array(array.ravel().tolist()).reshape(array.shape)
    flat = array.ravel().tolist()
    if array.dtype.kind == "O" and all(isinstance(item, int | float | None) for item in flat):
        return array.astype(np.float64)
    raise BadAnswer(f"{name!r}: neither numbers nor text of one kind")
