"""What a user is shown of the lists that the read model holds. Pure rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import UUID

from gateway.domain.marketing import Window

POPULAR = "popular"
_NOTHING = '{"source": "popular", "as_of": null, "ranker_version": null, "items": []}'


class Condition(StrEnum):
    """How complete the read model is. ``behind``: complete, but its store has begun anew since.

    A store that begins anew may have lost what it was told last.
    """

    READY = "ready"
    BEHIND = "behind"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class ListChange:
    """A list of recommendations; a higher ``version`` replaces a lower one.

    ``user_id`` None: it is for those of whom nothing is known. ``body`` is the JSON of source,
    as_of, ranker_version and items; None: the user is forgotten.
    """

    tenant_id: str
    user_id: str | None
    version: int
    body: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What the read model holds for one user.

    ``own`` and ``popular`` are lists as JSON. ``windows`` says of campaigns that are not shown at
    any time when they are; ``excluded`` are those that are not to be shown to this user.
    """

    user_id: str
    own: bytes | None
    popular: bytes | None
    windows: Mapping[str, Window] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a search found, as JSON; ``failure`` says why nothing could be looked for."""

    tenant_id: str
    search_id: UUID
    body: str
    failure: str | None = None


def shown(found: Found, limit: int, now: datetime) -> dict[str, Any]:
    """The first ``limit`` campaigns that may be shown to a user now, with where they come from.

    A user of whom nothing is known gets the popular ones. A list of one's own that has become
    empty stays empty: what is missing from it may be missing on purpose.
    """
    kept = json.loads(found.own or found.popular or _NOTHING)
    fit = (item for item in kept["items"] if _may_show(item, found, now))
    return {
        "user_id": found.user_id,
        "source": kept["source"],
        "cold": found.own is None,
        "as_of": kept["as_of"],
        "ranker_version": kept["ranker_version"],
        "items": list(islice(fit, limit)),
    }


def _may_show(item: Mapping[str, Any], found: Found, now: datetime) -> bool:
    campaign_id, ends_at = item["campaign_id"], item.get("ends_at")
    if campaign_id in found.excluded:
        return False
    window = found.windows.get(campaign_id)
    if window is not None:  # as the campaign is now, whatever it was when the list was made
        return window.holds(now)
    return ends_at is None or datetime.fromisoformat(ends_at) > now
