"""What is asked, and where: prepared requests to one server, of one model or several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtest.answers import AnswerCheck
from loadtest.bodies import BodyPool
from loadtest.caller import BaseUrl
from loadtest.errors import LoadtestError
from loadtest.traffic import Ints, Judge


class BadShares(LoadtestError):
    """Shares of models that cannot be used; the message shows them."""


@dataclass(frozen=True, slots=True)
class Portion:
    """The bodies of one model, and its share of all requests (shares are scaled to add up to 1)."""

    model: str
    share: float
    pool: BodyPool


@dataclass(frozen=True, slots=True)
class Subject:
    """Prepared requests to one server, and what is known of it.

    `requests` are complete HTTP/1.1 requests; those of `models[i]` are the next `bodies[i]` of
    them, and get `shares[i]` of the load. `is_right` judges the body of a 200 for one of them.
    `described` says what the bodies are, `server` what answers.
    """

    url: str
    host: str
    port: int
    models: tuple[str, ...]
    shares: tuple[float, ...]
    bodies: tuple[int, ...]
    requests: Sequence[bytes]
    is_right: Judge | None
    described: dict[str, Any]
    server: dict[str, Any]

    @property
    def model(self) -> str:
        """The model's name, or those of all with their shares."""
        if len(self.models) == 1:
            return self.models[0]
        pairs = zip(self.models, self.shares, strict=True)
        return ", ".join(f"{name} ({share:.0%})" for name, share in pairs)

    @property
    def starts(self) -> Ints:
        """Which of the requests is the first of each model."""
        starts: Ints = np.cumsum((0, *self.bodies[:-1]))
        return starts

    def model_of(self, choice: Ints) -> Ints:
        """Return which of the models each request asks."""
        which: Ints = np.searchsorted(self.starts, choice, side="right") - 1
        return which

    def choose(self, random: np.random.Generator, count: int) -> Ints:
        """Draw which request each of `count` sends is: the model by its share, then any body."""
        which = random.choice(len(self.models), size=count, p=np.array(self.shares))
        offset = (random.random(count) * np.array(self.bodies)[which]).astype(np.int64)
        choice: Ints = (self.starts[which] + offset).astype(np.int32)
        return choice


@dataclass(frozen=True, slots=True)
class MixedCheck:
    """Judges answers by the check of the model that was asked; None judges nothing."""

    checks: tuple[AnswerCheck | None, ...]
    starts: tuple[int, ...]

    def __call__(self, choice: int, body: bytes) -> bool:
        """Return whether `body` answers request `choice` rightly."""
        which = int(np.searchsorted(self.starts, choice, side="right")) - 1
        check = self.checks[which]
        return check is None or check(choice - self.starts[which], body)

    @property
    def first_wrong(self) -> str | None:
        """What was wrong with the first wrong answer, and to which body it was."""
        for check, start in zip(self.checks, self.starts, strict=True):
            if check is not None and check.first_wrong is not None:
                return f"body {start + check.first_wrong.choice}, {check.first_wrong.why}"
        return None


def subject_of(url: str, server: dict[str, Any], portions: Sequence[Portion]) -> Subject:
    """Return the subject of a run; `portions` is not empty.

    Raises:
        BadShares: shares that are not positive numbers.
    """
    if not all(portion.share > 0 and math.isfinite(portion.share) for portion in portions):
        raise BadShares(f"models: shares are positive numbers, not {_shown(portions)}")
    base, total = BaseUrl.parse(url), sum(portion.share for portion in portions)
    bodies = tuple(len(portion.pool.bodies) for portion in portions)
    checks = tuple(
        AnswerCheck(portion.pool) if portion.pool.is_checkable else None for portion in portions
    )
    starts = tuple(int(start) for start in np.cumsum((0, *bodies[:-1])))
    described = {portion.model: portion.pool.describe() for portion in portions}
    return Subject(
        url=url,
        host=base.host,
        port=base.port,
        models=tuple(portion.model for portion in portions),
        shares=tuple(portion.share / total for portion in portions),
        bodies=bodies,
        requests=[request for portion in portions for request in portion.pool.requests],
        is_right=MixedCheck(checks, starts) if any(checks) else None,
        described=described[portions[0].model] if len(portions) == 1 else described,
        server=server,
    )


def parse_shares(text: str) -> Mapping[str, float]:
    """Return the shares that "a=0.7,b=0.3" stands for.

    Raises:
        BadShares: anything else.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not name or not equals or name in shares or not (value > 0 and math.isfinite(value)):
            raise BadShares(f"models: {text!r} is not of the form a=0.7,b=0.3")
        shares[name] = value
    return shares


def _shown(portions: Sequence[Portion]) -> str:
    return ", ".join(f"{portion.model}={portion.share:g}" for portion in portions)
