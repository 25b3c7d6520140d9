"""`pipeline.py` of a model version: the team's own functions around the model, or instead of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]


class PipelineError(Exception):
    """`pipeline.py` cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The functions that a `pipeline.py` defines; each works on whole batches."""

    preprocess: Callable[[Arrays], Arrays] | None = None
    postprocess: Callable[[Arrays, Arrays], Arrays] | None = None
    predict: Callable[[Arrays], Arrays] | None = None


def load_pipeline(path: Path, module_name: str) -> Pipeline:
    """Import the file and return its functions.

    The file is code of the operator, from a folder that only the operator can write; nothing
    that comes over the network is ever executed.

    Raises:
        PipelineError: it cannot be imported, or defines none of the functions.
    """
    module = _import(path, module_name)
    functions = {name: _function(module, name) for name in ("preprocess", "postprocess", "predict")}
    if not any(functions.values()):
        raise PipelineError(f"{path} defines none of preprocess, postprocess, predict")
    return Pipeline(**functions)


def _import(path: Path, module_name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise PipelineError(f"{path} is not Python")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs: dataclasses and the like look their module up by name.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # SystemExit too: a batch script that was never meant to be imported ends with it.
        del sys.modules[module_name]
        raise PipelineError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def _function(module: ModuleType, name: str) -> Callable[..., Any] | None:
    value = getattr(module, name, None)
    if value is not None and not callable(value):
        raise PipelineError(f"{module.__file__}: {name} is not a function")
    return value
