"""The lake on MongoDB. Only single documents change at once, so that no transaction is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bus.errors import Transient, Unavailable
from pymongo import AsyncMongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    PyMongoError,
    WriteConcernError,
)

from embedding.adapters.documents import answer_in, campaign_in
from embedding.adapters.mongo.documents import (
    Document,
    answer_whole,
    campaign_whole,
    message_in,
    message_out,
    state_in,
    state_out,
    time_in,
    user_name,
)
from embedding.domain.models import Answer, Campaign, Kept, Message, UserKey
from embedding.domain.rules import grave, microseconds
from embedding.domain.states import UserState

DATABASE = "lake"
DUPLICATE = 11000
SHOWN = 5
"""So many failures of one write are told of."""
# Unauthorized, AuthenticationFailed, AtlasError (both, where it is hosted), OutOfDiskSpace: nothing
# is wrong with the record, and no other one will fare better until somebody has seen to it.
_REFUSED = {13, 18, 8000, 14031}
SECONDS = 5


class MongoLake:
    """Collections ``messages``, ``states``, ``tombstones``, ``answers`` and ``campaigns``.

    In the database that the URL names, else in ``lake``.
    """

    def __init__(self, url: str) -> None:
        options: CodecOptions[Document] = CodecOptions(
            uuid_representation=UuidRepresentation.STANDARD
        )
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(
            url,
            w="majority",
            journal=True,
            serverSelectionTimeoutMS=SECONDS * 1000,
            uuidRepresentation="standard",
        )
        self._database = self._client.get_default_database(DATABASE, codec_options=options)
        self._messages = self._database["messages"]
        self._states = self._database["states"]
        self._tombstones = self._database["tombstones"]
        self._answers = self._database["answers"]
        self._campaigns = self._database["campaigns"]
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        """Make the indexes. Raises Unavailable if the server cannot be reached."""
        with _translated():
            await self._messages.create_index([("tenant_id", 1), ("user_id", 1), ("_id", 1)])
            await self._answers.create_index([("tenant_id", 1), ("completion_id", 1)])
            await self._campaigns.create_index([("tenant_id", 1)])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def forgotten(self, users: Collection[UserKey]) -> Mapping[UserKey, datetime]:
        graves = {grave(user): user for user in users}
        found = await self._all(self._tombstones, {"_id": {"$in": list(graves)}})
        return {graves[item["_id"]]: time_in(item["forgotten_at"]) for item in found}

    async def add_messages(self, messages: Sequence[Message]) -> Sequence[Kept]:
        """Insert what is new, then read what is there."""
        new = {item.id: item for item in messages}
        await self._insert_new(self._messages, [message_out(item) for item in new.values()])
        found = await self._all(self._messages, {"_id": {"$in": list(new)}})
        kept = {item["_id"]: message_in(item) for item in found}
        # One that is gone again was forgotten by somebody else, which the caller will see.
        return [kept[item.id] for item in messages if item.id in kept]

    async def mark_counted(self, messages: Collection[UUID]) -> None:
        if messages:
            with _translated():
                await self._messages.update_many(
                    {"_id": {"$in": list(messages)}}, {"$set": {"counted": True}}
                )

    async def states(self, users: Collection[UserKey]) -> Mapping[UserKey, UserState]:
        keys = {"$in": [user_name(user) for user in users]}
        found = map(state_in, await self._all(self._states, {"_id": keys}))
        return {state.user: state for state in found}

    async def save_states(self, states: Sequence[tuple[UserState, int]]) -> Collection[UserKey]:
        """One after the other: what a bulk write tells does not say which were written."""
        return [state.user for state, base in states if await self._save_state(state, base)]

    async def drop_state(self, user: UserKey, version: int) -> bool:
        name = user_name(user)
        async with self._turn(name):
            with _translated():
                await self._states.delete_one({"_id": name, "version": version})
                return await self._states.find_one({"_id": name}) is None

    async def forget(self, user: UserKey, at: datetime) -> int:
        """The tombstone is there for others before anything goes."""
        name = grave(user)
        with _translated():
            await self._tombstones.update_one(
                {"_id": name}, {"$max": {"forgotten_at": microseconds(at)}}, upsert=True
            )
            latest = await self._tombstones.find_one({"_id": name})
            assert latest is not None, "it was written a moment ago, and none is ever removed"
            own = {"tenant_id": user.tenant_id, "user_id": user.user_id}
            heard = {"heard_at": {"$lte": latest["forgotten_at"]}}
            return (await self._messages.delete_many({**own, **heard})).deleted_count

    async def next_user(self, after: UserKey | None) -> UserKey | None:
        where: Document = {}
        if after is not None:
            later = {"tenant_id": after.tenant_id, "user_id": {"$gt": after.user_id}}
            where = {"$or": [{"tenant_id": {"$gt": after.tenant_id}}, later]}
        order = [("tenant_id", 1), ("user_id", 1)]
        with _translated():
            found = await self._messages.find_one(where, sort=order)
        return None if found is None else UserKey(found["tenant_id"], found["user_id"])

    async def messages_of(self, user: UserKey, after: UUID | None, limit: int) -> Sequence[Kept]:
        where: Document = {"tenant_id": user.tenant_id, "user_id": user.user_id}
        if after is not None:
            where["_id"] = {"$gt": after}
        found = await self._all(self._messages, where, [("_id", 1)], limit)
        return [message_in(item) for item in found]

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        await self._insert_new(self._answers, [answer_whole(item) for item in answers])

    async def answers_after(self, after: tuple[str, UUID] | None, limit: int) -> Sequence[Answer]:
        where: Document = {}
        if after is not None:
            tenant_id, completion_id = after
            later = {"tenant_id": tenant_id, "completion_id": {"$gt": completion_id}}
            where = {"$or": [{"tenant_id": {"$gt": tenant_id}}, later]}
        order = [("tenant_id", 1), ("completion_id", 1)]
        found = await self._all(self._answers, where, order, limit)
        return [answer_in(item["tenant_id"], item["completion_id"], item) for item in found]

    async def put_campaigns(self, campaigns: Sequence[Campaign]) -> Sequence[bool]:
        return [await self._put_campaign(item) for item in campaigns]

    async def campaigns(self, tenant_id: str) -> Sequence[Campaign]:
        found = await self._all(self._campaigns, {"tenant_id": tenant_id, "deleted": False})
        return [
            campaign_in(tenant_id, item["campaign_id"], time_in(item["changed_at"]), item)
            for item in found
        ]

    async def tenants(self) -> Sequence[str]:
        with _translated():
            return sorted(await self._campaigns.distinct("tenant_id"))

    async def healthy(self) -> bool:
        await self._client.admin.command("ping")
        return True

    async def _save_state(self, state: UserState, base: int) -> bool:
        document = state_out(state)
        async with self._turn(document["_id"]):
            return await self._put_state(document, base)

    def _turn(self, name: str) -> asyncio.Lock:
        """Of the lanes of this process that write the state of one user.

        MongoDB compares and sets. What only speaks its protocol may find and replace in two steps.
        """
        return self._turns.setdefault(name, asyncio.Lock())

    async def _put_state(self, document: Document, base: int) -> bool:
        with _translated():
            if base == 0:
                return await self._inserted(document)
            done = await self._states.replace_one(
                {"_id": document["_id"], "version": base}, document
            )
            return done.matched_count == 1

    async def _inserted(self, document: Document) -> bool:
        try:
            await self._states.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def _put_campaign(self, campaign: Campaign) -> bool:
        """A later state that is there hides the document, and a second one of its id is refused."""
        document = campaign_whole(campaign)
        latest = {"_id": document.pop("_id"), "changed_at": {"$lte": document["changed_at"]}}
        with _translated():
            try:
                await self._campaigns.update_one(latest, {"$set": document}, upsert=True)
            except DuplicateKeyError:
                return False
        return True

    async def _insert_new(self, collection: Any, documents: Sequence[Document]) -> None:
        if not documents:
            return
        with _translated():
            try:
                await collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                # Written, but perhaps not durable: the same again finds only duplicates then.
                if _details(error, "writeConcernErrors"):
                    raise Unavailable(f"MongoDB: not confirmed: {_said(error)}") from error
                if any(each["code"] != DUPLICATE for each in _details(error, "writeErrors")):
                    raise

    async def _all(
        self,
        collection: Any,
        where: Document,
        order: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
    ) -> list[Document]:
        with _translated():
            found: list[Document] = await collection.find(where, sort=order, limit=limit).to_list()
            return found


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into the bus's: down is Unavailable, the rest may be tried again."""
    try:
        yield
    except (AutoReconnect, ConnectionFailure, WriteConcernError) as error:
        raise Unavailable(f"MongoDB: {_said(error)}") from error
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        kind = Unavailable if _codes(error) & _REFUSED else Transient
        raise kind(f"MongoDB: {_said(error)}") from error


def _codes(error: PyMongoError) -> set[Any]:
    """What the server says is the matter, with a write of many documents for each of them."""
    each = [item.get("code") for item in _details(error, "writeErrors")]
    return {getattr(error, "code", None), *each}


def _said(error: PyMongoError) -> str:
    """What is the matter. Of a write of many documents the driver would quote the documents."""
    told: list[Any] = [error]
    if isinstance(error, BulkWriteError):
        parts = [*_details(error, "writeConcernErrors"), *_details(error, "writeErrors")]
        told = [f"{item.get('code')} {item.get('errmsg')}" for item in parts]
    return f"{type(error).__name__}: {'; '.join(map(str, told[:SHOWN]))}"


def _details(error: PyMongoError, name: str) -> Sequence[Document]:
    details: Document = getattr(error, "details", None) or {}
    return details.get(name) or ()
