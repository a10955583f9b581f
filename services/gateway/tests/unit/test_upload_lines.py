"""Uploads of answers: every line is good or bad, and told by its number."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from bus.outbox import HEADER_BYTES
from contracts.topics import ANSWER_CAPTURED
from gateway.schemas.imports import (
    CSV,
    RESTARTS,
    CapturedLine,
    Upload,
    captured_answer,
    read_upload,
)
from gateway.schemas.lines import NDJSON
from gateway.translation import captured
from hypothesis import example, given
from hypothesis import strategies as st

GOOD: dict[str, Any] = {
    "prompt": "Which note app is best?",
    "model": "ChatGPT",
    "text": "I would take **Notion**.",
    "captured_at": "2026-11-20T09:00:00Z",
}
HEADER = "prompt,model,text,captured_at,tags,sources"
ROW = "Which app?,ChatGPT,Notion.,2026-11-20T09:00:00Z,,"


def line(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


def taken(body: str | bytes, media_type: str = NDJSON) -> Upload:
    return read_upload(body.encode() if isinstance(body, str) else body, media_type)


def only(body: str | bytes, media_type: str = NDJSON) -> CapturedLine:
    upload = taken(body, media_type)
    assert upload.bad == ()
    (found,) = upload.good
    return found


def refused(body: str | bytes, media_type: str = NDJSON) -> list[tuple[int, str]]:
    return [(bad.line, bad.error) for bad in taken(body, media_type).bad]


def test_a_line_has_what_it_says() -> None:
    found = only(
        line(
            id="q1",
            surface="app",
            sources=[{"url": "https://notion.so", "title": "Notion"}],
            locale="de-AT",
            tags=["a", "b"],
            simulated=True,
        )
    )
    assert (found.id, found.surface, found.locale, found.tags) == ("q1", "app", "de-AT", ["a", "b"])
    assert [(one.url, one.title) for one in found.sources] == [("https://notion.so", "Notion")]
    assert found.captured_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert found.simulated


def test_what_is_left_out_has_its_default() -> None:
    found = only(line())
    assert (found.id, found.surface, found.sources, found.tags) == (None, "import", [], [])
    assert not found.simulated


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n \t\n"])
def test_line_ends_and_empty_lines_do_not_matter(end: str) -> None:
    body = end.join([line(id="1"), line(id="2"), ""])
    assert [found.id for found in taken(body).good] == ["1", "2"]


@pytest.mark.parametrize(("media_type", "body"), [(NDJSON, line()), (CSV, f"{HEADER}\n{ROW}")])
def test_a_byte_order_mark_is_no_part_of_it(media_type: str, body: str) -> None:
    assert only(b"\xef\xbb\xbf" + body.encode(), media_type).model == "ChatGPT"


BROKEN = [
    ("{", "not JSON: "),
    ("[]", "not a JSON object"),
    ("null", "not a JSON object"),
    ('"text"', "not a JSON object"),
    (line(prompt=" "), "prompt: "),
    (line(text=""), "text: "),
    (line(text="a\x00b"), "text: "),
    (line(text=None), "text: "),
    (line(surface="phone"), "surface: "),
    (line(captured_at="yesterday"), "captured_at: "),
    (line(captured_at="2026-11-20T09:00:00"), "captured_at: "),
    (line(captured_at="0001-01-01T00:00:00+14:00"), "captured_at: "),
    (line(captured_at="9999-12-31T23:59:59-14:00"), "captured_at: "),
    (line(captured_at=10**30), "captured_at: "),
    (line(captured_at=float("nan")), "captured_at: "),
    (line(answer="Notion"), "answer: "),
    (line(**{"\ud800": 1}), "unicode"),
    (line(text="\ud800"), "text: "),
    (line(tags=["\udfff"]), "tags.0: "),
    (line(model=f"{'x' * 101}"), "model: "),
    (line(sources=[{"title": "no address"}]), "sources.0.url: "),
    (line(text="x" * 1_000_000), "bytes of text"),
    (line(text="\x01" * 200_000), "bytes of text"),
    (line(sources=[{"url": "é" * 4096}] * 300), "bytes of text"),
    ('{"prompt": ' + "9" * 5000 + "}", "not JSON that can be read"),
    ("[" * 100_000, "not JSON that can be read"),
    ('{"a":' * 100_000, "not JSON that can be read"),
]


@pytest.mark.parametrize(("broken", "said"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_is_told_and_costs_no_other(broken: str, said: str) -> None:
    upload = taken("\n".join(["", line(id="before"), broken, line(id="after")]))
    assert [found.id for found in upload.good] == ["before", "after"]
    (bad,) = upload.bad
    assert bad.line == 3
    assert said in bad.error
    assert len(bad.error) <= 2500
    bad.model_dump_json().encode()


def test_bytes_that_are_not_utf8_are_told_by_their_place() -> None:
    body = b"\n".join([line().encode(), b'{"text": "\xff"}', line().encode()])
    assert refused(body) == [(2, "not UTF-8 (byte 10 of the line)")]


def test_a_long_name_of_a_field_is_cut() -> None:
    ((_, said),) = refused(line(**{"x" * 100_000: 1}))
    assert len(said) <= 500


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1),
    st.integers(0, 900_000),
)
@example("\n", 999_000)
@example('"', 490_000)
@example("\x7f", 900_000)
def test_what_is_taken_fits_its_event(piece: str, size: int) -> None:
    upload = taken(line(text=(piece * (1 + size // len(piece)))[: size + 1]))
    for found in upload.good:
        answer = captured_answer(found, "tenant", UUID(int=1))
        event = captured(answer).model_dump_json().encode()
        assert len(event) <= ANSWER_CAPTURED.max_record_bytes - HEADER_BYTES
    assert len(upload.good) + len(upload.bad) == 1


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(sorted(CapturedLine.model_fields))
LINES = (
    st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b""))
    | JSONISH.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(FIELDS, JSONISH).map(lambda changes: line(**changes).encode())
    | st.just(line().encode())
)


@given(st.lists(LINES, max_size=8))
def test_every_line_is_good_or_bad_or_empty(lines: list[bytes]) -> None:
    upload = read_upload(b"\n".join(lines), NDJSON)
    filled = [
        number
        for number, raw in enumerate(lines, 1)
        if (raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw).strip()
    ]
    assert len(upload.good) + len(upload.bad) == len(filled)
    numbers = [bad.line for bad in upload.bad]
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(filled)
    for number in set(filled) - set(numbers):
        assert len(read_upload(lines[number - 1], NDJSON).good) == 1
    for bad in upload.bad:
        bad.model_dump_json().encode()


@given(st.binary(max_size=200), st.sampled_from([NDJSON, CSV]))
@example(b'\xff\n"\xff', CSV)
@example(b'a,"\n' * 300, CSV)
@example(b"\r\r\n\x00\r", CSV)
@example(b"", CSV)
def test_no_bytes_at_all_make_it_fail(body: bytes, media_type: str) -> None:
    upload = read_upload(body, media_type)
    for bad in upload.bad:
        bad.model_dump_json().encode()
        assert 1 <= bad.line <= 1 + body.count(b"\n") + body.count(b"\r")


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)


@given(st.lists(CELL.filter(str.strip), min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_any_text_survives_csv(texts: list[str], end: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(GOOD)
    writer.writerows(["Which?", "ChatGPT", text, GOOD["captured_at"]] for text in texts)
    upload = taken(file.getvalue(), CSV)
    assert upload.bad == ()
    assert [found.text for found in upload.good] == texts


def test_tags_and_sources_of_csv_are_lists() -> None:
    row = "Which?,M,T,2026-11-20T09:00:00Z,a; b ;;c,https://a.example  https://b.example"
    found = only(f"{HEADER}\n{row}\n", CSV)
    assert found.tags == ["a", "b", "c"]
    assert [one.url for one in found.sources] == ["https://a.example", "https://b.example"]


def test_a_broken_record_is_told_by_the_line_it_begins_on() -> None:
    long_ = 'Which?,ChatGPT,"one\ntwo\nthree",2026-11-20T09:00:00Z,,'
    lines = [HEADER, long_, "Which?,ChatGPT", "", ",,,,,", f"{ROW},one too many", long_, ROW]
    upload = taken("\n".join(lines), CSV)
    assert [bad.line for bad in upload.bad] == [5, 7, 8]
    assert "7 cells, but the header has 6 columns" in upload.bad[-1].error
    assert [found.text for found in upload.good] == [
        "one\ntwo\nthree",
        "one\ntwo\nthree",
        "Notion.",
    ]


def test_a_stray_quote_costs_its_own_record_only() -> None:
    stray = 'Which?,ChatGPT,"Notion,2026-11-20T09:00:00Z,,'
    upload = taken("\n".join([HEADER, ROW, stray, ROW, ROW]), CSV)
    assert [bad.line for bad in upload.bad] == [3]
    assert len(upload.good) == 3


def test_text_after_a_quote_costs_its_own_line_only() -> None:
    upload = taken("\n".join([HEADER, 'Which?,"Chat"GPT,T,2026-11-20T09:00:00Z,,', ROW]), CSV)
    assert [bad.line for bad in upload.bad] == [2]
    assert len(upload.good) == 1


def test_stray_quotes_without_end_are_given_up_and_told() -> None:
    upload = taken("\n".join([HEADER, *['a,"x'] * 3 * RESTARTS]), CSV)
    assert "nothing is read" in upload.bad[-1].error


def test_a_long_text_fits_csv_as_it_fits_ndjson() -> None:
    row = f"Which?,M,{'x' * 500_000},2026-11-20T09:00:00Z,,"
    assert len(only(f"{HEADER}\n{row}", CSV).text) == 500_000


@given(st.text(max_size=5) | st.none(), st.text(max_size=5) | st.none())
def test_a_line_with_an_id_is_told_by_it_and_others_by_what_they_say(
    one: str | None, other: str | None
) -> None:
    def answer_id(given: str | None) -> UUID | None:
        upload = taken(line(id=given))
        if not upload.good:
            return None
        return captured_answer(upload.good[0], "tenant", UUID(int=1)).answer_id

    ids = answer_id(one), answer_id(other)
    if None not in ids:
        stripped = [None if given is None else given.strip() for given in (one, other)]
        assert (ids[0] == ids[1]) == (stripped[0] == stripped[1])


def test_the_same_answer_in_two_imports_is_two() -> None:
    found = only(line())
    ids = {captured_answer(found, "tenant", UUID(int=n)).answer_id for n in (1, 2)}
    assert len(ids) == 2
