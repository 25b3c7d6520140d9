"""A plan as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bridge.plan.answer import Impossible, Plan
from bridge.plan.request_costs import GATEWAY_SHARE_MAX, ProcessCosts
from bridge.plan.trials import Load

LABEL_WIDTH = 28
DASH = "-"


def impossible_text(found: Impossible) -> str:
    """Return the page of a plan that nothing is enough for."""
    question = found.question
    return "\n".join(
        [
            f"{found.model.key}: a latency target of {_ms(question.target_s)} CANNOT BE KEPT, "
            "by any number of workers.",
            "A request that just misses one run waits for it and runs in the next: twice "
            f"S(1) = {_ms(found.one_row_s)}, and {_ms(found.overhead_s)} on the way.",
            f"The shortest target that this model can keep here is {_ms(found.shortest_target_s)}.",
            f"S(b): {found.model.source}.",
            "",
        ]
    )


def plan_text(plan: Plan) -> str:
    """Return the page of a plan."""
    sections = (
        _asked(plan),
        _model(plan),
        _needs(plan),
        _expected(plan),
        _tighter(plan),
        _limits(plan),
        _batch_lane(plan),
        _autoscaling(plan),
        _costs(plan),
    )
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _asked(plan: Plan) -> Iterable[str]:
    question = plan.question
    arrivals = "Poisson" if question.cv == 1 else f"bursty, cv {question.cv:g}"
    yield (
        f"{plan.model.key}: {question.rate_per_s:,.0f} single-row requests/s ({arrivals}), "
        f"p99 within {_ms(question.target_s)}"
    )
    if not plan.is_possible:
        yield (
            f"NOT POSSIBLE with {question.workers_max} workers: {plan.workers_needed} are needed. "
            f"What follows is for {question.workers_max}."
        )


def _model(plan: Plan) -> Iterable[str]:
    service = plan.model.service
    yield "The model"
    yield _line(
        "S(b) = a + c b",
        f"a = {service.fixed_s * 1e3:.3g} ms, c = {service.per_row_s * 1e3:.3g} ms, "
        f"a/c = {service.fixed_s / service.per_row_s:.1f} (p95; a usual run takes "
        f"{service.typical:.0%} of it)",
    )
    yield _line("", plan.model.source)
    yield _line("batch size B", f"{plan.batch_rows} rows, S(B) = {_ms(plan.run_s)}")
    each = plan.per_worker
    yield _line("one worker, full batches", f"{each.rows_per_s:,.0f} rows/s")
    yield _line("  99 % in time, Poisson", f"{each.poisson_per_s:,.0f} requests/s")
    if plan.question.cv != 1:
        said = f"  99 % in time, cv {plan.question.cv:g}"
        yield _line(said, f"{each.asked_per_s:,.0f} requests/s")


def _needs(plan: Plan) -> Iterable[str]:
    formation, question = plan.formation, plan.question
    yield "What it needs"
    yield _line("workers", f"{formation.workers} (ONNX Runtime threads each: {question.threads})")
    yield _line("gateways", f"{formation.gateways}")
    yield _line("cores kept busy", f"{formation.cores:.1f} (this machine has {question.cores})")
    yield _line(
        "they hold",
        f"{formation.capacity_per_s:,.0f} requests/s (workers {formation.workers_per_s:,.0f}, "
        f"gateways {formation.gateways_per_s:,.0f})",
    )
    yield _line("headroom", f"{plan.headroom:+.0%}")
    yield _line(
        "on this machine alone",
        f"{formation.machine_per_s:,.0f} requests/s, bound by its {formation.bound}",
    )


def _expected(plan: Plan) -> Iterable[str]:
    yield "How it behaves (simulated)"
    header = ("offered/s", "answered in time/s", "refused", "p50", "p99", "Retry-After")
    rows = [_load_cells(load) for load in (plan.expected, plan.doubled)]
    yield from _table(header, rows)
    bound = plan.gateway_bound_doubled_per_s
    if bound < plan.doubled.goodput_per_s:
        yield (
            f"  At the doubled rate the gateways' CPU holds goodput to {max(0.0, bound):,.0f}/s: "
            "add gateways."
        )


def _load_cells(load: Load) -> tuple[str, ...]:
    hint = _ms(load.retry_after_s) if load.retry_after_s else DASH
    return (
        f"{load.offered_per_s:,.0f}",
        f"{load.goodput_per_s:,.0f}",
        f"{load.refused_share:.1%}",
        _ms(load.p50_s),
        _ms(load.p99_s),
        hint,
    )


def _tighter(plan: Plan) -> Iterable[str]:
    yield "What a tighter target costs"
    rows = [
        (_ms(one.target_s), str(one.batch_rows), f"{one.worker_per_s:,.0f}", str(one.workers))
        if one.batch_rows
        else (_ms(one.target_s), "cannot be kept", DASH, DASH)
        for one in plan.tighter
    ]
    yield from _table(("target", "B", "requests/s per worker", "workers"), rows)


def _limits(plan: Plan) -> Iterable[str]:
    ceiling = plan.ceiling
    yield "What no configuration passes"
    yield _line("rows/s of one worker", f"{ceiling.worker_rows_per_s:,.0f}")
    yield _line("requests/s of this machine", f"{ceiling.machine_per_s:,.0f}")
    yield _line("p99", f"not below {_ms(ceiling.p99_s)} = S(1) + o")


def _batch_lane(plan: Plan) -> Iterable[str]:
    lane, asked = plan.batch_lane, plan.question.batch_rows_per_hour
    yield "The batch lane"
    yield _line(
        "beside the online rate",
        f"{lane.rows_per_hour:,.0f} rows/hour (online p99 then {_ms(lane.online_p99_s)})",
    )
    if asked:
        verdict = (
            "enough"
            if lane.workers == plan.formation.workers
            else f"NOT ENOUGH: {lane.workers} workers are needed for both"
        )
        yield _line("asked", f"{asked:,.0f} rows/hour: {verdict}")


def _autoscaling(plan: Plan) -> Iterable[str]:
    hints = plan.autoscaling
    yield "For an autoscaler of workers (KEDA, HPA)"
    yield _line(
        "target per worker",
        f"{hints.requests_per_s:,.0f} requests/s: rate(batchbridge_requests_total), or "
        f"{hints.in_flight_rows:,.1f} of batchbridge_in_flight",
    )
    yield _line(
        "add one at once above",
        f"{hints.in_flight_rows_max:,.0f} of batchbridge_in_flight per worker: half of what is "
        "let in",
    )


def _costs(plan: Plan) -> Iterable[str]:
    costs = plan.costs

    def said(process: ProcessCosts) -> str:
        return f"{process.turns:.2f} of a core + {process.request_s * 1e6:.1f} µs"

    yield (
        "CPU of a busy process, and of each request: "
        f"gateway {said(costs.gateway)} (a refusal {costs.refusal_s * 1e6:.0f} µs),"
    )
    yield f"queue {said(costs.queue)}, worker outside the run {said(costs.worker)};"
    yield (
        f"measured {costs.source}; see docs/capacity-planning.md. "
        f"A gateway is taken as full at {GATEWAY_SHARE_MAX:.0%} of a core."
    )


def _line(label: str, text: str) -> str:
    return f"  {label:<{LABEL_WIDTH}}{text}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for cells in (header, *rows):
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"
