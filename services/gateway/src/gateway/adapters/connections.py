"""Connections to Redis: unless told otherwise, a pool of redis-py refuses the 101st at once."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis

ANSWER_SECONDS = 1.0
"""A Redis that hangs costs a request no more than this."""
TOGETHER = 50
MOST_WATCHERS = 10_000


def commands(redis_url: str) -> Redis:
    """A client for short commands: few connections, and who finds none free waits for one.

    Raises ValueError: it is no address of a Redis.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            redis_url,
            max_connections=TOGETHER,
            timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
        )
    except ValueError:  # its words hold the address, and with it a password
        raise ValueError("give redis://host:port/0 or unix:///path") from None
    return Redis.from_pool(pool)


def watching(redis_url: str, most: int = MOST_WATCHERS) -> Redis:
    """A client for those who wait for long: each holds a connection."""
    return Redis.from_url(redis_url, max_connections=most, socket_connect_timeout=ANSWER_SECONDS)
