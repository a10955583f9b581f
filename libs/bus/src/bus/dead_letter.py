"""Dead letters: raw records that a group could not process, with the reason beside them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.telemetry import CONSUMER_HALTED, DEAD_LETTERS
from contracts.topics import dlq_name
from runtime.clock import Clock
from runtime.logging import logger
from runtime.metrics import counter, gauge

from bus.errors import ConsumerHalted, LogUnavailable, RecordTooLarge
from bus.failpoint import hit
from bus.fitting import LEFT_OUT, PREFIX, fitting, without_largest
from bus.port import Producer
from bus.provision import DLQ_MAX_BYTES
from bus.record import Headers, OutRecord, Record

_log = logger(__name__)
MESSAGE_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record on its way to the DLQ. ``reason`` is a stable code, ``message`` for people.

    ``from_outside``: it came from a topic that anybody may write to, and could not be read.
    ``left_out``: what an earlier letter of it had no room for; empty if it is whole.
    """

    record: Record
    reason: str
    message: str
    attempts: int
    from_outside: bool = False
    left_out: str = ""


class FailureLimit:
    """Trips when more than ``ratio`` of the last ``window`` records were rejected.

    One bad producer must not move a whole topic into the DLQ: past the limit the consumer stops,
    and what it did not reject stays on the topic for after the repair. A ratio of 1 never trips.
    """

    def __init__(self, ratio: float = 0.5, minimum: int = 50, window: int = 200) -> None:
        self._ratio = ratio
        self._minimum = minimum
        self._recent: deque[bool] = deque(maxlen=window)

    def note(self, *, rejected: int, applied: int) -> None:
        """Count outcomes. Raises ConsumerHalted when the limit is passed."""
        self._recent.extend(_spread(rejected, rejected + applied))
        bad = sum(self._recent)
        if rejected and bad >= self._minimum and bad > self._ratio * len(self._recent):
            raise ConsumerHalted(
                f"{bad} of the last {len(self._recent)} records were rejected: look at the DLQ, "
                "repair the producer or the handler, then start the service again; with "
                "LIMELIGHT_DEAD_LETTER_RATIO=1 it buries what is bad however much that is"
            )

    def take_back(self, *, rejected: int, applied: int) -> None:
        """Undo ``note`` for records that come again, so that each of them counts once."""
        for outcome, times in ((True, rejected), (False, applied)):
            for _ in range(min(times, self._recent.count(outcome))):
                self._recent.remove(outcome)


class DeadLetters:
    """Writes a group's dead letters and awaits their acknowledgement."""

    def __init__(
        self, producer: Producer, group: str, clock: Clock, limit: FailureLimit | None = None
    ) -> None:
        self._producer = producer
        self._group = group
        self._clock = clock
        self._limit = limit or FailureLimit()
        self._halted = gauge(CONSUMER_HALTED).labels(group)
        self._halted.set(0)

    async def bury(self, rejected: Sequence[Rejected], applied: int = 0) -> None:
        """Write dead letters and return once the log has them.

        Raises:
            ConsumerHalted: the rejected share is past its limit; nothing was written.
            LogUnavailable: not acknowledged; burying again may write a second copy.
        """
        # What one producer outside gets wrong is no defect here, and must not halt all the others.
        counted = sum(not item.from_outside for item in rejected)
        self._guard(counted, applied)
        try:
            await self._write(rejected)
        except LogUnavailable:
            self._limit.take_back(rejected=counted, applied=applied)
            raise

    async def bury_again(self, rejected: Rejected) -> None:
        """Write back a replayed letter. It was counted when it was first buried, so no limit.

        Raises:
            LogUnavailable: as ``bury``.
        """
        await self._write([rejected])

    async def _write(self, rejected: Sequence[Rejected]) -> None:
        if not rejected:
            return
        hit("dead-letter-before-send")
        await self._send([self._letter(item) for item in rejected])
        hit("dead-letter-after-send")
        for item in rejected:
            self._tell(item)

    async def _send(self, letters: Sequence[OutRecord]) -> None:
        """All at once; one by one if the log takes less than it was made to take."""
        try:
            await self._producer.send(letters)
        except RecordTooLarge:
            for letter in letters:
                await self._send_shrunk(letter)

    async def _send_shrunk(self, letter: OutRecord) -> None:
        """Leave out part after part until the log takes it: what is counted is not all it counts.

        A record of many small headers is larger on the broker than the sum of them.
        """
        while True:
            try:
                await self._producer.send([letter])
            except RecordTooLarge as error:
                smaller = without_largest(letter)
                if smaller is None:  # it waits: to end the process would not help either
                    raise LogUnavailable(f"{letter.topic} takes no letter: {error}") from error
                letter = smaller
            else:
                return

    def _guard(self, rejected: int, applied: int) -> None:
        try:
            self._limit.note(rejected=rejected, applied=applied)
        except ConsumerHalted:
            self._halted.set(1)
            raise

    def _tell(self, item: Rejected) -> None:
        counter(DEAD_LETTERS).labels(self._group, item.record.topic, item.reason).inc()
        _log.warning(
            "record rejected", record=str(item.record), reason=item.reason, message=item.message
        )

    def _letter(self, item: Rejected) -> OutRecord:
        record = item.record
        about = {
            "reason": item.reason,
            "message": item.message[:MESSAGE_CHARS],
            "attempts": str(item.attempts),
            "group": self._group,
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "at": self._clock.now().isoformat(),
        }
        if item.left_out:
            about[LEFT_OUT] = item.left_out
        ours: Headers = tuple((PREFIX + name, value.encode()) for name, value in about.items())
        original = without_dlq(record.headers)
        topic = dlq_name(record.topic, self._group)
        letter = OutRecord(topic, record.key, record.value, (*original, *ours))
        return fitting(letter, DLQ_MAX_BYTES)


def _spread(rejected: int, total: int) -> list[bool]:
    """Outcomes of a batch, the rejected ones evenly among the others.

    Their order is not known, and a batch may be larger than the window it goes into.
    """
    return [(n + 1) * rejected // total > n * rejected // total for n in range(total)]


def left_out(letter: Record) -> str:
    """Which parts of its record a dead letter had no room for; empty if it has all."""
    return dlq_fields(letter).get(LEFT_OUT, "")


def without_dlq(headers: Headers) -> Headers:
    """The headers that the record had before it was buried."""
    return tuple(item for item in headers if not item[0].startswith(PREFIX))


def dlq_fields(record: Record) -> dict[str, str]:
    """What a dead letter says about itself, without the prefix."""
    return {
        name.removeprefix(PREFIX): value.decode(errors="replace")
        for name, value in record.headers
        if name.startswith(PREFIX)
    }
