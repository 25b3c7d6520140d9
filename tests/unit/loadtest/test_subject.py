"""Several models in one run: each gets its share, its bodies and its own check."""

from __future__ import annotations

import json

import numpy as np
import pytest

from loadtest.bodies import Body, BodyPool
from loadtest.dialects.v2_json import V2Json
from loadtest.subject import BadShares, Portion, Subject, subject_of


def pool(model: str, count: int, answer: float | None = None) -> BodyPool:
    expected = None if answer is None else {"y": np.array([answer])}
    bodies = tuple(Body(f"{model}{n}".encode(), None, expected) for n in range(count))
    return BodyPool(V2Json(), "x", f"/{model}", bodies, {})


def mixed(first: float = 0.7, second: float = 0.3) -> Subject:
    portions = [
        Portion("a", first, pool("a", 3, 1.0)),
        Portion("b", second, pool("b", 5, 2.0)),
        Portion("c", 1.0, pool("c", 2)),
    ]
    return subject_of("http://127.0.0.1:8080", {}, portions)


def answer(value: float) -> bytes:
    output = {"name": "y", "datatype": "FP64", "shape": [1], "data": [value]}
    return json.dumps({"outputs": [output]}).encode()


def test_each_model_gets_its_share_of_the_load() -> None:
    choice = mixed().choose(np.random.default_rng(1), 100_000)
    shares = [np.mean(choice < 3), np.mean((choice >= 3) & (choice < 8)), np.mean(choice >= 8)]
    assert shares == pytest.approx([0.35, 0.15, 0.5], abs=0.01)


def test_every_body_of_a_model_is_sent_as_often_as_the_others() -> None:
    choice = mixed().choose(np.random.default_rng(1), 100_000)
    counts = np.bincount(choice, minlength=10)[3:8] / 15_000
    assert counts.tolist() == pytest.approx([0.2] * 5, rel=0.05)


def test_each_request_is_of_the_model_whose_body_it_has() -> None:
    assert mixed().model_of(np.arange(10)).tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2]


def test_the_same_seed_chooses_the_same() -> None:
    first, second = (mixed().choose(np.random.default_rng(4), 50).tolist() for _ in range(2))
    assert first == second


def test_an_answer_is_held_to_the_outputs_of_its_own_model() -> None:
    is_right = mixed().is_right
    assert is_right is not None
    assert [is_right(2, answer(1)), is_right(3, answer(1)), is_right(3, answer(2))] == [
        True,
        False,
        True,
    ]


def test_the_first_wrong_answer_is_named_by_its_body() -> None:
    is_right = mixed().is_right
    assert is_right is not None
    before = is_right.first_wrong
    is_right(4, answer(1))
    assert (before, is_right.first_wrong) == (
        None,
        "body 4, output 'y', element [0]: 1.0, expected 2.0",
    )


def test_a_model_without_expected_outputs_is_not_judged() -> None:
    is_right = mixed().is_right
    assert is_right is not None and is_right(8, b"anything")


def test_one_model_is_shown_by_its_name_and_several_with_their_shares() -> None:
    one = subject_of("http://127.0.0.1:8080", {}, [Portion("a", 1.0, pool("a", 1))])
    assert (one.model, mixed().model) == ("a", "a (35%), b (15%), c (50%)")


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan")])
def test_a_share_that_is_not_positive_is_refused(share: float) -> None:
    with pytest.raises(BadShares, match="shares are positive numbers"):
        mixed(share)
