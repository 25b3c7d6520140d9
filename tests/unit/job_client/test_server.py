"""Which URLs `batchbridge jobs` takes for a server's."""

from __future__ import annotations

import pytest

from bridge.job_client.errors import JobCommandError
from bridge.job_client.server import JobServer


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080", "ftp://a", "http://", "http://a:port", "http://a:70000", "http://["],
)
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(JobCommandError, match="is not an http or https URL"):
        JobServer(url)
