"""What is promised of the events of each topic, and which records break it.

Any event may be told again, by a crash or by a producer: what is promised is about its copies and
about the order of the first ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from contracts import topics

from devkit.history.account import Complaint
from devkit.history.log import Told


@dataclass(frozen=True)
class Promise:
    """Of one topic.

    ``sole`` names what may have one event only, under one id. ``equal``: copies of an event are
    equal byte for byte; services without an outbox (ADR 0018) tell what they know then. ``order``
    must never fall from one event of a key to the next one. ``version`` may, as readers keep the
    highest: it is counted only.
    """

    topic: str
    sole: Callable[[Any], Hashable] | None = None
    equal: bool = True
    order: Callable[[Told], Any] | None = None
    version: Callable[[Told], Any] | None = None

    def complaints(self, told: Sequence[Told]) -> Iterator[Complaint]:
        """What records of the topic break."""
        yield f"{self.topic}: events under one id that differ", self._unequal(told)
        yield f"{self.topic}: things with two events", self._doubled(told)
        late = [] if self.order is None else _falls(told, self.order)
        yield f"{self.topic}: events out of order", late

    def _unequal(self, told: Sequence[Told]) -> list[str]:
        seen: dict[str, set[tuple[str, str, int, bytes]]] = defaultdict(set)
        for one in told:
            body = one.raw if self.equal else b""
            seen[one.id].add((one.key, one.subject, one.partition, body))
        return [event_id for event_id, copies in seen.items() if len(copies) > 1]

    def _doubled(self, told: Sequence[Told]) -> list[str]:
        if self.sole is None:
            return []
        ids: dict[Hashable, set[str]] = defaultdict(set)
        for one in told:
            ids[self.sole(one.body)].add(one.id)
        return [str(thing) for thing, found in ids.items() if len(found) > 1]


def late_versions(promise: Promise, told: Sequence[Told]) -> int:
    """How many first copies came after one with a higher version of their key."""
    return 0 if promise.version is None else len(_falls(told, promise.version))


def first_copies(told: Iterable[Told]) -> dict[str, list[Told]]:
    """By key, in the order of the log, each event once."""
    seen: set[str] = set()
    found: dict[str, list[Told]] = defaultdict(list)
    for one in sorted(told, key=lambda one: (one.partition, one.offset)):
        if one.id not in seen:
            seen.add(one.id)
            found[one.key].append(one)
    return found


def _falls(told: Iterable[Told], position: Callable[[Told], Any]) -> list[str]:
    return [
        f"{key} at [{later.partition}]@{later.offset}"
        for key, events in first_copies(told).items()
        for earlier, later in pairwise(events)
        if position(later) < position(earlier)
    ]


def _field(name: str) -> Callable[[Any], Hashable]:
    return lambda body: str(body[name])


def _version(told: Told) -> int:
    return int(told.body["version"])


def _changed_at(told: Told) -> str:
    return str(told.body["changed_at"])


def _analysis(body: Any) -> Hashable:
    return body["completion_id"], body["revision"], body["analyzer_version"]


def _time(told: Told) -> Any:
    return told.time


PROMISES = (
    Promise(topics.VISIBILITY_RUN_STARTED.name, sole=_field("run_id")),
    Promise(topics.COMPLETION_REQUESTED.name, sole=_field("completion_id")),
    Promise(topics.COMPLETION_FINISHED.name, sole=_field("completion_id")),
    Promise(topics.ANSWER_ANALYZED.name, sole=_analysis),
    Promise(topics.CONVERSATION_RECORDED.name, order=_time),
    Promise(topics.ENGAGEMENT_RECORDED.name, order=_time),
    Promise(topics.CAMPAIGN_CHANGED.name, order=_changed_at),
    Promise(topics.CAMPAIGN_EMBEDDED.name, equal=False, order=_changed_at),
    Promise(topics.USER_EMBEDDED.name, equal=False, version=_version),
    Promise(topics.AFFINITY_CHANGED.name, equal=False, version=_version),
    Promise(topics.RECOMMENDATION_CHANGED.name, equal=False, version=_version),
    Promise(topics.POPULAR_CAMPAIGNS_CHANGED.name, equal=False, version=_version),
)
