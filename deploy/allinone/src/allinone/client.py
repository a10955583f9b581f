"""A small client of the public API and of the control routes, for the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from allinone.options import DEFAULT_DIR, Options
from allinone.patience import Patience

Query = Mapping[str, Any]
Json = dict[str, Any]
_REPEATABLE = ("GET", "PUT", "DELETE")


class ClientError(RuntimeError):
    """A request failed; the message is what to show."""


class NoLineTaken(ClientError):
    """None of the lines sent is good; ``errors`` are the first of them, as line and error."""

    def __init__(self, message: str, errors: Sequence[Json]) -> None:
        super().__init__(message)
        self.errors = errors


@dataclass(frozen=True)
class Api:
    """The public API with a key. Waits when the server asks for it, for two minutes at most."""

    url: str
    key: str
    patience: Patience = field(default_factory=Patience, repr=False, compare=False)

    @classmethod
    def from_environment(cls) -> Api:
        """``LIMELIGHT_URL`` and ``LIMELIGHT_API_KEY``, else the all-in-one of this directory."""
        options = Options.from_environment()
        url = os.environ.get("LIMELIGHT_URL", f"http://127.0.0.1:{options.port}")
        key = os.environ.get("LIMELIGHT_API_KEY") or _demo_key(options.data_dir)
        if not key.isascii():
            raise ClientError("LIMELIGHT_API_KEY has characters that no key has: copy it again")
        return cls(url, key)

    def call(self, method: str, path: str, body: Any = None, query: Query | None = None) -> Any:
        """One request; its JSON. Raises ClientError with the problem's title and hint."""
        address = self._address(path, query)
        found = self.patience.answer(
            lambda: _call(method, address, self.key, body), repeatable=method in _REPEATABLE
        )
        return _read(found)

    def send(
        self,
        path: str,
        content: bytes,
        media_type: str,
        query: Query | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Post lines of a file; its JSON.

        It may be sent more than once: without ``idempotency_key`` the lines must be ones that are
        taken once. Raises ClientError, NoLineTaken.
        """
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": media_type}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        address = self._address(path, query)
        return _read(self.patience.answer(lambda: _post(address, content, headers)))

    def download(self, path: str, to: Path, query: Query | None = None) -> int:
        """Write what is at ``path`` to a file; its size in bytes. Raises ClientError."""
        address = self._address(path, query)
        found = self.patience.answer(lambda: _save(address, self.key, to))
        if found.is_error:
            raise _failure(found)
        return to.stat().st_size

    def _address(self, path: str, query: Query | None) -> str:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        url = httpx2.URL(self.url + path)
        return str(url.copy_merge_params(given) if given else url)


def control(method: str, path: str, **params: str | None) -> Any:
    """One request to the running all-in-one of this directory. Raises ClientError."""
    file = Options.from_environment().data_dir / "control.json"
    if not file.exists():
        raise ClientError(
            f"no Limelight is running on {file.parent}: start it with limelight up, choose its "
            "directory with LIMELIGHT_DATA_DIR, or name the log with LIMELIGHT_LOG_URL"
        )
    where = json.loads(file.read_text())
    given = {name: value for name, value in params.items() if value is not None}
    url = str(httpx2.URL(where["url"] + path, params=given))
    return _read(_call(method, url, where["token"], None))


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        raise ClientError(f"{url} cannot be reached: {error}") from error


def _call(method: str, url: str, key: str, body: Any) -> httpx2.Response:
    with _reachable(url):
        return httpx2.request(
            method,
            url,
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )


def _post(url: str, content: bytes, headers: Mapping[str, str]) -> httpx2.Response:
    with _reachable(url):
        return httpx2.post(url, content=content, headers=headers, timeout=300, trust_env=False)


def _save(url: str, key: str, to: Path) -> httpx2.Response:
    """The answer, whose body is in the file unless it is an error."""
    headers = {"Authorization": f"Bearer {key}"}
    with (
        _reachable(url),
        httpx2.stream("GET", url, headers=headers, timeout=300, trust_env=False) as answer,
    ):
        if answer.is_error:
            answer.read()
            return answer
        with to.open("wb") as file:
            for piece in answer.iter_bytes():
                file.write(piece)
        return answer


def _read(answer: httpx2.Response) -> Any:
    if answer.is_error:
        raise _failure(answer)
    return answer.json()


def _failure(answer: httpx2.Response) -> ClientError:
    problem = _problem(answer)
    said = _said(answer, problem)
    errors = problem.get("errors", [])
    if answer.status_code == 422 and errors and all("line" in item for item in errors):
        return NoLineTaken(said, errors)
    return ClientError(said)


def _problem(answer: httpx2.Response) -> Json:
    """The problem of an error; empty if what stands between it and us said something else."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(answer: httpx2.Response, body: Json) -> str:
    if not body:
        return f"{answer.status_code}: {answer.text[:500]}"
    if "error" in body:
        return str(body["error"])
    lines = [f"{body.get('title')} {body.get('hint', '')}"]
    lines += [f"  {_complaint(item)}" for item in body.get("errors", [])]
    return "\n".join(lines)


def _complaint(item: dict[str, Any]) -> str:
    if "line" in item:
        return f"line {item['line']}: {item['error']}"
    return f"{item['where']}: {item['what']}"


def _demo_key(data_dir: Path) -> str:
    file = data_dir / "demo-key"
    if not file.exists():
        raise ClientError(
            f"no API key: set LIMELIGHT_API_KEY, or start the all-in-one in {DEFAULT_DIR}"
        )
    return file.read_text().strip()
