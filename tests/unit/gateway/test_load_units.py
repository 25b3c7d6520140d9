"""What units mean is loaded beside the event loop, and again where that failed."""

from __future__ import annotations

import sys

import pytest

from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.gateway import Gateway
from bridge.gateway.metrics import GatewayMetrics


async def test_a_load_that_failed_is_tried_again_by_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = Gateway("redis://127.0.0.1:1", InputLimits(), GatewayMetrics(None))
    with monkeypatch.context() as without_pint:
        without_pint.delitem(sys.modules, "bridge.contract.unit_names", raising=False)
        without_pint.setitem(sys.modules, "pint", None)
        with pytest.raises(ImportError):
            await gateway.load_units()
    assert not gateway.catalog.units.is_loaded
    await gateway.load_units()
    assert gateway.catalog.units.is_loaded
