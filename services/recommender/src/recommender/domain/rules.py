"""Ranking: from what is known of a user and of the campaigns to a list with reasons."""

from __future__ import annotations

import hashlib
from datetime import datetime

import numpy as np

from recommender.domain.catalog import Catalog
from recommender.domain.diversity import diverse, likeness
from recommender.domain.eligibility import closed
from recommender.domain.models import Campaign, Item, Person, Ranking
from recommender.domain.policy import Policy
from recommender.domain.reasons import popular_reason, reasons_of
from recommender.domain.shortlist import Scored, Shortlist
from recommender.domain.standings import freshness

RANKER_VERSION = "affinity-1"
_DEFAULT = Policy()


def rank(person: Person, catalog: Catalog, now: datetime, policy: Policy = _DEFAULT) -> Ranking:
    """The list of one user. The same arguments give the same list."""
    shortlist = Shortlist(person, catalog, now, policy)
    chosen = _chosen(shortlist.scored(), catalog, policy)
    listed = {one.campaign.campaign_id for one in chosen}
    return Ranking(
        items=tuple(_item(one, catalog, policy) for one in chosen),
        due_at=shortlist.due_at,
        considered=frozenset(listed | shortlist.concerning),
        complete=len(chosen) == policy.length,
    )


def popular(catalog: Catalog, now: datetime, policy: Policy = _DEFAULT) -> Ranking:
    """The list for those of whom nothing is known."""
    items: list[Item] = []
    changes = [now + policy.refreshed_after]
    for key in catalog.standings.order:
        campaign = catalog.campaigns[key]
        barrier = closed(campaign, now)
        changes_at = campaign.ends_at if barrier is None else barrier.until
        if changes_at is not None:
            changes.append(changes_at)
        if barrier is None and len(items) < policy.length:
            items.append(_item(_liked(campaign, catalog, now, policy), catalog, policy))
    return Ranking(tuple(items), min(changes))


def _liked(campaign: Campaign, catalog: Catalog, now: datetime, policy: Policy) -> Scored:
    standing = catalog.standings.get(campaign.campaign_id)
    score = standing.popularity * freshness(campaign, now, policy)
    return Scored(campaign, score, standing)


def digest(ranking: Ranking) -> str:
    """Equal for lists that need not be told apart.

    Scores, and small changes of how many people a reason speaks of, make no other list.
    """
    told = (RANKER_VERSION, [_told(item) for item in ranking.items])
    return hashlib.blake2b(repr(told).encode(), digest_size=12).hexdigest()


def _told(item: Item) -> tuple[object, ...]:
    reasons = [(one.kind, one.intent, one.users.bit_length()) for one in item.reasons]
    ends_at = None if item.ends_at is None else item.ends_at.timestamp()
    return item.campaign_id, item.title, item.source.value, ends_at, reasons


def _chosen(scored: list[Scored], catalog: Catalog, policy: Policy) -> list[Scored]:
    pool = scored[: max(policy.pool, policy.length)]
    if policy.mmr_lambda >= 1:
        return pool[: policy.length]
    cosines = catalog.vectors.cosines([one.campaign.campaign_id for one in pool])
    if cosines is None:
        return pool[: policy.length]
    scores = np.array([one.score for one in pool])
    alike = likeness(cosines, policy.alike_from)
    return [pool[place] for place in diverse(scores, alike, policy.length, policy.mmr_lambda)]


def _item(scored: Scored, catalog: Catalog, policy: Policy) -> Item:
    campaign, standing = scored.campaign, scored.standing
    reasons = (
        reasons_of(scored.paths, catalog.campaigns, policy.paths)
        if scored.connected
        else popular_reason(standing.people, standing.popularity)
    )
    return Item(
        campaign_id=campaign.campaign_id,
        title=campaign.title,
        score=round(scored.score, 6),
        source=scored.source,
        reasons=reasons,
        ends_at=campaign.ends_at,
    )
