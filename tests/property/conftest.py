"""How Hypothesis runs here."""

from __future__ import annotations

from hypothesis import settings

from tests.conftest import IS_CI

# No deadline per example: these machines are shared, and a timing is no test. In CI the examples
# are always the same ones, so that a change is red because of itself; at home they are new.
settings.register_profile("batchbridge", deadline=None, derandomize=IS_CI)
settings.load_profile("batchbridge")
