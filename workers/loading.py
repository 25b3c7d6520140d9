"""From a model repository to models that are loaded, checked, warmed and timed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.contract.decision import DecisionError, read_decision, with_decision
from bridge.contract.declaration import Declaration, DeclarationError, parse_declaration
from bridge.contract.example import example_run
from bridge.contract.model import ModelContract
from bridge.contract.repository import (
    CONTRACT_FILE,
    MODEL_FILE,
    PIPELINE_FILE,
    THRESHOLD_FILE,
    RepositoryError,
    VersionFolder,
    digest,
    model_digest,
    scan,
)
from bridge.scheduling.batch_choice import BatchBounds
from bridge.scheduling.service_time import ServiceTimeFit
from workers.check.at_load import row_dependence, served_alone
from workers.graph import UnsafeGraphError, check_graph
from workers.model import BadOutput, Model, ModelError
from workers.pipeline import Pipeline, PipelineError, load_pipeline
from workers.session import Session, SessionError
from workers.warm_up import warm_up

log = structlog.get_logger(__name__)

# From the gateway to the worker and back, without the run: p99 under load.
OVERHEAD_S = 0.004
# Where nobody asks online batches are as large as throughput wants; but runs end within some
# seconds, so that a worker that hangs is told from one that works.
JOBS_TARGET_S = 10.0


class LoadError(Exception):
    """A model version cannot be served; the message names its folder and the reason."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with what its profile at load measured, and the bounds on its batches."""

    model: Model
    fit: ServiceTimeFit
    bounds: BatchBounds
    has_answered: bool


def load_models(root: Path, threads: int, *, jobs_only: bool = False) -> list[LoadedModel]:
    """Load every model version under `root`.

    With `jobs_only` batches follow `JOBS_TARGET_S`, not the latency targets of online callers.

    Raises:
        LoadError: the folder is no repository, holds no model, or one of its models cannot be
            served. None is served then: half a repository would be found out in production.
    """
    try:
        folders = scan(root)
    except RepositoryError as error:
        raise LoadError(str(error)) from error
    if not folders:
        raise LoadError(f"{root}: holds no model, expected <model>/<version>/{MODEL_FILE}")
    return [_load(folder, threads, jobs_only=jobs_only) for folder in folders]


def open_model(folder: VersionFolder, threads: int) -> Model:
    """Load one model version, without running it.

    Raises:
        LoadError: its files cannot be used.
    """
    try:
        return _model(folder, threads)
    except DeclarationError as error:
        raise LoadError(f"{folder.path}: {CONTRACT_FILE}: {error}") from error
    except DecisionError as error:
        raise LoadError(f"{folder.path}: {error}") from error
    except (RepositoryError, UnsafeGraphError, SessionError, PipelineError) as error:
        raise LoadError(f"{folder.path}: {error}") from error


def _load(folder: VersionFolder, threads: int, *, jobs_only: bool) -> LoadedModel:
    model = open_model(folder, threads)
    _refuse_stale_threshold(model.contract, folder)
    fit, bounds, has_answered = ServiceTimeFit(), _bounds(model, jobs_only=jobs_only), True
    try:
        warm_up(model, fit, bounds)
    except BadOutput as error:
        raise LoadError(f"{folder.path}: {error}") from error
    except ModelError as error:
        _refuse_long_bucket(model, folder)
        # The rows were made up: real ones may be fine, so this is said and not fatal.
        reason = f"{error}: {error.__cause__}"[:200]
        log.warning("profile_failed", model=folder.key, reason=reason)
        has_answered = False
    if has_answered and _must_run_alone(model, folder):
        model.contract = served_alone(model.contract)
        bounds = _bounds(model, jobs_only=jobs_only)
    return LoadedModel(model, fit, bounds, has_answered)


