"""pipeline.py: found functions, and what is said when it cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from workers.pipeline import Pipeline, PipelineError, load_pipeline

NAME = "batchbridge_pipeline_test_1"


def load(folder: Path, text: str) -> Pipeline:
    path = folder / "pipeline.py"
    path.write_text(text, "utf-8")
    return load_pipeline(path, NAME)


def test_the_functions_of_the_file_are_found(tmp_path: Path) -> None:
    pipeline = load(tmp_path, "def predict(inputs):\n    return {'y': inputs['x'] + 1}\n")
    assert pipeline.predict is not None
    assert pipeline.predict({"x": np.array([1])})["y"].tolist() == [2]
    assert (pipeline.preprocess, pipeline.postprocess) == (None, None)


def test_a_file_may_define_dataclasses(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass(slots=True)\nclass Scale:\n    by: float\n"
        "def preprocess(inputs):\n    return inputs\n"
    )
    assert load(tmp_path, text).preprocess is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "defines none of preprocess, postprocess, predict"),
        ("", "defines none of preprocess, postprocess, predict"),
        ("def predict(:\n", "SyntaxError"),
        ("import a_module_that_is_not_installed\n", "ModuleNotFoundError"),
        ("raise ValueError('at import')\n", "ValueError: at import"),
        ("predict = 5\n", "predict is not a function"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(PipelineError) as refused:
        load(tmp_path, text)
    assert message in str(refused.value)
    assert str(tmp_path / "pipeline.py") in str(refused.value)


def test_a_file_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    sys.modules.pop(NAME, None)
    with pytest.raises(PipelineError):
        load(tmp_path, "raise ValueError\n")
    assert NAME not in sys.modules


def test_a_file_that_is_missing_is_an_error_of_the_pipeline(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="FileNotFoundError"):
        load_pipeline(tmp_path / "pipeline.py", NAME)


def test_a_file_that_ends_the_process_is_an_error_of_the_pipeline(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="SystemExit"):
        load(tmp_path, "raise SystemExit(0)\n")
