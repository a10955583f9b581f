"""From records to rows: checks, choice of partition, and batches with their offsets."""

from __future__ import annotations

import itertools
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from bus.errors import Permanent, RecordTooLarge
from bus.local.batch import Packed, encode, pack
from bus.local.catalog import Catalog, Topic
from bus.local.database import position
from bus.local.partitioner import partition_of
from bus.record import OutRecord

# A batch is read as a whole, so it stays small enough for a consumer that wants one record.
_BATCH_RECORDS = 500
_BATCH_BYTES = 256 * 1024


class Placement:
    """Decides where records go; used by the writer thread only."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._turns: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)

    def place(self, records: Sequence[OutRecord]) -> list[tuple[int, Packed]]:
        """Pack every record for the partition of the id beside it; all or none.

        Raises:
            RecordTooLarge: a record has more bytes than its topic allows.
            Permanent: an unknown topic, no key where the topic keeps the last one per key, or
                a header's name that is no valid text.
        """
        try:
            return [self._place(record) for record in records]
        except UnicodeEncodeError as error:
            raise Permanent(f"a header's name is no valid text: {error}") from error

    def _place(self, record: OutRecord) -> tuple[int, Packed]:
        topic = self._catalog.topic(record.topic)
        packed = pack(record)
        _check_size(packed, topic)
        return topic.partition_ids[self._number(record.key, topic)], packed

    def _number(self, key: bytes | None, topic: Topic) -> int:
        count = len(topic.partition_ids)
        if key is not None:
            return partition_of(key, count)
        if topic.retention_ms is None:  # Kafka refuses it too: it could never be compacted away
            raise Permanent(f"topic {topic.name!r} is compacted: a record needs a key")
        return next(self._turns[topic.name]) % count


class Transaction:
    """What one transaction of the writer appends, merged over all who sent in the meantime."""

    def __init__(
        self, connection: sqlite3.Connection, placement: Placement, ends: Mapping[int, int]
    ) -> None:
        self.connection = connection
        self._placement = placement
        self._ends = ends
        self._appended: defaultdict[int, list[Packed]] = defaultdict(list)

    def append(self, records: Sequence[OutRecord]) -> None:
        """Add ``records`` to this transaction, all or none; raises as ``Placement.place``."""
        for partition_id, packed in self._placement.place(records):
            self._appended[partition_id].append(packed)

    def flush(self, timestamp_ms: int) -> dict[int, int]:
        """Write what was appended; returns the new next offset per partition id."""
        ends: dict[int, int] = {}
        for partition_id, records in self._appended.items():
            offset = self._ends.get(partition_id, 0)
            for chunk in _chunks(records):
                row = (position(partition_id, offset), timestamp_ms, len(chunk), encode(chunk))
                self.connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", row)
                offset += len(chunk)
            ends[partition_id] = offset
        self.connection.executemany(
            "UPDATE partition SET next_offset = ? WHERE id = ?",
            [(offset, partition_id) for partition_id, offset in ends.items()],
        )
        return ends


def _check_size(packed: Packed, topic: Topic) -> None:
    if packed.size > topic.max_record_bytes:
        raise RecordTooLarge(
            f"a record of {packed.size} bytes for {topic.name!r},"
            f" which allows {topic.max_record_bytes}"
        )


def _chunks(records: Sequence[Packed]) -> Iterator[list[Packed]]:
    chunk: list[Packed] = []
    size = 0
    for record in records:
        size += record.size
        if chunk and (size > _BATCH_BYTES or len(chunk) == _BATCH_RECORDS):
            yield chunk
            chunk, size = [], record.size
        chunk.append(record)
    if chunk:
        yield chunk
