"""What a run was asked to do: options from the command line, or from the result of another run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from loadtest.answers import record_expected
from loadtest.bodies import BodyPool, pool_of_bodies, pool_of_rows
from loadtest.caller import BaseUrl
from loadtest.dialects.choice import load_dialect
from loadtest.errors import LoadtestError
from loadtest.loopback import require_loopback
from loadtest.result import RunResult
from loadtest.row_counts import RowCounts
from loadtest.row_file import RowFile
from loadtest.scenario import Bodies, Scenario, ScenarioError
from loadtest.server_model import ServerModel, learn_model, read_model
from loadtest.subject import Portion, Subject, parse_shares, subject_of
from loadtest.synthetic_rows import SyntheticRows

TARGET_MS_DEFAULT = 100.0
PROCESSES_MAX = 64


class BadOption(LoadtestError):
    """An option that cannot be used; the message names it."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options that decide what is sent and how it is judged; part of every result.

    `models` is "a=0.7,b=0.3" where several are asked. `contract`, `data`, `bodies` and `expected`
    name files. `target_ms` None: what the server states, or 100.
    """

    url: str = "http://127.0.0.1:8080"
    model: str | None = None
    models: str | None = None
    model_version: str | None = None
    contract: str | None = None
    dialect: str = "v2-json"
    target_ms: float | None = None
    data: str | None = None
    bodies: str | None = None
    expected: str | None = None
    check_answers: bool = False
    rows: str | None = None
    seed: int = 0
    processes: int = 1

    def checked(self) -> Asked:
        """Return the options themselves.

        Raises:
            BadOption: a value out of its bounds, or options that exclude each other.
        """
        if self.target_ms is not None and not (
            self.target_ms > 0 and math.isfinite(self.target_ms)
        ):
            raise BadOption(f"target-ms: {self.target_ms} is not a positive number")
        if not 1 <= self.processes <= PROCESSES_MAX:
            raise BadOption(f"processes: {self.processes} is not between 1 and {PROCESSES_MAX}")
        if self.seed < 0:
            raise BadOption(f"seed: {self.seed} is negative")
        of_one_model = ("model", "model_version", "contract", "data", "bodies", "expected")
        given = [name for name in of_one_model if getattr(self, name) is not None]
        if self.models is not None and given:
            raise BadOption(f"{_option(given[0])} is for one model, and models names several")
        if self.expected is not None and self.data is None:
            raise BadOption("expected: needs data, the rows whose outputs these are")
        return self


def asked_before(result: RunResult, path: Path) -> dict[str, Any]:
    """Return the options of an earlier run.

    Raises:
        BadOption: a result without them.
    """
    try:
        return dict(msgspec.to_builtins(msgspec.convert(result.scenario["asked"], Asked)))
    except (KeyError, msgspec.ValidationError) as error:
        raise BadOption(f"{path}: does not say what was asked: {error}") from error


def scenario_before(result: RunResult, path: Path) -> Scenario:
    """Return the scenario of an earlier run, with all its changes.

    Raises:
        ScenarioError: a result without it.
    """
    document = {k: v for k, v in result.scenario.items() if k not in ("pool", "asked")}
    try:
        return msgspec.convert(document, Scenario).checked()
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{path}: {error}") from error


def prepare(asked: Asked, scenario: Scenario, *, any_host: bool) -> tuple[Subject, float]:
    """Learn the models, make the bodies; return them with the latency target in milliseconds.

    Raises:
        LoadtestError: a host that is not this machine, a model or rows that cannot be used.
        OSError: a host whose name cannot be resolved.
    """
    url = BaseUrl.parse(asked.url)
    if not any_host:
        require_loopback(url.host)
    shares = _shares(asked, scenario)
    models = {name: _model(asked, name) for name in shares}
    portions = [
        Portion(name, share, _pool(asked, scenario.bodies, models[name], url.host_header))
        for name, share in shares.items()
    ]
    stated_s = [m.latency_target_s for m in models.values() if m.latency_target_s is not None]
    stated_ms = min(stated_s) * 1e3 if stated_s else TARGET_MS_DEFAULT
    subject = subject_of(asked.url, next(iter(models.values())).server, portions)
    return subject, asked.target_ms or stated_ms


def _shares(asked: Asked, scenario: Scenario) -> dict[str, float]:
    if asked.models is not None:
        return dict(parse_shares(asked.models))
    if asked.model is not None:
        return {asked.model: 1.0}
    if scenario.models:
        return scenario.models
    raise BadOption("model: name the model to ask, or several with --models a=0.7,b=0.3")


def _model(asked: Asked, name: str) -> ServerModel:
    if asked.contract is None:
        return learn_model(asked.url, name, asked.model_version)
    described = read_model(Path(asked.contract))
    return msgspec.structs.replace(
        described, name=name, version=asked.model_version, url=asked.url.rstrip("/")
    )


def _pool(asked: Asked, bodies: Bodies, model: ServerModel, host_header: str) -> BodyPool:
    dialect = load_dialect(asked.dialect, model)
    target = dialect.target(model)
    if asked.bodies is not None:
        pool = pool_of_bodies(Path(asked.bodies), dialect, host_header, target)
    else:
        pool = pool_of_rows(
            _source(asked, bodies, model),
            dialect,
            host_header,
            target,
            rows=RowCounts.parse(asked.rows or bodies.rows),
            count=bodies.distinct,
            seed=asked.seed,
        )
    return record_expected(pool, asked.url) if asked.check_answers else pool


def _source(asked: Asked, bodies: Bodies, model: ServerModel) -> RowFile | SyntheticRows:
    if asked.data is None:
        return SyntheticRows(model, seed=asked.seed, edge_share=bodies.edge_share)
    expected = None if asked.expected is None else Path(asked.expected)
    return RowFile(model, Path(asked.data), seed=asked.seed, expected=expected)


def _option(name: str) -> str:
    return name.replace("_", "-")
