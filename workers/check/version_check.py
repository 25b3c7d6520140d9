"""The whole check of one model version: its rows beside others, and its rows padded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bridge.contract.model import ModelContract
from bridge.contract.padding import padder_of
from workers.check.finding import Independence
from workers.check.made_values import OpenValues
from workers.check.padding_check import (
    PADDED_ROWS,
    check_padding,
    lengths_tried,
    padded_probes,
)
from workers.check.probe_rows import VARYING_SIZES, ProbeRows, Tensors, generated
from workers.check.row_independence import Effort, Runs, check_rows

# Of the time, for rows that are padded; the rest is for rows beside others.
PADDING_SHARE = 0.3


def made_up_rows(contract: ModelContract, rows: int, open_values: OpenValues) -> list[ProbeRows]:
    """Return rows as callers may send them, `rows` ordinary ones of each length; see `generated`.

    Where rows are padded their lengths are those that the padding is tried with; these are more, so
    there are fewer of each.
    """
    if contract.padding is None:
        return generated(contract.inputs, rows, open_values, VARYING_SIZES)
    sizes = lengths_tried(contract.padding.buckets)
    of_each = max(PADDED_ROWS, 2 * rows // len(sizes))
    return generated(contract.inputs, of_each, open_values, sizes)


def fitting(contract: ModelContract, groups: list[Tensors]) -> list[Tensors]:
    """Return the groups of rows, of one length each, that are not too long for every bucket."""
    padder = padder_of(contract)
    if padder is None:
        return groups
    return [group for group in groups if padder.length(group) <= padder.buckets[-1]]


def check_version(
    model: Runs,
    probes: Sequence[ProbeRows],
    effort: Effort,
    clock: Callable[[], float] = time.monotonic,
) -> Independence:
    """Check rows as callers send them, padded where the contract says so; see `check_rows`.

    Raises:
        InvalidInput: rows that are longer than every bucket.
    """
    padder = padder_of(model.contract)
    if padder is None:
        return check_rows(model, probes, effort, clock)
    padding_s = effort.seconds * PADDING_SHARE
    beside = replace(effort, seconds=effort.seconds - padding_s)
    found = check_rows(model, padded_probes(padder, probes), beside, clock)
    return replace(found, padding=check_padding(model, probes, padding_s, clock))
