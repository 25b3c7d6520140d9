"""What `GET /metrics` says, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Series:
    """One scrape: values by sample name and labels."""

    values: Mapping[tuple[str, Labels], float]

    def __call__(self, name: str, **labels: str) -> float:
        """Return one value, 0 where the series does not exist yet."""
        return self.values.get((f"batchbridge_{name}", frozenset(labels.items())), 0.0)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.values}


async def scrape(http: aiohttp.ClientSession, url: str) -> Series:
    async with http.get(f"{url}/metrics") as response:
        text = await response.text()
    return Series(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def moved(before: Series, after: Series, name: str, **labels: str) -> float:
    """Return by how much a value has grown between two scrapes."""
    return after(name, **labels) - before(name, **labels)
