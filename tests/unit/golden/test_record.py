"""What `batchbridge record` says of the rows that it leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.golden.golden import GoldenError
from tests.unit.golden.golden_models import recorded, staged


def test_the_first_row_that_is_left_out_is_named(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("left,right\n1,1\n2,2\n5000,3\nx,4\n", "utf-8")
    found = recorded(staged(tmp_path), data)
    assert (found.rows, found.left_out) == (2, 2)
    assert found.reason.startswith("row 2: ")


def test_rows_of_which_none_is_allowed_name_the_first(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("left,right\nx,1\n", "utf-8")
    with pytest.raises(GoldenError, match="no row that the contract allows: row 0: column left"):
        recorded(staged(tmp_path), data)
