"""Planning runs, judging their state, making keys: pure functions."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from uuid import UUID, uuid5

from gateway.domain.errors import InvalidRun
from gateway.domain.models import (
    Brand,
    PlannedCompletion,
    Progress,
    Prompt,
    Run,
    RunState,
)

KEY_PREFIX = "lk_"
_SHOWN = 11
_COMPLETIONS = UUID("9d0c9c5e-52a4-5f0b-8f6f-0a4a55a0c1de")


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


def check_run(
    brands: Sequence[Brand],
    prompts: Sequence[Prompt],
    models: Sequence[str],
    samples: int,
    limit: int,
) -> int:
    """The number of completions of a run.

    Raises:
        InvalidRun: two brands share a name or alias, a brand has no letter or digit, a prompt or
            a model comes twice, or there would be more than ``limit`` completions.
    """
    _wordless(name for brand in brands for name in (brand.name, *brand.aliases))
    _distinct("brand", (name for brand in brands for name in {*_folded(brand)}))
    _distinct("prompt", (_fold(prompt.text) for prompt in prompts))
    _distinct("model", models)
    expected = len(prompts) * len(models) * samples
    if expected > limit:
        raise InvalidRun(
            f"{len(prompts)} prompts x {len(models)} models x {samples} samples are "
            f"{expected} completions, allowed are {limit}",
            "ask for fewer samples, models or prompts, or split the run",
        )
    return expected


def plan(run: Run) -> Iterable[PlannedCompletion]:
    """Every completion of a run. Ids and seeds follow from the run, so planning repeats itself."""
    for prompt in run.prompts:
        for model in run.models:
            for sample in range(run.samples):
                name = f"{run.run_id}\n{prompt.prompt_id}\n{model}\n{sample}"
                completion_id = uuid5(_COMPLETIONS, name)
                seed = completion_id.int & 0x7FFFFFFF
                yield PlannedCompletion(completion_id, prompt, model, sample, seed)


def final_state(progress: Progress, *, cancelled: bool) -> RunState:
    """The state of a run with these counts. One that ended before it could be cancelled is not."""
    if progress.waiting or progress.answered:
        return RunState.RUNNING
    if cancelled and progress.not_run:
        return RunState.CANCELLED
    if not progress.failed and not progress.not_run:
        return RunState.COMPLETED
    return RunState.COMPLETED_WITH_ERRORS if progress.analyzed else RunState.FAILED


def _folded(brand: Brand) -> Iterable[str]:
    return (_fold(name) for name in (brand.name, *brand.aliases))


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()


def _wordless(names: Iterable[str]) -> None:
    for name in names:
        if not any(character.isalnum() for character in name):
            raise InvalidRun(
                f"{name!r} has no letter or digit", "give the name as it stands in texts"
            )


def _distinct(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise InvalidRun(
                f"{what} {value[:80]!r} comes twice (upper and lower case count as the same)",
                f"name every {what} once; give other spellings of a brand as its aliases",
            )
        seen.add(value)
