"""What MongoDB refuses, as the bus understands it, and without what people said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from bus.errors import Transient, Unavailable
from embedding.adapters.mongo.lake import DUPLICATE, MongoLake, _translated
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

SECRET = {"text": "I am in debt"}


def failed(*codes: int, unconfirmed: bool = False) -> BulkWriteError:
    """As the driver raises it: with every document that was not written."""
    failures = [{"code": code, "errmsg": f"error {code}", "op": SECRET} for code in codes]
    concerns = [{"code": 64, "errmsg": "waiting for replication timed out"}]
    return BulkWriteError(
        {"writeErrors": failures, "writeConcernErrors": concerns if unconfirmed else []}
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationFailure("not authorized on lake", 13), Unavailable),
        (OperationFailure("Authentication failed.", 18), Unavailable),
        (OperationFailure("bad auth", 8000), Unavailable),
        (OperationFailure("no space", 14031), Unavailable),
        (failed(DUPLICATE, 14031), Unavailable),
        (AutoReconnect("gone"), Unavailable),
        (WriteConcernError("timed out", 64), Unavailable),
        (OperationFailure("conflict", 112), Transient),
        (ExecutionTimeout("too slow", 50), Transient),
        (failed(121), Transient),
    ],
    ids=str,
)
def test_what_ails_the_store_is_waited_for(error: PyMongoError, kind: type[Exception]) -> None:
    with pytest.raises(Transient) as found, _translated():
        raise error
    assert type(found.value) is kind
    assert SECRET["text"] not in str(found.value)


class Refusing:
    """A collection that inserts nothing."""

    def __init__(self, error: BulkWriteError) -> None:
        self.error = error

    async def insert_many(self, documents: Sequence[dict[str, Any]], *, ordered: bool) -> None:
        raise self.error


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (failed(unconfirmed=True), Unavailable),
        (failed(DUPLICATE, unconfirmed=True), Unavailable),
        (failed(DUPLICATE, 13), Unavailable),
        (failed(DUPLICATE, 121), Transient),
        (failed(DUPLICATE, DUPLICATE), None),
    ],
)
async def test_only_what_is_there_already_passes_for_written(
    error: BulkWriteError, kind: type[Exception] | None
) -> None:
    lake = MongoLake("mongodb://127.0.0.1:1/lake")
    try:
        if kind is None:
            await lake._insert_new(Refusing(error), [{"_id": 1}])
            return
        with pytest.raises(Transient) as found:
            await lake._insert_new(Refusing(error), [{"_id": 1}])
        assert type(found.value) is kind
    finally:
        await lake.close()
