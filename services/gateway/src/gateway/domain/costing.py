"""What a run will cost, and whether its models are there and its budget is enough."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from gateway.domain.catalog import Estimate, Price
from gateway.domain.errors import InvalidRun
from gateway.domain.models import Prompt, Run
from gateway.domain.planning import system_text

TYPICAL_OUTPUT_TOKENS = 600


def estimate(run: Run, prices: Mapping[str, Price | None]) -> Estimate:
    """What the calls of a run will cost, by rule of thumb.

    A token for every three characters of input (rather too many), and ``TYPICAL_OUTPUT_TOKENS`` of
    answer. Models without a price are named instead.
    """
    usd, unpriced = Decimal(0), []
    for model in run.models:
        price = prices.get(model)
        if price is None or price.input_usd is None or price.output_usd is None:
            unpriced.append(model)
            continue
        each = [_call_usd(run, prompt, price, TYPICAL_OUTPUT_TOKENS) for prompt in run.prompts]
        usd += sum(each, Decimal(0)) * run.samples
    return Estimate(usd, tuple(unpriced))


def check_models(run: Run, prices: Mapping[str, Price | None]) -> None:
    """Whether the models are offered, as far as their providers publish what they offer.

    Raises:
        InvalidRun: a model is not in its provider's list.
    """
    unknown = [model for model in run.models if model in prices and prices[model] is None]
    if unknown:
        raise InvalidRun(
            f"unknown model {', '.join(unknown)}: its provider is not configured or has no such",
            "GET /v1/models lists what there is",
        )


def check_budget(run: Run, prices: Mapping[str, Price | None]) -> None:
    """Whether at least one call fits into the budget.

    Only the question is counted: what the answer will cost nobody knows, and the executor makes
    no call whose highest cost no longer fits.

    Raises:
        InvalidRun: all prices are known and no single call fits.
    """
    known = [price for model in run.models if (price := prices.get(model)) is not None]
    priced = [p for p in known if p.input_usd is not None and p.output_usd is not None]
    if run.budget_usd is None or len(priced) < len(run.models):
        return
    least = min(_call_usd(run, prompt, price, 0) for prompt in run.prompts for price in priced)
    if run.budget_usd < least:
        raise InvalidRun(
            f"a budget of {run.budget_usd} USD is too small: the cheapest call takes {least} USD "
            "for its question alone",
            "raise budget_usd, or ask cheaper models",
        )


def _call_usd(run: Run, prompt: Prompt, price: Price, output_tokens: int) -> Decimal:
    assert price.input_usd is not None
    assert price.output_usd is not None
    tokens = -(-(len(system_text(run, prompt)) + len(prompt.text)) // 3)
    fixed = price.request_usd or Decimal(0)
    return fixed + tokens * price.input_usd + output_tokens * price.output_usd
