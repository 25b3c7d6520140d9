"""Which browsers may open a stream."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from bridge.gateway.problem import Problem, ProblemCode
from bridge.gateway.stream.origin import refuse_cross_site, refuse_subprotocols

HOST = "Models.example:8000"


def headers(*origins: str) -> CIMultiDict[str]:
    return CIMultiDict([("Host", HOST), *(("Origin", origin) for origin in origins)])


def test_a_client_without_an_origin_is_no_browser() -> None:
    refuse_cross_site(headers())


@pytest.mark.parametrize("origin", ["http://models.example:8000", "https://MODELS.example:8000"])
def test_a_page_of_this_host_may_open_a_stream(origin: str) -> None:
    refuse_cross_site(headers(origin))


@pytest.mark.parametrize(
    "origins",
    [
        ["http://evil.example"],
        ["http://models.example"],
        ["http://models.example:8000.evil.example"],
        ["http://evil.example://models.example:8000"],
        ["null"],
        [""],
        ["models.example:8000"],
        ["http://models.example:8000", "http://evil.example"],
    ],
)
def test_a_page_of_another_host_may_not(origins: list[str]) -> None:
    with pytest.raises(Problem) as refused:
        refuse_cross_site(headers(*origins))
    assert refused.value.code is ProblemCode.HEADER


def test_an_origin_without_a_host_to_compare_is_refused() -> None:
    with pytest.raises(Problem):
        refuse_cross_site(CIMultiDict({"Origin": "http://"}))


def test_no_subprotocol_is_spoken() -> None:
    with pytest.raises(Problem):
        refuse_subprotocols(CIMultiDict({"Sec-WebSocket-Protocol": "chat"}))
