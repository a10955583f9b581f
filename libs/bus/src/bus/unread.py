"""What of a topic a group has not committed yet."""

from __future__ import annotations

from collections.abc import Mapping

from bus.port import Log
from bus.record import TopicPartition


async def unread(log: Log, topic: str, group: str) -> Mapping[TopicPartition, range]:
    """Offsets between what the group committed and the end, per partition, in order.

    What retention has removed is not among them: nobody can read it any more.
    """
    done = await log.committed(group, topic)
    ends = await log.end_offsets(topic)
    starts = await log.start_offsets(topic)
    return {
        partition: range(max(done.get(partition, 0), starts.get(partition, 0)), end)
        for partition, end in sorted(ends.items())
    }
