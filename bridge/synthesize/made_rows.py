"""The rows that can be made for a model's inputs: likely ones, edge cases, unseen ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.contract.invalid import InvalidCode
from bridge.contract.likely_rows import VARIABLE_SIZE_MAX, LikelyRows
from bridge.contract.model import Padding, TensorSpec
from bridge.contract.statistics import Statistics
from bridge.synthesize.edge_cases import edge_cases
from bridge.synthesize.features import Feature, assumed_statistics, features_of
from bridge.synthesize.scenario import Scenario, ScenarioRow, scenario_row
from bridge.synthesize.unseen_rows import unseen_rows

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK_ROWS = 16_384
# Of very wide tables so many features are varied one by one, evenly spread.
FEATURES_VARIED_MAX = 256


class MadeRows:
    """The rows that can be made for some inputs."""

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        statistics: Statistics | None,
        padding: Padding | None = None,
    ) -> None:
        """Raises StatisticsError when the statistics are not those of the inputs."""
        known = assumed_statistics(inputs) if statistics is None else statistics
        self.inputs = inputs
        self.source = f"like {known.source}" if statistics else "from the contract alone"
        self._padding = padding
        self._sizes = known.row_sizes
        size_max = VARIABLE_SIZE_MAX if padding is None else padding.buckets[-1]
        self._likely = LikelyRows(inputs, known, size_max)
        self._features = features_of(inputs, known)

    def likely(self, rows: int, generator: np.random.Generator) -> Iterator[Mapping[str, Array]]:
        """Yield rows that the contract allows, in groups of one shape: (rows, ...)."""
        for start in range(0, rows, CHUNK_ROWS):
            yield from self._likely.drawn(min(CHUNK_ROWS, rows - start), generator)

    def edge_cases(self, generator: np.random.Generator) -> Iterator[ScenarioRow]:
        """Yield rows at the edges of what the contract allows."""
        yield from self._of_sizes(generator)
        yield from self._scenarios(edge_cases(self._varied(), generator), generator)

    def unseen(self, generator: np.random.Generator) -> Iterator[ScenarioRow]:
        """Yield rows with a value that the data lack, allowed or not."""
        if self._padding is not None:
            row = self._likely.of_size(1, self._padding.buckets[-1] + 1, generator)
            yield ScenarioRow("too long a row", row, {}, InvalidCode.TOO_LONG.value)
        yield from self._scenarios(unseen_rows(self._varied()), generator)

    def _of_sizes(self, generator: np.random.Generator) -> Iterator[ScenarioRow]:
        """Where a dimension varies, the shortest row, and the longest that is padded or seen."""
        if self._sizes is None:
            return
        longest = int(self._sizes.highest)
        if self._padding is not None:
            longest = self._padding.buckets[-1]
        for name, size in (("the shortest row", 1), ("the longest row", max(1, longest))):
            yield ScenarioRow(name, self._likely.of_size(1, size, generator), {}, "")

    def _scenarios(
        self, scenarios: Iterator[Scenario], generator: np.random.Generator
    ) -> Iterator[ScenarioRow]:
        (ordinary, *_) = self._likely.drawn(1, generator)
        seen: set[str] = set()
        for scenario in scenarios:
            if scenario.name not in seen:
                seen.add(scenario.name)
                yield scenario_row(self.inputs, ordinary, scenario)

    def _varied(self) -> list[Feature]:
        count = len(self._features)
        if count <= FEATURES_VARIED_MAX:
            return self._features
        places = np.linspace(0, count - 1, FEATURES_VARIED_MAX).astype(int)
        return [self._features[place] for place in places.tolist()]
