"""What the JSON shapes of the public API share. Requests refuse unknown fields: no typo is lost."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

NoNul = r"^[^\x00]*$"
ShortText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=NoNul)
]


class RequestBody(BaseModel):
    """A body that a client sends."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """RFC 9457 problem details with a hint what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    hint: str
    request_id: str
