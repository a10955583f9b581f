"""The lists of an answer that rank or list choices, and their items.

Three forms are told: numbered lines, be they plain, bold or headings; bullets that stand for
themselves and do not describe a numbered item; and headings that are links, as product cards are.
Bullets that only name attributes ("**Price:** ...") list no choices.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import accumulate, zip_longest
from typing import NamedTuple

from mention_analyzer.domain.text.layout import Item

_HEADING = re.compile(r"(#{1,6})[ \t]+(?:[^\w\s\[*]{1,3}[ \t]+)?")
_NUMBER = re.compile(r"[*_]{0,3}(\d{1,2})(?:[.)]|\ufe0f?\u20e3)[*_]{0,3}[ \t]")
_BULLET = re.compile(r"[-*+•][ \t]+")
_RULE = re.compile(r"(?:[-*_][ \t]*){3,}\Z")
_LABEL = re.compile(r"\*\*[^*\n]{1,60}(?::\*\*|\*\*:)\s*\Z")  # "**Top picks:**" begins a section
_ATTRIBUTE = re.compile(
    r"[*_]{0,3}(?:prices?|pros?|cons?|specs?|highlights?|(?:key )?features?|where to buy|best for|"
    r"why|type|costs?|annual|welcome|rewards?|earning|strengths?|weakness(?:es)?|range|resolution|"
    r"rating|material|dimensions?|weight|battery|capacity|warranty|players?|gameplay|description|"
    r"ideal for|performance|panel|size|storage|camera|display|processor|note|ingredients?)\b",
    re.IGNORECASE,
)
_STARTS = frozenset("#*_-+•0123456789")
_NESTED = 2  # spaces of indentation from which a bullet belongs to what is before it


class _Kind(Enum):
    NUMBER = "number"
    BULLET = "bullet"
    HEADING = "heading"
    BREAK = "break"  # a rule, or a bold line that begins a section
    TEXT = "text"  # the start of a paragraph that is not indented


class _Line(NamedTuple):
    """A line that is an item or ends one; what is nested does neither."""

    start: int
    kind: _Kind
    level: int = 0  # of a heading, also of a numbered one
    number: int = 0
    bold: bool = False  # of a number: the line is its own paragraph, or a heading
    attribute: bool = False
    linked: bool = False  # a heading that is a link


_Group = list[tuple[int, int]]


def items(text: str) -> tuple[Item, ...]:
    """Items in order of their place, without overlap; a list may have only one."""
    lines, end = list(_lines(text)), len(text)
    groups = list(_numbered(lines, end))
    groups += list(_cards(lines, _Taken(groups), end))
    groups += list(_bullets(lines, _Taken(groups), end))
    lists = sorted(group for group in groups if group)
    found = sorted(
        (start, stop, list_id, number)
        for list_id, group in enumerate(lists)
        for number, (start, stop) in enumerate(group, 1)
    )
    return tuple(
        Item(start, min(stop, following), list_id, number)
        for (start, stop, list_id, number), (following, *_) in zip_longest(
            found, found[1:], fillvalue=(end, end, 0, 0)
        )
    )


class _Taken:
    """What belongs to items already."""

    def __init__(self, groups: Sequence[_Group]) -> None:
        spans = sorted(span for group in groups for span in group)
        self._starts = [start for start, _ in spans]
        self._ends = list(accumulate((end for _, end in spans), max))

    def has(self, line: _Line) -> bool:
        """Whether a line is inside an item."""
        at = bisect_right(self._starts, line.start) - 1
        return at >= 0 and line.start < self._ends[at]


def _lines(text: str) -> Iterator[_Line]:
    start, apart = 0, True
    for line in text.split("\n"):
        bare = line.lstrip(" \t")
        if bare and (bare[0] in _STARTS or apart):
            indent = len(line) - len(bare)
            if indent < _NESTED or bare[0] == "#":
                known = _line(bare, start) if bare[0] in _STARTS else None
                if known or (apart and not indent):
                    yield known or _Line(start, _Kind.TEXT)
        start, apart = start + len(line) + 1, not bare


def _line(bare: str, start: int) -> _Line | None:
    """A heading, a rule, a bullet or a numbered line."""
    if heading := _HEADING.match(bare):
        level, rest = len(heading[1]), bare[heading.end() :]
        if number := _NUMBER.match(rest):
            return _Line(start, _Kind.NUMBER, level, int(number[1]), bold=True)
        return _Line(start, _Kind.HEADING, level, linked=rest.startswith(("[", "**[")))
    if _RULE.match(bare) or _LABEL.match(bare):
        return _Line(start, _Kind.BREAK)
    if bullet := _BULLET.match(bare):
        attribute = _ATTRIBUTE.match(bare, bullet.end()) is not None
        return _Line(start, _Kind.BULLET, attribute=attribute)
    if number := _NUMBER.match(bare):
        return _Line(start, _Kind.NUMBER, number=int(number[1]), bold=bare[0] in "*_")
    return None


def _numbered(lines: Sequence[_Line], end: int) -> Iterator[_Group]:
    """Lists of numbered lines; one that goes on counting goes on across headings."""
    group, style, last = _Group(), (-1, False), 0
    for index, line in enumerate(lines):
        if line.kind is not _Kind.NUMBER:
            continue
        if line.number != last + 1 or (line.level, line.bold) != style:
            yield group
            group, style = [], (line.level, line.bold)
        last = line.number
        group.append((line.start, _end_of(lines, index, end)))
    yield group


def _end_of(lines: Sequence[_Line], index: int, end: int) -> int:
    """Where an item ends: at the next one, or at what is no part of it."""
    item = lines[index]
    for following in range(index + 1, len(lines)):
        if _ends(item, lines[following]):
            return lines[following].start
    return end


def _ends(item: _Line, line: _Line) -> bool:
    kind = line.kind
    if kind is _Kind.HEADING:
        return not item.level or line.level <= item.level
    if kind is _Kind.BULLET or kind is _Kind.TEXT:
        plain = kind is _Kind.TEXT and item.kind is _Kind.NUMBER and not item.bold
        return item.kind is _Kind.BULLET or plain
    return True


def _cards(lines: Sequence[_Line], taken: _Taken, end: int) -> Iterator[_Group]:
    """Headings of one level that are links, as long as no other of that level is between."""
    group, level = _Group(), 0
    for index, line in enumerate(lines):
        if line.kind is not _Kind.HEADING or line.level > (level or 9):
            continue
        if not line.linked or line.level != level:
            yield group
            group, level = [], line.level if line.linked else 0
        if line.linked and not taken.has(line):
            group.append((line.start, _end_of(lines, index, end)))
    yield group


def _bullets(lines: Sequence[_Line], taken: _Taken, end: int) -> Iterator[_Group]:
    """Bullets outside of items, unless most of them name attributes."""
    group, attributes, reach = _Group(), 0, -1
    for index, line in enumerate(lines):
        if line.kind is not _Kind.BULLET or taken.has(line):
            continue
        if line.start != reach:
            yield [] if attributes * 2 > len(group) else group
            group, attributes = [], 0
        reach = _end_of(lines, index, end)
        attributes += line.attribute
        group.append((line.start, reach))
    yield [] if attributes * 2 > len(group) else group
