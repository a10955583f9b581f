"""Checking and planning runs, and judging their state."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from gateway.domain.errors import InvalidRun
from gateway.domain.models import Brand, Progress, Prompt, RunState
from gateway.domain.rules import check_run, final_state, plan
from hypothesis import given
from hypothesis import strategies as st
from services.gateway.tests.kits import planned_run

BRANDS = (Brand(uuid4(), "Notion", ("Notion.so",)), Brand(uuid4(), "Yahoo!"))
PROMPTS = (Prompt(uuid4(), "Which app?"), Prompt(uuid4(), "Which tool?"))
MODELS = ("openai/gpt-5", "openai/gpt-5-mini")


def brands(*names: tuple[str, ...]) -> list[Brand]:
    return [Brand(uuid4(), name, aliases) for name, *rest in names for aliases in [tuple(rest)]]


def test_a_run_has_every_sample_of_every_prompt_by_every_model() -> None:
    assert check_run(BRANDS, PROMPTS, MODELS, samples=5, limit=20) == 20


def test_more_than_the_limit_is_refused() -> None:
    with pytest.raises(InvalidRun, match="2 prompts x 2 models x 5 samples are 20") as caught:
        check_run(BRANDS, PROMPTS, MODELS, samples=5, limit=19)
    assert "fewer samples" in caught.value.hint


@pytest.mark.parametrize(
    "given_brands",
    [
        brands(("Notion",), ("notion",)),
        brands(("Notion",), ("NOTION ",)),
        brands(("Notion",), ("Other", "Notion")),
        brands(("One", "shared"), ("Two", "Shared")),
        brands(("Roam Research",), ("roam  \n research",)),
        brands(("Straße",), ("STRASSE",)),
    ],
)
def test_a_name_that_two_brands_share_is_refused(given_brands: list[Brand]) -> None:
    with pytest.raises(InvalidRun, match="comes twice") as caught:
        check_run(given_brands, PROMPTS, MODELS, samples=1, limit=100)
    assert "aliases" in caught.value.hint


def test_a_brand_may_repeat_its_own_name() -> None:
    same = brands(("Notion", "notion", "NOTION", "Notion"))
    assert check_run(same, PROMPTS, MODELS, samples=1, limit=100) == 4


@pytest.mark.parametrize("name", ["!", "...", "🫘", "_", "C++ "])
@pytest.mark.parametrize("as_alias", [False, True])
def test_a_name_needs_a_letter_or_digit(name: str, as_alias: bool) -> None:
    found = brands(("Fine", name)) if as_alias else brands((name,))
    if "C" in name:
        assert check_run(found, PROMPTS, MODELS, samples=1, limit=100) == 4
        return
    with pytest.raises(InvalidRun, match="no letter or digit") as caught:
        check_run(found, PROMPTS, MODELS, samples=1, limit=100)
    assert "stands in texts" in caught.value.hint


def test_a_prompt_twice_is_refused() -> None:
    same = (*PROMPTS, Prompt(uuid4(), "which  TOOL?"))
    with pytest.raises(InvalidRun, match=r"prompt 'which tool\?' comes twice") as caught:
        check_run(BRANDS, same, MODELS, samples=1, limit=100)
    assert "every prompt once" in caught.value.hint


def test_a_model_twice_is_refused() -> None:
    with pytest.raises(InvalidRun, match="model 'openai/gpt-5' comes twice") as caught:
        check_run(BRANDS, PROMPTS, (*MODELS, MODELS[0]), samples=1, limit=100)
    assert "every model once" in caught.value.hint


def test_models_are_told_apart_by_case() -> None:
    pair = ("openrouter/Qwen", "openrouter/qwen")
    assert check_run(BRANDS, PROMPTS, pair, samples=1, limit=100) == 4


def test_a_long_value_is_cut_in_the_message() -> None:
    prompt = Prompt(uuid4(), "x" * 10_000)
    with pytest.raises(InvalidRun) as caught:
        check_run(BRANDS, (prompt, prompt), MODELS, samples=1, limit=100)
    assert len(str(caught.value)) < 200


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 20))
def test_a_plan_has_every_completion_once(prompts: int, models: int, samples: int) -> None:
    run = replace(
        planned_run("tenant", samples=samples, models=[f"p/m{n}" for n in range(models)]),
        prompts=tuple(Prompt(uuid4(), str(n)) for n in range(prompts)),
    )
    planned = list(plan(run))
    count = prompts * models * samples
    assert len({item.completion_id for item in planned}) == len(planned) == count
    slots = {(item.prompt.prompt_id, item.model, item.sample) for item in planned}
    assert len(slots) == count
    assert {item.sample for item in planned} == set(range(samples))


@given(st.uuids(), st.uuids())
def test_planning_repeats_itself(run_id: UUID, prompt_id: UUID) -> None:
    run = replace(planned_run("tenant"), run_id=run_id, prompts=(Prompt(prompt_id, "Which?"),))
    assert list(plan(run)) == list(plan(replace(run, tenant_id="another")))
    assert all(0 <= item.seed < 2**31 for item in plan(run))


def test_runs_share_no_completion_and_samples_no_seed() -> None:
    run = planned_run("tenant", samples=100)
    planned, other = list(plan(run)), list(plan(replace(run, run_id=uuid4())))
    assert not {item.completion_id for item in planned} & {item.completion_id for item in other}
    assert len({item.seed for item in planned}) == len(planned)


def test_a_planned_id_never_changes() -> None:
    run = replace(
        planned_run("tenant", samples=1, models=["openai/gpt-5"]),
        run_id=UUID(int=1),
        prompts=(Prompt(UUID(int=2), "Which?"),),
    )
    (item,) = plan(run)
    assert str(item.completion_id) == "415effcf-97ed-5fbd-afab-a927c9e98e80"
    assert item.seed == 1240043136


@pytest.mark.parametrize(
    ("waiting", "answered", "analyzed", "failed", "state"),
    [
        (1, 0, 0, 0, RunState.RUNNING),
        (0, 1, 0, 0, RunState.RUNNING),
        (1, 1, 1, 1, RunState.RUNNING),
        (0, 1, 5, 5, RunState.RUNNING),
        (0, 0, 1, 0, RunState.COMPLETED),
        (0, 0, 5, 1, RunState.COMPLETED_WITH_ERRORS),
        (0, 0, 1, 5, RunState.COMPLETED_WITH_ERRORS),
        (0, 0, 0, 1, RunState.FAILED),
    ],
)
def test_state_follows_from_the_counts(
    waiting: int, answered: int, analyzed: int, failed: int, state: RunState
) -> None:
    progress = Progress(waiting, answered, analyzed, failed)
    assert final_state(progress, cancelled=False) is state


@pytest.mark.parametrize(
    ("analyzed", "not_run", "cancelled", "state"),
    [
        (5, 1, False, RunState.COMPLETED_WITH_ERRORS),
        (0, 1, False, RunState.FAILED),
        (5, 1, True, RunState.CANCELLED),
        (0, 1, True, RunState.CANCELLED),
        (5, 0, True, RunState.COMPLETED),
    ],
)
def test_calls_not_made_leave_a_mark(
    analyzed: int, not_run: int, cancelled: bool, state: RunState
) -> None:
    progress = Progress(0, 0, analyzed, 0, not_run)
    assert final_state(progress, cancelled=cancelled) is state
