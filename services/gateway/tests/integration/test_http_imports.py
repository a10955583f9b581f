"""Answers from elsewhere: uploads over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from contracts.events.visibility import AnswerCaptured, Source
from contracts.topics import ANSWER_CAPTURED, VISIBILITY_RUN_STARTED
from services.gateway.tests.calling_api import MAX_BODY_BYTES, RUNS, Api, ports_of, problem
from services.gateway.tests.feeding import (
    Feed,
    analyzed_capture,
    owed,
)
from services.gateway.tests.importing import IMPORTS, LINE, NDJSON, lines, opened, run_of, send
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def test_an_import_is_a_run_of_its_own(api: Api) -> None:
    brand = (await api.call("PUT", "/v1/brands", json={"name": "Notion"})).json()
    accepted = await send(api, lines({}, {"text": "Another.", "model": "Claude"}), name="browser")
    body = accepted.json()
    assert (accepted.status_code, body["accepted"], body["rejected"]) == (202, 2, 0)
    assert accepted.headers["location"] == f"{RUNS}/{body['run_id']}" == body["links"]["run"]
    run = await run_of(api, body["run_id"])
    assert (run["kind"], run["name"], run["state"]) == ("imported", "browser", "running")
    assert (run["models"], run["brands"]) == (["ChatGPT", "Claude"], [brand])
    assert run["progress"]["answered"] == run["progress"]["expected"] == 2
    assert [prompt["text"] for prompt in run["prompts"]] == [LINE["prompt"]]


async def test_an_import_owes_its_events_to_the_log(api: Api) -> None:
    brand = (await api.call("PUT", "/v1/brands", json={"name": "Notion"})).json()
    source = {"url": "https://notion.so", "title": "Notion"}
    body = await opened(
        api, {"sources": [source], "tags": ["a"], "locale": "de", "simulated": True}
    )
    (started,) = await owed(api, VISIBILITY_RUN_STARTED)
    assert str(started.run_id) == body["run_id"]
    assert started.expected_completions == 0
    assert [str(one.brand_id) for one in started.brands] == [brand["brand_id"]]
    (event,) = await owed(api, ANSWER_CAPTURED)
    assert event == AnswerCaptured(
        answer_id=event.answer_id,
        run_id=UUID(body["run_id"]),
        prompt=LINE["prompt"],
        locale="de",
        tags=("a",),
        surface="app",
        model="ChatGPT",
        text=LINE["text"],
        sources=(Source(**source),),
        captured_at=event.captured_at,
        simulated=True,
    )


async def test_an_import_ends_when_its_answers_are_analysed(api: Api) -> None:
    body = await opened(api, {"id": "1"}, {"id": "2"})
    first, second = await owed(api, ANSWER_CAPTURED)
    feed = Feed(api.kit)
    await feed.tell(api.tenant_id, analyzed_capture(first))
    assert (await run_of(api, body["run_id"]))["state"] == "running"
    await feed.tell(api.tenant_id, analyzed_capture(second))
    assert (await run_of(api, body["run_id"]))["state"] == "completed"


async def test_broken_lines_are_listed_and_the_good_ones_taken(api: Api) -> None:
    text = "\n".join([lines({"id": "1"}), "{", "", lines({"text": ""}), lines({"id": "2"})])
    body = (await send(api, text)).json()
    assert (body["accepted"], body["rejected"]) == (2, 2)
    assert [bad["line"] for bad in body["errors"]] == [2, 4]
    assert (await run_of(api, body["run_id"]))["progress"]["expected"] == 2


@pytest.mark.parametrize("text", ["", "\n\n", "{", "\xff", '{"\\ud800": 1}'])
async def test_an_upload_without_a_good_line_is_refused(api: Api, text: str) -> None:
    refused = problem(await send(api, text.encode("latin-1")), 422, "invalid-import")
    assert len(refused["errors"]) == (1 if text.strip() else 0)
    assert await api.kit.owed(api.tenant_id) == []
    assert (await api.call("GET", RUNS)).json()["items"] == []


async def test_csv_is_read_like_ndjson(api: Api) -> None:
    text = (
        "prompt,model,text,captured_at,tags,surface\r\n"
        'Which?,Claude,"One,\r\ntwo ""three""",2026-11-20T09:00:00Z,a;b,app\r\n'
        "Which?,Claude,Short\r\n"
    )
    body = (await send(api, text, headers={"Content-Type": "Text/CSV; charset=utf-8"})).json()
    assert (body["accepted"], body["rejected"], body["errors"][0]["line"]) == (1, 1, 4)
    answers = (await api.call("GET", body["links"]["answers"])).json()["items"]
    assert [(one["text"], one["tags"]) for one in answers] == [('One,\r\ntwo "three"', ["a", "b"])]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "multipart/form-data"])
