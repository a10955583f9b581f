"""From what a provider or its connection does to a CallFailed that says what to do about it."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import httpx2

from llm_executor.adapters.wire import (
    TRANSPORT_ERRORS,
    Access,
    BrokenOff,
    Malformed,
    first,
    member,
    parsed,
    text,
)
from llm_executor.domain.errors import CallFailed

MESSAGE_CHARS = 1000
_SAID_CHARS = 600

# Words of providers' errors that say more than the status beside them.
_KIND_OF_WORD = {
    "context_length_exceeded": "context-too-long",
    "string_above_max_length": "context-too-long",
    "request_too_large": "context-too-long",
    "content_filter": "content-filtered",
    "content_policy_violation": "content-filtered",
    "invalid_prompt": "content-filtered",
    "moderation": "content-filtered",
    "insufficient_quota": "out-of-credit",
    "billing_error": "out-of-credit",
    "billing_hard_limit_reached": "out-of-credit",
    "billing_not_active": "out-of-credit",
    "contract_spend_limit_reached": "out-of-credit",
    "enforced_spend_limit_reached": "out-of-credit",
    "linked_organization_spend_limit_reached": "out-of-credit",
    "model_not_found": "unknown-model",
    "invalid_api_key": "auth",
}
# Words that stand for a status where there is none: in the middle of a stream.
_STATUS_OF_WORD = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
    "overloaded": 529,
    "unavailable": 503,
}
_KIND_OF_STATUS = {
    401: "auth",
    402: "out-of-credit",
    403: "auth",
    404: "unknown-model",
    408: "timed-out",
    409: "server-error",
    413: "context-too-long",
    425: "server-error",
    429: "rate-limited",
    498: "overloaded",
    503: "overloaded",
    504: "timed-out",
    524: "timed-out",
    529: "overloaded",
}
# Where neither words nor status tell refusals apart, their sentences do.
_KIND_OF_SENTENCE = (
    (
        re.compile(
            r"maximum context length|context (length|window)|(prompt|input) is too long"
            r"|input token count|request too large|reduce the length",
            re.IGNORECASE,
        ),
        frozenset({400, 413, 422, 429}),
        "context-too-long",
    ),
    (
        re.compile(
            r"credit balance|insufficient (credits|balance|funds)"
            r"|(spend|spending|key|credit) limit (exceeded|reached)",
            re.IGNORECASE,
        ),
        frozenset({400, 403, 429}),
        "out-of-credit",
    ),
    (re.compile(r"\bapi key\b", re.IGNORECASE), frozenset({400}), "auth"),
    (
        re.compile(r"not a valid model|model\b.{0,200}\b(not exist|not found)", re.IGNORECASE),
        frozenset({400}),
        "unknown-model",
    ),
    (
        re.compile(r"content.{0,20} policy|flagged|safety", re.IGNORECASE),
        frozenset({400, 403}),
        "content-filtered",
    ),
)
_WORK_MAY_BE_CHARGED = frozenset({"timed-out"})
_REFUSING_WORDS = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_REFUSING_SENTENCE = re.compile(
    r"unsupported|not support|not permitted|unknown (name|parameter|field)|unrecognized|deprecated",
    re.IGNORECASE,
)
_ADVICE = {
    "rate-limited": "lower requests_per_minute of this model or raise the account's limits",
    "out-of-credit": "add credit to the account or raise its limit",
    "unknown-model": "check the model's name, base_url, and whether the account may use it",
    "context-too-long": "shorten the messages or take a model with a larger context",
    "content-filtered": "reword the messages",
    "bad-request": "change the request, for trying again does not help",
    "malformed-answer": "if it lasts, check base_url and sdk of this provider",
}
_PAGE = re.compile(r"\s*<(!doctype|html|head|body)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider said about a failure; ``words`` are its codes and types, in lower case."""

    message: str
    words: frozenset[str]
    status: int | None = None
    param: str | None = None


def said_in(response: httpx2.Response) -> Said:
    """What an error response says, in JSON of any provider or otherwise."""
    try:
        body = parsed(response.content)
    except Malformed:
        return Said(_short(response.text), frozenset(), response.status_code)
    return said(body, response.status_code, response.text)


def said(body: object, status: int | None = None, raw: str = "") -> Said:
    """What an error object says; ``raw`` is for those that keep to no known shape."""
    body = first(body) or body  # Google's endpoint puts its error into a list
    error = member(body, "error") or body
    message = text(error) or text(member(error, "message")) or text(member(body, "detail"))
    words = frozenset(word.lower() for word in _words(error))
    if status is None:
        status = _status_of(member(error, "code"), words)
    return Said(_short(message or raw), words, status, text(member(error, "param")))


def _words(error: object) -> Iterator[str]:
    for path in (("code",), ("type",), ("status",), ("details", "error_code")):
        if word := text(member(error, *path)):
            yield word
    if isinstance(member(error, "metadata", "reasons"), list):
        yield "moderation"  # OpenRouter's 403 lists why the input was flagged


def _status_of(code: object, words: frozenset[str]) -> int | None:
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    if isinstance(code, int) and 400 <= code <= 599:
        return code
    return next((_STATUS_OF_WORD[word] for word in words if word in _STATUS_OF_WORD), None)


def kind_of(what: Said) -> str:
    """The kind of failure: its words first, then its sentences, then its status."""
    for word in sorted(what.words & _KIND_OF_WORD.keys()):
        return _KIND_OF_WORD[word]
    status = 500 if what.status is None else what.status
    for sentence, statuses, kind in _KIND_OF_SENTENCE:
        if status in statuses and sentence.search(what.message):
            return kind
    if status in _KIND_OF_STATUS:
        return _KIND_OF_STATUS[status]
    return "bad-request" if 400 <= status < 500 else "server-error"


