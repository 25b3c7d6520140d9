"""A `contract.toml` as text, for a person to edit: what is known, and in comments where from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from bridge.contract.invalid import shown
from bridge.contract.model import LATENCY_TARGET_S_DEFAULT, TensorSpec
from bridge.contract.statistics import FeatureStatistics, Statistics
from bridge.describe.suggested_rules import SuggestedRules, suggested
from bridge.describe.told import Told

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_HEAD = """\
# Written by `batchbridge describe` {sources}: a proposal, to be read and edited.
# Ranges of floating values are those seen, widened by half of their length on both sides; those of
# whole numbers are exactly those seen. What is outside is refused, online and in jobs.
description = ""

[serving]
latency_target_ms = {target_ms:g}  # what 99 of 100 answers keep
# max_batch_rows = 64
# on_row_dependence = "refuse"  # "serve-alone", "allow": see docs/checking-a-model.md
"""


def contract_text(told: Told, statistics: Statistics | None) -> str:
    """Return the text; without statistics nothing is said of values."""
    sources = "from the model alone; --data adds ranges, categories and nulls"
    if statistics is not None:
        sources = f"from the model and the {statistics.rows} rows of {shown(statistics.source)}"
    head = _HEAD.format(sources=sources, target_ms=LATENCY_TARGET_S_DEFAULT * 1000)
    lines = [head]
    for spec in told.inputs:
        features = statistics.of(spec.name) if statistics is not None else ()
        origin = told.columns_from.get(spec.name, "")
        lines += _tensor("inputs", spec, told.inputs_from, origin, features)
    for spec in told.outputs:
        lines += _tensor("outputs", spec, told.outputs_from, "", ())
    return "\n".join(lines)


def _tensor(
    section: str,
    spec: TensorSpec,
    source: str,
    columns_from: str,
    features: Sequence[FeatureStatistics],
) -> Iterator[str]:
    key = f"{section}.{_key(spec.name)}"
    yield f"[{key}]  # {source}"
    yield f"datatype = {_text(spec.datatype)}"
    yield f"shape = {list(spec.shape)}"
    yield 'description = ""'
    if spec.columns:
        yield from (f"# {line}" for line in [columns_from] if line)
        yield from _columns(spec.columns)
    columns = tuple(feature.column for feature in features)
    is_by_column = bool(spec.columns) and columns == spec.columns
    if features and not is_by_column:
        yield from _rules(suggested(spec, features))
    if spec.type.kind in ("integer", "floating") and not is_by_column:
        yield '# unit = "kg/ha"'
    yield ""
    for feature in features if is_by_column else ():
        yield f"[{key}.column.{_key(feature.column)}]"
        yield from _rules(suggested(spec, [feature]))
        yield ""


def _rules(rules: SuggestedRules) -> Iterator[str]:
    yield f"# seen: {'; '.join(rules.seen)}"
    if rules.range is not None:
        yield f"range = [{rules.range[0]!r}, {rules.range[1]!r}]"
    if rules.categories is not None:
        listed = (_text(one) if isinstance(one, str) else str(one) for one in rules.categories)
        yield f"categories = [{', '.join(listed)}]"
    if rules.nulls != "unset":
        yield f"nulls = {_text(rules.nulls)}"


def _columns(names: Iterable[str]) -> Iterator[str]:
    yield "columns = ["
    yield from (f"  {_text(name)}," for name in names)
    yield "]"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    """A TOML string: JSON's escapes are TOML's, but for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
