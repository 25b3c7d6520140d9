"""Each gateway hears what the others have in flight, as far as they were heard lately."""

from __future__ import annotations

from workers.gateway_loads import SILENT_S_MAX, GatewayLoads


def heard(**rows: int) -> GatewayLoads:
    loads = GatewayLoads()
    for gateway, count in rows.items():
        loads.hear("m@1", gateway, count, 0.0)
    return loads


def test_a_gateway_hears_the_sum_of_the_others() -> None:
    loads = heard(one=1, two=20, three=300)
    assert loads.others("m@1", {"one", "three"}, 0.5) == {"one": 320, "three": 21}


def test_the_last_word_of_a_gateway_counts() -> None:
    loads = heard(one=1, two=20)
    loads.hear("m@1", "two", 5, 0.1)
    assert loads.others("m@1", {"one"}, 0.5) == {"one": 5}


def test_a_gateway_that_is_silent_is_forgotten() -> None:
    loads = heard(one=1, two=20)
    loads.hear("m@1", "one", 1, SILENT_S_MAX)
    assert loads.others("m@1", {"one"}, SILENT_S_MAX + 0.1) == {"one": 0}


def test_models_are_told_apart() -> None:
    loads = heard(one=1, two=20)
    assert loads.others("other@1", {"one"}, 0.0) == {"one": 0}


def test_a_gateway_never_heard_hears_of_all() -> None:
    assert heard(one=1, two=20).others("m@1", {"new"}, 0.0) == {"new": 21}
