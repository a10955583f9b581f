"""Names of models, repairs of answers, and how long to wait before trying again."""

from __future__ import annotations

import random
import re

from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Turn

BASE_SECONDS = 0.5
CAP_SECONDS = 30.0
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def split_model(name: str) -> tuple[str, str]:
    """``provider/model`` into its two parts; the model part may hold more slashes."""
    provider, _, model = name.partition("/")
    return provider, model


def repair_turns(complaint: str) -> tuple[Turn, ...]:
    """What is said to a model whose answer does not satisfy its schema."""
    return (
        Turn(
            "user",
            f"This does not satisfy the required JSON Schema: {complaint}. Answer again, with "
            "nothing but JSON that satisfies it.",
        ),
    )


def storable(text: str) -> str:
    """``text`` without what UTF-8 or PostgreSQL cannot hold: NUL and halves of surrogate pairs.

    An answer that cannot be recorded would be paid for again.
    """
    return _UNSTORABLE.sub("\ufffd", text)


def back_off(failure: CallFailed, attempt: int, rng: random.Random) -> float:
    """Seconds before attempt ``attempt`` + 1.

    What the provider asked for, with up to a tenth more so that callers do not return in step;
    else full jitter in [0, min(cap, base * 2**attempt)] (Brooker, AWS, 2015).
    """
    if failure.retry_after is not None:
        return failure.retry_after * (1 + rng.uniform(0, 0.1))
    return rng.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2.0**attempt))
