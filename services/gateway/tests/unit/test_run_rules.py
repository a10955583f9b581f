"""Checking and planning runs, and judging their state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from contracts.ids import folded as contracts_folded
from gateway.domain.catalog import Price
from gateway.domain.costing import check_budget, check_models, estimate
from gateway.domain.errors import InvalidRun
from gateway.domain.models import Brand, Progress, Prompt, Run, RunState
from gateway.domain.planning import check_brands, check_run, input_hash, plan, system_text
from gateway.domain.rules import final_state, folded
from hypothesis import given
from hypothesis import strategies as st
from services.gateway.tests.kits import planned_run

BRANDS = (Brand(uuid4(), "Notion", ("Notion.so",)), Brand(uuid4(), "Yahoo!"))
PROMPTS = (Prompt(uuid4(), "Which app?"), Prompt(uuid4(), "Which tool?"))
MODELS = ("openai/gpt-5", "openai/gpt-5-mini")


def checked(
    brands: Sequence[Brand],
    prompts: Sequence[Prompt],
    models: Sequence[str],
    *,
    samples: int,
    limit: int,
) -> int:
    run = planned_run("tenant", samples=samples, models=models)
    return check_run(replace(run, brands=tuple(brands), prompts=tuple(prompts)), limit)


def brands(*names: tuple[str, ...]) -> list[Brand]:
    return [Brand(uuid4(), name, aliases) for name, *rest in names for aliases in [tuple(rest)]]


def test_a_run_has_every_sample_of_every_prompt_by_every_model() -> None:
    assert checked(BRANDS, PROMPTS, MODELS, samples=5, limit=20) == 20


def test_more_than_the_limit_is_refused() -> None:
    with pytest.raises(InvalidRun, match="2 prompts x 2 models x 5 samples are 20") as caught:
        checked(BRANDS, PROMPTS, MODELS, samples=5, limit=19)
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
        checked(given_brands, PROMPTS, MODELS, samples=1, limit=100)
    assert "aliases" in caught.value.hint


def test_a_brand_may_repeat_its_own_name() -> None:
    same = brands(("Notion", "notion", "NOTION", "Notion"))
    assert checked(same, PROMPTS, MODELS, samples=1, limit=100) == 4


@pytest.mark.parametrize("name", ["!", "...", "🫘", "_", "C++ ", "X", "x!", "光"])
@pytest.mark.parametrize("as_alias", [False, True])
def test_a_name_needs_two_letters_or_digits(name: str, as_alias: bool) -> None:
    found = brands(("Fine", name)) if as_alias else brands((name,))
    with pytest.raises(InvalidRun, match="too short to be found") as caught:
        checked(found, PROMPTS, MODELS, samples=1, limit=100)
    assert "stands in texts" in caught.value.hint


@pytest.mark.parametrize("name", ["HP", "3M", "X9", "光珈", "C++11", "Q!a"])
def test_two_letters_or_digits_are_enough(name: str) -> None:
    assert checked(brands((name,)), PROMPTS, MODELS, samples=1, limit=100) == 4


def test_a_name_that_unfolds_to_a_page_is_refused() -> None:
    with pytest.raises(InvalidRun, match="too long"):
        check_brands(brands(("\ufdfa" * 200,)))


def test_a_prompt_twice_is_refused() -> None:
    same = (*PROMPTS, Prompt(uuid4(), "which  TOOL?"))
    with pytest.raises(InvalidRun, match=r"prompt 'which tool\?' comes twice") as caught:
        checked(BRANDS, same, MODELS, samples=1, limit=100)
    assert "every prompt once" in caught.value.hint


def test_a_prompt_may_come_twice_for_different_readers() -> None:
    same = [Prompt(uuid4(), "Which?", (), *who) for who in ((None, ""), ("de", ""), (None, "cook"))]
    assert checked(BRANDS, same, MODELS, samples=1, limit=100) == 6
    with pytest.raises(InvalidRun, match="comes twice"):
        checked(
            BRANDS,
            [*same, Prompt(uuid4(), "which?", (), None, "COOK")],
            MODELS,
            samples=1,
            limit=100,
        )


def test_a_model_twice_is_refused() -> None:
    with pytest.raises(InvalidRun, match="model 'openai/gpt-5' comes twice") as caught:
        checked(BRANDS, PROMPTS, (*MODELS, MODELS[0]), samples=1, limit=100)
    assert "every model once" in caught.value.hint


def test_models_are_told_apart_by_case() -> None:
    pair = ("openrouter/Qwen", "openrouter/qwen")
    assert checked(BRANDS, PROMPTS, pair, samples=1, limit=100) == 4


def test_a_long_value_is_cut_in_the_message() -> None:
    prompt = Prompt(uuid4(), "x" * 10_000)
    with pytest.raises(InvalidRun) as caught:
        checked(BRANDS, (prompt, prompt), MODELS, samples=1, limit=100)
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


def test_a_run_of_the_same_parts_in_another_order_has_the_same_hash() -> None:
    run = replace(planned_run("tenant"), brands=BRANDS, prompts=PROMPTS)
    turned = replace(
        run,
        run_id=uuid4(),
        name="again",
        brands=tuple(replace(brand, brand_id=uuid4()) for brand in BRANDS[::-1]),
        prompts=tuple(replace(prompt, prompt_id=uuid4()) for prompt in PROMPTS[::-1]),
        models=run.models[::-1],
    )
    assert input_hash(run) == input_hash(turned)


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": 3},
        {"models": ("openai/gpt-5",)},
        {"system_prompt": "Be brief."},
        {"temperature": 0.5},
        {"temperature": 0.0},
        {"budget_usd": Decimal(1)},
        {"brands": (replace(BRANDS[0], domains=("notion.so",)), BRANDS[1])},
        {"brands": (replace(BRANDS[0], exclude=("Notion of",)), BRANDS[1])},
        {"brands": (replace(BRANDS[0], own=True), BRANDS[1])},
        {"brands": (replace(BRANDS[0], case="exact"), BRANDS[1])},
        {"brands": (replace(BRANDS[0], aliases=()), BRANDS[1])},
        {"prompts": (replace(PROMPTS[0], tags=("a",)), PROMPTS[1])},
        {"prompts": (replace(PROMPTS[0], locale="de"), PROMPTS[1])},
        {"prompts": (replace(PROMPTS[0], persona="a cook"), PROMPTS[1])},
        {"prompts": (replace(PROMPTS[0], text="And which app?"), PROMPTS[1])},
    ],
)
def test_whatever_is_asked_or_looked_for_is_in_the_hash(changes: dict[str, Any]) -> None:
    run = replace(planned_run("tenant"), brands=BRANDS, prompts=PROMPTS)
    assert input_hash(replace(run, **changes)) != input_hash(run)


def test_a_budget_is_the_same_in_whatever_digits() -> None:
    runs = [
        replace(planned_run("t"), budget_usd=Decimal(usd), brands=(), prompts=())
        for usd in ("100", "1E+2", "100.00")
    ]
    assert len({input_hash(run) for run in runs}) == 1


def test_a_model_is_told_who_asks_and_from_where() -> None:
    run = replace(planned_run("tenant"), system_prompt="Be brief.")
    told = system_text(run, Prompt(uuid4(), "Which?", (), "de-AT", "a cook"))
    assert told == (
        "Be brief.\n\nThe person who asks: a cook\n\nAnswer for a reader of the locale de-AT."
    )
    assert system_text(planned_run("tenant"), Prompt(uuid4(), "Which?")) == ""


def price(usd: str, request: str | None = None) -> Price:
    return Price(Decimal(usd), Decimal(usd), None if request is None else Decimal(request))


def priced_run(**changes: Any) -> Run:
    """One prompt of 30 characters: 10 tokens."""
    run = replace(planned_run("tenant", samples=3), prompts=(Prompt(uuid4(), "x" * 30),))
    return replace(run, **changes)


def test_a_cost_is_estimated_from_the_prices_that_are_known() -> None:
    run = priced_run()
    first, second = run.models
    found = estimate(run, {first: price("0.001", "0.5")})
    assert found.usd == 3 * (Decimal("0.5") + (10 + 600) * Decimal("0.001"))
    assert found.unpriced == (second,)
    unknown = estimate(run, {first: Price(None, Decimal(1)), second: None})
    assert unknown.usd == 0
    assert unknown.unpriced == (first, second)


def test_an_unknown_model_is_named() -> None:
    run = priced_run()
    first, second = run.models
    check_models(run, {})
    check_models(run, {first: Price(None, None)})
    with pytest.raises(InvalidRun, match=second):
        check_models(run, {first: price("1"), second: None})


@pytest.mark.parametrize(("budget", "fits"), [("0.01", True), ("0.0099", False), ("0", False)])
def test_a_budget_must_hold_the_cheapest_question(budget: str, fits: bool) -> None:
    run = priced_run(budget_usd=Decimal(budget))
    prices = dict(zip(run.models, (price("0.001"), price("1")), strict=True))
    if fits:
        check_budget(run, prices)
        return
    with pytest.raises(InvalidRun, match="too small") as caught:
        check_budget(run, prices)
    assert "budget_usd" in caught.value.hint


def test_a_budget_is_not_judged_while_a_price_is_unknown() -> None:
    run = priced_run(budget_usd=Decimal(0))
    check_budget(run, {run.models[0]: price("1")})


@given(st.text())
def test_texts_are_compared_as_in_the_contracts(text: str) -> None:
    assert folded(text) == contracts_folded(text)


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
