"""`batchbridge plan`: how much is needed to keep a latency target, before anybody asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from bridge.contract.repository import VersionFolder
from bridge.plan.answer import Impossible, Plan
from bridge.plan.errors import PlanError
from bridge.plan.model_copy import copied_model, declared_target_s, find_version
from bridge.plan.page import impossible_text, plan_text
from bridge.plan.planner import make_plan
from bridge.plan.question import MeasuredModel, Question
from bridge.plan.running_system import read_running_system
from bridge.plan.verification import verify
from bridge.plan.verification_page import verification_text
from bridge.plan.verified import Verification

EXIT_IMPOSSIBLE = 1
EXIT_CONFIGURATION = 2
SECONDS_MAX = 600.0

Profile = Callable[[Path, int], MeasuredModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The command's options; empty texts are options not given."""

    model: str
    rate: float
    cv: float
    latency_target_ms: str
    batch_rows_per_hour: float
    workers_max: int
    models: Path
    url: str
    threads: int
    cores: int
    json: str
    verify: bool
    seconds: float


def run_plan(options: PlanOptions, profile: Profile) -> int:
    """Print the plan; return 0, 1 where nothing keeps the target, 2 for a bad option.

    `profile` loads the only model of a repository with so many threads and measures it.
    """
    try:
        return _run(options, profile)
    except PlanError as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return EXIT_CONFIGURATION


def _run(options: PlanOptions, profile: Profile) -> int:
    _check(options)
    folder = None if options.url else find_version(options.models, options.model)
    if folder is None:
        measured = read_running_system(options.url, options.model)
        question = _question(options, measured.target_s)
    else:
        # Asked before the model is loaded: a wrong option should not take seconds to be told.
        question = _question(options, declared_target_s(folder))
        measured = _profiled(folder, question, profile)
    found = make_plan(question, measured)
    if isinstance(found, Impossible):
        print(impossible_text(found), end="")
        _write_json(options, {"is_possible": False, "impossible": asdict(found)})
        return EXIT_IMPOSSIBLE
    print(plan_text(found), flush=True)
    verified = _verified(options, found, folder)
    _write_json(options, _document(found, verified))
    return 0 if found.is_possible else EXIT_IMPOSSIBLE


def _verified(
    options: PlanOptions, plan: Plan, folder: VersionFolder | None
) -> Verification | None:
    if not options.verify or folder is None:
        return None
    verified = verify(plan, folder, options.seconds)
    print(verification_text(verified))
    return verified


def _check(options: PlanOptions) -> None:
    if options.verify and options.url:
        raise PlanError("verify: starts a system of its own; give --models in place of --url")
    if not 0 < options.seconds <= SECONDS_MAX:
        raise PlanError(f"seconds: {options.seconds:g} is not above 0 and at most {SECONDS_MAX:g}")
    if options.threads < 0:
        raise PlanError(f"threads: {options.threads} is below 0")
    if options.json and not Path(options.json).parent.is_dir():
        raise PlanError(f"json: {Path(options.json).parent} is not a folder")


def _question(options: PlanOptions, declared_s: float) -> Question:
    return Question(
        rate_per_s=options.rate,
        target_s=_target_s(options.latency_target_ms) if options.latency_target_ms else declared_s,
        cv=options.cv,
        batch_rows_per_hour=options.batch_rows_per_hour,
        workers_max=options.workers_max,
        cores=options.cores,
        threads=options.threads or 1,
    )


def _target_s(text: str) -> float:
    try:
        return float(text) / 1e3
    except ValueError as error:
        raise PlanError(f"latency-target-ms: {text!r} is not a number") from error


def _profiled(folder: VersionFolder, question: Question, profile: Profile) -> MeasuredModel:
    with copied_model(folder, question.target_s) as root:
        return profile(root, question.threads)


def _document(plan: Plan, verified: Verification | None) -> dict[str, Any]:
    document = {
        "is_possible": plan.is_possible,
        "headroom": plan.headroom,
        "capacity_per_s": plan.formation.capacity_per_s,
        "bound_on_this_machine": plan.formation.bound,
        **asdict(plan),
    }
    if verified is not None:
        document["verification"] = asdict(verified)
    return document


def _write_json(options: PlanOptions, document: dict[str, Any]) -> None:
    """Write seconds, rates and counts under the names of `bridge.plan.answer`; NaN is null."""
    if options.json:
        text = msgspec.json.format(msgspec.json.encode(document), indent=2)
        try:
            Path(options.json).write_bytes(text + b"\n")
        except OSError as error:
            raise PlanError(f"json: {options.json}: {error.strerror}") from error
