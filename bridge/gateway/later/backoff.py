"""When a stored request that found no room, or no answer, is tried again."""

from __future__ import annotations

from bridge.job_store.manifest import JobManifest

DELAY_S_FIRST = 0.5
DELAY_S_MAX = 30.0
# Attempts that were let in and brought no answer: such rows may kill workers.
UNANSWERED_MAX = 2
# Attempts that ended with their gateway: such a body may kill gateways, but most are innocent.
ENDED_WITH_GATEWAY_MAX = 10


def delay_s(attempts: int, hint_s: float, draw: float) -> float:
    """Return the seconds until the next attempt after `attempts` of them, the first being 1.

    Not before `hint_s`. It doubles up to `DELAY_S_MAX`, so that thousands that wait for a model
    without workers cost little; `draw`, uniform in [0, 1), spreads them over half of it.
    """
    # The exponent is bounded, for a float is.
    backoff_s = min(DELAY_S_MAX, DELAY_S_FIRST * 2.0 ** min(attempts - 1, 16))
    return max(hint_s, backoff_s * (0.5 + draw / 2))


def is_last(manifest: JobManifest, lease_ms: int, *, was_started: bool) -> bool:
    """Return whether the attempt for which the manifest was claimed is the last one.

    A request lives as long, from its acceptance on, as its answer would be kept. The time is that
    of the claim, by the server's clock, which the end of the lease tells.
    """
    age_ms = manifest.lease_until_ms - lease_ms - manifest.created_ms
    is_enough = was_started and manifest.attempts_unanswered + 1 >= UNANSWERED_MAX
    return is_enough or age_ms > manifest.kept_ms


def is_one_too_many(manifest: JobManifest) -> bool:
    """Return whether the attempts before this one that ended with a gateway were enough."""
    returned = manifest.attempts_forgiven + manifest.attempts_unanswered
    return manifest.attempts - 1 - returned >= ENDED_WITH_GATEWAY_MAX
