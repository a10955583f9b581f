"""What the adapters share: answers that nobody vouches for, event streams, and pictures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

import aiohttp
import httpx2

SIMULATED = "simulated"
"""The mark at the top level of everything that a simulator says."""

CONNECT_SECONDS = 10.0
"""A provider that takes longer to accept a connection is taken for unreachable."""

TRANSPORT_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError)
"""What the transport may raise past the SDKs, above all while a body is being read."""

NO_KEY = "no-key-is-needed"
"""For the SDKs, which look for a key elsewhere, and send what they find, if they are given none."""

_DRAIN_SECONDS = 0.1
_MOST_TOKENS = 2**53
_LARGEST_USD = 10  # powers of ten: no price and no cost is larger,
_SMALLEST_USD = -30  # or has digits further behind the point
_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Access:
    """Where a provider is and how one gets in.

    ``key_env`` names the environment variable of the key. An empty ``api_key`` sends none.
    ``simulated``: a simulator stands in the provider's place.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    key_env: str | None = None
    simulated: bool = False


class Malformed(ValueError):
    """A provider sent what is not JSON, or JSON of another shape than it documents."""


class BrokenOff(Exception):
    """The connection was lost while the provider was answering."""


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# Money must not pass through binary floating point: every number with a point is a Decimal.
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refused)


def parsed(raw: bytes) -> object:
    """The JSON in ``raw``. Raises Malformed."""
    try:
        return _DECODER.decode(raw.decode())
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}") from error


def member(value: object, *path: str) -> object:
    """What is at ``path`` in nested objects, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def first(value: object) -> object:
    """The first of a list, or None."""
    return value[0] if isinstance(value, list) and value else None


def text(value: object) -> str | None:
    """``value`` if it is a string."""
    return value if isinstance(value, str) else None


def short_name(value: object) -> str | None:
    """``value`` if it can serve as a name: short, and no character of it unprintable."""
    found = text(value)
    return found if found and len(found) <= _NAME_CHARS and found.isprintable() else None


def count(value: object) -> int | None:
    """``value`` if it is a number of tokens."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < _MOST_TOKENS else None  # type: ignore[operator,return-value]


def part_of(whole: int, part: int | None) -> int | None:
    """A part that is larger than its whole was counted otherwise and would spoil every sum."""
    return part if part is not None and part <= whole else None


def usd(value: object) -> Decimal | None:
    """An amount of money, exactly as it was written; None if it is none or is negative."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    return amount if _plausible(amount) else None


def _plausible(amount: Decimal) -> bool:
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < _SMALLEST_USD:
        return False  # not a number or infinite, or of absurd precision
    return amount.is_zero() or (amount > 0 and amount.adjusted() < _LARGEST_USD)


class EventReader:
    """The data of server-sent events, out of bytes that are cut anywhere.

    Comments and the names of events are dropped: neither SDK's format needs them.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that are complete with this chunk."""
        # Bytes are split at line ends only; text would be split at U+2028 inside JSON as well.
        lines = (self._rest + chunk).splitlines(keepends=True)
        self._rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
        found = (self._line(line.rstrip(b"\r\n")) for line in lines)
        return [data for data in found if data is not None]

    def _line(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            return data
        return None


async def read_events(response: httpx2.Response, take: Callable[[bytes], bool]) -> None:
    """Give ``take`` the data of each event until it says that it was the last.

    Closes the response. Raises BrokenOff when the connection is lost.
    """
    reader = EventReader()
    try:
        chunks = response.aiter_bytes()
        async for chunk in chunks:
            if any(take(data) for data in reader.feed(chunk)):
                await _drain(chunks)
                return
    except TRANSPORT_ERRORS as error:
        raise BrokenOff(str(error) or type(error).__name__) from error
    finally:
        await response.aclose()


async def hand_on(
    opened: Awaitable[httpx2.Response],
    add: Callable[[bytes], str | None],
    ended: Callable[[], bool],
    on_text: Callable[[str], None],
) -> float | None:
    """Hand on the text of a stream as it comes; seconds until the first of it, None without any.

    ``add`` gives the text of an event, None for the last one. A connection that is lost after the
    answer has ``ended`` loses nothing of it; else BrokenOff.
    """
    started = time.perf_counter()
    first: float | None = None

    def take(data: bytes) -> bool:
        nonlocal first
        said = add(data)
        if said:
            first = time.perf_counter() - started if first is None else first
            on_text(said)
        return said is None

    try:
        await read_events(await opened, take)
    except BrokenOff:
        if not ended():
            raise
    return first


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what follows the last event: only a body read to its end frees its connection."""
    with suppress(*TRANSPORT_ERRORS):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass


def data_url(address: str) -> tuple[str, str] | None:
    """Media type and base64 data of ``data:image/png;base64,...``; None for other addresses."""
    head, comma, data = address.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head.removeprefix("data:").split(";")[0], data
