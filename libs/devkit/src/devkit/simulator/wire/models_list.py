"""The declared models, in the shape of OpenRouter and OpenAI, or in Anthropic's."""

from __future__ import annotations

from devkit.simulator.config import SimulatorConfig
from devkit.simulator.settings import ModelSettings
from devkit.simulator.wire.encoding import number

_SUPPORTED = (
    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop"),
    *("frequency_penalty", "presence_penalty", "response_format", "structured_outputs"),
    *("tools", "tool_choice"),
)
_UNKNOWN_RELEASE = "1970-01-01T00:00:00Z"
_FREE = ("request", "image", "web_search", "internal_reasoning", "input_cache_write")


def openrouter_models(config: SimulatorConfig) -> list[dict[str, object]]:
    """OpenRouter's list, which holds what OpenAI's needs. Prices are strings, USD per token."""
    return [_openrouter(model.id, config.settings_of(model.id)) for model in config.truth.models]


def anthropic_models(config: SimulatorConfig) -> list[dict[str, object]]:
    """Anthropic's list."""
    return [_anthropic(model.id, config.settings_of(model.id)) for model in config.truth.models]


def openrouter_page(models: list[dict[str, object]]) -> dict[str, object]:
    """All models on one page."""
    return {"object": "list", "data": models, "simulated": True}


def anthropic_page(models: list[dict[str, object]]) -> dict[str, object]:
    """All models on one page."""
    ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]}
    return {"data": models, "has_more": False, **ends, "simulated": True}


def _openrouter(model: str, settings: ModelSettings) -> dict[str, object]:
    return {
        "id": model,
        "object": "model",
        "created": 0,
        "owned_by": "limelight-simulator",
        "canonical_slug": model,
        "name": f"Simulated: {model}",
        "description": "A simulated model with declared opinions.",
        "context_length": settings.context_tokens,
        "architecture": {
            "modality": f"{'+'.join(settings.modalities)}->text",
            "input_modalities": list(settings.modalities),
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": _pricing(settings),
        "top_provider": {
            "context_length": settings.context_tokens,
            "max_completion_tokens": settings.max_output_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": [n for n in _SUPPORTED if n not in settings.not_settable],
    }


def _pricing(settings: ModelSettings) -> dict[str, str]:
    if settings.prices is None:
        return {}
    found = {name: number(price) for name, price in settings.prices.per_token().items()}
    return found | dict.fromkeys(_FREE, "0")


def _anthropic(model: str, settings: ModelSettings) -> dict[str, object]:
    return {
        "type": "model",
        "id": model,
        "display_name": f"Simulated: {model}",
        "created_at": _UNKNOWN_RELEASE,
        "lifecycle": "active",
        "max_input_tokens": settings.context_tokens,
        "max_tokens": settings.max_output_tokens,
    }
