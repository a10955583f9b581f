"""``limelight detect`` on lines as they come from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from allinone.cli import app
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

BRANDS = [
    {"name": "Quillnote", "aliases": ["Quill Note"], "domains": ["quillnote.example"]},
    {"name": "Papertrail", "exclude": ["Papertrail Times"]},
]


def detect(tmp_path: Path, lines: bytes, brands: Any = BRANDS) -> Result:
    file = tmp_path / "brands.json"
    file.write_text(json.dumps(brands))
    return CliRunner().invoke(app, ["detect", "--brands", str(file)], input=lines)


def results(found: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.stdout.splitlines()]


def line(text: str, **more: Any) -> bytes:
    return json.dumps({"id": "a", "text": text} | more).encode() + b"\n"


def test_mentions_have_what_is_promised(tmp_path: Path) -> None:
    text = "🫘 I recommend Quill Note (https://quillnote.example/x). Avoid Papertrail."
    found = detect(tmp_path, line(text, sources=[{"url": "https://news.example.co.uk/a"}]))
    assert found.exit_code == 0
    (result,) = results(found)
    assert result["id"] == "a"
    first, *_, last = result["mentions"]
    assert first.keys() == {
        "brand", "start", "end", "text", "outcome", "rank", "sentiment", "rule"
    }  # fmt: skip
    assert text[first["start"] : first["end"]] == first["text"] == "Quill Note"
    assert (first["brand"], first["outcome"], first["rank"]) == ("Quillnote", "recommended", 1)
    assert (last["brand"], last["outcome"], last["rank"]) == ("Papertrail", "denied", 2)
    assert first["sentiment"] > 0 > last["sentiment"]
    pages = {page["domain"]: page["owner"] for page in result["citations"]}
    assert pages == {"quillnote.example": "own", "example.co.uk": "third-party"}


def test_own_brands_are_told_from_competitors_if_the_file_does(tmp_path: Path) -> None:
    brands = [
        {"name": "Quillnote", "domains": ["quillnote.example"], "own": True},
        {"name": "Papertrail", "domains": ["papertrail.example"]},
    ]
    text = "See https://quillnote.example and https://papertrail.example."
    (result,) = results(detect(tmp_path, line(text), brands))
    assert [page["owner"] for page in result["citations"]] == ["own", "competitor"]


def test_excluded_phrases_are_not_the_brand(tmp_path: Path) -> None:
    (result,) = results(detect(tmp_path, line("The Papertrail Times likes Papertrail.")))
    assert [mention["start"] for mention in result["mentions"]] == [27]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (b"nonsense\n", "Expecting value"),
        (b"\xff\n", "utf-8"),
        (b"[]\n", "object"),
        (b'{"id": 7}\n', "text"),
        (b'{"text": "x"}\n', "id"),
        (b'{"id": 7, "text": 7}\n', "string"),
        (b'{"id": 7, "text": "x", "sources": [7]}\n', "sources"),
    ],
)
def test_a_broken_line_costs_no_other(tmp_path: Path, broken: bytes, said: str) -> None:
    found = detect(tmp_path, line("Quillnote") + broken + b"\n" + line("Quillnote"))
    first, bad, last = results(found)
    assert len(first["mentions"]) == len(last["mentions"]) == 1
    assert bad.keys() == {"id", "error"}
    assert said in bad["error"]
    assert found.exit_code == 1


@pytest.mark.parametrize(
    ("brands", "said"),
    [
        ({"name": "x"}, "a JSON list is wanted"),
        ([{}], "entry 1 has no name"),
        ([{"name": "!!"}], "no letter or digit"),
        ([{"name": "ab", "aliases": "x"}], "aliases must be a list"),
        ([{"name": "ab", "case": "loud"}], "loud"),
    ],
)
def test_unusable_brands_are_told_before_the_first_line(
    tmp_path: Path, brands: Any, said: str
) -> None:
    found = detect(tmp_path, line("Quillnote"), brands)
    assert found.exit_code == 1
    assert found.stdout == ""
    assert said in found.stderr


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.binary(max_size=60), max_size=5))
def test_every_line_that_is_not_empty_is_answered(tmp_path: Path, lines: list[bytes]) -> None:
    sent = [one.replace(b"\n", b" ").replace(b"\r", b" ") for one in lines]
    found = detect(tmp_path, b"\n".join(sent))
    assert len(results(found)) == sum(bool(one.strip()) for one in sent)
