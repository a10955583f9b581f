"""``limelight detect``: the analyzer's domain on a file, without any server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid5

import typer
from mention_analyzer.domain.errors import UnusableBrand
from mention_analyzer.domain.models import Analysis, Answer, Brand, CaseRule, Source
from mention_analyzer.domain.rules import analyze

from allinone.cli.shell import clear_errors
from allinone.json_files import read_json

Json = dict[str, Any]
_ID = UUID(int=0)


def detect(
    brands: Annotated[
        Path,
        typer.Option(
            help='JSON list of {"name", "aliases", "domains", "exclude"}, and optionally '
            '"own" and "case" (auto, exact, any)',
            exists=True,
            dir_okay=False,
        ),
    ],
) -> None:
    """Find brands in answers: JSON lines on standard input, JSON lines on standard output.

    In: {"id", "text", "sources": [{"url", "title"}]}. Out: {"id", "mentions", "citations"} with
    offsets in code points. A broken line is answered with {"id", "error"}; then the exit status
    is 1 at the end. As long as no brand says which are "own", all of them are.
    """
    with clear_errors():
        wanted = read_brands(read_json(brands))
        failed = False
        for result in detected(sys.stdin.buffer, wanted):
            failed = failed or "error" in result
            sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    if failed:
        raise typer.Exit(1)


def read_brands(given: Any) -> tuple[Brand, ...]:
    """The brands of a file. Raises ValueError: it is not a list of brands, or one is unusable."""
    if not isinstance(given, list):  # wrong in the file, not in the code: no TypeError
        raise ValueError('brands: a JSON list is wanted, e.g. [{"name": "Notion"}]')  # noqa: TRY004
    told = any(isinstance(item, dict) and "own" in item for item in given)
    brands = tuple(_brand(number, item, own=not told) for number, item in enumerate(given, 1))
    empty = Answer("", _ID, _ID, _ID, "", 0, "", simulated=False)
    analyze(empty, brands)  # names that cannot be looked for are told before the first line
    return brands


def detected(lines: Iterable[bytes], brands: tuple[Brand, ...]) -> Iterator[Json]:
    """What is found in each line, in order; empty lines are skipped."""
    names = {brand.brand_id: brand.name for brand in brands}
    for line in lines:
        if line.strip():
            yield _result(line, brands, names)


def _result(line: bytes, brands: tuple[Brand, ...], names: dict[Any, str]) -> Json:
    given: Any = None
    try:
        given = json.loads(line.decode())
        answer = _answer(given)
        return {"id": given["id"], **_found(analyze(answer, brands), names)}
    except KeyError as error:
        problem = f"the field {error} is missing"
    except (ValueError, TypeError, RecursionError) as error:
        problem = str(error)
    return {"id": given.get("id") if isinstance(given, dict) else None, "error": problem}


def _answer(given: Any) -> Answer:
    if not isinstance(given, dict):
        raise TypeError("a JSON object is wanted")
    if not isinstance(given["text"], str):
        raise TypeError("text must be a string")
    sources = tuple(_source(item) for item in given.get("sources") or ())
    return Answer("", _ID, _ID, _ID, "", 0, given["text"], simulated=False, sources=sources)


def _source(item: Any) -> Source:
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        raise TypeError('each of sources must be {"url", "title"}')
    return Source(item["url"], str(item.get("title") or ""))


def _found(analysis: Analysis, names: dict[Any, str]) -> Json:
    ranks = {finding.brand_id: finding.rank for finding in analysis.findings}
    return {
        "mentions": [
            {
                "brand": names[mention.brand_id],
                "start": mention.start,
                "end": mention.end,
                "text": mention.text,
                "outcome": mention.outcome.value,
                "rank": ranks.get(mention.brand_id),
                "sentiment": mention.sentiment,
                "rule": mention.rule,
            }
            for mention in analysis.mentions
        ],
        "citations": [
            {"url": page.url, "domain": page.domain, "owner": page.owner.value}
            for page in analysis.citations
        ],
    }


def _brand(number: int, item: Any, *, own: bool) -> Brand:
    if isinstance(item, str):
        item = {"name": item}
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ValueError(f"brands: entry {number} has no name")  # noqa: TRY004
    try:
        return Brand(
            brand_id=uuid5(_ID, f"{number}"),
            name=item["name"],
            aliases=_texts(item, "aliases"),
            domains=_texts(item, "domains"),
            exclude=_texts(item, "exclude"),
            own=bool(item.get("own", own)),
            case=CaseRule(item.get("case", CaseRule.AUTO)),
        )
    except (UnusableBrand, ValueError) as error:
        raise ValueError(f"brands: entry {number} ({item['name']}): {error}") from error


def _texts(item: Json, field: str) -> tuple[str, ...]:
    given = item.get(field) or []
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise ValueError(f"{field} must be a list of strings")
    return tuple(given)
