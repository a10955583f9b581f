"""How near a campaign is to a user: the formula, and all its numbers, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graph_loader.domain.models import (
    Candidate,
    Key,
    Offers,
    Path,
    Person,
    Shared,
    Times,
    Wanted,
)
from graph_loader.domain.region import window

NEIGHBOURS = 50
"""So many of the strongest neighbours count."""
RELATED = 50
"""So many of the campaigns most alike to one that a user engaged with count."""
OFFERED = 200
"""So many campaigns of one intent count, those changed last."""
STIRRED = 1000
"""So many users who want an intent are computed again when its campaigns change."""
CANDIDATES = 100
PATHS = 4
DAY = 86_400_000_000

SIMILAR_USERS, CO_ENGAGED, INTENT, CONTENT = "similar-users", "co-engaged", "intent", "content"


@dataclass(frozen=True, slots=True)
class Weights:
    """What each connection counts for. ``sharpness`` is the power of a neighbour's similarity.

    Chosen on real conversations (docs/benchmarks.md): neighbours far away say little.
    """

    similar_users: float = 1.0
    co_engaged: float = 1.0
    intent: float = 0.5
    content: float = 0.3
    sharpness: float = 8.0
    conversion: float = 1.0
    click: float = 0.7
    dismissal: float = 0.5
    half_life_days: float = 60.0


WEIGHTS = Weights()


def strength(times: Times, now: int, weights: Weights = WEIGHTS) -> float:
    """How much an engagement speaks for its campaign; below 0 if it was dismissed since.

    Each part fades with ``half_life_days``; what is said to happen in the future counts as now.
    """
    liked = max(
        weights.conversion * _fading(times.converted, now, weights),
        weights.click * _fading(times.clicked, now, weights),
    )
    if times.dismissed > max(times.clicked, times.converted):
        return liked - weights.dismissal * _fading(times.dismissed, now, weights)
    return liked


def wanted(people: Mapping[Key, Person]) -> Wanted:
    """What of the campaigns has to be known for these people."""
    return Wanted(
        frozenset(
            (key[0], campaign_id)
            for key, person in people.items()
            for campaign_id in window(dict(person.engaged))
        ),
        frozenset((key[0], wish.intent) for key, one in people.items() for wish in one.user.wants),
        frozenset(
            (key[0], near.campaign_id) for key, one in people.items() for near in one.user.near
        ),
    )


def candidates(
    tenant_id: str, person: Person, offers: Offers, now: int, weights: Weights = WEIGHTS
) -> tuple[Candidate, ...]:
    """The campaigns that are connected to a person, the nearest first."""
    paths: dict[str, list[Path]] = {}
    for campaign_id, path in _paths(tenant_id, person, offers, now, weights):
        if path.weight > 0:
            paths.setdefault(campaign_id, []).append(path)
    found = [_candidate(campaign_id, some) for campaign_id, some in paths.items()]
    found.sort(key=lambda candidate: (-candidate.affinity, candidate.campaign_id))
    return tuple(found[:CANDIDATES])


def _paths(
    tenant_id: str, person: Person, offers: Offers, now: int, weights: Weights
) -> Iterator[tuple[str, Path]]:
    yield from _by_similar_users(person, now, weights)
    yield from _by_engagement(tenant_id, person, offers, now, weights)
    yield from _by_intent(tenant_id, person, offers, weights)
    for near in person.user.near:
        if (tenant_id, near.campaign_id) not in offers.deleted:
            yield near.campaign_id, Path(CONTENT, weights.content * near.similarity)


def _candidate(campaign_id: str, paths: list[Path]) -> Candidate:
    affinity = sum(path.weight for path in paths)
    paths.sort(key=lambda path: (-path.weight, path.kind))
    return Candidate(campaign_id, affinity, tuple(paths[:PATHS]))


def _by_similar_users(person: Person, now: int, weights: Weights) -> Iterator[tuple[str, Path]]:
    """The mean of what the neighbours did, each by a power of the similarity."""
    total = 0.0
    sums: dict[str, float] = {}
    who: dict[str, list[tuple[str, ...]]] = {}
    for neighbour in person.neighbours:
        share = max(0.0, neighbour.weight) ** weights.sharpness
        total += share
        for campaign_id, times in neighbour.engaged:
            liked = strength(times, now, weights)
            sums[campaign_id] = sums.get(campaign_id, 0.0) + share * liked
            if liked > 0 < share:
                who.setdefault(campaign_id, []).append(neighbour.intents)
    for campaign_id, intents in who.items():
        weight = weights.similar_users * sums[campaign_id] / total
        common = _in_common(person, intents)
        yield campaign_id, Path(SIMILAR_USERS, weight, len(intents), common)


def _in_common(person: Person, others: list[tuple[str, ...]]) -> str | None:
    """The intent that the person shares with most of the others, if with half of them at least."""
    ranked = [
        (sum(wish.intent in intents for intents in others), wish.score, wish.intent)
        for wish in person.user.wants
    ]
    shared, _, intent = max(ranked, default=(0, 0.0, ""))
    return intent if shared and 2 * shared >= len(others) else None


def _by_engagement(
    tenant_id: str, person: Person, offers: Offers, now: int, weights: Weights
) -> Iterator[tuple[str, Path]]:
    """What others engaged with who engaged with the same; several such campaigns add up.

    ``1 - product(1 - strength * cosine)`` stays below 1 however many there are.
    """
    engaged = dict(person.engaged)
    missing: dict[str, float] = {}
    best: dict[str, tuple[float, str, Shared]] = {}
    for mine in window(engaged):
        liked = min(1.0, strength(engaged[mine], now, weights))
        for shared in offers.shared.get((tenant_id, mine), ()):
            other, part = shared.campaign_id, liked * min(1.0, shared.cosine)
            missing[other] = missing.get(other, 1.0) * (1.0 - part)
            best[other] = max(best.get(other, (0.0, "", shared)), (part, mine, shared))
    for other, (_, mine, shared) in best.items():
        weight = weights.co_engaged * (1.0 - missing[other])
        yield other, Path(CO_ENGAGED, weight, shared.users, campaign_id=mine)


def _by_intent(
    tenant_id: str, person: Person, offers: Offers, weights: Weights
) -> Iterator[tuple[str, Path]]:
    """The strongest intent that the campaign is for."""
    best: dict[str, tuple[float, str]] = {}
    for wish in person.user.wants:
        for campaign_id in offers.targeting.get((tenant_id, wish.intent), ()):
            best[campaign_id] = max(best.get(campaign_id, (0.0, "")), (wish.score, wish.intent))
    for campaign_id, (score, intent) in best.items():
        yield campaign_id, Path(INTENT, weights.intent * score, intent=intent)


def _fading(at: int, now: int, weights: Weights) -> float:
    if not at:
        return 0.0
    return float(0.5 ** (max(0, now - at) / DAY / weights.half_life_days))
