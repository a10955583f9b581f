"""The history checker sees each kind of wrong that it is there for, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bus.record import Headers, Record
from contracts.envelope import Envelope, to_headers
from devkit.history import Account, Calls, History, LogHistory, complaints, late_versions, values
from devkit.history.promises import PROMISES

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FINISHED, TALKS = "completion.finished.v1", "conversation.recorded.v1"
AFFINITIES, CAMPAIGNS = "affinity.changed.v1", "campaign.changed.v1"
PLANTED = (TALKS, 0, 2)
BROKEN = b"{not json"


def event(
    topic: str, offset: int, event_id: str, key: str, *, late: int = 0, **body: Any
) -> Record:
    envelope = Envelope(
        id=event_id,
        source="test",
        type=topic,
        time=AT - timedelta(seconds=late),
        subject=key,
        tenant_id="demo",
        correlation_id="c",
    )
    return Record(
        topic, 0, offset, key.encode(), json.dumps(body).encode(), to_headers(envelope), 0
    )


def letter(topic: str, offset: int, reason: str = "bad-json") -> Record:
    about = {"topic": topic, "partition": "0", "offset": str(offset), "reason": reason}
    headers: Headers = tuple((f"dlq-{name}", value.encode()) for name, value in about.items())
    return Record("some.dlq", 0, 0, b"k", BROKEN, headers, 0)


RECORDS: Mapping[str, Sequence[Record]] = {
    FINISHED: [
        event(FINISHED, 0, "1", "a", completion_id="a"),
        event(FINISHED, 1, "2", "b", completion_id="b"),
        event(FINISHED, 2, "1", "a", completion_id="a"),
    ],
    TALKS: [
        event(TALKS, 0, "3", "ada", text="first"),
        event(TALKS, 1, "4", "ada", text="second"),
        Record(TALKS, 0, 2, b"k", BROKEN, (), 0),
        event(TALKS, 3, "3", "ada", text="first"),
    ],
    AFFINITIES: [
        event(AFFINITIES, 0, "5", "ada", version=7),
        event(AFFINITIES, 1, "5", "ada", version=8),
        event(AFFINITIES, 2, "6", "ada", version=6),
    ],
}
GOOD = History(
    log=LogHistory.of(RECORDS, {"embedding": [letter(TALKS, 2)] * 2}, {(FINISHED, "gateway"): 0}),
    planted={PLANTED: frozenset({"embedding"})},
    accounts=[Account.of("gateway", "answers", ["a", "b"], ["a", "b"])],
    calls=Calls(
        made={"a": 1, "b": 2, "c": 2},
        answers=3,
        tried_again=1,
        retried=frozenset({"c"}),
        cut=frozenset({"b"}),
        claims=frozenset({("a", "p1"), ("b", "p1")}),
    ),
    unpublished={"gateway": 0},
    reports={"run": ({"Quillnote": 2}, {"Quillnote": 2})},
)


def told(
    *more: Record, group: str = "embedding", buried: Sequence[Record] | None = None
) -> History:
    """The good history with more records on the log, or other dead letters."""
    records: dict[str, Sequence[Record]] = dict(RECORDS)
    for one in more:
        records[one.topic] = [*records.get(one.topic, ()), one]
    letters = [letter(TALKS, 2)] if buried is None else buried
    return replace(GOOD, log=LogHistory.of(records, {"embedding": letters}, GOOD.log.lags))


def called(**changes: Any) -> History:
    return replace(GOOD, calls=replace(GOOD.calls, **changes))


def accounted(owed: Sequence[str], done: Sequence[str]) -> History:
    return replace(GOOD, accounts=[Account.of("gateway", "answers", owed, done)])


BAD: dict[str, Callable[[], History]] = {
    "answers lost": lambda: accounted(["a", "b"], ["a"]),
    "answers done twice": lambda: accounted(["a"], ["a", "a"]),
    "answers that nobody asked for": lambda: accounted(["a"], ["a", "b"]),
    "events under one id that differ": lambda: told(
        event(FINISHED, 3, "2", "b", completion_id="b", text="another")
    ),
    "things with two events": lambda: told(event(FINISHED, 3, "9", "b", completion_id="b")),
    "events out of order": lambda: told(event(TALKS, 4, "9", "ada", late=1, text="before")),
    "dead letters that nobody planted": lambda: told(buried=[letter(TALKS, 2), letter(TALKS, 1)]),
    "records that should be dead letters": lambda: told(buried=[]),
    "records that are no events": lambda: told(Record(FINISHED, 0, 3, b"k", BROKEN, (), 0)),
    "consumers that are behind": lambda: replace(
        GOOD, log=replace(GOOD.log, lags={(FINISHED, "gateway"): 1})
    ),
    "outboxes that are not empty": lambda: replace(GOOD, unpublished={"gateway": 1}),
    "reports unlike that of a calm run": lambda: replace(
        GOOD, reports={"run": ({"Quillnote": 2}, {"Quillnote": 1})}
    ),
    "requests paid twice that nothing tells of": lambda: called(retried=frozenset()),
    "calls paid twice outside the window of kills": lambda: called(made={"a": 1, "b": 3, "c": 2}),
    "answers that never came from a call": lambda: called(answers=4),
    "calls said to be cut that no kill met": lambda: called(cut=frozenset({"b", "c"})),
}


def test_what_is_right_is_not_complained_of() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize(("said", "make"), BAD.items(), ids=BAD)
def test_each_wrong_is_seen_and_named(said: str, make: Callable[[], History]) -> None:
    (complaint,) = complaints(make())
    assert said in complaint


def test_the_same_event_of_another_key_is_no_copy() -> None:
    (complaint,) = complaints(told(event(AFFINITIES, 3, "6", "ben", version=6)))
    assert "events under one id that differ: 1 (6)" in complaint


def test_a_campaign_may_not_fall_back() -> None:
    states = [
        event(CAMPAIGNS, at, str(at), "demo/x", changed_at=f"2026-11-20T09:00:0{second}+00:00")
        for at, second in enumerate((2, 1))
    ]
    assert "events out of order: 1 (demo/x at [0]@1)" in complaints(told(*states))[0]


def test_a_group_that_buries_nothing_of_what_it_reads_is_named() -> None:
    planted = {PLANTED: frozenset({"embedding", "graph-loader"})}
    (complaint,) = complaints(replace(GOOD, planted=planted))
    assert f"graph-loader {TALKS}[0]@2" in complaint


def test_late_versions_are_counted_without_copies() -> None:
    late = {one.topic: late_versions(one, GOOD.log.events(one.topic)) for one in PROMISES}
    assert {topic: count for topic, count in late.items() if count} == {AFFINITIES: 1}


def test_another_value_is_another_thing() -> None:
    account = Account("graph", "versions", values({"ada": 1}), values({"ada": 2}))
    found = {what: which for what, which in account.complaints() if which}
    assert found == {
        "graph: versions lost": ["ada = 1"],
        "graph: versions that nobody asked for": ["ada = 2"],
    }


def test_of_many_the_first_are_shown() -> None:
    (complaint,) = complaints(accounted([str(n) for n in range(5)], []))
    assert complaint == "gateway: answers lost: 5 (0; 1; 2 and 2 more)"
