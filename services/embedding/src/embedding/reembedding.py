"""Makes all vectors anew from the lake, and tells those who use them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bus.publishing import Publisher
from contracts.topics import CAMPAIGN_EMBEDDED, USER_EMBEDDED

from embedding import translation
from embedding.domain.models import Surroundings
from embedding.domain.reembedding import Reembedded, Reembedding
from embedding.domain.states import UserState
from embedding.domain.surroundings import Embedded
from embedding.handlers import Parts


async def made_anew(parts: Parts, publisher: Publisher) -> Reembedded:
    """Go through the lake. Raises Unavailable; what was done before stays."""
    work = Reembedding(parts.profiles, parts.catalogs, parts.answers, parts.surveyor)
    return await work.run(partial(_campaigns, publisher), partial(_users, publisher, parts))


async def _campaigns(publisher: Publisher, campaigns: Sequence[Embedded]) -> None:
    events = [(each.campaign.tenant_id, translation.campaign_embedded(each)) for each in campaigns]
    await publisher.originate(
        CAMPAIGN_EMBEDDED, [(tenant, event) for tenant, event in events if event is not None]
    )


async def _users(
    publisher: Publisher, parts: Parts, users: Sequence[tuple[UserState, Surroundings]]
) -> None:
    model = parts.profiles.recipe.model
    await publisher.originate(
        USER_EMBEDDED,
        [
            (state.user.tenant_id, translation.user_embedded(state, around, model))
            for state, around in users
        ],
    )
