"""What a worker does with a model whose rows depend on each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.contract.model import Serving
from tests.dependent_models import DEPENDENT, NUMBERS, Planted, function
from tests.tiny_models import affine, write_version
from workers.loading import LoadedModel, LoadError, load_models

RANK = DEPENDENT["rank within the batch"]
NOISE = DEPENDENT["noise"]


def serving(policy: str) -> str:
    return f'[serving]\non_row_dependence = "{policy}"\n'


def loaded(root: Path, planted: Planted, more: str = "") -> LoadedModel:
    planted.write(root, "m", more)
    return load_models(root, threads=1)[0]


def refusal(root: Path, planted: Planted, more: str = "") -> str:
    with pytest.raises(LoadError) as refused:
        loaded(root, planted, more)
    return str(refused.value)


def test_it_is_refused_with_both_answers_and_where_to_read_more(tmp_path: Path) -> None:
    text = refusal(tmp_path, RANK)
    folder = tmp_path / "m" / "1"
    assert text.startswith(f"{folder}: output y depends on the other rows of the batch: made-up")
    assert text.endswith(f"`batchbridge check {folder}` shows more")


def test_it_is_served_alone_if_the_contract_says_so(tmp_path: Path) -> None:
    model = loaded(tmp_path, RANK, serving("serve-alone"))
    assert (model.model.contract.serving, model.model.rows_max, model.bounds.rows_cap) == (
        Serving(max_batch_rows=1, on_row_dependence="serve-alone"),
        1,
        1,
    )


def test_it_is_served_in_batches_if_the_contract_allows_it(tmp_path: Path) -> None:
    assert loaded(tmp_path, RANK, serving("allow")).model.rows_max is None


def test_a_model_that_is_not_repeatable_is_refused_alone_too(tmp_path: Path) -> None:
    assert "output y is not repeatable" in refusal(tmp_path, NOISE, serving("serve-alone"))


def test_a_model_that_is_independent_keeps_its_batches_whatever_the_contract_says(
    tmp_path: Path,
) -> None:
    write_version(tmp_path, "m", graph=affine(2, 1), contract=serving("serve-alone"))
    assert load_models(tmp_path, threads=1)[0].model.rows_max is None


def test_a_model_whose_contract_caps_batches_at_one_row_is_served(tmp_path: Path) -> None:
    assert loaded(tmp_path, RANK, "[serving]\nmax_batch_rows = 1\n").model.rows_max == 1


def test_rows_that_fail_together_do_not_keep_a_model_from_being_served(tmp_path: Path) -> None:
    body = "x = inputs['x']\nif len(x) > 1 and x.any():\n    raise ValueError\nreturn {'y': x}"
    planted = Planted("predict", pipeline=function(body), contract=NUMBERS)
    assert loaded(tmp_path, planted).has_answered


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    assert "on_row_dependence" in refusal(tmp_path, RANK, serving("ignore"))
