"""Answers of a run as a table: one row for each answer and each brand that was looked for."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Literal
from uuid import UUID

from gateway.domain.models import Brand, Finding
from gateway.domain.readings import AnswerRow

Format = Literal["csv", "json", "parquet"]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
CHUNK_BYTES = 256 * 1024
InThread = Callable[..., Awaitable[Any]]
Row = dict[str, Any]

# Name and kind of every column: text, whole, real or flag.
COLUMNS: dict[str, str] = {
    "run_id": "text",
    "revision": "whole",
    "completion_id": "text",
    "prompt_id": "text",
    "prompt": "text",
    "tags": "text",
    "model": "text",
    "surface": "text",
    "sample": "whole",
    "state": "text",
    "simulated": "flag",
    "finished_at": "text",
    "failure_kind": "text",
    "cost_usd": "text",
    "text": "text",
    "analyzer_version": "text",
    "brand_id": "text",
    "brand": "text",
    "own": "flag",
    "named": "flag",
    "recommended": "flag",
    "denied": "flag",
    "cited": "flag",
    "link_only": "flag",
    "mentions": "whole",
    "rank": "whole",
    "list_rank": "whole",
    "sentiment": "real",
    "citations": "whole",
    "position_adjusted_words": "real",
}
_OF_BRAND = tuple(COLUMNS)[tuple(COLUMNS).index("brand_id") :]
_FOUND = tuple(COLUMNS)[tuple(COLUMNS).index("named") :]


def table_rows(
    run_id: UUID, revision: int, brands: Sequence[Brand], answers: Sequence[AnswerRow]
) -> Iterator[Row]:
    """Rows of some answers. What was not analysed has null where a finding would be.

    Without brands there is one row for each answer.
    """
    for answer in answers:
        head = _head(run_id, revision, answer)
        found = {one.brand_id: one for one in answer.findings}
        if not brands:
            yield {**head, **dict.fromkeys(_OF_BRAND)}
        for brand in brands:
            yield {
                **head,
                "brand_id": str(brand.brand_id),
                "brand": brand.name,
                "own": brand.own,
                **_found(brand, found.get(brand.brand_id), analyzed=answer.state == "analyzed"),
            }


async def written(
    form: Format, batches: AsyncIterator[Iterable[Row]], in_thread: InThread
) -> AsyncIterator[bytes]:
    """The file, piece by piece. Rows are made and written ``in_thread``: other requests go on."""
    if form == "parquet":
        async for piece in _parquet(batches, in_thread):
            yield piece
        return
    write = _csv if form == "csv" else _json
    first = True
    async for batch in batches:
        yield await in_thread(write, batch, first)
        first = False
    if first:
        yield write([], True)
    if form == "json":
        yield b"\n]\n"


def _head(run_id: UUID, revision: int, answer: AnswerRow) -> Row:
    return {
        "run_id": str(run_id),
        "revision": revision,
        "completion_id": str(answer.completion_id),
        "prompt_id": str(answer.prompt_id),
        "prompt": answer.prompt,
        "tags": ";".join(answer.tags),
        "model": answer.model,
        "surface": answer.surface,
        "sample": answer.sample,
        "state": answer.state,
        "simulated": answer.simulated,
        "finished_at": answer.finished_at and answer.finished_at.isoformat(),
        "failure_kind": answer.failure_kind,
        "cost_usd": None if answer.cost_usd is None else f"{answer.cost_usd:f}",
        "text": answer.text,
        "analyzer_version": answer.analyzer_version,
    }


def _found(brand: Brand, finding: Finding | None, *, analyzed: bool) -> Row:
    if finding is None and not analyzed:
        return dict.fromkeys(_FOUND)
    shown = finding or Finding(brand.brand_id, 0, named=False)
    return {name: getattr(shown, name) for name in _FOUND}


def _csv(batch: Iterable[Row], first: bool) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    if first:
        writer.writeheader()
    writer.writerows(batch)
    return text.getvalue().encode()


def _json(batch: Iterable[Row], first: bool) -> bytes:
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in batch)
    return (("[\n" if first else ",\n") + lines).encode()


async def _parquet(
    batches: AsyncIterator[Iterable[Row]], in_thread: InThread
) -> AsyncIterator[bytes]:
    """By way of a file: its index stands at the end."""
    with tempfile.TemporaryFile() as file:
        writer = await in_thread(_parquet_writer, file)
        try:
            async for batch in batches:
                await in_thread(_write_parquet, writer, batch)
        finally:
            await in_thread(writer.close)
        file.seek(0)
        while piece := await in_thread(file.read, CHUNK_BYTES):
            yield piece


def _parquet_writer(file: Any) -> Any:
    import pyarrow as arrow  # noqa: PLC0415 - large, and seldom needed
    from pyarrow import parquet  # noqa: PLC0415

    kinds = {
        "text": arrow.string(),
        "whole": arrow.int64(),
        "real": arrow.float64(),
        "flag": arrow.bool_(),
    }
    schema = arrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    return parquet.ParquetWriter(file, schema)


def _write_parquet(writer: Any, batch: Iterable[Row]) -> None:
    import pyarrow as arrow  # noqa: PLC0415

    writer.write_table(arrow.Table.from_pylist(list(batch), writer.schema))
