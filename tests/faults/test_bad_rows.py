"""A row that the model cannot answer hurts nobody but its caller."""

from __future__ import annotations

import pytest

from tests.faults.connection import Answer, Ask
from tests.faults.fault_models import RAISES, answer_of
from tests.faults.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEIGHBOURS = 31


async def test_the_neighbours_of_a_row_that_raises_get_their_own_answers(rig: Rig) -> None:
    asks = [Ask(nonce) for nonce in range(1, NEIGHBOURS + 1)]
    good, _ = await _in_one_batch(rig, asks, Ask(nonce=999, mark=RAISES))
    assert [answer.value for answer in good] == [answer_of(ask.nonce) for ask in asks]


async def test_a_row_that_raises_is_answered_422_although_its_batch_was_not_its_own(
    rig: Rig,
) -> None:
    asks = [Ask(nonce) for nonce in range(1_001, 1_001 + NEIGHBOURS)]
    _, bad = await _in_one_batch(rig, asks, Ask(nonce=1_999, mark=RAISES))
    assert bad.code == "422 rows_failed"


async def test_rows_that_raise_in_one_batch_are_each_answered_422(rig: Rig) -> None:
    await rig.answers_right()
    asks = [Ask(nonce, mark=RAISES if nonce % 4 == 0 else 0) for nonce in range(2_001, 2_033)]
    answers = await rig.while_busy(asks)
    expected = ["422 rows_failed" if ask.mark else "ok" for ask in asks]
    assert [answer.code for answer in answers] == expected


async def test_a_model_that_always_fails_is_answered_500(rig: Rig) -> None:
    answer = await rig.ask(Ask(nonce=1, model="broken"))
    assert answer.code == "500 model_failed"


async def test_an_error_body_shows_nothing_of_what_the_model_raised(rig: Rig) -> None:
    answer = await rig.ask(Ask(nonce=1, model="broken"))
    assert "never answers" not in str(answer.body)


async def test_a_wrong_number_of_output_rows_is_answered_500_by_name(rig: Rig) -> None:
    answer = await rig.ask(Ask(nonce=1, model="short"))
    assert answer.code == "500 bad_output"


async def test_a_wrong_number_of_output_rows_delivers_nothing_to_any_caller_of_the_batch(
    rig: Rig,
) -> None:
    answers = await rig.while_busy([Ask(nonce, model="short") for nonce in range(1, 9)])
    assert [answer.code for answer in answers] == ["500 bad_output"] * 8


async def test_other_models_answer_after_a_wrong_number_of_output_rows(rig: Rig) -> None:
    await rig.ask(Ask(nonce=1, model="short"))
    assert await rig.answers_right()


async def _in_one_batch(rig: Rig, asks: list[Ask], bad: Ask) -> tuple[list[Answer], Answer]:
    """Return the answers to `asks` and to `bad`, after checking that one run held them all."""
    # A model that has never answered anybody is judged itself, not the row.
    await rig.answers_right()
    rig.mirror.forget()
    *good, refused = await rig.while_busy([*asks, bad])
    first_run = rig.mirror.batches()[0]["first"]
    assert sorted(first_run) == sorted(ask.nonce for ask in (*asks, bad))
    return good, refused
