"""The steps that store a change, in an order in which every edge finds its ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graph_loader.adapters.rows import (
    campaign_row,
    conversation_row,
    engaged_row,
    joined,
    tombstone,
    user_row,
)
from graph_loader.domain.models import Key, User
from graph_loader.domain.region import Changes

Step = tuple[str, list[Any]]
"""The name of a statement, and its rows."""


def steps(made: Changes) -> Iterator[Step]:
    """What to run; a step without rows can be left out."""
    yield "REMOVE_USERS", [joined(*key) for key in made.gone]
    yield "PUT_NAMED", [user_row(key, User()) for key in made.named]
    yield "PUT_USERS", [user_row(key, user) for key, user in made.users.items()]
    yield (
        "PUT_TOMBSTONES",
        [{"key": tombstone(key), "at": at} for key, at in made.tombstones.items()],
    )
    yield from _wants(made)
    yield "DROP_SIMILAR", [[joined(*one), joined(*other)] for one, other in made.parted]
    yield (
        "PUT_SIMILAR",
        [
            [joined(*one), joined(*other), similar.weight, similar.at]
            for (one, other), similar in made.similar.items()
        ],
    )
    yield "PUT_CAMPAIGNS", [campaign_row(key, one) for key, one in made.campaigns.items()]
    yield from _targets(made)
    yield from _engaged(made)
    yield "DROP_CONVERSATIONS", [joined(*user, other) for user, other in made.closed]
    yield (
        "PUT_CONVERSATIONS",
        [conversation_row(edge, one) for edge, one in made.conversations.items()],
    )
    yield "MARK", [[joined(*key), at] for key, at in made.marks.items()]
    yield "STIR", [[joined(*key), at] for key, at in made.stirred.items()]


def _wants(made: Changes) -> Iterator[Step]:
    yield (
        "DROP_WANTS",
        [
            {"key": joined(*key), "intents": [joined(key[0], wish.intent) for wish in wishes]}
            for key, wishes in made.wants.items()
        ],
    )
    yield (
        "PUT_WANTS",
        [
            {**_to_intent(key, wish.intent), "user": joined(*key), "score": wish.score, "at": at}
            for key, wishes in made.wants.items()
            for at in [made.users[key].said_at]
            for wish in wishes
        ],
    )


def _targets(made: Changes) -> Iterator[Step]:
    yield (
        "DROP_TARGETS",
        [
            {"key": joined(*key), "intents": [joined(key[0], intent) for intent in intents]}
            for key, intents in made.targets.items()
        ],
    )
    yield (
        "PUT_TARGETS",
        [
            {**_to_intent(key, intent), "campaign": joined(*key)}
            for key, intents in made.targets.items()
            for intent in intents
        ],
    )


def _engaged(made: Changes) -> Iterator[Step]:
    yield "DROP_ENGAGED", [[joined(*user), joined(user[0], other)] for user, other in made.left]
    yield "PUT_ENGAGED", [engaged_row(edge, one) for edge, one in made.engaged.items()]
    yield (
        "ADD_SHARED",
        [
            [joined(tenant, one), joined(tenant, other), by]
            for (tenant, one, other), by in made.shared.items()
        ],
    )
    yield "ADD_FANS", [[joined(*key), by] for key, by in made.fans.items()]


def _to_intent(key: Key, intent: str) -> dict[str, Any]:
    return {"intent": joined(key[0], intent), "tenant": key[0], "name": intent}
