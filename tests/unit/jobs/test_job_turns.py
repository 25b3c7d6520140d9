"""Which waiting job a runner takes up, and which running one it puts down for it."""

from __future__ import annotations

from bridge.jobs.job_turns import TURN_S, Running, Waiting, next_turn_s, order, to_put_down

LATER_S = TURN_S + 1


def names(waiting: list[Waiting], running: list[Running]) -> list[str]:
    return [item.job for item in order(waiting, running)]


def test_the_oldest_of_the_jobs_that_have_run_least_often_is_first() -> None:
    waiting = [Waiting("c", "", 0), Waiting("a", "", 1), Waiting("b", "", 0)]
    assert names(waiting, []) == ["b", "c", "a"]


def test_the_tenant_with_the_fewest_running_jobs_is_first() -> None:
    waiting = [Waiting("a", "busy", 0), Waiting("b", "new", 5)]
    assert names(waiting, [Running("r", "busy", 0.0)]) == ["b", "a"]


def test_tenants_take_turns_in_one_order() -> None:
    waiting = [Waiting("a", "one", 0), Waiting("b", "one", 0), Waiting("c", "two", 0)]
    assert names(waiting, []) == ["a", "c", "b"]


def test_nobody_is_put_down_while_nobody_waits() -> None:
    assert to_put_down([], [Running("a", "", 0.0)], LATER_S) is None


def test_nobody_is_put_down_before_its_turn_is_over() -> None:
    waiting, running = [Waiting("b", "", 0)], [Running("a", "", 0.0)]
    early = to_put_down(waiting, running, TURN_S - 1)
    late = to_put_down(waiting, running, TURN_S)
    assert (early, late) == (None, running[0])


def test_the_tenant_with_most_running_jobs_gives_way_with_the_one_that_ran_longest() -> None:
    running = [Running("a", "one", 0.0), Running("b", "two", 1.0), Running("c", "two", 0.5)]
    assert to_put_down([Waiting("d", "", 0)], running, 2 * LATER_S) == running[2]


def test_the_next_turn_ends_with_the_job_that_has_run_for_longest() -> None:
    running = [Running("a", "", 4.0), Running("b", "", 2.0)]
    assert next_turn_s(running, 5.0) == TURN_S - 3.0


def test_every_job_runs_within_as_many_turns_as_there_are_jobs_for_a_place() -> None:
    places, running = 2, [Running("j0", "", 0.0), Running("j1", "", 0.0)]
    waiting = [Waiting(f"j{n}", "", 0) for n in range(2, 7)]
    ran, now_s = {"j0", "j1"}, 0.0
    for _ in range(5 // places + 1):
        now_s += TURN_S
        for _ in range(places):
            over = to_put_down(waiting, running, now_s)
            assert over is not None
            running.remove(over)
            following = order(waiting, running)[0]
            waiting.remove(following)
            waiting.append(Waiting(over.job, "", 1))
            running.append(Running(following.job, "", now_s))
            ran.add(following.job)
    assert ran == {f"j{n}" for n in range(7)}
