"""What `batchbridge check` adds to the report on row independence, from what is beside a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge.check.moved_features import moved_features
from bridge.contract.repository import GOLDEN_FILE, VersionFolder
from bridge.golden.blame import Recomputed
from bridge.golden.decision_check import check_decision
from bridge.golden.golden import Golden, GoldenError
from bridge.golden.golden_check import check_golden
from workers.check.command import CheckError, CheckOptions
from workers.check.report import Part
from workers.model import Model

QUICK = "--quick"
NOT_SERVED = "a worker would refuse to serve it"


def further_parts(
    folder: VersionFolder,
    model: Model,
    options: CheckOptions,
    environment: Mapping[str, str],
    *,
    is_served: bool,
) -> tuple[Part, ...]:
    """Return the parts on features, golden rows and the decision, as far as there are any.

    `is_served`: whether a worker would serve the version.

    Raises:
        CheckError: a file beside the model cannot be read or written.
        BadInput: `data` cannot be read.
    """
    parts: list[Part] = []
    if options.data:
        moved = moved_features(folder, model.contract, Path(options.data))
        parts += [] if moved is None else [moved]
    golden: Golden | None = None
    recomputed: Recomputed | None = None
    try:
        if (folder.path / GOLDEN_FILE).exists():
            found, recomputed = check_golden(
                folder,
                model,
                threads=options.threads,
                left_out=_left_out(options, is_served=is_served),
                environment=environment,
            )
            golden = found.golden
            parts.append(found)
        decision = check_decision(
            folder, model.contract, golden, recomputed, writes=options.write_threshold
        )
    except (GoldenError, OSError) as error:
        raise CheckError(str(error)) from error
    return (*parts, decision) if decision is not None else tuple(parts)


def _left_out(options: CheckOptions, *, is_served: bool) -> str:
    if options.quick:
        return QUICK
    return "" if is_served else NOT_SERVED
