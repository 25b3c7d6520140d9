"""What is read from the output of wrk."""

from __future__ import annotations

import pytest

from loadtest.bench_peers.wrk import WrkResult, parse

SAID = """Running 2s test @ http://127.0.0.1:18191/predict
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.49ms  713.73us  10.56ms   95.53%
    Req/Sec    17.34k   839.21    18.38k    75.00%
  Latency Distribution
     50%    3.35ms
     75%    3.53ms
     90%    3.82ms
     99%    {p99}
  34733 requests in {took}, 7.22MB read
{more}Requests/sec:  17259.59
Transfer/sec:      3.59MB
"""


def test_answers_and_percentiles_are_read() -> None:
    said = SAID.format(p99="6.80ms", took="2.01s", more="")
    assert parse(said) == WrkResult(2.01, 34_733, 0, pytest.approx(3.35e-3), pytest.approx(6.8e-3))


@pytest.mark.parametrize(
    ("text", "seconds"), [("380.00us", 380e-6), ("6.80ms", 6.8e-3), ("1.20s", 1.2), ("1.50m", 90.0)]
)
def test_every_unit_is_understood(text: str, seconds: float) -> None:
    assert parse(SAID.format(p99=text, took="2.01s", more="")).p99_s == pytest.approx(seconds)


def test_answers_that_are_not_2xx_and_lost_connections_are_not_answered() -> None:
    more = (
        "  Socket errors: connect 1, read 2, write 3, timeout 4\n"
        "  Non-2xx or 3xx responses: 30000\n"
    )
    found = parse(SAID.format(p99="6.80ms", took="1.00m", more=more))
    assert (found.answered, found.other, found.seconds) == (4_733, 30_010, 60.0)


def test_words_that_are_not_understood_end_the_program_and_are_shown() -> None:
    with pytest.raises(SystemExit, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")
