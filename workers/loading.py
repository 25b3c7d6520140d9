"""From a model repository to models that are loaded, checked, warmed and timed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.contract.declaration import Declaration, DeclarationError, parse_declaration
from bridge.contract.model import ModelContract
from bridge.contract.repository import (
    CONTRACT_FILE,
    MODEL_FILE,
    PIPELINE_FILE,
    RepositoryError,
    VersionFolder,
    digest,
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


class LoadError(Exception):
    """A model version cannot be served; the message names its folder and the reason."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with what its profile at load measured, and the bounds on its batches."""

    model: Model
    fit: ServiceTimeFit
    bounds: BatchBounds
    has_answered: bool


def load_models(root: Path, threads: int) -> list[LoadedModel]:
    """Load every model version under `root`.

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
    return [_load(folder, threads) for folder in folders]


def open_model(folder: VersionFolder, threads: int) -> Model:
    """Load one model version, without running it.

    Raises:
        LoadError: its files cannot be used.
    """
    try:
        return _model(folder, threads)
    except DeclarationError as error:
        raise LoadError(f"{folder.path}: {CONTRACT_FILE}: {error}") from error
    except (RepositoryError, UnsafeGraphError, SessionError, PipelineError) as error:
        raise LoadError(f"{folder.path}: {error}") from error


def _load(folder: VersionFolder, threads: int) -> LoadedModel:
    model = open_model(folder, threads)
    fit, bounds, has_answered = ServiceTimeFit(), _bounds(model), True
    try:
        warm_up(model, fit, bounds)
    except BadOutput as error:
        raise LoadError(f"{folder.path}: {error}") from error
    except ModelError as error:
        # The rows were made up: real ones may be fine, so this is said and not fatal.
        reason = f"{error}: {error.__cause__}"[:200]
        log.warning("profile_failed", model=folder.key, reason=reason)
        has_answered = False
    if has_answered and _must_run_alone(model, folder):
        model.contract = served_alone(model.contract)
        bounds = _bounds(model)
    return LoadedModel(model, fit, bounds, has_answered)


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


def _bounds(model: Model) -> BatchBounds:
    target_s = model.contract.serving.latency_target_s
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
    return ModelContract(
        name=folder.model,
        version=folder.version,
        platform="python" if signature is None else "onnx_onnxv1",
        inputs=declaration.caller_inputs(
            None if signature is None else signature.inputs,
            replaced=pipeline.preprocess is not None,
        ),
        outputs=declaration.caller_outputs(
            None if signature is None else signature.outputs,
            replaced=pipeline.postprocess is not None,
        ),
        serving=declaration.serving(),
        model_sha256=digest(folder),
        description=declaration.description,
    )
