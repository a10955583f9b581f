"""What a model costs, reads and allows; its opinions are in the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from devkit.simulator.faults import FaultRates

MODALITIES = ("text", "image")
_MILLION = Decimal(1_000_000)


class SettingsError(ValueError):
    """A setting of a model that makes no sense."""


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None

    def __post_init__(self) -> None:
        for value in (self.input, self.output, self.cached_input):
            if value is not None and not (value.is_finite() and value >= 0):
                raise SettingsError(f"a price must be finite and not negative, got {value}")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """USD of one answer, exactly; nothing is ever read from a cache."""
        return (self.input * prompt_tokens + self.output * completion_tokens) / _MILLION

    def per_token(self) -> dict[str, Decimal]:
        """USD per token, by OpenRouter's names."""
        found = {"prompt": self.input / _MILLION, "completion": self.output / _MILLION}
        if self.cached_input is not None:
            found["input_cache_read"] = self.cached_input / _MILLION
        return found


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Limits in tokens, prices, and how the model's endpoint behaves.

    ``not_settable`` are request parameters refused with 400; ``tool_rate`` is the probability
    of calling a tool when the request leaves it to the model; ``faults``, if given, replace the
    simulator's own rates for this model. ``max_concurrency`` counts calls in flight.
    """

    context_tokens: int = 128_000
    max_output_tokens: int = 16_384
    prices: Prices | None = None
    modalities: tuple[str, ...] = MODALITIES
    not_settable: tuple[str, ...] = ()
    tool_rate: float = 0.5
    requests_per_minute: int | None = None
    max_concurrency: int | None = None
    faults: FaultRates | None = None

    def __post_init__(self) -> None:
        sizes = {
            "context_tokens": self.context_tokens,
            "max_output_tokens": self.max_output_tokens,
            "requests_per_minute": self.requests_per_minute,
            "max_concurrency": self.max_concurrency,
        }
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise SettingsError(f"{name} must be at least 1, got {value}")
        if not 0.0 <= self.tool_rate <= 1.0:
            raise SettingsError(f"tool_rate must be within [0, 1], got {self.tool_rate}")
        if "text" not in self.modalities or set(self.modalities) - set(MODALITIES):
            raise SettingsError('modalities must be ["text"] or ["text", "image"]')

    @property
    def limited(self) -> bool:
        """Whether calls of this model are counted against a quota."""
        return self.requests_per_minute is not None or self.max_concurrency is not None
