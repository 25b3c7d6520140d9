"""Rows like the reference data to try a model with, where the version has their statistics."""

from __future__ import annotations

import numpy as np

from bridge.contract.likely_rows import VARIABLE_SIZE_MAX, LikelyRows
from bridge.contract.model import ModelContract
from bridge.contract.repository import VersionFolder
from bridge.contract.statistics import read_statistics
from workers.check.probe_rows import SEED, Tensors


def likely_rows(folder: VersionFolder, contract: ModelContract, rows: int) -> list[Tensors]:
    """Return `rows` rows that the contract allows, by shape: the same each time.

    None at all where the version has no statistics.json.

    Raises:
        StatisticsError: it cannot be used, or is that of other inputs.
    """
    statistics = read_statistics(folder)
    if statistics is None:
        return []
    size_max = VARIABLE_SIZE_MAX if contract.padding is None else contract.padding.buckets[-1]
    likely = LikelyRows(contract.inputs, statistics, size_max)
    return likely.drawn(rows, np.random.default_rng(SEED))
