"""What models cost, by the lists of their providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs by its provider's list, in USD; None: the list does not say."""

    input_usd: Decimal | None
    output_usd: Decimal | None
    request_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will cost, roughly, in USD; ``unpriced`` models are not in the sum."""

    usd: Decimal
    unpriced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelCatalog:
    """A provider's list of models, with their prices, by the provider's own names.

    ``complete`` False: the provider has no list, and any model may be asked of it.
    """

    provider: str
    version: str
    simulated: bool
    models: Mapping[str, Price]
    fetched_at: datetime
    complete: bool = True
