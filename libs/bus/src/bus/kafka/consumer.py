"""One member of a Kafka consumer group, with records read ahead by a task of its own.

The task never stops to poll, so a slow caller stays in its group (aiokafka leaves it after five
minutes without a poll), and a caller that cancels ``poll`` loses nothing: what was read is in the
buffer, and taking it out does not wait for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.abc import ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka.errors import ConsumerStoppedError, IllegalStateError  # type: ignore[import-untyped]
from runtime.logging import logger
from runtime.tasks import wait_for

from bus.errors import Fenced, InstanceFenced, LogUnavailable
from bus.kafka.buffer import Buffer
from bus.kafka.connection import Connection
from bus.kafka.decompression import Unreadable
from bus.kafka.records import from_kafka, next_records, position, to_kafka, to_record
from bus.kafka.static import FencedInstanceIdError
from bus.kafka.wiring import JOIN_SECONDS, Instance, Subscription
from bus.port import RebalanceListener
from bus.record import Record, TopicPartition

_log = logger(__name__)
_READ_RECORDS = 500
_READ_MS = 200
# While a full partition waits for room: how soon to look again.
_ROOM_MS = 10
_STEP_MS = 500
_BACKOFF_SECONDS = 0.5
# aiokafka counts any getmany as a poll; asking for a partition nobody has takes no records.
_NOTHING = KafkaPartition("", -1)


class KafkaConsumer:
    """A consumer of the port. Partitions are taken and given back all at once (eager)."""

    def __init__(
        self,
        connection: Connection,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener | None,
        instance: Instance | None = None,
    ) -> None:
        self.group = group
        self.instance = instance
        self._connection = connection
        self._listener = listener
        self._subscription = Subscription(connection, group, topics, _Rebalances(self), instance)
        self._buffer = Buffer()
        self._owned: frozenset[TopicPartition] = frozenset()
        self._paused: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._moves = 0  # seeks and rebalances so far
        self._settled = False  # between two rebalances: records may be handed out
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None
        self._fenced: InstanceFenced | None = None
        self._rebalancing = asyncio.Lock()
        self._committing = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._closing = False
        self._left = False

    async def start(self) -> None:
        """Join the group and wait for the first assignment; raises LogUnavailable."""
        try:
            async with self._connection.answered("join group", JOIN_SECONDS):
                await self._subscription.start()
        except BaseException:
            self._closing = self._left = True
            await self._subscription.stop()
            raise
        self._reading = asyncio.create_task(self._read_ahead(), name="kafka read-ahead")

    async def poll(self, max_records: int, timeout: float) -> Sequence[Record]:
        """As the port says. A broker that is away is not an error: its records come later."""
        deadline = asyncio.get_running_loop().time() + timeout
        await asyncio.sleep(0)  # a caller that always finds records must not starve the loop
        while True:
            records = self._take(max_records)
            if records:
                return records
            self._arrived.clear()
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not await wait_for(self._arrived, left):
                return self._take(max_records)

    def _take(self, max_records: int) -> list[Record]:
        if self._closing:
            raise LogUnavailable("the consumer is closed")
        if self._fenced is not None:
            raise self._fenced
        records = self._buffer.take(max_records, self._paused) if self._settled else []
        if not records and self._failure is not None:
            failure, self._failure = self._failure, None
            raise LogUnavailable(f"poll: {failure!r}") from failure
        return records

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._check_member()
        async with self._committing:
            self._check_owned(offsets.keys())
            async with self._connection.answered("commit"):
                await self._client.commit({to_kafka(item): at for item, at in offsets.items()})

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closing

    def assignment(self) -> AbstractSet[TopicPartition]:
        return self._owned

    def reached(self) -> Mapping[TopicPartition, int]:
        if not self._settled:
            return {}
        known = {item: at for item, at in self._next.items() if item in self._owned}
        return {item: at for item, at in known.items() if not self._buffer.holds(item)}

    def pause(self, partitions: AbstractSet[TopicPartition]) -> None:
        """As the port says; partitions that have just been revoked are passed over."""
        self._paused |= partitions & self._owned

    def resume(self, partitions: AbstractSet[TopicPartition]) -> None:
        self._paused -= partitions
        self._arrived.set()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """As the port says; raises Fenced when the partition is not assigned to this member."""
        self._check_member()
        self._check_owned({partition})
        try:
            self._client.seek(to_kafka(partition), offset)
        except IllegalStateError as error:
            raise Fenced(f"seek: {error}") from error
        self._moves += 1
        self._buffer.drop({partition})
        self._next[partition] = offset

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._arrived.set()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        await self._revoke()
        self._left = True
        await self._subscription.stop()

    @property
    def _client(self) -> AIOKafkaConsumer:
        return self._subscription.client

    def _check_member(self) -> None:
        if self._fenced is not None:
            raise self._fenced
        if self._left:
            raise LogUnavailable("the consumer is closed")

    def _check_owned(self, partitions: AbstractSet[TopicPartition]) -> None:
        others = partitions - self._owned
        if others:
            raise Fenced(f"not assigned to this member: {', '.join(map(str, sorted(others)))}")

    async def _revoke(self) -> None:
        """Let the listener commit, and commits under way finish, before anything is forgotten."""
        async with self._rebalancing:
            self._settled = False
            try:
                if self._owned and self._listener is not None:
                    await self._listener.on_revoked(self._owned)
            except Exception:  # noqa: BLE001 - the partitions leave all the same
                _log.exception("on_revoked failed")
            async with self._committing:
                self._moves += 1
                self._owned = frozenset()
                self._paused.clear()
                self._next.clear()
                self._buffer.clear()

    async def _assign(self, partitions: AbstractSet[TopicPartition]) -> None:
        async with self._rebalancing:
            if self._closing:
                return
            self._owned = frozenset(partitions)
            try:
                if self._owned and self._listener is not None:
                    await self._listener.on_assigned(self._owned)
            except Exception:  # noqa: BLE001 - the partitions are here all the same
                _log.exception("on_assigned failed")
            self._settled = True
            self._arrived.set()

    async def _read_ahead(self) -> None:
        stepping = False
        while True:
            try:
                await (self._step_over() if stepping else self._read())
                stepping = False
            except ConsumerStoppedError:
                return
            except FencedInstanceIdError:
                self._give_up()
                return
            except (UnicodeDecodeError, Unreadable):
                stepping = True
                await self._recover()
            except Exception as error:  # noqa: BLE001 - a loop that died would look like silence
                stepping = False
                self._fail(error)
                await asyncio.sleep(_BACKOFF_SECONDS)
                await self._recover()

    async def _read(self) -> None:
        """One read of all partitions that have room; whatever was read is kept at once."""
        wanted = [to_kafka(item) for item in self._owned if self._buffer.has_room(item)]
        full = len(wanted) < len(self._owned - self._paused)
        found = await self._client.getmany(
            *(wanted or [_NOTHING]),
            timeout_ms=_ROOM_MS if full else _READ_MS,
            max_records=_READ_RECORDS,
        )
        for partition, raws in found.items():
            self._keep(from_kafka(partition), [to_record(raw) for raw in raws])
        self._pass_over()

    def _keep(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        if records:
            self._buffer.put(partition, records)
            self._next[partition] = records[-1].offset + 1
            self._arrived.set()

    def _pass_over(self) -> None:
        """Note how far it has read where no record came: past aborted ones, ends of transactions.

        Right after a read only: what one that failed had taken is read again.
        """
        for partition in self._owned:
            at = position(self._client, to_kafka(partition))
            if at is not None:
                self._next[partition] = at

    def _give_up(self) -> None:
        """For good: joining again would throw out the other, and so on for ever."""
        assert self.instance is not None, "only who has a name can lose it"
        self._fenced = InstanceFenced(
            f"another process has joined group {self.group} as {self.instance.name!r}: give each"
            " process a LIMELIGHT_INSTANCE of its own"
        )
        self._arrived.set()

    def _fail(self, error: Exception) -> None:
        _log.warning("reading failed", error=repr(error))
        self._failure = error
        self._arrived.set()

    async def _recover(self) -> None:
        """Go back to what was kept last: a getmany that raises drops what it had taken before."""
        while True:
            try:
                for partition in self._owned:
                    self._client.seek(to_kafka(partition), await self._position(partition))
                return
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(error)
                await asyncio.sleep(_BACKOFF_SECONDS)

    async def _position(self, partition: TopicPartition) -> int:
        """Where to go on: after what was kept, else where the group starts."""
        if partition in self._next:
            return self._next[partition]
        wanted = to_kafka(partition)
        committed: int | None = await self._client.committed(wanted)
        if committed is None:
            committed = (await self._client.beginning_offsets([wanted]))[wanted]
        return self._next.get(partition, committed)

    async def _step_over(self) -> None:
        """Read partition by partition, so that a record that cannot be parsed costs no other."""
        for partition in self._owned:
            moves = self._moves
            wanted = to_kafka(partition)
            records = await next_records(self._client, wanted, _READ_RECORDS, _STEP_MS)
            if moves != self._moves:  # read before a seek or a rebalance: not wanted any more
                await self._recover()
                return
            self._keep(partition, records)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Called by aiokafka, which awaits the first before it gives the partitions back."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: AbstractSet[KafkaPartition]) -> None:
        await self._consumer._revoke()

    async def on_partitions_assigned(self, assigned: AbstractSet[KafkaPartition]) -> None:
        await self._consumer._assign({from_kafka(item) for item in assigned})
