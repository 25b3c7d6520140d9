"""Rows of the team's own, from a file, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bridge.contract.model import TensorSpec
from bridge.jobs.columns import input_columns
from bridge.jobs.rows import RowCheck
from bridge.jobs.tables import open_table

Array = np.ndarray[Any, np.dtype[Any]]


def reference_rows(
    path: Path, inputs: tuple[TensorSpec, ...], rows_max: int
) -> list[Mapping[str, Array]]:
    """Return the first rows that the contract allows: groups of one shape each.

    Columns are found as for `batchbridge score`. At most `rows_max` rows of each shape, from the
    file's first page; tensors have shape (rows, ...) and the contract's dtypes.

    Raises:
        BadInput: the file cannot be read, or its columns do not fit.
    """
    table = open_table(path)
    columns = input_columns(inputs, table.column_types, {}, str(path))
    check = RowCheck(columns, table.column_types, str(path), is_text=table.has_text_cells)
    groups: dict[tuple[tuple[int, ...], ...], Mapping[str, Array]] = {}
    for page in table.pages(check.columns, 0):
        for checked in check.check(page):
            shapes = tuple(checked.tensors[spec.name].shape[1:] for spec in inputs)
            groups[shapes] = _more(groups.get(shapes), checked.tensors, rows_max)
        break
    return [group for group in groups.values() if len(next(iter(group.values())))]


def _more(
    group: Mapping[str, Array] | None, tensors: Mapping[str, Array], rows_max: int
) -> Mapping[str, Array]:
    if group is None:
        return {name: array[:rows_max] for name, array in tensors.items()}
    return {
        name: np.concatenate([array, tensors[name]])[:rows_max] for name, array in group.items()
    }
