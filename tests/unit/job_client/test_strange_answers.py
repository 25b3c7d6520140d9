"""What is no answer of Batchbridge's ends in a message, and in no file of results."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.job_client.errors import JobCommandError, Refused
from bridge.job_client.server import JobServer, NewUpload

PAGE = b"<html>moved</html>"


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The URL of a server that answers everything with a page and this status."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names of http.server

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def uploaded(server: JobServer, folder: Path) -> object:
    (folder / "in.csv").write_text("x\n1\n")
    return server.submit(NewUpload(model="m", input=folder / "in.csv", output="csv"))


CALLS: dict[str, Callable[[JobServer, Path], object]] = {
    "list": lambda server, _: server.page(),
    "show": lambda server, _: server.job("ab"),
    "cancel": lambda server, _: server.cancel("ab"),
    "retry-dead": lambda server, _: server.retry_dead("ab"),
    "submit": uploaded,
}


@pytest.mark.parametrize("status", [200, 302])
@pytest.mark.parametrize("call", CALLS)
def test_a_page_instead_of_an_answer_is_refused(tmp_path: Path, call: str, status: int) -> None:
    with answering(status) as url, pytest.raises(Refused):
        CALLS[call](JobServer(url), tmp_path)


def test_what_a_redirect_says_is_no_result(tmp_path: Path) -> None:
    with answering(302) as url, pytest.raises(Refused, match="302"):
        JobServer(url).download("ab", "results", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tenant", ["a\nb", "тест"])
def test_a_tenant_that_no_header_can_hold_is_refused(tenant: str) -> None:
    with answering(200) as url, pytest.raises(JobCommandError, match="no HTTP request"):
        JobServer(url, tenant).job("ab")
