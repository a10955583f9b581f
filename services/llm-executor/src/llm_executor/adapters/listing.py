"""Lists of models, as OpenRouter, OpenAI, Anthropic and their likes give them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal

from llm_executor.adapters.wire import Malformed, count, member, short_name, usd
from llm_executor.domain.models import Catalog, ListedModel

VERSION_DIGITS = 12
_PRICES = {
    "prompt": "input",
    "completion": "output",
    "request": "request",
    "input_cache_read": "cached_input",
    "input_cache_write": "cache_write",
    "internal_reasoning": "reasoning",
    "image": "image",
    "web_search": "web_search",
}
# Without these a sum would be wrong; what the others mean is not part of an ordinary call.
_MUST_BE_READABLE = frozenset({"input", "output", "cached_input", "request"})
_CONTEXT = (("context_length",), ("max_input_tokens",), ("context_window",), ("max_model_len",))
_OUTPUT = (("top_provider", "max_completion_tokens"), ("max_completion_tokens",), ("max_tokens",))


def read_catalog(provider: str, pages: Iterable[object], *, simulated: bool) -> Catalog:
    """The list of models on these pages. What is no model is skipped.

    Raises Malformed if a page is no list at all.
    """
    models: dict[str, ListedModel] = {}
    for page in pages:
        for item in _items(page):
            listed = _listed(item)
            if listed is not None:
                models.setdefault(listed.name, listed)
    ordered = tuple(models[name] for name in sorted(models))
    return Catalog(provider, version_of(ordered), ordered, simulated)


def next_page(page: object) -> str | None:
    """The name that the page after this one begins behind (Anthropic), or None at the end."""
    return short_name(member(page, "last_id")) if member(page, "has_more") is True else None


def version_of(models: Iterable[ListedModel]) -> str:
    """A digest of what is listed, whatever its order and however its numbers are written."""
    content = sorted(_canonical(model) for model in models)
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:VERSION_DIGITS]


def _canonical(model: ListedModel) -> str:
    prices = {name: _plain(price) for name, price in (model.prices or {}).items()}
    return json.dumps(
        {
            "name": model.name,
            "context_tokens": model.context_tokens,
            "max_output_tokens": model.max_output_tokens,
            "input_modalities": sorted(model.input_modalities),
            "output_modalities": sorted(model.output_modalities),
            "parameters": sorted(model.parameters),
            "prices": None if model.prices is None else prices,
        },
        sort_keys=True,
    )


def _plain(price: Decimal) -> str:
    return "0" if price.is_zero() else format(price.normalize(), "f")


def _items(page: object) -> list[object]:
    items = member(page, "data")
    if not isinstance(items, list):
        raise Malformed("no list of models")
    return items


def _listed(item: object) -> ListedModel | None:
    # Google's endpoint lists "models/gemini-..." and is called without the first part.
    name = (short_name(member(item, "id")) or "").removeprefix("models/")
    if not name:
        return None
    return ListedModel(
        name=name,
        context_tokens=_first_count(item, _CONTEXT),
        max_output_tokens=_first_count(item, _OUTPUT),
        input_modalities=_input_modalities(item),
        output_modalities=_names(member(item, "architecture", "output_modalities")),
        parameters=_names(member(item, "supported_parameters")),
        prices=_prices(member(item, "pricing")),
    )


def _first_count(item: object, paths: Iterable[tuple[str, ...]]) -> int | None:
    counts = (count(member(item, *path)) for path in paths)
    return next((found for found in counts if found), None)


def _input_modalities(item: object) -> tuple[str, ...]:
    if member(item, "capabilities", "image_input", "supported") is True:  # as Anthropic says it
        return ("image", "text")
    return _names(member(item, "architecture", "input_modalities"))


def _names(value: object) -> tuple[str, ...]:
    names = (short_name(name) for name in (value if isinstance(value, list) else ()))
    return tuple(sorted({name for name in names if name is not None}))


def _prices(pricing: object) -> Mapping[str, Decimal] | None:
    """None if the list has no prices, or says one so that a sum with it would be wrong."""
    if not isinstance(pricing, dict):
        return None
    read = {ours: usd(pricing[theirs]) for theirs, ours in _PRICES.items() if theirs in pricing}
    if not {"input", "output"} <= read.keys():
        return None
    if any(price is None and name in _MUST_BE_READABLE for name, price in read.items()):
        return None
    return {name: price for name, price in read.items() if price is not None}