async def test_a_body_of_another_kind_is_refused(api: Api, kind: str) -> None:
    refused = await send(api, lines({}), headers={"Content-Type": kind})
    assert "application/x-ndjson" in problem(refused, 415, "unsupported-media-type")["title"]


async def test_the_same_answer_twice_is_kept_once(api: Api) -> None:
    body = await opened(api, {"id": "1"}, {"id": "1"}, {}, {}, {"text": "Another."})
    assert (body["accepted"], body["known"]) == (3, 2)
    more = await send(api, lines({"id": "1"}, {"id": "9"}), f"{IMPORTS}/{body['run_id']}/answers")
    assert (more.json()["accepted"], more.json()["known"]) == (1, 1)
    assert len(await owed(api, ANSWER_CAPTURED)) == 4
    assert (await run_of(api, body["run_id"]))["progress"]["expected"] == 4


async def test_answers_added_let_an_ended_import_go_on(api: Api) -> None:
    body = await opened(api)
    feed = Feed(api.kit)
    await feed.tell(api.tenant_id, *map(analyzed_capture, await owed(api, ANSWER_CAPTURED)))
    before = await run_of(api, body["run_id"])
    path = f"{IMPORTS}/{body['run_id']}/answers"
    known = await send(api, lines({}), path)
    assert (known.json()["accepted"], known.json()["known"]) == (0, 1)
    assert await run_of(api, body["run_id"]) == before
    await send(api, lines({"text": "Another.", "model": "Claude"}), path)
    after = await run_of(api, body["run_id"])
    assert (before["state"], after["state"], after["finished_at"]) == ("completed", "running", None)
    assert after["models"] == ["ChatGPT", "Claude"]


async def test_tags_of_a_prompt_add_up(api: Api) -> None:
    body = await opened(api, {"id": "1", "tags": ["a"]}, {"id": "2", "tags": ["b"]})
    await send(api, lines({"id": "3", "tags": ["c", "a"]}), f"{IMPORTS}/{body['run_id']}/answers")
    (prompt,) = (await run_of(api, body["run_id"]))["prompts"]
    assert sorted(prompt["tags"]) == ["a", "b", "c"]


async def test_prompts_stay_in_the_order_in_which_they_came(api: Api) -> None:
    body = await opened(api, {"prompt": "b"}, {"prompt": "a"})
    path = f"{IMPORTS}/{body['run_id']}/answers"
    for batch in (["a", "b", "z"], ["c"], ["b", "y", "x"]):
        text = lines(*({"prompt": prompt, "id": f"{prompt}{batch}"} for prompt in batch))
        await send(api, text, path)
    prompts = (await run_of(api, body["run_id"]))["prompts"]
    assert [prompt["text"] for prompt in prompts] == ["b", "a", "z", "c", "y", "x"]


async def test_answers_come_to_an_import_while_it_is_being_closed(api: Api) -> None:
    body = await opened(api, {"id": "0"})
    path, feed = f"{IMPORTS}/{body['run_id']}/answers", Feed(api.kit)

    async def analyse() -> None:
        for capture in await owed(api, ANSWER_CAPTURED):
            await feed.tell(api.tenant_id, analyzed_capture(capture))

    for n in range(1, 6):
        _, added = await asyncio.gather(analyse(), send(api, lines({"id": f"{n}"}), path))
        assert added.json()["accepted"] == 1
    await analyse()
    run = await run_of(api, body["run_id"])
    assert (run["state"], run["progress"]["analyzed"]) == ("completed", 6)


async def test_another_tenants_import_is_not_there(api: Api) -> None:
    body, other = await opened(api), await api.another_tenant()
    before = await run_of(api, body["run_id"])
    problem(await send(other, lines({}), f"{IMPORTS}/{body['run_id']}/answers"), 404, "not-found")
    problem(await other.call("GET", body["links"]["run"]), 404, "not-found")
    assert await run_of(api, body["run_id"]) == before
    assert await owed(other, ANSWER_CAPTURED) == []


