"""What a run asks: a scenario, by name or from a TOML file, complete and checked."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from loadtest.arrivals import Arrivals, Constant, Gamma, Poisson, Ramp, Replay, Square

SCENARIO_FOLDER = Path(__file__).parent / "scenarios"
SECONDS_MAX = 86_400.0
CALLERS_MAX = 10_000
PROCESSES_MAX = 64


class ScenarioError(Exception):
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
    """What is sent: `rows` a number or a distribution ("1:0.9,64:0.1"), from where, how many."""

    rows: str = "1"
    source: Literal["synthetic", "file", "bodies"] = "synthetic"
    file: str | None = None
    expected: str | None = None
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
        return self

    def scaled(self, factor: float) -> Scenario:
        """Return the scenario with every arrival rate times `factor`."""
        return msgspec.structs.replace(self, arrivals=scaled_arrivals(self.arrivals, factor))


def scaled_arrivals(arrivals: Arrivals, factor: float) -> Arrivals:
    """Return the same pattern at `factor` times the rate."""
    replace = msgspec.structs.replace
    match arrivals:
        case Constant() | Poisson() | Gamma():
            return replace(arrivals, rate=arrivals.rate * factor)
        case Square():
            return replace(
                arrivals, rate=arrivals.rate * factor, high_rate=arrivals.high_rate * factor
            )
        case Ramp():
            return replace(
                arrivals, rate=arrivals.rate * factor, end_rate=arrivals.end_rate * factor
            )
        case Replay():
            return replace(arrivals, speed=arrivals.speed * factor)


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
