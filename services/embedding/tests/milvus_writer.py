"""Puts users and texts into Milvus Lite until it is killed, and says what it was told is kept.

``python milvus_writer.py FILE``: a line with a number for each batch.
"""

from __future__ import annotations

import asyncio
import sys

from embedding.adapters.milvus import MilvusVectorIndex
from embedding.domain.models import TextPoint, UserPoint, Vector
from services.embedding.tests.lake_kit import AT, vector

EACH = 20


def where(number: int) -> Vector:
    """The vector of a batch."""
    return vector(1, number / 100)


async def write(path: str) -> None:
    """Two batches at once, as two consumers do."""
    index = MilvusVectorIndex(path, "m@1", 384)
    await index.open()
    number = 0
    while True:
        await asyncio.gather(index.put_users(users(number)), index.put_texts(texts(number)))
        print(number, flush=True)
        number += 1


def users(number: int) -> list[UserPoint]:
    """The users of a batch."""
    from embedding.domain.models import UserKey

    return [
        UserPoint(UserKey("a", f"u{number * EACH + at}"), 1, where(number)) for at in range(EACH)
    ]


def texts(number: int) -> list[tuple[TextPoint, Vector]]:
    """What they said."""
    from embedding.domain.rules import message_uuid

    return [
        (
            TextPoint(
                message_uuid(point.user, "c", "m"),
                "message",
                "a",
                "text",
                AT,
                point.user.user_id,
                "c",
                "m",
            ),
            point.vector,
        )
        for point in users(number)
    ]


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))
