"""Looking into a DLQ, and running its records through the same handler once more.

A replayed record goes straight to the group that rejected it, never back to its topic: no other
group sees it twice. What fails again is buried again, at the end of the DLQ, with its reason.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from contracts.events.base import Event
from contracts.topics import Topic, dlq_name

from bus.apply import Apply
from bus.dead_letter import DeadLetters, Rejected, dlq_fields, left_out, without_dlq
from bus.errors import Permanent, Poison, Unavailable
from bus.intake import Intake
from bus.port import Log
from bus.record import Record, TopicPartition
from bus.tenants import TenantDirectory
from bus.unread import unread

READ_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: where it lies, why, and whether a replay has been past it.

    ``left_out`` names the parts of the record that were too large for it, with their bytes: such
    a letter cannot be replayed.
    """

    place: str
    reason: str
    message: str
    attempts: int
    at: str
    key: str
    replayed: bool
    left_out: str
    record: Record


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: records that were applied now, and those buried again."""

    applied: int
    rejected: int


def replay_group(group: str) -> str:
    """The group whose committed offset remembers how far a DLQ has been replayed."""
    return f"{group}.dlq-replay"


async def letters(log: Log, topic: str, group: str) -> AsyncIterator[Letter]:
    """All dead letters of a group on a topic, oldest first."""
    name = dlq_name(topic, group)
    starts = await log.start_offsets(name)
    for partition, left in (await unread(log, name, replay_group(group))).items():
        async for record in _of(log, partition, range(starts.get(partition, 0), left.stop)):
            yield _letter(record, record.offset < left.start)


async def depth(log: Log, topic: str, group: str) -> int:
    """How many dead letters there are that no replay has been past."""
    left = await unread(log, dlq_name(topic, group), replay_group(group))
    return sum(map(len, left.values()))


async def replay(
    log: Log, topic: str, group: str, intake: Intake, apply: Apply, dead_letters: DeadLetters
) -> Replayed:
    """Run everything not yet replayed through ``apply``, in order.

    Raises:
        Unavailable: a store or the log is down; what was done is remembered, call again.
    """
    name = dlq_name(topic, group)
    applied = rejected = 0
    for partition, left in (await unread(log, name, replay_group(group))).items():
        async for record in _of(log, partition, left):
            if await _once_more(intake, record, apply, dead_letters):
                applied += 1
            else:
                rejected += 1
            await log.reset(replay_group(group), {partition: record.offset + 1})
    return Replayed(applied, rejected)


async def replay_one(
    log: Log,
    topic: str,
    group: str,
    place: tuple[int, int],
    intake: Intake,
    apply: Apply,
    dead_letters: DeadLetters,
) -> bool:
    """Run the dead letter at (partition, offset) only; whether it was applied.

    Raises:
        Permanent: there is no such dead letter, or a part of its record is not in it.
    """
    partition = TopicPartition(dlq_name(topic, group), place[0])
    found = await log.read(partition, place[1], 1)
    if not found or found[0].offset != place[1]:
        raise Permanent(f"no dead letter at {place[0]}:{place[1]} of {partition.topic}")
    if left_out(found[0]):
        raise Permanent(f"dead letter {place[0]}:{place[1]} {not_replayable(found[0])}")
    return await _once_more(intake, found[0], apply, dead_letters)


@dataclass(frozen=True)
class DlqView:
    """The DLQs of one group, to look at."""

    log: Log
    group: str
    topics: Mapping[str, Topic[Event]]


@dataclass(frozen=True)
class Replays(DlqView):
    """The DLQs of one group with its handlers, ready to take dead letters."""

    apply: Apply
    dead_letters: DeadLetters
    tenants: TenantDirectory | None = None

    async def all(self, topic: str) -> Replayed:
        """Replay what is in the group's DLQ of ``topic``. Raises KeyError for a foreign topic."""
        intake = self._intake(topic)
        return await replay(self.log, topic, self.group, intake, self.apply, self.dead_letters)

    async def one(self, topic: str, place: tuple[int, int]) -> bool:
        """Replay one dead letter, by (partition, offset); whether it was applied."""
        intake = self._intake(topic)
        return await replay_one(
            self.log, topic, self.group, place, intake, self.apply, self.dead_letters
        )

    def _intake(self, topic: str) -> Intake:
        return Intake([self.topics[topic]], self.tenants)


async def _once_more(
    intake: Intake, letter: Record, apply: Apply, dead_letters: DeadLetters
) -> bool:
    if left_out(letter):
        await dead_letters.bury_again(_incomplete(letter))
        return False
    record = original(letter)
    attempts = int(dlq_fields(letter).get("attempts", "0")) + 1
    decoded, rejected = await intake.read([record])
    for item in rejected:
        await dead_letters.bury_again(replace(item, attempts=attempts))
    if rejected:
        return False
    try:
        await apply(decoded)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the record goes back with it
        reason = error.reason if isinstance(error, Poison) else "replay-failed"
        said = f"{type(error).__name__}: {error}"
        await dead_letters.bury_again(Rejected(record, reason, said, attempts))
        return False
    return True


def not_replayable(letter: Record) -> str:
    """Why a letter with parts left out can be no more than looked at, and what to do."""
    return (
        f"cannot be replayed, for want of room it is without: {left_out(letter)}. The record "
        f"itself is {original(letter)} for as long as its topic keeps it: have its producer send "
        "it again, smaller"
    )


def _incomplete(letter: Record) -> Rejected:
    """The same letter again: nothing was tried, and nothing more is known."""
    fields = dlq_fields(letter)
    return Rejected(
        original(letter),
        fields["reason"],
        not_replayable(letter),
        int(fields.get("attempts", "0")),
        left_out=left_out(letter),
    )


def original(letter: Record) -> Record:
    """The record as it was before it was buried, with its first place."""
    fields = dlq_fields(letter)
    return replace(
        letter,
        topic=fields["topic"],
        partition=int(fields["partition"]),
        offset=int(fields["offset"]),
        headers=without_dlq(letter.headers),
    )


def _letter(record: Record, replayed: bool) -> Letter:
    fields = dlq_fields(record)
    return Letter(
        place=f"{record.partition}:{record.offset}",
        reason=fields.get("reason", "unknown"),
        message=fields.get("message", ""),
        attempts=int(fields.get("attempts", "0")),
        at=fields.get("at", ""),
        key=(record.key or b"").decode(errors="replace"),
        replayed=replayed,
        left_out=left_out(record),
        record=record,
    )


async def _of(log: Log, partition: TopicPartition, offsets: range) -> AsyncIterator[Record]:
    at = offsets.start
    while at < offsets.stop:
        found = await log.read(partition, at, READ_AT_ONCE)
        records = [record for record in found if record.offset < offsets.stop]
        if not records:
            return
        for record in records:
            yield record
        at = records[-1].offset + 1
