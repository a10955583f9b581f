"""Planning runs: what may be asked, which calls that makes, and what tells two runs apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from gateway.domain.errors import InvalidRun
from gateway.domain.models import Brand, PlannedCompletion, Prompt, Run, RunKind, RunState
from gateway.domain.rules import folded

_COMPLETIONS = UUID("9d0c9c5e-52a4-5f0b-8f6f-0a4a55a0c1de")
_CAPTURED = UUID("4e5a3d0b-9b7d-5a68-a1a4-9f6f1d0f2c77")
MAX_FOLDED = 300
"""Characters of a name as it is compared: an index must hold them."""


def check_brands(brands: Sequence[Brand]) -> None:
    """Whether brands can be told apart in texts.

    Raises:
        InvalidRun: two brands share a name or alias, a name has fewer than two letters or digits,
            or is longer than ``MAX_FOLDED`` characters when case and width are taken from it.
    """
    for brand in brands:
        for name in (brand.name, *brand.aliases):
            _findable(name)
    _distinct("brand", (name for brand in brands for name in {*_folded(brand)}))


def check_run(run: Run, limit: int) -> int:
    """The number of completions of a run.

    Raises:
        InvalidRun: brands that cannot be told apart, a prompt or a model that comes twice, or
            more than ``limit`` completions.
    """
    check_brands(run.brands)
    _distinct("prompt", (_reader(prompt) + folded(prompt.text) for prompt in run.prompts))
    _distinct("model", run.models)
    expected = len(run.prompts) * len(run.models) * run.samples
    if expected > limit:
        raise InvalidRun(
            f"{len(run.prompts)} prompts x {len(run.models)} models x {run.samples} samples are "
            f"{expected} completions, allowed are {limit}",
            "ask for fewer samples, models or prompts, or split the run",
        )
    return expected


def input_hash(run: Run) -> str:
    """Identity of what a run asks and looks for, in whatever order its parts are given."""
    parts = {
        "brands": sorted(_brand_identity(brand) for brand in run.brands),
        "prompts": sorted([_reader(p), folded(p.text), *sorted(p.tags)] for p in run.prompts),
        "models": sorted(run.models),
        "samples": run.samples,
        "system_prompt": run.system_prompt,
        "temperature": run.temperature,
        "budget_usd": None if run.budget_usd is None else str(run.budget_usd.normalize()),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def system_text(run: Run, prompt: Prompt) -> str:
    """What a model is told before the question: the run's words, then who asks and from where."""
    lines = [run.system_prompt or ""]
    if prompt.persona:
        lines.append(f"The person who asks: {prompt.persona}")
    if prompt.locale:
        lines.append(f"Answer for a reader of the locale {prompt.locale}.")
    return "\n\n".join(line for line in lines if line)


def plan(run: Run) -> Iterable[PlannedCompletion]:
    """Every completion of a run. Ids and seeds follow from the run, so planning repeats itself."""
    for prompt in run.prompts:
        for model in run.models:
            for sample in range(run.samples):
                name = f"{run.run_id}\n{prompt.prompt_id}\n{model}\n{sample}"
                completion_id = uuid5(_COMPLETIONS, name)
                seed = completion_id.int & 0x7FFFFFFF
                yield PlannedCompletion(completion_id, prompt, model, sample, seed)


def imported_run(
    run_id: UUID, tenant_id: str, name: str | None, brands: Sequence[Brand], now: datetime
) -> Run:
    """A run for answers that are given elsewhere; it grows as they come."""
    return Run(
        run_id=run_id,
        tenant_id=tenant_id,
        brands=tuple(brands),
        prompts=(),
        models=(),
        samples=1,
        expected=0,
        state=RunState.RUNNING,
        started_at=now,
        kind=RunKind.IMPORTED,
        name=name,
    )


def captured_id(run_id: UUID, given: str | None, *content: str) -> UUID:
    """The id of an answer of an import: by the id its line gives it, else by its content."""
    what = ("id", given) if given else ("content", *content)
    return uuid5(_CAPTURED, "\n".join((str(run_id), *what)))


def _reader(prompt: Prompt) -> str:
    return f"{prompt.locale or ''}\n{folded(prompt.persona)}\n"


def _brand_identity(brand: Brand) -> str:
    names = sorted({*_folded(brand)})
    parts = [folded(brand.name), names, sorted(brand.domains), sorted(brand.exclude)]
    return json.dumps([*parts, brand.own, brand.case])


def _folded(brand: Brand) -> Iterable[str]:
    return (folded(name) for name in (brand.name, *brand.aliases))


def _findable(name: str) -> None:
    if len(folded(name)) > MAX_FOLDED:
        raise InvalidRun(
            f"{name[:20]!r}... is too long: some of its characters stand for whole words",
            "spell it with simpler characters",
        )
    if sum(character.isalnum() for character in name) < 2:
        raise InvalidRun(
            f"{name!r} is too short to be found: a name needs two letters or digits at least",
            "give the name as it stands in texts, or a longer form of it",
        )


def _distinct(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise InvalidRun(
                f"{what} {value.strip()[:80]!r} comes twice (upper and lower case count as the "
                "same)",
                f"name every {what} once; give other spellings of a brand as its aliases",
            )
        seen.add(value)
