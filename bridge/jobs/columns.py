"""Which columns of a file are a model's inputs, for a job."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bridge.contract.model import TensorSpec
from bridge.contract.table_columns import ColumnsMissing, InputColumns, find_columns
from bridge.jobs.errors import BadInput


def input_columns(
    inputs: Sequence[TensorSpec], names: Collection[str], renamed: Mapping[str, str], where: str
) -> list[InputColumns]:
    """Return where each input is found among a table's columns; see `find_columns`.

    Raises:
        BadInput: a column is missing, or `renamed` names none of the model's; `where` is the table.
    """
    try:
        return find_columns(inputs, names, renamed, where, takes_defaults=True)
    except ColumnsMissing as error:
        raise BadInput(str(error)) from None
