"""Makes lists from what is stored, and stores that they were made."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from runtime.clock import Clock
from runtime.logging import logger

from recommender.domain.catalog import Catalog
from recommender.domain.models import Ranking
from recommender.domain.policy import Policy
from recommender.domain.ports import (
    Counted,
    Draft,
    Known,
    Offers,
    People,
    PopularDraft,
    Saved,
    UserKey,
    Verdict,
)
from recommender.domain.rules import digest, popular, rank
from recommender.domain.standings import standings

_log = logger(__name__)
K = TypeVar("K")
_ATTEMPTS = 4
"""Of a list that others keep changing; after that the sweep makes it."""
_BREATH = 8
"""Lists between two turns of the event loop: ranking computes, and others wait for it."""


@dataclass(frozen=True, slots=True)
class NewList:
    """A user's list that is to be published."""

    user: UserKey
    version: int
    ranking: Ranking
    as_of: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class ListEnd:
    """That a user's list has ended, as they are forgotten; to be published once more."""

    user: UserKey
    version: int
    as_of: datetime
    owed: int = 0


@dataclass(frozen=True, slots=True)
class NewPopular:
    """A tenant's popular list that is to be published."""

    tenant_id: str
    ranking: Ranking
    as_of: datetime
    draft: PopularDraft
    saved: Saved

    @property
    def version(self) -> int:
        """That of the list."""
        return self.saved.version


class Recommender:
    """Ranks users, and what is popular, against the store as it is."""

    def __init__(self, people: People, offers: Offers, policy: Policy, clock: Clock) -> None:
        self._people = people
        self._offers = offers
        self._policy = policy
        self._clock = clock

    async def rank(
        self, known: Mapping[UserKey, Known], causes: Mapping[UserKey, str], *, held: bool = False
    ) -> list[NewList]:
        """New lists of the users in ``known``, each asked for by its cause; see ``ports.Draft``."""
        found: list[NewList] = []
        for attempt in range(_ATTEMPTS):
            if not known:
                return found
            if attempt:
                known = await self._people.read(known)
            fresh, stale = await self._once(known, causes, held=held)
            found += fresh
            known = {user: known[user] for user in stale}
        if known:
            _log.info("left to the sweep", users=len(known))
            await self._people.postpone(dict.fromkeys(known, self._clock.now()))
        return found

    async def ends(self, users: Collection[UserKey]) -> list[ListEnd]:
        """Of the lists of those users who are forgotten."""
        now = self._clock.now()
        found = await self._people.ended(users)
        return [ListEnd(user, end.version, now, end.owed) for user, end in found.items()]

    async def rank_popular(
        self, causes: Mapping[str, str], *, held: bool = False
    ) -> list[NewPopular]:
        """New popular lists of the tenants, each asked for by its cause."""
        found: list[NewPopular] = []
        tenants = list(causes)
        for _ in range(_ATTEMPTS):
            if not tenants:
                break
            fresh, tenants = await self._popular_once(tenants, causes, held=held)
            found += fresh
        return found

    async def _once(
        self, known: Mapping[UserKey, Known], causes: Mapping[UserKey, str], *, held: bool
    ) -> tuple[list[NewList], list[UserKey]]:
        now = self._clock.now()
        catalogs = await self._offers.catalogs({tenant_id for tenant_id, _ in known})
        rankings = await self._rankings(known, catalogs, now)
        drafts = [
            _draft(user, known[user], catalogs[user[0]], ranking, causes[user], held=held)
            for user, ranking in rankings.items()
        ]
        answers = dict(zip(rankings, await self._people.save(drafts), strict=True))
        fresh = [
            NewList(user, answer.version, rankings[user], now, answer.revision)
            for user, answer in answers.items()
            if answer.verdict is Verdict.PUBLISH
        ]
        return fresh, _stale(answers)

    async def _rankings(
        self, known: Mapping[UserKey, Known], catalogs: Mapping[str, Catalog], now: datetime
    ) -> dict[UserKey, Ranking]:
        rankings: dict[UserKey, Ranking] = {}
        for number, (user, one) in enumerate(known.items(), 1):
            rankings[user] = rank(one.person, catalogs[user[0]], now, self._policy)
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        return rankings

    async def _popular_once(
        self, tenants: Sequence[str], causes: Mapping[str, str], *, held: bool
    ) -> tuple[list[NewPopular], list[str]]:
        now = self._clock.now()
        counted = await self._offers.counted(tenants)
        catalogs = await self._offers.catalogs(tenants)
        made = {
            one: _popular(one, counted[one], catalogs[one], now, self._policy) for one in tenants
        }
        drafts = [replace(draft, cause=causes[one], held=held) for one, (draft, _) in made.items()]
        answers = dict(zip(made, await self._offers.save_popular(drafts), strict=True))
        fresh = [
            NewPopular(
                one.tenant_id,
                made[one.tenant_id][1],
                now,
                one,
                answers[one.tenant_id],
            )
            for one in drafts
            if answers[one.tenant_id].verdict is Verdict.PUBLISH
        ]
        return fresh, _stale(answers)


def _popular(
    tenant_id: str, counted: Counted, catalog: Catalog, now: datetime, policy: Policy
) -> tuple[PopularDraft, Ranking]:
    of = standings(catalog.campaigns, counted.tallies, now, policy)
    ranking = popular(replace(catalog, standings=of), now, policy)
    draft = PopularDraft(
        tenant_id=tenant_id,
        counted=counted,
        catalog_revision=catalog.revision,
        standings=of,
        digest=digest(ranking),
        due_at=ranking.due_at,
    )
    return draft, ranking


def _draft(
    user: UserKey, known: Known, catalog: Catalog, ranking: Ranking, cause: str, *, held: bool
) -> Draft:
    return Draft(
        user=user,
        revision=known.revision,
        catalog_revision=catalog.revision,
        digest=digest(ranking),
        cause=cause,
        considered=ranking.considered,
        complete=ranking.complete,
        due_at=ranking.due_at,
        held=held,
    )


def _stale(answers: Mapping[K, Saved]) -> list[K]:
    return [key for key, answer in answers.items() if answer.verdict is Verdict.STALE]
