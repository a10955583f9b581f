"""OpenAI and everything that speaks its Chat Completions, through the real SDK."""

from __future__ import annotations

from typing import Any, cast

import openai
from openai import AsyncOpenAI, DefaultAioHttpClient, omit
from openai.types.chat import ChatCompletionMessageParam

from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Call, Reply

SIMULATED = "simulated"
_CONTEXT = ("context_length_exceeded", "string_above_max_length")
_FILTERED = ("content_filter", "content_policy_violation")
# An error may be a whole page of HTML.
_SAID_CHARS = 1000


class OpenAIProvider:
    """One provider account. The SDK's own retries are off: attempts are counted by the executor."""

    def __init__(self, name: str, base_url: str, api_key: str, *, simulated: bool = False) -> None:
        self.simulated = simulated
        self._name = name
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            http_client=DefaultAioHttpClient(),
        )

    async def complete(self, call: Call, timeout: float) -> Reply:
        """One attempt. Raises CallFailed with a kind for every way in which it can end."""
        try:
            completion = await self._client.chat.completions.create(
                model=call.model,
                messages=cast("list[ChatCompletionMessageParam]", _messages(call)),
                seed=omit if call.seed is None else call.seed,
                temperature=omit if call.temperature is None else call.temperature,
                max_completion_tokens=(
                    omit if call.max_output_tokens is None else call.max_output_tokens
                ),
                timeout=timeout,
            )
        except openai.APIError as error:
            raise self._failure(error) from error
        except ValueError as error:
            raise CallFailed(
                "malformed-answer", f"{self._name} sent no JSON", retryable=True
            ) from error
        return self._reply(completion)

    async def close(self) -> None:
        """Close the SDK's connections."""
        await self._client.close()

    def _reply(self, completion: object) -> Reply:
        """Read with care: the SDK does not hold an answer against what it declares."""
        text, finish_reason = _first_choice(completion)
        if text is None:
            raise self._without_text(finish_reason)
        usage = getattr(completion, "usage", None)
        marks = getattr(completion, "model_extra", None) or {}
        return Reply(
            text=text,
            model=_text(getattr(completion, "model", None)) or "",
            response_id=_text(getattr(completion, "id", None)) or "",
            finish_reason=finish_reason,
            input_tokens=_count(usage, "prompt_tokens"),
            output_tokens=_count(usage, "completion_tokens"),
            simulated=self.simulated or bool(marks.get(SIMULATED)),
        )

    def _without_text(self, finish_reason: str | None) -> CallFailed:
        if finish_reason in _FILTERED:
            return CallFailed("content-filtered", f"{self._name} kept its answer", retryable=False)
        return CallFailed("malformed-answer", f"{self._name} sent no message", retryable=True)

    def _failure(self, error: openai.APIError) -> CallFailed:
        if isinstance(error, openai.APITimeoutError) and not _refused(error):
            return CallFailed("timed-out", f"{self._name} did not answer in time", retryable=True)
        if isinstance(error, openai.APIResponseValidationError):
            return CallFailed("malformed-answer", f"{self._name}: {error}", retryable=True)
        if isinstance(error, openai.APIStatusError):
            return self._status(error)
        return CallFailed("connection-failed", f"{self._name}: {error}", retryable=True)

    def _status(self, error: openai.APIStatusError) -> CallFailed:
        message = error.message.replace(self._client.api_key, "***")[:_SAID_CHARS]
        said = f"{self._name} answered {error.status_code}: {message}"
        code = str(error.code or "")
        if error.status_code == 429 and code != "insufficient_quota":
            return CallFailed("rate-limited", said, retryable=True, retry_after=_retry_after(error))
        if error.status_code in (503, 529):
            return CallFailed("overloaded", said, retryable=True, retry_after=_retry_after(error))
        if error.status_code >= 500 or error.status_code in (408, 409):
            return CallFailed("server-error", said, retryable=True)
        return CallFailed(_final_kind(error.status_code, code), said, retryable=False)


def _refused(error: BaseException) -> bool:
    """Whether no connection was made: the SDK over aiohttp calls that a time-out as well."""
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
            return True
        cause = cause.__cause__
    return False


def _first_choice(completion: object) -> tuple[str | None, str | None]:
    choices = getattr(completion, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    content = getattr(getattr(choice, "message", None), "content", None)
    return _text(content), _text(getattr(choice, "finish_reason", None))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(usage: object, name: str) -> int | None:
    number = getattr(usage, name, None)
    return number if isinstance(number, int) and number >= 0 else None


def _final_kind(status: int, code: str) -> str:
    if code in _CONTEXT:
        return "context-too-long"
    if code in _FILTERED:
        return "content-filtered"
    if status == 402 or code == "insufficient_quota":
        return "out-of-credit"
    if status in (401, 403):
        return "auth"
    return "unknown-model" if status == 404 else "bad-request"


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        return None


def _messages(call: Call) -> list[dict[str, Any]]:
    return [{"role": turn.role, "content": turn.content} for turn in call.turns]
