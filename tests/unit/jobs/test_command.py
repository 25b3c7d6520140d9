"""The `score` subcommand's words and exit codes."""

from __future__ import annotations

import pytest

from bridge.jobs.command import EXIT_CODES, renamed_columns
from bridge.jobs.errors import BadInput, JobError


def test_every_reason_why_a_job_ends_has_an_exit_code() -> None:
    assert set(EXIT_CODES) == set(JobError.__subclasses__())


def test_columns_are_renamed_as_the_words_say() -> None:
    words = ["mean radius=radius", "x=a=b"]
    assert renamed_columns(words) == {"mean radius": "radius", "x": "a=b"}


@pytest.mark.parametrize("words", [["x"], ["=x"], ["x="], ["x=1", "x=2"]])
def test_words_that_rename_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(BadInput, match="--columns"):
        renamed_columns(words)
