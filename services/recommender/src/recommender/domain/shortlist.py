"""Who may be on a user's list, and with which score."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from recommender.domain.catalog import Catalog
from recommender.domain.eligibility import barrier, wanted
from recommender.domain.models import Affinity, Campaign, Candidate, Path, Person, Source
from recommender.domain.policy import Policy
from recommender.domain.reasons import source_of
from recommender.domain.standings import Standing, freshness


class Scored(NamedTuple):
    """A campaign that may be shown, and what speaks for it."""

    campaign: Campaign
    score: float
    standing: Standing
    paths: tuple[Path, ...] = ()
    connected: bool = False

    @property
    def source(self) -> Source:
        """What put it on the list."""
        return source_of(self.paths) if self.connected else Source.POPULAR


class Shortlist:
    """Lets pass what the user may be shown, and notes when that will change."""

    def __init__(self, person: Person, catalog: Catalog, now: datetime, policy: Policy) -> None:
        self._person = person
        self._catalog = catalog
        self._now = now
        self._policy = policy
        self._wanted = wanted(person.affinity, policy)
        self._seen: set[str] = set()
        self.due_at = now + policy.refreshed_after
        self.concerning: set[str] = set()
        """Campaigns that are connected, or liked and kept from the user: they may yet come up."""

    def scored(self) -> list[Scored]:
        """Everything that may be shown, the highest score first."""
        found = [*self._connected(), *self._popular()]
        return sorted(found, key=lambda one: -one.score)

    def _connected(self) -> list[Scored]:
        affinity = self._person.affinity
        if affinity is None:
            return []
        admitted = self._admitted(affinity.candidates)
        if not admitted:
            admitted = self._admitted(_answering(affinity, self._catalog))
        top = max((candidate.affinity for candidate, _ in admitted), default=0.0)
        return [
            self._score(campaign, candidate.affinity / top if top > 0 else 0.0, candidate.paths)
            for candidate, campaign in admitted
        ]

    def _admitted(self, candidates: Iterable[Candidate]) -> list[tuple[Candidate, Campaign]]:
        pairs = [(candidate, self._admit(candidate.campaign_id)) for candidate in candidates]
        self.concerning.update(candidate.campaign_id for candidate, _ in pairs)
        return [(candidate, campaign) for candidate, campaign in pairs if campaign is not None]

    def _popular(self) -> list[Scored]:
        """The best liked that are not connected: they fill the lists of who said little."""
        found: list[Scored] = []
        for key in self._catalog.standings.order:
            if len(found) == self._policy.length:
                break
            if key in self._seen:
                continue
            campaign = self._admit(key)
            if campaign is None:
                self.concerning.add(key)
            else:
                found.append(self._score(campaign, 0.0, ()))
        return found

    def _admit(self, campaign_id: str) -> Campaign | None:
        if campaign_id in self._seen:
            return None
        self._seen.add(campaign_id)
        campaign = self._catalog.campaigns.get(campaign_id)
        if campaign is None:
            return None
        person = self._person
        facts = person.facts.get(campaign_id)
        found = barrier(campaign, person.user_id, self._wanted, facts, self._now, self._policy)
        self._due(campaign.ends_at if found is None else found.until)
        return campaign if found is None else None

    def _due(self, at: datetime | None) -> None:
        if at is not None and at < self.due_at:
            self.due_at = at

    def _score(self, campaign: Campaign, share: float, paths: tuple[Path, ...]) -> Scored:
        """``share`` is the affinity relative to the user's highest."""
        standing = self._catalog.standings.get(campaign.campaign_id)
        weight = self._policy.popularity_weight
        liked = (1 - weight) * share * standing.lift + weight * standing.popularity
        score = liked * freshness(campaign, self._now, self._policy)
        return Scored(campaign, score, standing, paths, share > 0)


def _answering(affinity: Affinity, catalog: Catalog) -> Iterable[Candidate]:
    """Campaigns that answer what the last message asks for, as if the graph had named them."""
    best: dict[str, Path] = {}
    for intent in affinity.intents:
        if not intent.latest or intent.score <= 0:
            continue
        for key in catalog.by_intent.get(intent.name, ()):
            if key not in best or best[key].weight < intent.score:
                best[key] = Path("intent", intent.score, intent=intent.name)
    return [Candidate(key, path.weight, (path,)) for key, path in best.items()]
