"""Making keys, comparing texts, judging the state of runs: pure functions."""

from __future__ import annotations

import hashlib
import json
import secrets
import unicodedata

from gateway.domain.models import Progress, RunState

KEY_PREFIX = "lk_"
_SHOWN = 11


def new_secret() -> str:
    """A new API key: 256 random bits behind a prefix that secret scanners can find."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> bytes:
    """SHA-256 of a key. Keys are random, so nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def shown_prefix(secret: str) -> str:
    """The part of a key that may be shown again."""
    return secret[:_SHOWN]


def request_hash(method: str, path: str, body: object) -> str:
    """Identity of a request for Idempotency-Key: what it asks, whatever its spelling."""
    canonical = json.dumps([method, path, body], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def folded(text: str) -> str:
    """A text as it is compared: without regard to case, width, and runs of white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def final_state(progress: Progress, *, cancelled: bool) -> RunState:
    """The state of a run with these counts. One that ended before it could be cancelled is not."""
    if progress.waiting or progress.answered:
        return RunState.RUNNING
    if cancelled and progress.not_run:
        return RunState.CANCELLED
    if not progress.failed and not progress.not_run:
        return RunState.COMPLETED
    return RunState.COMPLETED_WITH_ERRORS if progress.analyzed else RunState.FAILED
