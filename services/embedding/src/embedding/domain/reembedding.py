"""All vectors anew, from what the lake has kept: for another model, or another half-life.

It may run beside the service, and may be broken off and begun again: what it writes, it writes
as the service does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from embedding.domain.models import Surroundings, UserKey
from embedding.domain.profiles import Profiles
from embedding.domain.searching import Archive
from embedding.domain.states import UserState
from embedding.domain.surroundings import Catalogs, Embedded, Surveyor

PAGE = 100

TellCampaigns = Callable[[Sequence[Embedded]], Awaitable[None]]
TellUsers = Callable[[Sequence[tuple[UserState, Surroundings]]], Awaitable[None]]


@dataclass(frozen=True)
class Reembedded:
    """How much was made anew."""

    campaigns: int
    users: int
    answers: int


@dataclass(frozen=True)
class Reembedding:
    """Goes through campaigns, users and answers, in the order of their keys."""

    profiles: Profiles
    catalogs: Catalogs
    answers: Archive
    surveyor: Surveyor

    async def run(self, tell_campaigns: TellCampaigns, tell_users: TellUsers) -> Reembedded:
        """Make everything anew. Who is near whom is told once all have moved."""
        campaigns = await self._campaigns(tell_campaigns)
        async for user in self._users():
            await self.profiles.rebuild(user)
        answers = await self._answers()
        users = await self._tell(tell_users)
        return Reembedded(campaigns, users, answers)

    async def _campaigns(self, tell: TellCampaigns) -> int:
        number = 0
        lake = self.catalogs.lake
        for tenant_id in await lake.tenants():
            kept = await self.catalogs.put(await lake.campaigns(tenant_id))
            # Whom they concern is told with all users.
            await tell([replace(each, meaning_changed=False) for each in kept])
            number += len(kept)
        return number

    async def _users(self) -> AsyncIterator[UserKey]:
        user = await self.profiles.lake.next_user(None)
        while user is not None:
            yield user
            user = await self.profiles.lake.next_user(user)

    async def _answers(self) -> int:
        number = 0
        after: tuple[str, UUID] | None = None
        while page := await self.answers.lake.answers_after(after, PAGE):
            await self.answers.place(page)
            number, after = number + len(page), (page[-1].tenant_id, page[-1].completion_id)
        return number

    async def _tell(self, tell: TellUsers) -> int:
        number, page = 0, list[UserKey]()
        async for user in self._users():
            page.append(user)
            if len(page) == PAGE:
                number, page = number + await self._tell_of(page, tell), []
        return number + await self._tell_of(page, tell)

    async def _tell_of(self, users: Sequence[UserKey], tell: TellUsers) -> int:
        states = await self.profiles.lake.states(users)
        around = await self.surveyor.survey(list(states.values()))
        await tell([(states[user], found) for user, found in around.items()])
        return len(around)
