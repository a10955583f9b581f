"""Errors as OpenAI reports them: a status and ``{"error": {message, type, param, code}}``."""

from __future__ import annotations

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """A call refused or failed on purpose; ``retry_after_s`` becomes a ``retry-after`` header."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, object]:
        """The JSON body."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error, "simulated": True}


def bad_request(message: str, param: str | None, code: str | None = None) -> ApiError:
    """400: the request is malformed, or asks for what this simulator cannot do."""
    return ApiError(400, message, param=param, code=code)


def unauthenticated() -> ApiError:
    """401: no bearer key. OpenAI sends no code in this case."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    )


def model_not_found(model: str) -> ApiError:
    """404: the configuration declares no such model."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found")


def too_large(limit: int) -> ApiError:
    """413: the body is longer than the simulator takes."""
    message = f"Request exceeds the maximum size of {limit} bytes."
    return ApiError(413, message, code="request_too_large")


def out_of_quota(retry_after_s: float) -> ApiError:
    """429: a model's own requests per minute or calls at a time are used up."""
    message, kind, code = _INJECTED[429]
    return ApiError(429, message, kind=kind, code=code, retry_after_s=retry_after_s)


def injected(status: int, retry_after_s: float | None) -> ApiError:
    """The error a fault asks for, with the type and code OpenAI uses for that status."""
    message, kind, code = _INJECTED.get(status) or (
        f"Simulated failure with status {status}.",
        "server_error" if status >= 500 else INVALID_REQUEST,
        None,
    )
    return ApiError(status, message, kind=kind, code=code, retry_after_s=retry_after_s)


_INJECTED: dict[int, tuple[str, str, str | None]] = {
    402: ("Insufficient credits.", "insufficient_quota", "insufficient_quota"),
    413: ("The request is too large.", INVALID_REQUEST, "request_too_large"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request.", "server_error", None),
    529: ("Overloaded.", "server_error", "overloaded"),
    503: ("The engine is currently overloaded, please try again later.", "server_error", None),
}
