"""A small client of the public API and of the control routes, for the command line."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from allinone.app import DEFAULT_DIR, Options


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

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its JSON. Raises ClientError with the problem's title and hint."""
        return _call(method, self.url + path, self.key, body)


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


def _call(method: str, url: str, key: str, body: Any) -> Any:
    try:
        answer = httpx2.request(
            method,
            url,
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )
    except httpx2.TransportError as error:
        raise ClientError(f"{url} cannot be reached: {error}") from error
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
    lines += [f"  {item['where']}: {item['what']}" for item in body.get("errors", [])]
    return "\n".join(lines)


def _demo_key(data_dir: Path) -> str:
    file = data_dir / "demo-key"
    if not file.exists():
        raise ClientError(
            f"no API key: set LIMELIGHT_API_KEY, or start the all-in-one in {DEFAULT_DIR}"
        )
    return file.read_text().strip()
