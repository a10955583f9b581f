"""Exports: each format read back says the same, of every answer and every brand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from gateway.api import export
from gateway.exporting import COLUMNS
from pyarrow import parquet
from services.gateway.tests.calling_api import RUNS, Api, problem
from services.gateway.tests.feeding import (
    Feed,
    a_capture,
    analyzed,
    answered,
    asked,
    delivered,
    failed,
    found,
    record_of,
)
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
FORMS = ["csv", "json", "parquet"]
HARD = 'He said "Notion",\r\nthen\r"=1+1"; 光珈琲 🫘\n\n, end'


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def exported(api: Api, run_id: str, form: str, **params: Any) -> list[dict[str, Any]]:
    path = f"{RUNS}/{run_id}/export"
    response = await api.call("GET", path, params={"format": form, **params})
    assert response.status_code == 200, response.text
    named = f'attachment; filename="limelight-{run_id}.{form}"'
    assert response.headers["content-disposition"] == named
    return read(form, response.content, response.headers["content-type"])


def read(form: str, body: bytes, kind: str) -> list[dict[str, Any]]:
    if form == "json":
        assert kind == "application/json"
        return list(json.loads(body))
    if form == "parquet":
        assert kind == "application/vnd.apache.parquet"
        table = parquet.read_table(io.BytesIO(body))
        assert table.column_names == list(COLUMNS)
        return list(table.to_pylist())
    assert kind == "text/csv; charset=utf-8"
    rows = csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True)
    assert rows.fieldnames == list(COLUMNS)
    return [{name: _typed(COLUMNS[name], cell) for name, cell in row.items()} for row in rows]


def _typed(kind: str, cell: str) -> Any:
    """A cell of CSV as the other formats have it; what is empty is null."""
    if cell == "":
        return None
    if kind == "flag":
        return {"True": True, "False": False}[cell]
    return {"text": str, "whole": int, "real": float}[kind](cell)


async def told(api: Api) -> str:
    """A run with every kind of answer."""
    prompt = {"text": HARD, "tags": ["a", "b"]}
    run_id = (await api.start(prompts=[prompt], models=["openai/gpt-5"], samples=5)).json()[
        "run_id"
    ]
    run = (await api.call("GET", f"{RUNS}/{run_id}")).json()
    first, second = [brand["brand_id"] for brand in run["brands"]]
    one, two, three, four, _ = await asked(api, run_id)
    findings = [
        found(first, 3, recommended=True, sentiment=0.125, list_rank=2),
        found(second, 1, rank=2, position_adjusted_words=0.25, citations=1, cited=True),
    ]
    await Feed(api.kit).tell(
        api.tenant_id,
        answered(one, HARD, simulated=True),
        analyzed(one, findings),
        answered(two),
        failed(three, "timed-out"),
        failed(four, "budget", outcome="not_run"),
    )
    return str(run_id)


async def test_every_format_says_the_same(api: Api) -> None:
    run_id = await told(api)
    by_form = [await exported(api, run_id, form) for form in FORMS]
    assert by_form[0] == by_form[1] == by_form[2]
    rows = by_form[0]
    assert len(rows) == 5 * 2
    states = [row["state"] for row in rows]
    assert {state: states.count(state) for state in states} == dict.fromkeys(
        ("analyzed", "answered", "failed", "not_run", "waiting"), 2
    )


async def test_a_row_is_an_answer_and_a_brand(api: Api) -> None:
    run_id = await told(api)
    page = (await api.call("GET", f"{RUNS}/{run_id}/answers?state=analyzed")).json()
    (answer,) = page["items"]
    first, second = [
        row for row in await exported(api, run_id, "json") if row["state"] == "analyzed"
    ]
    for row, finding, name in zip(
        (first, second), answer["findings"], ("Notion", "光珈琲"), strict=True
    ):
        assert row["brand"] == name
        assert {key: row[key] for key in finding} == finding
        for key in ("completion_id", "prompt_id", "prompt", "model", "text", "cost_usd"):
            assert row[key] == answer[key]
        assert (row["tags"], row["simulated"], row["text"]) == ("a;b", True, HARD)


async def test_what_was_not_analysed_has_no_findings(api: Api) -> None:
    run_id = await told(api)
    for row in await exported(api, run_id, "parquet"):
        found_ = [row[name] for name in ("named", "recommended", "mentions", "citations")]
        assert (None in found_) == (row["state"] != "analyzed")


async def test_an_analysed_answer_that_names_nothing_says_so(api: Api) -> None:
    started = (await api.start(prompts=["Which?"], models=["openai/gpt-5"], samples=1)).json()
    (call,) = await asked(api, started["run_id"])
    await Feed(api.kit).tell(api.tenant_id, answered(call), analyzed(call))
    for row in await exported(api, started["run_id"], "json"):
        assert (row["named"], row["mentions"], row["rank"]) == (False, 0, None)


@pytest.mark.parametrize("form", FORMS)
async def test_an_empty_run_has_a_header_and_no_row(api: Api, form: str) -> None:
    feed = Feed(api.kit)
    await feed.apply([delivered(record_of(api.tenant_id, a_capture()))])
    (run,) = (await api.call("GET", RUNS)).json()["items"]
    # No route makes a run without any answer; whatever lost them must not break the export.
    await api.kit.pool.execute(
        "DELETE FROM answers USING completions AS c "
        "WHERE c.completion_id = answers.completion_id AND run_id = $1",
        run["run_id"],
    )
    await api.kit.pool.execute("DELETE FROM completions WHERE run_id = $1", run["run_id"])
    assert await exported(api, run["run_id"], form) == []


@pytest.mark.parametrize("form", FORMS)
async def test_without_brands_each_answer_is_a_row(api: Api, form: str) -> None:
    await Feed(api.kit).apply([delivered(record_of(api.tenant_id, a_capture(text=HARD)))])
    (run,) = (await api.call("GET", RUNS)).json()["items"]
    (row,) = await exported(api, run["run_id"], form)
    assert (row["text"], row["surface"], row["model"]) == (HARD, "app", "ChatGPT")
    assert (row["brand_id"], row["brand"], row["named"]) == (None, None, None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 4, 7])
async def test_pieces_of_any_size_make_the_same_file(
    api: Api, form: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await told(api)
    whole = await exported(api, run_id, form)
    monkeypatch.setattr(export, "ROWS", rows)
    assert await exported(api, run_id, form) == whole


async def test_a_revision_can_be_exported(api: Api) -> None:
    run_id = await told(api)
    path = f"{RUNS}/{run_id}/reanalyses"
    await api.call("POST", path, json={"brands": [{"name": "Obsidian"}]})
    assert {row["brand"] for row in await exported(api, run_id, "csv")} == {"Obsidian"}
    before = await exported(api, run_id, "csv", revision=1)
    assert {row["brand"] for row in before} == {"Notion", "光珈琲"}
    refused = await api.call("GET", f"{RUNS}/{run_id}/export?revision=3")
    problem(refused, 404, "not-found")


async def test_another_tenants_run_is_not_exported(api: Api) -> None:
    run_id, other = await told(api), await api.another_tenant()
    for form in FORMS:
        response = await other.call("GET", f"{RUNS}/{run_id}/export?format={form}")
        problem(response, 404, "not-found")
    problem(await api.call("GET", f"{RUNS}/{run_id}/export?format=xlsx"), 422, "invalid-request")
