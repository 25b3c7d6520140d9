"""The benchmark of the gateway's stages still goes through all of them."""

from __future__ import annotations

import pytest

from bridge.contract.model import ModelContract
from bridge.gateway.metrics import GatewayMetrics
from tests.gateway_stages import measure, sample_contract


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> ModelContract:
    return sample_contract(tmp_path_factory.mktemp("models"))


async def test_accepted_requests_go_through_three_stages(contract: ModelContract) -> None:
    stages = await measure(contract, 3, 6, GatewayMetrics(None), refuses=False)
    through = (stages.taken_in > 0, stages.framed > 0, stages.answered > 0, stages.refused > 0)
    assert through == (True, True, True, False)


async def test_refused_requests_go_through_one_stage(contract: ModelContract) -> None:
    stages = await measure(contract, 3, 6, GatewayMetrics(None), refuses=True)
    through = (stages.taken_in > 0, stages.framed > 0, stages.answered > 0, stages.refused > 0)
    assert through == (False, False, False, True)
