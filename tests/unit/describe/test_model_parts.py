"""What a pipeline asks for is seen by running it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.contract.repository import VersionFolder
from bridge.describe.errors import DescribeError
from bridge.describe.model_parts import open_parts
from tests.tiny_models import affine, write_version

ROWS = {"a": np.arange(3.0), "b": np.arange(3), "c": np.array(["x", "y", "z"], object)}


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ("inputs['b'] + inputs['a']", ("a", "b")),
        ("inputs.get('b')", ("b",)),
        ("dict(inputs)['b']", ("a", "b", "c")),
        ("{**inputs}['b']", ("a", "b", "c")),
        ("list(inputs.values())[0]", ("a", "b", "c")),
        ("[v for k, v in inputs.items()][0]", ("a", "b", "c")),
        ("inputs[next(iter(inputs))]", ("a", "b", "c")),
        ("(lambda a, **_: a)(**inputs)", ("a", "b", "c")),
    ],
)
def test_the_inputs_are_those_that_are_asked_for(
    tmp_path: Path, body: str, asked: tuple[str, ...]
) -> None:
    script = f"def predict(inputs):\n    return {{'y': {body}}}\n"
    path = write_version(tmp_path, "m", pipeline=script)
    assert open_parts(VersionFolder("m", "1", path)).observed(ROWS).asked == asked


def test_the_graph_between_two_functions_is_run(tmp_path: Path) -> None:
    script = """
def preprocess(inputs):
    return {"x": inputs["a"][:, None]}


def postprocess(outputs, inputs):
    return {"z": outputs["y"][:, 0] > 3}
"""
    path = write_version(tmp_path, "m", graph=affine(2, 1), pipeline=script)
    (output,) = open_parts(VersionFolder("m", "1", path)).observed(ROWS).outputs
    assert (output.name, output.datatype, output.shape) == ("z", "BOOL", (-1,))


def test_a_script_that_ends_the_process_is_told_as_an_error(tmp_path: Path) -> None:
    path = write_version(tmp_path, "m", pipeline="def predict(inputs):\n    raise SystemExit(3)\n")
    with pytest.raises(DescribeError, match="SystemExit: 3"):
        open_parts(VersionFolder("m", "1", path)).observed(ROWS)


def test_rows_are_copies_so_that_a_script_may_change_them(tmp_path: Path) -> None:
    script = "def predict(inputs):\n    inputs['a'] += 1\n    return {'y': inputs['a']}\n"
    path = write_version(tmp_path, "m", pipeline=script)
    open_parts(VersionFolder("m", "1", path)).observed(ROWS)
    assert ROWS["a"].tolist() == [0.0, 1.0, 2.0]
