"""Calls a model through one SDK alone, as a process of its own; prints what that took as JSON.

Run by the interpreter of any environment that has the SDK, so nothing of Limelight is used here:
``python -P executor_client.py openai|litellm URL COUNT IN_FLIGHT``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

import uvloop

MODEL = "sim-large"
Call = Callable[[int], Awaitable[str | None]]


def _messages(number: int) -> list[Any]:
    text = f"Which note-taking app is best for a team of {number}?"
    return [{"role": "user", "content": text}]


def _openai(url: str) -> Call:
    from openai import AsyncOpenAI, DefaultAioHttpClient

    client = AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, http_client=DefaultAioHttpClient()
    )

    async def call(number: int) -> str | None:
        answer = await client.chat.completions.create(
            model=MODEL, messages=_messages(number), seed=number
        )
        return answer.choices[0].message.content

    return call


def _litellm(url: str) -> Call:
    # Its list of prices comes with the package; without this it is looked up on the net.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    litellm = import_module("litellm")

    async def call(number: int) -> str | None:
        answer: Any = await litellm.acompletion(
            model=f"openai/{MODEL}",
            api_base=url,
            api_key="none",
            messages=_messages(number),
            seed=number,
            num_retries=0,
            max_retries=0,
        )
        text: str | None = answer.choices[0].message.content
        return text

    return call


async def _work(call: Call, numbers: Iterator[int]) -> int:
    answered = 0
    for number in numbers:
        answered += bool(await call(number))
    return answered


async def _measure(call: Call, count: int, in_flight: int) -> dict[str, float]:
    numbers = iter(range(count))
    wall, cpu = time.perf_counter(), time.process_time()
    answered = sum(await asyncio.gather(*(_work(call, numbers) for _ in range(in_flight))))
    return {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "answered": answered,
    }


def main(kind: str, url: str, count: str, in_flight: str) -> None:
    """Make the calls and print the figures."""
    call = {"openai": _openai, "litellm": _litellm}[kind](url)
    taken = uvloop.run(_measure(call, int(count), int(in_flight)))
    print(json.dumps(taken | {"version": version(kind)}), flush=True)
    os._exit(0)  # what the clients say about connections that were not closed is not asked for


if __name__ == "__main__":
    main(*sys.argv[1:])
