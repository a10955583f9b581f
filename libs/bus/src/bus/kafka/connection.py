"""How to reach the cluster, and what its errors mean to the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import errors  # type: ignore[import-untyped]
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from bus.errors import BusError, Fenced, LogRefused, LogUnavailable, RecordTooLarge
from bus.kafka.refusal import refusal

_FENCED = (
    errors.CommitFailedError,
    errors.IllegalStateError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
    errors.RebalanceInProgressError,
)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the cluster is. ``timeout`` (seconds) bounds every call that needs its answer."""

    bootstrap_servers: str
    client_id: str
    security: BaseSecurity | None
    timeout: float

    def options(self) -> dict[str, Any]:
        """Arguments that every aiokafka client takes."""
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "client_id": self.client_id,
            "request_timeout_ms": int(self.timeout * 1000),
            **parse_security(self.security),
        }

    @asynccontextmanager
    async def answered(self, what: str, more: float = 0.0) -> AsyncIterator[None]:
        """Bound ``what`` by the timeout and turn the client's errors into those of the bus.

        ``more`` are seconds beside the timeout for what waits for others than the broker.

        Raises:
            Fenced: this member does not own what it wanted to commit.
            RecordTooLarge: the cluster refused a record because of its size.
            LogRefused: a broker answers, but not to these settings.
            LogUnavailable: everything else, a timeout included.
        """
        try:
            async with asyncio.timeout(self.timeout + more):
                yield
        except TimeoutError as error:
            raise LogUnavailable(f"{what}: no answer in {self.timeout + more:g} s") from error
        except errors.KafkaConnectionError as error:
            reason = await refusal(self.options())
            if reason is not None:
                raise LogRefused(f"{what}: {reason}") from error
            raise bus_error(what, error) from error
        except (errors.KafkaError, OSError) as error:
            raise bus_error(what, error) from error


def bus_error(what: str, error: Exception) -> BusError:
    """What an error of aiokafka is to the bus."""
    text = f"{what}: {type(error).__name__}: {error}"
    if isinstance(error, _FENCED):
        return Fenced(text)
    if isinstance(error, _TOO_LARGE):
        return RecordTooLarge(text)
    return LogUnavailable(text)
