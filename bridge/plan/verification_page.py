"""A verification as plain text."""

from __future__ import annotations

from bridge.plan.verified import Verification


def verification_text(found: Verification) -> str:
    """Return the page of a verification."""
    lines = [
        f"Verified with {found.workers} workers and {found.gateways} gateways on this machine, "
        "the load tester beside them,",
        f"by prediction bound by the {found.bound}; p50 and p99 at {found.rate_per_s:,.0f}/s, "
        f"the load tester late by {found.lag_s * 1e3:.1f} ms at p99",
        "  figure     predicted  from S(b) under load   measured  predicted/measured  wanted",
    ]
    for figure in found.figures:
        verdict = "kept" if figure.is_within else "MISSED"
        lines.append(
            f"  {figure.name:<9}{figure.predicted:>11,.1f}{figure.predicted_under_load:>22,.1f}"
            f"{figure.measured:>11,.1f}{figure.ratio:>20.2f}  ±{figure.within:.0%} {verdict}"
            f"  ({figure.unit})"
        )
    lines += [
        f"  tried {probe.rate_per_s:>9,.0f}/s: {probe.in_time_share:.1%} in time, "
        f"{probe.refused_share:.1%} refused, p99 {probe.p99_ms or 0.0:,.1f} ms"
        for probe in found.probes
    ]
    if found.costs is not None:
        costs = found.costs
        spent = (
            ("gateway", costs.gateway),
            ("queue", costs.queue),
            ("worker outside the run", costs.worker),
            ("load tester", costs.generator),
        )
        said = ", ".join(f"{name} {process.request_s * 1e6:.0f} µs" for name, process in spent)
        lines.append(f"  CPU per request taken, {costs.source}: {said}")
    return "\n".join(lines) + "\n"
