"""What comes back to a producer outside: each mistake by its name, with what to do about it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bus.dead_letter import dlq_fields
from bus.lag import lag
from bus.local import LocalLog
from bus.provision import specs
from bus.record import Headers, OutRecord
from contracts.topics import CAMPAIGN_CHANGED, ENGAGEMENT_RECORDED, dlq_name
from devkit.conformance.polling import read_all, send
from devkit.embedded import EmbeddedRedis
from devkit.tenants import announce
from recommender.app import NAME, build
from recommender.settings import Settings
from runtime.deadline import Deadline
from services.recommender.tests.kits import until

pytestmark = pytest.mark.asyncio
TENANT, SECRET = "acme", "my-card-is-4111"
CLICK: dict[str, Any] = {
    "engagement_id": "e-1",
    "user_id": "ada",
    "campaign_id": "summer",
    "kind": "click",
    "happened_at": "2026-11-20T09:00:00Z",
    "tenant_id": TENANT,
}
OFFER: dict[str, Any] = {
    "campaign_id": "summer",
    "title": "Summer",
    "changed_at": "2026-11-20T09:00:00Z",
    "tenant_id": TENANT,
}
HEADERS: dict[str, bytes] = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_source": b"/shop",
    "ce_type": b"engagement.recorded.v1",
    "ce_time": b"2026-11-20T09:00:00Z",
    "ce_subject": b"ada",
    "ce_tenantid": TENANT.encode(),
    "ce_correlationid": b"1",
}


@dataclass(frozen=True)
class Mistake:
    """A record, the reason it must get, and words that must be in the message."""

    record: OutRecord
    reason: str
    words: tuple[str, ...]


def raw(value: bytes | None, *, reason: str, words: tuple[str, ...]) -> Mistake:
    return Mistake(OutRecord(ENGAGEMENT_RECORDED.name, b"ada", value), reason, words)


def body(*words: str, reason: str = "wrong-model", without: str = "", **changes: Any) -> Mistake:
    """A bare click with other fields, or without one."""
    fields = {name: value for name, value in (CLICK | changes).items() if name != without}
    return raw(json.dumps(fields).encode(), reason=reason, words=words)


def headers(*words: str, reason: str = "bad-header", **changes: bytes | None) -> Mistake:
    """A click as a CloudEvent with other headers; None takes one away."""
    given = tuple((k, v) for k, v in (HEADERS | changes).items() if v is not None)
    value = json.dumps({k: v for k, v in CLICK.items() if k != "tenant_id"}).encode()
    record = OutRecord(ENGAGEMENT_RECORDED.name, b"ada", value, given)
    return Mistake(record, reason, words)


def campaign(key: bytes, *words: str) -> Mistake:
    record = OutRecord(CAMPAIGN_CHANGED.name, key, json.dumps(OFFER).encode())
    return Mistake(record, "wrong-key", words)


def structured() -> Mistake:
    event = {"specversion": "1.0", "id": "1", "data": CLICK}
    content: Headers = (("content-type", b"application/cloudevents+json"),)
    record = OutRecord(ENGAGEMENT_RECORDED.name, b"ada", json.dumps(event).encode(), content)
    return Mistake(record, "bad-header", ("structured", "binary mode"))


MISTAKES: dict[str, Mistake] = {
    "no body": raw(None, reason="null-body", words=("no body", "JSON")),
    "no JSON": raw(b"user=ada", reason="bad-json", words=("body", "Invalid JSON", "line 1")),
    "cut JSON": raw(b'{"user_id": ', reason="bad-json", words=("EOF",)),
    "no UTF-8": raw(b'{"user_id": "\xff"}', reason="not-utf8", words=("Invalid JSON", "in UTF-8")),
    "no object": raw(b"[1]", reason="wrong-model", words=("body", "object")),
    "too large": raw(
        b'{"user_id": "' + b"x" * 1_048_576 + b'"}',
        reason="oversize",
        words=("1048591 bytes", "takes 1048576", "in parts"),
    ),
    "missing field": body("kind: Field required", "docs/events.md", without="kind"),
    "wrong type": body("user_id: ", "valid string", user_id=5),
    "wrong word": body("kind: ", "'click'", "'dismissal'", kind="hug"),
    "too long": body("user_id: ", "at most 200", user_id="x" * 201),
    "no time": body("happened_at: ", "datetime", happened_at=SECRET),
    "too old": body("happened_at: ", "between 1970 and 2200", happened_at="1900-01-01T00:00:00Z"),
    "of the future": body("between 1970 and 2200", happened_at="2300-01-01T00:00:00Z"),
    "no tenant": body("tenant_id in the body", reason="bad-header", without="tenant_id"),
    "another specversion": headers("ce_specversion", "1.0", ce_specversion=b"0.3"),
    "no specversion": headers("ce_specversion", ce_specversion=None),
    "no ce_tenantid": headers("ce_tenantid is missing", "no ce_* header at all", ce_tenantid=None),
    "no zone": headers("ce_time", "time zone", ce_time=b"2026-11-20T09:00:00"),
    "no ce_time": headers("ce_time", "RFC 3339", ce_time=b"tomorrow"),
    "a header not in UTF-8": headers("ce_source", "not UTF-8", ce_source=b"\xff"),
    "unknown ce_type": headers(
        "'user.liked'", "engagement.recorded.v1", reason="unknown-type", ce_type=b"user.liked"
    ),
    "another subject": headers("ce_subject", "user_id", reason="wrong-key", ce_subject=b"somebody"),
    "unknown tenant": headers(
        "'nobody' does not exist",
        "ce_tenantid",
        "limelight tenants create",
        reason="unknown-tenant",
        ce_tenantid=b"nobody",
    ),
    "unknown tenant in the body": body(
        "'nobody' does not exist", "tenant_id", reason="unknown-tenant", tenant_id="nobody"
    ),
    "structured mode": structured(),
    # Without any key a compacted topic does not take a record in the first place.
    "another key": campaign(b"summer", "key", "'acme/summer'", "<tenant>/<campaign_id>"),
    "another's key": campaign(b"rival/summer", "key", "'acme/summer'"),
}


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await LocalLog.open(tmp_path / "log", sync="normal")
    # The log takes more than the contract, as a batch that is small when compressed.
    wide = replace(ENGAGEMENT_RECORDED, max_record_bytes=2 * ENGAGEMENT_RECORDED.max_record_bytes)
    await opened.create_topics(specs([wide]))
    await opened.create_topics(specs())
    yield opened
    await opened.close()


def two_tenants() -> Mistake:
    """Headers and body contradict each other."""
    given = tuple(HEADERS.items())
    value = json.dumps(CLICK | {"tenant_id": "rival"}).encode()
    record = OutRecord(ENGAGEMENT_RECORDED.name, b"ada", value, given)
    return Mistake(record, "wrong-tenant", ("'acme'", "'rival'", "the same in both"))


async def test_every_mistake_has_its_reason(redis_server: EmbeddedRedis, log: LocalLog) -> None:
    mistakes = {**MISTAKES, "two tenants": two_tenants()}
    await announce(log, TENANT)
    service = await build(Settings(redis_url=redis_server.url), log)
    await service.start()
    numbered = {f"{n}": mistake for n, mistake in enumerate(mistakes.values())}
    for number, mistake in numbered.items():
        one = mistake.record
        marked = (*one.headers, ("x-number", number.encode()))
        await send(log, [OutRecord(one.topic, one.key, one.value, marked)])

    async def settled() -> bool:
        topics = (ENGAGEMENT_RECORDED.name, CAMPAIGN_CHANGED.name)
        return not any([await lag(log, topic, NAME) for topic in topics])

    await until(settled, "all is read")
    await service.stop(Deadline(5))
    letters = [
        letter
        for topic in (ENGAGEMENT_RECORDED, CAMPAIGN_CHANGED)
        for letter in await read_all(log, dlq_name(topic.name, NAME))
    ]
    found = {dict(letter.headers)["x-number"].decode(): dlq_fields(letter) for letter in letters}
    for name, (number, mistake) in zip(mistakes, numbered.items(), strict=True):
        told = found.pop(number)
        assert told["reason"] == mistake.reason, (name, told)
        assert [word for word in mistake.words if word not in told["message"]] == [], (name, told)
        assert SECRET not in told["message"]
        assert len(told["message"]) < 500
    assert found == {}
