"""What the graph is made of. Times are microseconds since 1970, 0 means never."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

Key = tuple[str, str]
"""Tenant and id: nothing in the graph is found by an id alone."""
Pair = tuple[Key, Key]
"""Two users of one tenant, the smaller key first."""
EdgeKey = tuple[Key, str]
"""A user, and the campaign or conversation that an edge leads to."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How near what a user says is to an intent; ``latest``: in the last message."""

    intent: str
    score: float
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near what a user says is to the text of a campaign."""

    campaign_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class User:
    """A user. ``version``, ``said_at`` and ``spoke_at`` are of the statement that holds.

    ``said_at`` is when the statement was made, ``spoke_at`` when what it is made of was taken in,
    ``heard_at`` when anything of the user was taken in last. A user whom others only name has
    zeros.
    """

    version: int = 0
    said_at: int = 0
    spoke_at: int = 0
    heard_at: int = 0
    wants: tuple[Wish, ...] = ()
    near: tuple[Nearness, ...] = ()


@dataclass(frozen=True, slots=True)
class Similar:
    """An edge between two users, as the newer statement of the two says; ``at`` is its time."""

    weight: float
    at: int


class Times(NamedTuple):
    """When something happened between a user and a campaign, the last time of each kind."""

    seen: int = 0
    clicked: int = 0
    converted: int = 0
    dismissed: int = 0


NEVER = Times()


@dataclass(frozen=True, slots=True)
class Engaged:
    """An edge from a user to a campaign: when it happened, and when the platform took it in."""

    at: Times = NEVER
    taken: Times = NEVER


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign. One that is known from engagements only has ``changed_at`` 0."""

    changed_at: int = 0
    deleted: bool = False
    title: str = ""
    intents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """Where a conversation came from: the event, and the line of the file if there was one."""

    taken_at: int
    event_id: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """What follows from all that a user said: who is near, what is wanted."""

    user: Key
    version: int
    said_at: int
    heard_at: int
    neighbours: tuple[tuple[str, float], ...] = ()
    wants: tuple[Wish, ...] = ()
    near: tuple[Nearness, ...] = ()


@dataclass(frozen=True, slots=True)
class Engagement:
    """One thing that a user did with a campaign; ``kind`` is a field of ``Times``."""

    user: Key
    campaign_id: str
    kind: str
    at: int
    taken_at: int


@dataclass(frozen=True, slots=True)
class Named:
    """What an answer says of a brand."""

    brand_id: UUID
    outcome: str
    rank: int | None = None
    sentiment: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a model, what it names and what it cites."""

    tenant_id: str
    completion_id: UUID
    revision: int
    analyzed_at: int
    prompt_id: UUID
    model: str
    simulated: bool
    names: tuple[Named, ...] = ()
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A similar user: what they want, and what they did with campaigns that are not deleted."""

    user_id: str
    weight: float
    intents: tuple[str, ...] = ()
    engaged: tuple[tuple[str, Times], ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A user with the surroundings from which candidates follow.

    ``neighbours`` are the strongest ones, in order. ``marks`` counts how often the user was marked
    as waiting; ``stale_at`` is since when, 0 if not. ``affinity_version`` and ``shown`` are of
    what was published last.
    """

    user: User
    engaged: tuple[tuple[str, Times], ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    marks: int = 0
    stale_at: int = 0
    affinity_version: int = 0
    shown: str = ""


class Shared(NamedTuple):
    """A campaign that ``users`` engaged with who engaged with another; how alike they are."""

    campaign_id: str
    users: int
    cosine: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the campaigns has to be known to tell the candidates of some users."""

    engaged: frozenset[Key] = frozenset()
    intents: frozenset[Key] = frozenset()
    near: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class Offers:
    """That: campaigns by campaigns, campaigns by intents, and which are deleted."""

    shared: Mapping[Key, tuple[Shared, ...]]
    targeting: Mapping[Key, tuple[str, ...]]
    deleted: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Path:
    """One kind of connection between a user and a campaign, and what it adds."""

    kind: str
    weight: float
    users: int = 0
    intent: str | None = None
    campaign_id: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A campaign that is connected to a user; the strongest path first."""

    campaign_id: str
    affinity: float
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Affinity:
    """The candidates of a user, as of one reading of the graph at ``read_at``.

    ``marks`` is the user's count at that reading; ``changed`` whether it differs from what was
    published last.
    """

    key: Key
    version: int
    read_at: int
    candidates: tuple[Candidate, ...]
    wants: tuple[Wish, ...]
    heard_at: int
    marks: int
    shown: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """Users who wait to be computed again, and since when the first of them does (0: nobody)."""

    waiting: int
    oldest: int
