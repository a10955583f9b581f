"""A small client of the public API and of the control routes, for the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from allinone.options import DEFAULT_DIR, Options

Query = Mapping[str, Any]


class ClientError(RuntimeError):
    """A request failed; the message is what to show."""


@dataclass(frozen=True)
class Api:
    """The public API with a key."""

    url: str
    key: str

    @classmethod
    def from_environment(cls) -> Api:
        """``LIMELIGHT_URL`` and ``LIMELIGHT_API_KEY``, else the all-in-one of this directory."""
        options = Options.from_environment()
        url = os.environ.get("LIMELIGHT_URL", f"http://127.0.0.1:{options.port}")
        key = os.environ.get("LIMELIGHT_API_KEY") or _demo_key(options.data_dir)
        return cls(url, key)

    def call(self, method: str, path: str, body: Any = None, query: Query | None = None) -> Any:
        """One request; its JSON. Raises ClientError with the problem's title and hint."""
        return _call(method, self._address(path, query), self.key, body)

    def send(self, path: str, content: bytes, media_type: str, query: Query | None = None) -> Any:
        """Post a file; its JSON. Raises ClientError."""
        address = self._address(path, query)
        with _reachable(address):
            answer = httpx2.post(
                address,
                content=content,
                headers={"Authorization": f"Bearer {self.key}", "Content-Type": media_type},
                timeout=300,
                trust_env=False,
            )
        return _read(answer)

    def download(self, path: str, to: Path, query: Query | None = None) -> int:
        """Write what is at ``path`` to a file; its size in bytes. Raises ClientError."""
        address = self._address(path, query)
        headers = {"Authorization": f"Bearer {self.key}"}
        with (
            _reachable(address),
            httpx2.stream("GET", address, headers=headers, timeout=300, trust_env=False) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise ClientError(_said(answer))
            with to.open("wb") as file:
                return sum(file.write(piece) for piece in answer.iter_bytes())

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
    return _call(method, url, where["token"], None)


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        raise ClientError(f"{url} cannot be reached: {error}") from error


def _call(method: str, url: str, key: str, body: Any) -> Any:
    with _reachable(url):
        answer = httpx2.request(
            method,
            url,
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )
    return _read(answer)


def _read(answer: httpx2.Response) -> Any:
    if answer.is_error:
        raise ClientError(_said(answer))
    return answer.json()


def _said(answer: httpx2.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
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
