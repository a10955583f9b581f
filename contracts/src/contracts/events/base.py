"""What every event model has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ModelName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*/\S+$", min_length=3, max_length=200)
]
"""``provider/model``, e.g. ``openai/gpt-5``: the provider part names an entry of the config."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
"""An open set of words. Readers must expect words they do not know."""


class Event(BaseModel):
    """A fact, immutable. Unknown fields are ignored: older readers live with newer events."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Part(BaseModel):
    """A piece of an event; same rules."""

    model_config = ConfigDict(frozen=True, extra="ignore")
