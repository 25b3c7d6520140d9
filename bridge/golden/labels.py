"""Labels of golden rows: which of them say that a row is positive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bridge.contract.decision import probabilities
from bridge.contract.invalid import shown
from bridge.contract.model import Decision
from bridge.golden.blame import Recomputed
from bridge.golden.golden import Golden

# Of the labels that a message or the report names.
SHOWN_MAX = 5


class LabelError(Exception):
    """The labels are not those of the decision; the message names the values found."""


def labelled(
    decision: Decision, golden: Golden | None, recomputed: Recomputed | None
) -> tuple[np.ndarray[Any, np.dtype[Any]], list[str]]:
    """Return the scores of the rows that have a label, shape (rows,), and the labels."""
    scores: list[np.ndarray[Any, np.dtype[Any]]] = [np.zeros(0)]
    labels: list[str] = []
    parts = golden.parts if golden is not None and recomputed is not None else ()
    for index, part in enumerate(parts):
        assert recomputed is not None
        outputs = recomputed.outputs(index)
        if not part.labels or decision.output not in outputs:
            continue
        given = np.array(part.labels, dtype=object)
        has_label = given != ""
        scores.append(probabilities(decision, outputs[decision.output])[has_label])
        labels += given[has_label].tolist()
    return np.concatenate(scores), labels


def is_positive(decision: Decision, labels: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return for each label, none of them empty, whether it is the decision's positive one.

    All other labels are negative: there may be several, where a class is told from all others.

    Raises:
        LabelError: none is positive, or one differs from the positive one only in case or in
            spaces around it. Taken for negative, it would move the threshold unseen.
    """
    counts = Counter(labels)
    folded = _folded(decision.positive)
    alike = [label for label in counts if label != decision.positive and _folded(label) == folded]
    if alike:
        raise LabelError(
            f"labels {_counted(counts, alike)} are not exactly {shown(decision.positive)!r}, which "
            "is decision.positive"
        )
    if labels and decision.positive not in counts:
        raise LabelError(
            f"no label is {shown(decision.positive)!r}, which is decision.positive; there are "
            f"{_counted(counts, counts)}"
        )
    return np.array([label == decision.positive for label in labels], dtype=bool)


def negatives(decision: Decision, labels: Sequence[str]) -> str:
    """Return the labels that count as negative, each with how often it is there."""
    counts = Counter(label for label in labels if label != decision.positive)
    return _counted(counts, counts)


def _counted(counts: Counter[str], labels: Iterable[str]) -> str:
    """Labels for a message, the most frequent first, each with how often it is there."""
    ordered = sorted(labels, key=lambda label: (-counts[label], label))
    text = ", ".join(f"{shown(label)!r} ({counts[label]})" for label in ordered[:SHOWN_MAX])
    more = len(ordered) - SHOWN_MAX
    return text if more <= 0 else f"{text} and {more} more"


def _folded(label: str) -> str:
    return label.strip().casefold()
