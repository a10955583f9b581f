"""Uploads of answers that were given elsewhere, as tests make them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx2
from services.gateway.tests.calling_api import RUNS, Api

IMPORTS = "/v1/visibility/imports"
NDJSON = {"Content-Type": "application/x-ndjson"}
LINE: dict[str, Any] = {
    "prompt": "Which note app is best?",
    "surface": "app",
    "model": "ChatGPT",
    "text": "I would take **Notion**.",
    "captured_at": "2026-11-20T09:00:00Z",
}


def lines(*changes: dict[str, Any]) -> str:
    return "\n".join(json.dumps(LINE | each) for each in changes)


async def send(
    api: Api, body: str | bytes, path: str = IMPORTS, headers: Any = None, **params: Any
) -> httpx2.Response:
    return await api.call("POST", path, NDJSON | (headers or {}), content=body, params=params)


async def opened(api: Api, *changes: dict[str, Any]) -> dict[str, Any]:
    response = await send(api, lines(*(changes or ({},))))
    assert response.status_code == 202, response.text
    return dict(response.json())


async def run_of(api: Api, run_id: str | UUID) -> dict[str, Any]:
    return dict((await api.call("GET", f"{RUNS}/{run_id}")).json())
