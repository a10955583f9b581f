"""Makes the lists whose time has come without an event: caps lapse, campaigns start, end, change.

What is due stands in the store until the log has the list, so that a process that dies owes
nothing that another does not know of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from bus.errors import Unavailable
from bus.publishing import Publisher
from contracts.telemetry import REFRESH_OLDEST, REFRESH_WAITING
from contracts.topics import POPULAR_CAMPAIGNS_CHANGED, RECOMMENDATION_CHANGED
from runtime.metrics import gauge
from runtime.tasks import Periodic

from recommender import translation
from recommender.domain.ports import SWEEP, Agenda, Due, Offers, People, Settled, UserKey
from recommender.recommending import Recommender

TURN_SECONDS = 0.25
METER_SECONDS = 5.0
_TENANTS = 32
"""Tenants of one turn; the others are first at the next."""
_PAGES = 4
"""Of users that a walk looks at in a turn."""


class Sweep:
    """One turn at a time, with at most ``users`` lists in each."""

    def __init__(
        self,
        agenda: Agenda,
        people: People,
        offers: Offers,
        recommender: Recommender,
        publisher: Publisher,
        users: int,
    ) -> None:
        self._agenda = agenda
        self._people = people
        self._offers = offers
        self._recommender = recommender
        self._publisher = publisher
        self._users = users

    async def turn(self) -> None:
        """Do what is due of the tenants that wait longest. Raises Unavailable."""
        tenants = await self._agenda.claim(_TENANTS)
        if not tenants:
            return
        due = await self._agenda.due(dict.fromkeys(tenants, self._users))
        await self._make_popular([one for one, what in due.items() if what.popular])
        for tenant_id, what in due.items():
            if what.walk:
                await self._agenda.walk(tenant_id, _PAGES)
        await self._make_lists(in_turn(due, self._users))
        await self._agenda.release(tenants)

    async def _make_popular(self, tenants: Sequence[str]) -> None:
        fresh = await self._recommender.rank_popular(dict.fromkeys(tenants, SWEEP), held=True)
        if not fresh:
            return
        await self._publisher.originate(
            POPULAR_CAMPAIGNS_CHANGED,
            [(new.tenant_id, translation.popular_campaigns(new)) for new in fresh],
        )
        await self._offers.settle_popular([(new.draft, new.saved) for new in fresh])

    async def _make_lists(self, users: Sequence[UserKey]) -> None:
        if not users:
            return
        known = await self._people.read(users)
        await self._drop([user for user in users if user not in known])
        fresh = await self._recommender.rank(known, dict.fromkeys(known, SWEEP), held=True)
        if not fresh:
            return
        await self._publisher.originate(
            RECOMMENDATION_CHANGED,
            [(new.user[0], translation.recommendation(new)) for new in fresh],
        )
        await self._people.settle(
            {new.user: Settled(new.version, new.revision, new.ranking.due_at) for new in fresh}
        )

    async def _drop(self, users: Sequence[UserKey]) -> None:
        """Of the forgotten ones a list may have come out behind the word that it has ended."""
        ends = await self._recommender.ends(users)
        if ends:
            await self._publisher.originate(
                RECOMMENDATION_CHANGED,
                [
                    (end.user[0], translation.forgotten(end.user[1], end.version, end.as_of))
                    for end in ends
                ],
            )
            await self._people.published({end.user: end.version for end in ends})
        await self._people.drop(dict.fromkeys(users, 0) | {end.user: end.owed for end in ends})


def in_turn(due: Mapping[str, Due], most: int) -> list[UserKey]:
    """One user of each tenant, then another of each: a large tenant keeps no small one waiting."""
    rounds = zip_longest(
        *([(tenant_id, user_id) for user_id in what.users] for tenant_id, what in due.items())
    )
    return [user for turn in rounds for user in turn if user is not None][:most]


def sweeper(name: str, sweep: Sweep) -> Periodic:
    """Turns, four a second."""
    return Periodic(f"{name} sweep", TURN_SECONDS, sweep.turn, (Unavailable,))


def backlog_meter(name: str, agenda: Agenda) -> Periodic:
    """Exports every five seconds how many users wait, and how long the first of them does."""

    async def measure() -> None:
        backlog = await agenda.backlog()
        gauge(REFRESH_WAITING).labels(name).set(backlog.waiting)
        gauge(REFRESH_OLDEST).labels(name).set(backlog.oldest)

    return Periodic(f"{name} backlog meter", METER_SECONDS, measure, (Unavailable,))
