"""The main job: single HTTP requests, answered by batch workers through a real queue."""

from __future__ import annotations


import aiohttp
import numpy as np
import pytest

from tests.sample_models import example_tensors, predict, read_example
from tests.system import System, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = ["breast_cancer", "digits", "crop_yield", "evapotranspiration", "fixed_batch"]


@pytest.mark.parametrize("model", MODELS)
async def test_a_single_request_gets_what_the_model_itself_predicts(
    system: System, http: aiohttp.ClientSession, model: str
) -> None:
    status, answer, _ = await post(
        http, f"{system.url}/v2/models/{model}/infer", read_example(model)
    )
    assert status == 200, answer
    # fixed_batch is the digits model exported with a batch dimension of 32.
    expected = predict("digits" if model == "fixed_batch" else model, example_tensors(model))
    for output in answer["outputs"]:
        got = np.array(output["data"]).reshape(output["shape"])
        np.testing.assert_allclose(got, expected[output["name"]], rtol=1e-6)
