"""What a run asks: a scenario, by name or from a TOML file, complete and checked."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from loadtest.arrivals import Arrivals, Poisson, mean_rate, scaled
from loadtest.errors import LoadtestError

SCENARIO_FOLDER = Path(__file__).parent / "scenarios"
SECONDS_MAX = 86_400.0
CALLERS_MAX = 10_000


class ScenarioError(LoadtestError):
    """A scenario that cannot be run; the message names the key or the file."""


class Clients(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the callers behave.

    `leave_share` of them go away `leave_after_ms` (on average, exponential) after sending, without
    their answer. `slow_pieces` above 1: a request's bytes come in so many writes, `slow_gap_ms`
    apart. `retries`: a request refused with 429 or 503 is sent again at once, so often: the storm
    that a server must survive.
    """

    connections_max: int = 4_000
    timeout_ms: float = 10_000.0
    leave_share: float = 0.0
    leave_after_ms: float = 5.0
    slow_pieces: int = 1
    slow_gap_ms: float = 100.0
    retries: int = 0


class Bodies(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is sent: `rows` per body, a number or a distribution ("1:0.9,64:0.1").

    `distinct` different bodies are made before the run; `edge_share` of synthetic rows hold a value
    at the edge of what is accepted.
    """

    rows: str = "1"
    edge_share: float = 0.05
    distinct: int = 1_000


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run: how long, when requests come (or how many callers wait in turn), and from whom.

    With `is_share_of_capacity` the arrival rates are shares of a capacity given at run time:
    "2x overload" is a scenario of its own, whatever the server can do. `models` are shares of
    several models, by name.
    """

    description: str = ""
    seconds: float = 30.0
    warm_seconds: float = 3.0
    loop: Literal["open", "closed"] = "open"
    arrivals: Arrivals = Poisson(rate=100.0)
    callers: int = 64
    is_share_of_capacity: bool = False
    clients: Clients = Clients()
    bodies: Bodies = Bodies()
    models: dict[str, float] = {}

    def checked(self) -> Scenario:
        """Return the scenario itself.

        Raises:
            ScenarioError: a value out of its bounds, named.
        """
        bounds = (
            ("seconds", self.seconds, 0.1, SECONDS_MAX),
            ("warm_seconds", self.warm_seconds, 0.0, SECONDS_MAX),
            ("callers", self.callers, 1, CALLERS_MAX),
            ("clients.timeout_ms", self.clients.timeout_ms, 1.0, SECONDS_MAX * 1e3),
            ("clients.leave_after_ms", self.clients.leave_after_ms, 0.0, SECONDS_MAX * 1e3),
            ("clients.slow_gap_ms", self.clients.slow_gap_ms, 0.0, SECONDS_MAX * 1e3),
            ("clients.leave_share", self.clients.leave_share, 0.0, 1.0),
            ("clients.slow_pieces", self.clients.slow_pieces, 1, 10_000),
            ("clients.retries", self.clients.retries, 0, 100),
            ("clients.connections_max", self.clients.connections_max, 1, 60_000),
            ("bodies.edge_share", self.bodies.edge_share, 0.0, 1.0),
            ("bodies.distinct", self.bodies.distinct, 1, 1_000_000),
        )
        for name, value, lowest, highest in bounds:
            if not lowest <= value <= highest:
                raise ScenarioError(f"{name}: {value} is not between {lowest} and {highest}")
        for name, share in self.models.items():
            if not (share > 0 and math.isfinite(share)):
                raise ScenarioError(f"models.{name}: {share} is not a positive share")
        if self.loop == "closed" and self.clients != Clients(
            connections_max=self.clients.connections_max, timeout_ms=self.clients.timeout_ms
        ):
            raise ScenarioError(
                "clients: callers who leave, send slowly or try again need the open loop"
            )
        return self

    def scaled(self, factor: float) -> Scenario:
        """Return the scenario with every arrival rate times `factor`, no shares any more."""
        return msgspec.structs.replace(
            self, arrivals=scaled(self.arrivals, factor), is_share_of_capacity=False
        )

    def at_rate(self, rate: float) -> Scenario:
        """Return the scenario with the same arrival pattern at a mean of `rate` per second.

        Raises:
            ArrivalsError: a trace that cannot be read.
            ScenarioError: a rate that is not positive.
        """
        if not (rate > 0 and math.isfinite(rate)):
            raise ScenarioError(f"rate: {rate} is not a positive number of requests per second")
        return self.scaled(rate / mean_rate(self.arrivals))


def scenario_names() -> list[str]:
    """Return the names of the scenarios that come with the load tester."""
    return sorted(path.stem for path in SCENARIO_FOLDER.glob("*.toml"))


def load_scenario(name_or_file: str) -> Scenario:
    """Return a scenario that comes with the load tester, or one from a TOML file.

    Raises:
        ScenarioError: unknown, unreadable, or with a key or value that is not understood.
    """
    path = Path(name_or_file)
    if path.suffix != ".toml":
        path = SCENARIO_FOLDER / f"{name_or_file}.toml"
        if name_or_file not in scenario_names():
            raise ScenarioError(
                f"{name_or_file}: no such scenario; there are {', '.join(scenario_names())}, "
                "or name a .toml file"
            )
    try:
        document = tomllib.loads(path.read_text())
        return msgspec.convert(document, Scenario).checked()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ScenarioError(f"{path}: {error}") from error