def refused_parameter(what: Said, sent: Collection[str]) -> str | None:
    """The one of the parameters ``sent`` that the model does not take at all, if that is meant."""
    if what.status not in (400, 422) or "invalid schema" in what.message.lower():
        return None
    if not what.words & _REFUSING_WORDS and not _REFUSING_SENTENCE.search(what.message):
        return None
    if what.param is not None:
        name = re.split(r"[.\[]", what.param)[0]
        return name if name in sent else None
    return next((name for name in sent if re.search(rf"\b{name}\b", what.message)), None)


def retry_after(headers: httpx2.Headers, now: datetime | None = None) -> float | None:
    """Seconds that a provider wants to be left alone, by any of the usual headers."""
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _seconds(value)
    return _until(value, now or datetime.now(UTC)) if seconds is None else seconds


def _seconds(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _until(value: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _short(message: str) -> str:
    """One line of it; of a page of HTML, its title."""
    if _PAGE.match(message):
        title = _TITLE.search(message)
        message = f"a page of HTML: {title[1]}" if title else "a page of HTML"
    return " ".join(message[:10_000].split())


class Failures:
    """Makes CallFailed of one provider, in words that never show its key.

    No cause is kept: the SDKs' own words may hold the key, and causes end up in logs.
    """

    def __init__(self, access: Access, sdk_error: type[Exception]) -> None:
        self._access = access
        self._errors = (sdk_error, *TRANSPORT_ERRORS)

    @asynccontextmanager
    async def within(self, timeout: float, *, billed: bool = True) -> AsyncIterator[None]:
        """Turn all that goes wrong inside into CallFailed, and end it after ``timeout`` seconds.

        ``billed``: whether work on what is inside may be charged.
        """
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                yield
        except Malformed as error:
            raise self.failed("malformed-answer", f"sent {error}", billed=billed) from None
        except BrokenOff as error:
            broke_off = f"broke off its answer ({error})"
            raise self.failed("stream-cut", broke_off, billed=billed) from None
        except self._errors as error:
            if limit.expired():
                took = f"did not answer within {timeout:g} s"
                raise self.failed("timed-out", took, billed=billed) from None
            raise self._of(error, billed) from None
        except (ValueError, TypeError) as error:
            # What answers hold is read above; this is a request that cannot be sent.
            raise self.failed("bad-request", f"cannot be asked this ({error})") from None

    def failed(
        self, kind: str, what: str, *, billed: bool = False, after: float | None = None
    ) -> CallFailed:
        """A failure of this provider; ``what`` goes on after its name."""
        shown = self._masked(f"{self._access.name} {what}")[:_SAID_CHARS]
        message = f"{shown}; {self._advice(kind)}"[:MESSAGE_CHARS]
        return CallFailed(kind, message, retry_after=after, billed=billed)

    def unfinished(self, begun: bool, mark: str) -> CallFailed:
        """A stream that ended without the ``mark`` that every whole answer has."""
        if not begun:
            return self.failed("malformed-answer", "sent no stream of events", billed=True)
        return self.failed("stream-cut", f"ended its answer without a {mark}", billed=True)

    def told(self, error: object) -> CallFailed:
        """A failure that the provider told in the place of an answer that it had begun."""
        what = said(error)
        reason = what.message or "no reason given"
        return self.failed(kind_of(what), f"gave up its answer: {reason}", billed=True)

    def _of(self, error: Exception, billed: bool) -> CallFailed:
        response = getattr(error, "response", None)
        if isinstance(response, httpx2.Response):
            return self._status(response)
        causes = list(_causes(error))
        if any(isinstance(cause, _NEVER_REACHED) for cause in causes):
            return self.failed("connection-failed", f"cannot be reached ({_why(causes)})")
        if any(isinstance(cause, TimeoutError) for cause in causes):
            return self.failed("timed-out", "did not answer in time", billed=billed)
        if any(isinstance(cause, _WHILE_ANSWERING) for cause in causes):
            broke_off = f"broke off its answer ({_why(causes)})"
            return self.failed("stream-cut", broke_off, billed=billed)
        hung_up = f"closed the connection ({_why(causes)})"
        return self.failed("connection-failed", hung_up, billed=billed)

    def _status(self, response: httpx2.Response) -> CallFailed:
        what = said_in(response)
        kind = kind_of(what)
        answered = f"answered {response.status_code}: {what.message or 'nothing more'}"
        charged = kind in _WORK_MAY_BE_CHARGED
        return self.failed(kind, answered, billed=charged, after=retry_after(response.headers))

    def _masked(self, message: str) -> str:
        key = self._access.api_key
        return message.replace(key, "***") if key else message

    def _advice(self, kind: str) -> str:
        if kind == "connection-failed":
            return f"check that {self._access.base_url} can be reached from here"
        if kind != "auth":
            return _ADVICE.get(kind, "try again later")
        if self._access.key_env is None:
            return "name the environment variable of its key as api_key_env of this provider"
        return f"check the key in the environment variable {self._access.key_env}"


# The transport's own exceptions, not httpx2's: openai's SDK makes a ConnectTimeout of every lost
# connection, of those as well over which a request was sent and will be charged.
_NEVER_REACHED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)
_WHILE_ANSWERING = (httpx2.ReadError, httpx2.RemoteProtocolError, httpx2.DecodingError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _why(causes: list[BaseException]) -> str:
    """The words of the innermost cause that has any: the SDKs' own say nothing."""
    return next((str(cause) for cause in reversed(causes) if str(cause)), "no reason known")
