"""Static membership: a member whom its group knows by a name that outlives its process.

When two processes have one name, the group believes the one that came last. aiokafka does not ask
why it is a member no more, and joins again under the name, so that the two would throw each other
out for ever. The guard asks before it joins again, and the one that came first gives up.
"""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, errors  # type: ignore[import-untyped]
from aiokafka.protocol.api import Request, RequestStruct, Response  # type: ignore[import-untyped]
from aiokafka.protocol.types import Int16, Int32, Schema, String  # type: ignore[import-untyped]

_HEARTBEAT = 12


class FencedInstanceIdError(errors.BrokerResponseError):  # type: ignore[misc]  # aiokafka is untyped
    """Another process has joined under this name."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another process has joined the group under this name."


errors.kafka_errors.setdefault(FencedInstanceIdError.errno, FencedInstanceIdError)


class _Answer(Response):  # type: ignore[misc]
    API_KEY = _HEARTBEAT
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _Struct(RequestStruct):  # type: ignore[misc]
    API_KEY = _HEARTBEAT
    API_VERSION = 3
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class _Heartbeat(Request[_Struct]):  # type: ignore[misc]
    """The first version that carries the name; aiokafka's own ends at the one before."""

    API_KEY = _HEARTBEAT

    def __init__(self, *fields: object) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        return request_struct_class(*self._fields)


class NameGuard:
    """Stands between a joined consumer and every time that it joins anew."""

    def __init__(self, client: AIOKafkaConsumer, group: str, instance: str) -> None:
        self._coordinator = client._coordinator
        self._group = group
        self._instance = instance
        self._join = self._coordinator._do_rejoin_group
        self._coordinator._do_rejoin_group = self._rejoin
        self._member = (self._coordinator.generation, self._coordinator.member_id)

    async def _rejoin(self, subscription: object) -> bool:
        """As aiokafka's own. Raises FencedInstanceIdError, which it hands to whoever reads."""
        try:
            await self._check()
        except FencedInstanceIdError:
            raise
        except errors.KafkaError:
            return False  # the coordinator cannot be asked: aiokafka looks for it and tries again
        try:
            joined: bool = await self._join(subscription)
        except errors.KafkaError:
            await self._check()
            raise
        if joined:
            self._member = (self._coordinator.generation, self._coordinator.member_id)
        return joined

    async def _check(self) -> None:
        request = _Heartbeat(self._group, *self._member, self._instance)
        answer = await self._coordinator._send_req(request)
        if errors.for_code(answer.error_code) is FencedInstanceIdError:
            raise FencedInstanceIdError(self._instance)
