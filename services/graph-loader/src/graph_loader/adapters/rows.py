"""Between the domain and what a graph database stores: keys, and parts of a user as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from graph_loader.domain.models import (
    Answer,
    Campaign,
    Conversation,
    EdgeKey,
    Engaged,
    Key,
    Nearness,
    Times,
    User,
    Wish,
)

Row = dict[str, Any]
NUL, REPLACEMENT = "\x00", "\ufffd"


def joined(*parts: str) -> str:
    """One text for several, from which they can be had again: ``tenant/id``."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def parted(key: str) -> list[str]:
    """The parts again."""
    return [part.replace("%2F", "/").replace("%25", "%") for part in key.split("/")]


def key_of(key: str) -> Key:
    """Tenant and id again."""
    tenant, name = parted(key)
    return tenant, name


def edge_of(key: str) -> EdgeKey:
    """A user and the other id again."""
    tenant, user_id, other = parted(key)
    return (tenant, user_id), other


def tombstone(key: Key) -> str:
    """What is left of a forgotten user: nothing that tells who it was."""
    return sha256(joined(*key).encode()).hexdigest()


def storable(value: Any) -> Any:
    """A text without the one character that PostgreSQL cannot hold; all else as it is."""
    return value.replace(NUL, REPLACEMENT) if isinstance(value, str) else value


def columns_of(number: int, rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    """Rows as columns for PostgreSQL. Every text is made storable here, wherever it comes from."""
    columns = [list(map(storable, column)) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(number)]


def user_row(key: Key, user: User) -> Row:
    """A user as properties."""
    return {
        "key": joined(*key),
        "tenant": key[0],
        "user_id": key[1],
        "version": user.version,
        "said_at": user.said_at,
        "spoke_at": user.spoke_at,
        "heard_at": user.heard_at,
        "wants": json.dumps([[one.intent, one.score, one.latest] for one in user.wants]),
        "near": json.dumps([[one.campaign_id, one.similarity] for one in user.near]),
    }


def user_of(row: Sequence[Any]) -> User:
    """A user again, from the properties of ``user_row`` from ``version`` on."""
    version, said_at, spoke_at, heard_at, wants, near = row
    wishes = tuple(Wish(*one) for one in json.loads(wants))
    return User(
        version,
        said_at,
        spoke_at,
        heard_at,
        wishes,
        tuple(Nearness(*one) for one in json.loads(near)),
    )


def intents_of(wants: str) -> tuple[str, ...]:
    """The names of the intents in a user's ``wants``."""
    return tuple(one[0] for one in json.loads(wants))


def engaged_row(edge: EdgeKey, engaged: Engaged) -> Row:
    """An engagement as properties, with the keys of both ends."""
    taken = {f"{name}_taken": at for name, at in engaged.taken._asdict().items()}
    ends = {"user": joined(*edge[0]), "campaign": joined(edge[0][0], edge[1])}
    return {**ends, **engaged.at._asdict(), **taken}


def engaged_of(row: Sequence[int]) -> Engaged:
    """An engagement again, from its eight times."""
    return Engaged(Times(*row[:4]), Times(*row[4:]))


def deeds(rows: Iterable[list[Any]]) -> tuple[tuple[str, Times], ...]:
    """What somebody did, from a campaign's id and three times each, by the ids.

    What was only seen is left out.
    """
    return tuple(
        (campaign_id, Times(0, clicked, converted, dismissed))
        for campaign_id, clicked, converted, dismissed in sorted(rows)
        if clicked or converted or dismissed
    )


def campaign_row(key: Key, campaign: Campaign) -> Row:
    """A campaign as properties."""
    return {
        "key": joined(*key),
        "tenant": key[0],
        "campaign_id": key[1],
        "changed_at": campaign.changed_at,
        "deleted": campaign.deleted,
        "title": campaign.title,
        "intents": json.dumps(campaign.intents),
    }


def campaign_of(row: Sequence[Any]) -> Campaign:
    """A campaign again, from ``changed_at`` on."""
    changed_at, deleted, title, intents = row
    return Campaign(changed_at, deleted, title, tuple(json.loads(intents)))


def conversation_row(edge: EdgeKey, conversation: Conversation) -> Row:
    """A conversation as properties, with the key of its user."""
    return {
        "key": joined(*edge[0], edge[1]),
        "user": joined(*edge[0]),
        "tenant": edge[0][0],
        "conversation_id": edge[1],
        "taken_at": conversation.taken_at,
        "event_id": conversation.event_id,
        "file": conversation.file,
        "line": conversation.line,
    }


def answer_row(answer: Answer) -> Row:
    """An answer as properties, with the keys of its prompt and its model."""
    tenant = answer.tenant_id
    return {
        "key": joined(tenant, str(answer.completion_id)),
        "tenant": tenant,
        "completion_id": str(answer.completion_id),
        "revision": answer.revision,
        "analyzed_at": answer.analyzed_at,
        "simulated": answer.simulated,
        "prompt": joined(tenant, str(answer.prompt_id)),
        "prompt_id": str(answer.prompt_id),
        "model": joined(tenant, answer.model),
        "model_name": answer.model,
    }


def names_rows(answer: Answer) -> list[Row]:
    """The brands an answer names, as edges."""
    return [
        {
            "answer": joined(answer.tenant_id, str(answer.completion_id)),
            "brand": joined(answer.tenant_id, str(one.brand_id)),
            "tenant": answer.tenant_id,
            "brand_id": str(one.brand_id),
            "outcome": one.outcome,
            "rank": one.rank,
            "sentiment": one.sentiment,
        }
        for one in answer.names
    ]


def cites_rows(answer: Answer) -> list[Row]:
    """The sites an answer cites, as edges."""
    return [
        {
            "answer": joined(answer.tenant_id, str(answer.completion_id)),
            "domain": joined(answer.tenant_id, domain),
            "tenant": answer.tenant_id,
            "name": domain,
        }
        for domain in answer.domains
    ]


def newest(answers: Sequence[Answer]) -> list[Answer]:
    """Of each answer the one that holds, sorted: locks are taken in one order."""
    found: dict[tuple[str, str], Answer] = {}
    for answer in answers:
        key = (answer.tenant_id, str(answer.completion_id))
        known = found.get(key)
        if known is None or rank(known) <= rank(answer):
            found[key] = answer
    return [found[key] for key in sorted(found)]


def rank(answer: Answer) -> tuple[int, int]:
    """Of two analyses of an answer the one with the greater rank holds."""
    return answer.revision, answer.analyzed_at