def _refuse_stale_threshold(contract: ModelContract, folder: VersionFolder) -> None:
    """Raise LoadError for a threshold that was found for another model: its scores differ."""
    found_for = "" if contract.decision is None else contract.decision.model_sha256
    if found_for and found_for != model_digest(folder):
        raise LoadError(
            f"{folder.path}: {THRESHOLD_FILE}: was found for another {MODEL_FILE} or "
            f"{PIPELINE_FILE}; `batchbridge check --write-threshold {folder.path}` finds it anew"
        )


def _refuse_long_bucket(model: Model, folder: VersionFolder) -> None:
    """Raise LoadError if made-up rows are answered in the shortest bucket: not in the longest."""
    padding = model.contract.padding
    if padding is None:
        return
    with suppress(ModelError):
        model.run(example_run(model.contract, 1, padding.buckets[0]), 1)
        raise LoadError(
            f"{folder.path}: {CONTRACT_FILE}: inputs.{next(iter(padding.values))}.buckets: the "
            f"model answers rows of length {padding.buckets[0]}, not of {padding.buckets[-1]}"
        )


def _must_run_alone(model: Model, folder: VersionFolder) -> bool:
    """Return whether rows may not share a batch; raise LoadError if that is not to be served."""
    found = row_dependence(model)
    if found is None:
        return False
    policy = model.contract.serving.on_row_dependence
    if policy == "allow" or (policy == "serve-alone" and found.can_serve_alone):
        log.warning("rows_depend", model=folder.key, policy=policy, reason=found.text)
        return policy == "serve-alone"
    raise LoadError(f"{folder.path}: {found.text}; `batchbridge check {folder.path}` shows more")


def _bounds(model: Model, *, jobs_only: bool) -> BatchBounds:
    target_s = JOBS_TARGET_S if jobs_only else model.contract.serving.latency_target_s
    return BatchBounds(target_s=target_s, overhead_s=OVERHEAD_S, rows_cap=model.rows_max)


def _model(folder: VersionFolder, threads: int) -> Model:
    declared = folder.read(CONTRACT_FILE)
    declaration = Declaration() if declared is None else parse_declaration(declared)
    content = folder.read(MODEL_FILE)
    session = None
    if content is not None:
        check_graph(content)
        session = Session(content, threads)
    pipeline = Pipeline()
    if folder.read(PIPELINE_FILE) is not None:
        name = f"batchbridge_pipeline_{folder.model}_{folder.version}"
        pipeline = load_pipeline(folder.path / PIPELINE_FILE, name)
    _check_parts(folder, session, pipeline)
    return Model(_contract(folder, declaration, session, pipeline), session, pipeline)


def _check_parts(folder: VersionFolder, session: Session | None, pipeline: Pipeline) -> None:
    if session is None and pipeline.predict is None:
        raise PipelineError(f"{PIPELINE_FILE} defines no predict, and there is no {MODEL_FILE}")
    if session is not None and pipeline.predict is not None:
        raise PipelineError(f"{PIPELINE_FILE} defines predict, but there is also a {MODEL_FILE}")


def _contract(
    folder: VersionFolder, declaration: Declaration, session: Session | None, pipeline: Pipeline
) -> ModelContract:
    signature = None if session is None else session.signature
    graph_inputs = None if signature is None else signature.inputs
    own_inputs = pipeline.preprocess is not None
    inputs = declaration.caller_inputs(graph_inputs, replaced=own_inputs)
    outputs = declaration.caller_outputs(
        None if signature is None else signature.outputs,
        replaced=pipeline.postprocess is not None,
    )
    decision = read_decision(folder, declaration.decision, outputs)
    return ModelContract(
        name=folder.model,
        version=folder.version,
        platform="python" if signature is None else "onnx_onnxv1",
        inputs=inputs,
        outputs=with_decision(outputs, decision),
        serving=declaration.serving(),
        model_sha256=digest(folder),
        description=declaration.description,
        commodities=declaration.commodities(inputs),
        padding=declaration.padding(graph_inputs, replaced=own_inputs),
        decision=decision,
    )