async def test_another_tenants_brands_cannot_be_looked_for(api: Api) -> None:
    brand = (await api.call("PUT", "/v1/brands", json={"name": "Notion"})).json()
    other = await api.another_tenant()
    problem(await send(other, lines({}), brand_id=brand["brand_id"]), 404, "not-found")
    assert await api.kit.owed(other.tenant_id) == []
    mine = await send(api, lines({}), brand_id=[brand["brand_id"]] * 2)
    assert (await run_of(api, mine.json()["run_id"]))["brands"] == [brand]


async def test_brands_that_cannot_be_told_apart_are_refused(api: Api) -> None:
    for name in ("Roam Research", "Roam Mobility"):
        await api.call("PUT", "/v1/brands", json={"name": name, "aliases": ["Roam"]})
    problem(await send(api, lines({})), 422, "invalid-run")


async def test_a_run_that_asked_takes_no_answers_from_elsewhere(api: Api) -> None:
    run_id = (await api.start()).json()["run_id"]
    problem(await send(api, lines({}), f"{IMPORTS}/{run_id}/answers"), 409, "wrong-kind")
    problem(await send(api, lines({}), f"{IMPORTS}/{uuid4()}/answers"), 404, "not-found")


async def test_an_import_cannot_be_cancelled(api: Api) -> None:
    body = await opened(api)
    answer = await api.call("POST", f"{body['links']['run']}/cancel")
    assert (answer.status_code, answer.json()["cancelled_at"]) == (202, None)


async def test_an_idempotency_key_gives_the_first_answer_again(api: Api) -> None:
    key = {"Idempotency-Key": "upload-1"}
    first = await send(api, lines({}), headers=key, name="a")
    again = await send(api, lines({}), headers=key, name="a")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for body, params, kind in (
        (lines({"id": "1"}), {"name": "a"}, {}),
        (lines({}), {"name": "b"}, {}),
        (lines({}), {"name": "a"}, {"Content-Type": "text/csv"}),
    ):
        other = await send(api, body, headers=key | kind, **params)
        assert other.status_code in {409, 422}
    elsewhere = await api.http.request(
        "POST",
        f"http://another-name{IMPORTS}?name=a",
        headers={"Authorization": f"Bearer {api.secret}", **NDJSON, **key},
        content=lines({}),
    )
    assert elsewhere.content == first.content
    assert len(await owed(api, VISIBILITY_RUN_STARTED)) == 1


async def test_equal_uploads_at_once_are_one_import(api: Api) -> None:
    calls = [send(api, lines({}), headers={"Idempotency-Key": "upload-1"}) for _ in range(4)]
    responses = await asyncio.gather(*calls)
    assert {response.status_code for response in responses} == {202}
    assert len({response.content for response in responses}) == 1
    assert len(await owed(api, ANSWER_CAPTURED)) == 1


async def test_a_large_upload_passes_where_a_large_request_does_not(kit: Kit) -> None:
    ports = replace(ports_of(kit), max_body_bytes=MAX_BODY_BYTES, max_import_bytes=10_000_000)
    api = await Api.over(kit, ports)
    text = "\n".join(lines({"id": str(n), "text": "x" * 50_000}) for n in range(150))
    assert len(text) > 7_000_000
    assert (await send(api, text)).json()["accepted"] == 150
    problem(await send(api, text + text), 413, "body-too-large")
    assert (await api.start(prompts=["x" * 15_000])).status_code == 202
    problem(await api.start(prompts=["x" * 15_000] * 2), 413, "body-too-large")
    problem(await send(api, text, RUNS), 413, "body-too-large")
    await api.http.aclose()


async def test_thousands_of_prompts_are_taken_in_at_once(kit: Kit) -> None:
    api = await Api.over(kit)
    count = 3_000
    body = await opened(api, *({"prompt": f"question {n}"} for n in range(count)))
    assert body["accepted"] == count
    listed = (await api.call("GET", RUNS)).json()["items"]
    assert listed[0]["progress"]["expected"] == count
    assert "prompts" not in listed[0]
    await api.http.aclose()
