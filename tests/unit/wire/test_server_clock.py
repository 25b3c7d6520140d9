from __future__ import annotations

from bridge.wire.clock import SAMPLES_KEPT, ServerClock

# Dyadic fractions of a second, so that the sums are exact.
EARLY_US = 1_000_000_000


def test_a_sample_is_taken_at_the_middle_of_its_round_trip() -> None:
    clock = ServerClock()
    clock.observe(sent_s=10.0, received_s=10.5, server_us=EARLY_US)
    assert clock.server_us(10.25) == EARLY_US


def test_the_server_clock_advances_with_the_monotonic_one() -> None:
    clock = ServerClock()
    clock.observe(10.0, 10.5, EARLY_US)
    assert clock.server_us(12.25) - clock.server_us(10.25) == 2_000_000


def test_the_sample_with_the_shortest_round_trip_decides() -> None:
    clock = ServerClock()
    clock.observe(10.0, 10.5, EARLY_US)
    clock.observe(20.0, 20.125, EARLY_US + 20_000_000)
    clock.observe(30.0, 31.0, EARLY_US + 40_000_000)
    assert clock.server_us(20.0625) == EARLY_US + 20_000_000


def test_a_sample_is_forgotten_after_enough_newer_ones() -> None:
    clock = ServerClock()
    clock.observe(0.0, 0.125, EARLY_US)
    for number in range(SAMPLES_KEPT):
        clock.observe(10.0 + number, 10.5 + number, (10 + number) * 1_000_000 + 250_000)
    assert clock.server_us(50.0) == 50_000_000


def test_a_sample_counts_while_it_is_among_the_recent_ones() -> None:
    clock = ServerClock()
    clock.observe(0.0, 0.125, EARLY_US)
    for number in range(SAMPLES_KEPT - 1):
        clock.observe(10.0 + number, 10.5 + number, 0)
    assert clock.server_us(0.0625) == EARLY_US


def test_after_forgetting_only_the_next_server_counts() -> None:
    clock = ServerClock()
    clock.observe(10.0, 10.125, EARLY_US)
    clock.forget()
    clock.observe(20.0, 21.0, 7_000_000)
    assert clock.server_us(20.5) == 7_000_000


def test_between_servers_the_last_offset_holds() -> None:
    clock = ServerClock()
    clock.observe(10.0, 10.0, EARLY_US)
    clock.forget()
    assert clock.server_us(10.0) == EARLY_US
