"""Answers from elsewhere, as lines of NDJSON or CSV. A broken line costs no other."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal
from uuid import UUID

from contracts.events.base import OfOurTime
from contracts.ids import prompt_id
from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from gateway.domain.models import CapturedAnswer, Prompt
from gateway.domain.planning import captured_id
from gateway.schemas.common import NoNul, RequestBody, ShortText
from gateway.schemas.lines import BOM, BadLine, complaint, ndjson_lines
from gateway.schemas.runs import Locale, PromptText

CSV = "text/csv"
MAX_LINE_BYTES = 1_000_000
"""Of a line as an event carries it, so that its topic takes it."""
RESTARTS = 100
Text = Annotated[str, StringConstraints(min_length=1, pattern=NoNul)]


class SourceIn(RequestBody):
    """A page that the assistant named beside its answer."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=NoNul)]
    title: Annotated[str, StringConstraints(max_length=1000, pattern=NoNul)] = ""


class CapturedLine(RequestBody):
    """One captured answer."""

    id: ShortText | None = Field(
        default=None, description="your name for it: the same id twice is one answer"
    )
    prompt: PromptText
    surface: Literal["api", "app", "import"] = "import"
    model: ShortText
    text: Text
    sources: list[SourceIn] = Field(default_factory=list, max_length=1000)
    captured_at: OfOurTime
    locale: Locale | None = None
    tags: list[ShortText] = Field(default_factory=list, max_length=20)
    simulated: bool = Field(default=False, description="invented, or of a simulated assistant")

    @model_validator(mode="after")
    def _fits_an_event(self) -> CapturedLine:
        size = len(self.model_dump_json().encode())
        if size > MAX_LINE_BYTES:
            raise ValueError(f"{size} bytes of text, sources and the rest: {MAX_LINE_BYTES} fit")
        return self


class ImportAccepted(BaseModel):
    """The good lines are stored and being analysed."""

    run_id: UUID
    accepted: int = Field(description="new answers")
    known: int = Field(description="answers that were there already, or came twice")
    rejected: int
    errors: list[BadLine] = Field(description="the first thousand lines that were left out")
    links: dict[str, str]


@dataclass(frozen=True, slots=True)
class Upload:
    """The lines of an upload: good ones, and what is wrong with the others."""

    good: tuple[CapturedLine, ...]
    bad: tuple[BadLine, ...]


def read_upload(body: bytes, media_type: str) -> Upload:
    """Take an upload apart. Every line is good or bad; empty ones are neither."""
    good: list[CapturedLine] = []
    bad: list[BadLine] = []
    for number, found in _csv_lines(body) if media_type == CSV else ndjson_lines(body):
        if isinstance(found, str):
            bad.append(BadLine(line=number, error=found))
            continue
        try:
            good.append(CapturedLine.model_validate(found))
        except ValidationError as error:
            bad.append(BadLine(line=number, error=complaint(error)))
    return Upload(tuple(good), tuple(bad))


def captured_answer(line: CapturedLine, tenant_id: str, run_id: UUID) -> CapturedAnswer:
    """A line as an answer of an import. Its id follows from its own id, else from its content."""
    content = (line.surface, line.model, line.captured_at.isoformat(), line.prompt, line.text)
    return CapturedAnswer(
        tenant_id=tenant_id,
        run_id=run_id,
        answer_id=captured_id(run_id, line.id, *content),
        prompt=Prompt(
            prompt_id(tenant_id, line.prompt, line.locale),
            line.prompt,
            tuple(line.tags),
            line.locale,
        ),
        surface=line.surface,
        model=line.model,
        text=line.text,
        captured_at=line.captured_at,
        sources=tuple((source.url, source.title) for source in line.sources),
        simulated=line.simulated,
    )


def _csv_lines(body: bytes) -> Iterator[tuple[int, Any]]:
    # Undecodable bytes become lone surrogates, which mark the line they stand in.
    text = body.removeprefix(BOM).decode(errors="surrogateescape")
    header: list[str] | None = None
    for number, row in _csv_rows(list(io.StringIO(text, newline=""))):
        if isinstance(row, str):
            yield number, row
        elif header is None:
            header = [name.strip() for name in row]
        elif len(row) > 1 or any(cell.strip() for cell in row):
            yield number, _csv_record(header, row)


def _csv_rows(lines: Sequence[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Records with the lines they begin on, or what is wrong with them.

    A quote too many makes one record of all that follows: reading starts over on the next line,
    but not for ever.
    """
    csv.field_size_limit(MAX_LINE_BYTES)  # of the process; what is longer fits no event
    at = 0
    for _ in range(RESTARTS):
        rows = csv.reader(islice(lines, at, None), strict=True)
        while True:
            begin = at + rows.line_num
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield begin + 1, f"not CSV: {error}"
                if at + rows.line_num > begin + 1:
                    break
                continue
            yield begin + 1, row
        at = begin + 1
    yield at + 1, "too many broken records: from here on nothing is read"


def _csv_record(header: Sequence[str], row: Sequence[str]) -> Any:
    """A row as a line of NDJSON has it; empty cells are left out."""
    if len(row) > len(header):
        return f"{len(row)} cells, but the header has {len(header)} columns"
    cells: dict[str, Any] = {name: cell for name, cell in zip(header, row, strict=False) if cell}
    if any("\udc80" <= character <= "\udcff" for cell in cells.values() for character in cell):
        return "not UTF-8"
    if "tags" in cells:
        cells["tags"] = [tag for tag in cells["tags"].split(";") if tag.strip()]
    if "sources" in cells:
        cells["sources"] = [{"url": url} for url in cells["sources"].split()]
    return cells
