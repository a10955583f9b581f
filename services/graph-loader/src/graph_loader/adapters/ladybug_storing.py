"""Stores changes in ladybug, row by row: what is missing is created, what is there is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graph_loader.adapters import ladybug_statements as cypher
from graph_loader.adapters.rows import (
    answer_row,
    campaign_row,
    cites_rows,
    conversation_row,
    engaged_row,
    joined,
    names_rows,
    rank,
    tombstone,
    user_row,
)
from graph_loader.domain.models import Answer, User
from graph_loader.domain.region import Changes, Region

Rows = Callable[..., list[Any]]


def store(rows: Rows, before: Region, made: Changes) -> None:
    """Store a change; ``before`` tells what is there."""
    _store_users(rows, before, made)
    _store_similar(rows, before, made)
    _store_campaigns(rows, before, made)
    _store_engaged(rows, before, made)
    _store_conversations(rows, before, made)


def _store_users(rows: Rows, before: Region, made: Changes) -> None:
    for key in made.gone:
        rows(cypher.REMOVE_CONVERSATIONS_OF, key=joined(*key))
        rows(cypher.REMOVE_USER, key=joined(*key))
        rows(cypher.DROP_WAITING, key=joined(*key))
    for key in made.named:
        rows(cypher.ADD_USER, **user_row(key, User()))
    for key, user in made.users.items():
        row = user_row(key, user)
        if key not in before.said:
            rows(cypher.ADD_USER, **row)
        else:
            rows(cypher.SET_USER, **_without(row, "tenant", "user_id"))
    for key, at in made.tombstones.items():
        statement = cypher.SET_TOMBSTONE if key in before.tombstones else cypher.ADD_TOMBSTONE
        rows(statement, key=tombstone(key), at=at)
    for key, wishes in made.wants.items():
        rows(cypher.DROP_WANTS, user=joined(*key))
        for wish in wishes:
            intent = _intent(rows, key[0], wish.intent)
            at = made.users[key].said_at
            rows(cypher.ADD_WANTS, user=joined(*key), intent=intent, score=wish.score, at=at)


def _store_similar(rows: Rows, before: Region, made: Changes) -> None:
    for one, other in made.parted:
        rows(cypher.DROP_SIMILAR, one=joined(*one), other=joined(*other))
    for ends, similar in made.similar.items():
        known = ends in before.similar and not set(ends) & set(made.gone)
        statement = cypher.SET_SIMILAR if known else cypher.ADD_SIMILAR
        pair = {"one": joined(*ends[0]), "other": joined(*ends[1])}
        rows(statement, **pair, weight=similar.weight, at=similar.at)


def _store_campaigns(rows: Rows, before: Region, made: Changes) -> None:
    for key, campaign in made.campaigns.items():
        row = campaign_row(key, campaign)
        if key in before.campaigns:
            rows(cypher.SET_CAMPAIGN, **_without(row, "tenant", "campaign_id"))
        else:
            rows(cypher.ADD_CAMPAIGN, **row)
    for key, intents in made.targets.items():
        rows(cypher.DROP_TARGETS, campaign=joined(*key))
        for name in intents:
            intent = _intent(rows, key[0], name)
            rows(cypher.ADD_TARGETS, campaign=joined(*key), intent=intent)


def _store_engaged(rows: Rows, before: Region, made: Changes) -> None:
    for user, other in made.left:
        rows(cypher.DROP_ENGAGED, user=joined(*user), campaign=joined(user[0], other))
    for edge, engaged in made.engaged.items():
        known = edge in before.engaged and edge[0] not in made.gone
        statement = cypher.SET_ENGAGED if known else cypher.ADD_ENGAGED
        rows(statement, **engaged_row(edge, engaged))
    for (tenant, one, other), by in made.shared.items():
        ends = {"one": joined(tenant, one), "other": joined(tenant, other)}
        there = rows(cypher.HAS_SHARED, **ends)
        rows(cypher.RAISE_SHARED if there else cypher.ADD_SHARED, **ends, by=by)
    for key, by in made.fans.items():
        rows(cypher.RAISE_FANS, key=joined(*key), by=by)


def _store_conversations(rows: Rows, before: Region, made: Changes) -> None:
    for user, other in made.closed:
        rows(cypher.DROP_CONVERSATION, key=joined(*user, other))
    for edge, conversation in made.conversations.items():
        row = conversation_row(edge, conversation)
        if edge in before.conversations:
            rows(cypher.SET_CONVERSATION, **_without(row, "user", "tenant", "conversation_id"))
        else:
            rows(cypher.ADD_CONVERSATION, **_without(row, "user"))
            rows(cypher.ADD_HELD, key=row["key"], user=row["user"])


def add_answer(rows: Rows, answer: Answer) -> None:
    """Store an answer with its edges, unless one of a higher rank is there."""
    row = answer_row(answer)
    known = rows(cypher.ANSWERED, key=row["key"])
    if known and tuple(known[0]) > rank(answer):
        return
    if known:
        rows(cypher.REMOVE_ANSWER, key=row["key"])
    asked = ("prompt", "prompt_id", "model", "model_name")
    rows(cypher.ADD_ANSWER, **_without(row, *asked))
    if not rows(cypher.HAS_PROMPT, prompt=row["prompt"]):
        rows(cypher.ADD_PROMPT, **_only(row, "prompt", "tenant", "prompt_id"))
    if not rows(cypher.HAS_MODEL, model=row["model"]):
        rows(cypher.ADD_MODEL, **_only(row, "model", "tenant", "model_name"))
    rows(cypher.ADD_TO, **_only(row, "key", "prompt"))
    rows(cypher.ADD_BY, **_only(row, "key", "model"))
    for named in names_rows(answer):
        if not rows(cypher.HAS_BRAND, brand=named["brand"]):
            rows(cypher.ADD_BRAND, **_only(named, "brand", "tenant", "brand_id"))
        rows(cypher.ADD_NAMES, **_without(named, "tenant", "brand_id"))
    for cited in cites_rows(answer):
        if not rows(cypher.HAS_DOMAIN, domain=cited["domain"]):
            rows(cypher.ADD_DOMAIN, **_only(cited, "domain", "tenant", "name"))
        rows(cypher.ADD_CITES, **_only(cited, "answer", "domain"))


def _intent(rows: Rows, tenant: str, name: str) -> str:
    """The key of an intent that is there from now on."""
    intent = joined(tenant, name)
    if not rows(cypher.HAS_INTENT, intent=intent):
        rows(cypher.ADD_INTENT, intent=intent, tenant=tenant, name=name)
    return intent


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _only(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}
