"""What every event model has in common."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from contracts.times import of_our_time

ModelName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*/\S+$", min_length=3, max_length=200)
]
"""``provider/model``, e.g. ``openai/gpt-5``: the provider part names an entry of the config."""

ProviderName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", min_length=1, max_length=64)
]
"""An entry of the executor's configuration, the first part of a model's name."""

Usd = Annotated[
    Decimal,
    Field(ge=0),
    PlainSerializer(lambda usd: f"{usd:f}", return_type=str, when_used="json"),
]
"""An exact sum of US dollars, in JSON a string without exponent."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
"""An open set of words. Readers must expect words they do not know."""


OfOurTime = Annotated[AwareDatetime, AfterValidator(of_our_time)]
"""A time that producers outside tell: one that every zone and every store can hold."""


class Event(BaseModel):
    """A fact, immutable. Unknown fields are ignored: older readers live with newer events."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Part(BaseModel):
    """A piece of an event; same rules."""

    model_config = ConfigDict(frozen=True, extra="ignore")
