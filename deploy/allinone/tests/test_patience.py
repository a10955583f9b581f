"""A server that asks to wait, over HTTP; sleeping is noted, not done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from allinone.cli.imports import upload
from allinone.client import Api, ClientError

OK, TOO_MANY, UNAVAILABLE = 200, 429, 503
Answer = tuple[int, str | None]


class Server(ThreadingHTTPServer):
    """Answers as it is told to, one after the other, and then with success."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Answer] = []
        self.keys: list[str | None] = []

    @property
    def api(self) -> Api:
        """A client of it."""
        return Api(f"http://127.0.0.1:{self.server_port}", "key")


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.keys.append(self.headers.get("Idempotency-Key"))
        status, after = self.server.script.pop(0) if self.server.script else (OK, None)
        body = b'{"title": "not now", "hint": "later", "run_id": "r", "rejected": 0, "errors": []}'
        self.send_response(status)
        if after is not None:
            self.send_header("Retry-After", after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of each wait."""
    noted: list[float] = []
    monkeypatch.setattr("allinone.patience.sleep", noted.append)
    return noted


def test_a_spent_limit_is_waited_for_and_told_once(
    server: Server, naps: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = [(TOO_MANY, "12"), (TOO_MANY, "0")]
    assert server.api.call("PUT", "/v1/campaigns/a", {})["run_id"] == "r"
    assert naps == [12.0, 1.0]
    assert capsys.readouterr().err == (
        "limelight: too many requests: waiting 12 s, as the server asks\n"
    )


def test_waiting_ends_and_begins_anew_with_the_next_request(
    server: Server, naps: list[float]
) -> None:
    api = server.api
    server.script = [(TOO_MANY, "50")] * 3
    with pytest.raises(ClientError, match="not now later"):
        api.call("GET", "/")
    assert naps == [50.0, 50.0]
    server.script = [(TOO_MANY, "119"), (OK, None), (TOO_MANY, "119")]
    api.call("GET", "/")
    api.call("GET", "/")
    assert naps[2:] == [119.0, 119.0]


def test_a_time_is_waited_for_as_well(server: Server, naps: list[float]) -> None:
    server.script = [(TOO_MANY, format_datetime(datetime.now(UTC) + timedelta(seconds=60), True))]
    server.api.call("POST", "/")
    assert naps == [pytest.approx(59, abs=1.5)]


@pytest.mark.parametrize("after", [None, "soon", "-5", "9" * 400])
def test_without_a_time_to_wait_for_it_fails_at_once(
    server: Server, naps: list[float], after: str | None
) -> None:
    server.script = [(TOO_MANY, after)]
    with pytest.raises(ClientError, match="not now"):
        server.api.call("GET", "/")
    assert naps == []


def test_what_may_have_been_done_is_not_done_again(server: Server, naps: list[float]) -> None:
    server.script = [(UNAVAILABLE, "2")]
    with pytest.raises(ClientError):
        server.api.call("POST", "/v1/keys", {})
    server.script = [(UNAVAILABLE, "2")]
    server.api.call("GET", "/v1/keys")
    assert naps == [2.0]


def test_an_import_is_opened_once(server: Server, naps: list[float], tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text("{}\n")
    server.script = [(UNAVAILABLE, "2")]
    assert upload(server.api, file, {}) == ("r", 0)
    first, again = server.keys
    assert first == again is not None
    assert naps == [2.0]


def test_a_download_waits_and_writes_no_refusal(
    server: Server, naps: list[float], tmp_path: Path
) -> None:
    server.script = [(TOO_MANY, "3")]
    size = server.api.download("/export", tmp_path / "f.json")
    assert (tmp_path / "f.json").stat().st_size == size > 0
    server.script = [(TOO_MANY, None)]
    with pytest.raises(ClientError, match="not now"):
        server.api.download("/export", tmp_path / "g.json")
    assert not (tmp_path / "g.json").exists()
    assert naps == [3.0]
