"""Tables as markdown that also reads well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    """Headings first; columns whose cells are numbers, or empty, are aligned to the right."""
    columns = list(zip(*rows, strict=True))
    right = [all(map(_is_number, column[1:])) for column in columns]
    widths = [max(3, *map(len, column)) for column in columns]
    lines = [_line(row, widths, right) for row in rows]
    rule = [
        "-" * (width - 1) + (":" if at else "-") for width, at in zip(widths, right, strict=True)
    ]
    return "\n".join([lines[0], _line(rule, widths, right), *lines[1:]])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if at else cell.ljust(width)
        for cell, width, at in zip(cells, widths, right, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _is_number(cell: str) -> bool:
    return not cell or cell.strip("-").replace(",", "").replace(".", "").isdigit()
