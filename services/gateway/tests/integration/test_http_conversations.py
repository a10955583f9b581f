"""What users said, told over HTTP: one conversation, or many as lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from contracts.events.marketing import LineOf
from contracts.topics import CONVERSATION_RECORDED
from httpx2 import Response
from services.gateway.tests.accounts import ADMIN, READ, WRITE, holder
from services.gateway.tests.calling_api import Api, ports_of, problem
from services.gateway.tests.kits import Kit
from services.gateway.tests.marketing import NDJSON, owed

pytestmark = pytest.mark.asyncio
PATH = "/v1/conversations"
MAX_IMPORT_BYTES = 9_000_000
SHORT: dict[str, Any] = {"conversation_id": "c-1", "user_id": "u-ada", "text": "What is it?"}
AT = "2026-11-20T09:00:00Z"


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit, replace(ports_of(kit), max_import_bytes=MAX_IMPORT_BYTES))
    yield made
    await made.http.aclose()


async def told(api: Api, body: Any, headers: Any = None, **params: Any) -> Response:
    return await api.call("POST", PATH, headers, json=body, params=params)


async def sent(api: Api, body: str | bytes, headers: Any = None, **params: Any) -> Response:
    return await api.call("POST", PATH, NDJSON | (headers or {}), content=body, params=params)


def lines(*changes: dict[str, Any]) -> str:
    return "\n".join(json.dumps(SHORT | each) for each in changes)


async def test_a_conversation_is_told_on(api: Api) -> None:
    body = {
        "conversation_id": "c 1/é",
        "user_id": "u-ada",
        "channel": "chat",
        "locale": "en-GB",
        "messages": [
            {"message_id": "m-1", "text": "What does it cost?", "sent_at": AT},
            {"role": "assistant", "text": "240 euros.", "sent_at": "2026-11-20T10:00:05+01:00"},
        ],
    }
    answer = await told(api, body)
    (event,) = await owed(api, CONVERSATION_RECORDED)
    (row,) = await api.kit.owed(api.tenant_id)
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "conversation_id": "c 1/é",
            "user_id": "u-ada",
            "messages": 2,
            "event_id": row.envelope.id,
        },
    )
    assert (row.key, row.envelope.subject, row.envelope.source) == ("u-ada", "u-ada", "gateway")
    assert row.envelope.correlation_id == row.envelope.id
    first, second = event.messages
    assert (first.message_id, first.role, first.text) == ("m-1", "user", "What does it cost?")
    assert (second.message_id, second.role) == (None, "assistant")
    assert second.sent_at == datetime(2026, 11, 20, 9, 0, 5, tzinfo=UTC)
    assert (event.channel, event.locale, event.line_of, event.tenant_id) == (
        "chat",
        "en-GB",
        None,
        None,
    )


async def test_a_text_alone_is_one_message_of_the_user(api: Api) -> None:
    before = datetime.now(UTC)
    assert (await told(api, SHORT)).json()["messages"] == 1
    (event,) = await owed(api, CONVERSATION_RECORDED)
    (message,) = event.messages
    assert (message.role, message.text) == ("user", "What is it?")
    assert before <= message.sent_at <= datetime.now(UTC)


async def test_texts_of_one_conversation_are_messages_of_their_own(api: Api) -> None:
    for text in ("One", "Two", "Two"):
        await told(api, SHORT | {"text": text})
    events = await owed(api, CONVERSATION_RECORDED)
    assert len({event.messages[0].message_id for event in events}) == 3


async def test_a_text_with_its_time_is_the_same_message_whenever_it_is_sent(api: Api) -> None:
    for change in ({}, {}, {"text": "Another"}, {"conversation_id": "c-2"}):
        await told(api, SHORT | {"sent_at": AT} | change)
    first, again, *others = [
        event.messages[0].message_id for event in await owed(api, CONVERSATION_RECORDED)
    ]
    assert first == again
    assert len({first, *others}) == 3


async def test_messages_without_a_time_have_that_of_their_conversation(api: Api) -> None:
    said = [{"text": "One"}, {"text": "Two", "sent_at": "2026-11-20T08:00:00Z"}]
    body = {"conversation_id": "c", "user_id": "u", "sent_at": AT, "messages": said}
    await told(api, body)
    (event,) = await owed(api, CONVERSATION_RECORDED)
    assert [message.sent_at.hour for message in event.messages] == [9, 8]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "🙂🙂",
        "Welche Bohnen passen? ☕",
        "梅のお茶はありますか",
        "هل يوجد خصم؟",
        "a\nb\tc\r\n",
        "\u0001\u2028",
        "x" * 15_000,
    ],
)
async def test_any_text_is_taken_as_it_is(api: Api, text: str) -> None:
    assert (await told(api, SHORT | {"text": text})).status_code == 202
    (event,) = await owed(api, CONVERSATION_RECORDED)
    assert event.messages[0].text == text


async def test_a_time_to_come_is_taken(api: Api) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await told(api, SHORT | {"sent_at": at})).status_code == 202


@pytest.mark.parametrize("length", [1_000_000, 1_000_001])
@pytest.mark.parametrize("character", ["x", "é", "🙂"])
async def test_a_text_of_a_million_characters_is_taken_and_a_longer_one_not(
    api: Api, character: str, length: int
) -> None:
    text = json.dumps(SHORT | {"text": character * length}, ensure_ascii=False)
    body = (await sent(api, f"{text}\n{lines({})}".encode())).json()
    if length == 1_000_000:
        assert (body["accepted"], body["errors"]) == (2, [])
    else:
        (bad,) = body["errors"]
        assert (body["accepted"], bad["line"]) == (1, 1)
        assert bad["error"] == "text: String should have at most 1000000 characters"


async def test_a_line_that_makes_too_large_an_event_is_told_so(api: Api) -> None:
    said = [{"text": "\x01" * 400_000}] * 2  # six bytes each in JSON
    long = json.dumps({"conversation_id": "c", "user_id": "u", "messages": said})
    (bad,) = (await sent(api, f"{lines({})}\n{long}")).json()["errors"]
    assert bad["line"] == 2
    assert "too large" in bad["error"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"user_id": ""}, "body.user_id"),
        ({"user_id": " u"}, "body.user_id"),
        ({"user_id": "u\n"}, "body.user_id"),
        ({"user_id": "u\x00"}, "body.user_id"),
        ({"user_id": "x" * 201}, "body.user_id"),
        ({"user_id": 7}, "body.user_id"),
        ({"conversation_id": None}, "body.conversation_id"),
        ({"text": None}, "body"),
        ({"messages": [{"text": "both"}]}, "body"),
        ({"text": None, "messages": []}, "body.messages"),
        ({"text": None, "messages": [{"text": "x"}] * 1001}, "body.messages"),
        ({"text": None, "messages": [{"text": "x", "role": "The User"}]}, "body.messages.0.role"),
        ({"text": None, "messages": [{}]}, "body.messages.0.text"),
        ({"sent_at": "2026-11-20T09:00:00"}, "body.sent_at"),
        ({"sent_at": "1969-12-31T23:59:59Z"}, "body.sent_at"),
        ({"sent_at": "yesterday"}, "body.sent_at"),
        ({"locale": "x" * 36}, "body.locale"),
        ({"utterance": "x"}, "body.utterance"),
        ({"tenant_id": "another"}, "body.tenant_id"),
        ({"text": "\ud800"}, "body.text"),
        ({"\ud800": "x"}, "body"),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(
    api: Api, change: dict[str, Any], where: str
) -> None:
    body = json.dumps(SHORT | change)
    answer = await api.call("POST", PATH, {"Content-Type": "application/json"}, content=body)
    refused = problem(answer, 422, "invalid-request")
    assert [error["where"] for error in refused["errors"]] == [where]
    assert await api.kit.owed(api.tenant_id) == []


@pytest.mark.parametrize("body", ["", "{", "nul", '{"text": "\xff"}', "[" * 100_000, "1" * 5000])
async def test_a_body_that_is_not_json_is_refused(api: Api, body: str) -> None:
    kind = {"Content-Type": "application/json"}
    raw = body.encode("latin-1")[:19_000]
    answer = await api.call("POST", PATH, kind, content=raw)
    problem(answer, 400, "unreadable-body")


@pytest.mark.parametrize("body", ["null", "7", '"text"'])
async def test_a_body_that_is_no_object_is_refused(api: Api, body: str) -> None:
    kind = {"Content-Type": "application/json"}
    problem(await api.call("POST", PATH, kind, content=body), 422, "invalid-request")


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "text/csv", "application/x-www-form-urlencoded"]
)
async def test_another_kind_of_body_is_refused(api: Api, kind: str) -> None:
    answer = await sent(api, lines({}), {"Content-Type": kind})
    refused = problem(answer, 415, "unsupported-media-type")
    assert "application/x-ndjson" in refused["hint"]


async def test_a_json_array_is_refused_with_what_to_send(api: Api) -> None:
    refused = problem(await told(api, [SHORT, SHORT]), 415, "unsupported-media-type")
    assert "application/x-ndjson" in refused["hint"]
    assert await api.kit.owed(api.tenant_id) == []


async def test_lines_are_told_on_in_their_order(api: Api) -> None:
    body = (await sent(api, lines(*({"text": str(n)} for n in range(5_010))))).json()
    assert body == {"accepted": 5_010, "rejected": 0, "errors": []}
    events = await owed(api, CONVERSATION_RECORDED)
    assert [event.messages[0].text for event in events] == [str(n) for n in range(5_010)]


async def test_a_broken_line_costs_no_other(api: Api) -> None:
    good = lines({}).encode()
    body = b"\n".join(
        [
            b"\xef\xbb\xbf" + good,
            b"",
            b"   \r",
            b'{"text": "\xff"}',
            b"{",
            b"[]",
            b'"text"',
            lines({"user_id": ""}).encode(),
            lines({"txt": "x"}).encode(),
            good + b"\r",
            good,
            b"",
        ]
    )
    answer = (await sent(api, body)).json()
    assert (answer["accepted"], answer["rejected"]) == (3, 6)
    assert [bad["line"] for bad in answer["errors"]] == [4, 5, 6, 7, 8, 9]
    said = [bad["error"].partition(":")[0] for bad in answer["errors"]]
    assert said == [
        "not UTF-8 (byte 10 of the line)",
        "not JSON",
        "not a JSON object",
        "not a JSON object",
        "user_id",
        "txt",
    ]
    assert len(await owed(api, CONVERSATION_RECORDED)) == 3


@pytest.mark.parametrize("body", ["", "\n \n", "{"])
async def test_an_upload_without_a_good_line_is_refused(api: Api, body: str) -> None:
    refused = problem(await sent(api, body), 422, "invalid-import")
    assert len(refused["errors"]) == bool(body.strip())
    assert await api.kit.owed(api.tenant_id) == []


async def test_each_line_knows_where_it_was_read(api: Api) -> None:
    await sent(api, f"{lines({})}\n\n{{\n{lines({})}", file="day 1/é.jsonl", first_line=1001)
    events = await owed(api, CONVERSATION_RECORDED)
    assert [event.line_of for event in events] == [
        LineOf(file="day 1/é.jsonl", line=1001),
        LineOf(file="day 1/é.jsonl", line=1004),
    ]
    await told(api, SHORT, file="one.json")
    assert (await owed(api, CONVERSATION_RECORDED))[-1].line_of == LineOf(file="one.json", line=1)


@pytest.mark.parametrize(
    "params", [{"file": ""}, {"file": "x" * 501}, {"first_line": 0}, {"file": "a\x00b"}]
)
async def test_a_place_that_cannot_be_is_refused(api: Api, params: dict[str, Any]) -> None:
    problem(await told(api, SHORT, **params), 422, "invalid-request")


async def test_a_repeated_key_gets_the_first_answer(api: Api) -> None:
    key = {"Idempotency-Key": "told-1"}
    first = await told(api, SHORT, key)
    again = await told(api, dict(reversed(SHORT.items())), key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(await owed(api, CONVERSATION_RECORDED)) == 1
    problem(await told(api, SHORT | {"text": "Other"}, key), 409, "idempotency-conflict")
    problem(await told(api, SHORT, key, file="f"), 409, "idempotency-conflict")
    problem(await sent(api, lines({}), key), 409, "idempotency-conflict")
    other = await api.another_tenant()
    assert (await told(other, SHORT, key)).json()["event_id"] != first.json()["event_id"]


async def test_nothing_of_a_user_is_kept_with_the_key(api: Api) -> None:
    await told(api, SHORT, {"Idempotency-Key": "told-1"})
    kept = await api.kit.pool.fetchval(
        "SELECT string_agg(row::text, ' ') FROM idempotent_requests AS row WHERE tenant_id = $1",
        api.tenant_id,
    )
    for word in ("u-ada", "c-1", "What"):
        assert word not in kept


async def test_lines_at_once_with_one_key_are_taken_once(api: Api) -> None:
    key = {"Idempotency-Key": "lines-1"}
    answers = await asyncio.gather(*(sent(api, lines({}, {}), key) for _ in range(4)))
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (202, '{"accepted":2,"rejected":0,"errors":[]}')
    }
    assert len(await owed(api, CONVERSATION_RECORDED)) == 2


async def test_lines_may_be_many_where_one_object_may_not_be_large(api: Api) -> None:
    long = {"text": "x" * 30_000}
    refused = problem(await told(api, SHORT | long), 413, "body-too-large")
    assert "application/x-ndjson" in refused["hint"]
    assert (await sent(api, lines(*[long] * 100))).json()["accepted"] == 100
    problem(await sent(api, "\n" * (MAX_IMPORT_BYTES + 1)), 413, "body-too-large")
    chunked = (b"x" * 10_000 for _ in range(3))

    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunked:
            yield chunk

    kind = {"Content-Type": "application/json"}
    problem(await api.call("POST", PATH, kind, content=pieces()), 413, "body-too-large")


async def test_telling_needs_a_key_that_writes(api: Api) -> None:
    for scopes, status in ((READ, 403), (ADMIN, 403), (WRITE, 202)):
        it = await holder(api, scopes=scopes)
        assert (await it.call("POST", PATH, json=SHORT)).status_code == status
    assert (await api.http.post(PATH, json=SHORT)).status_code == 401


async def test_the_examples_are_accepted(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    for example in document["components"]["schemas"]["ConversationIn"]["examples"]:
        assert (await told(api, example)).status_code == 202
    content = document["paths"][PATH]["post"]["requestBody"]["content"]
    assert (await sent(api, content["application/x-ndjson"]["example"])).json()["accepted"] == 1


async def test_one_tenants_users_are_not_anothers(api: Api) -> None:
    other = await api.another_tenant()
    await told(api, SHORT)
    await told(other, SHORT | {"text": "Mine"})
    (mine,) = await owed(other, CONVERSATION_RECORDED)
    (theirs,) = await owed(api, CONVERSATION_RECORDED)
    assert (mine.messages[0].text, theirs.messages[0].text) == ("Mine", "What is it?")
