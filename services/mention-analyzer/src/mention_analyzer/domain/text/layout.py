"""How an answer is laid out: what is prose, link, code; where sentences and list items are.

Nobody changes these once they are made. They are not frozen because a hundred are made for each
answer, and a frozen one takes three times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """What kind of text stands at a position."""

    PROSE = "prose"  # headings, list items, tables and emphasis included
    LINK_TEXT = "link-text"  # of a link in running text, e.g. [Notion](https://notion.so)
    REFERENCE = "reference"  # the label of a source, e.g. ([The Verge][1]), or a footnote
    URL = "url"  # the target of a link, or an address in running text
    CODE = "code"


@dataclass(slots=True)
class Span:
    """A piece of the text, in code points, end exclusive."""

    start: int
    end: int


@dataclass(slots=True)
class Region(Span):
    """A span of one kind. What no region covers is prose."""

    place: Place


@dataclass(slots=True)
class Link(Span):
    """A link with its target: ``start`` and ``end`` enclose label and target."""

    url: str
    place: Place  # LINK_TEXT, REFERENCE, or URL for a bare address


@dataclass(slots=True)
class Item(Span):
    """An item of a list of choices. ``number`` counts from 1 within its list ``list_id``."""

    list_id: int
    number: int


@dataclass(slots=True)
class Layout:
    """An answer taken apart; every part in order of its place, regions without overlap.

    ``sentences`` cover all words: a heading, a list item and a table row end a sentence.
    ``items`` are of the lists that rank or list choices, nested bullets belong to their item.
    """

    text: str
    regions: tuple[Region, ...]
    links: tuple[Link, ...]
    sentences: tuple[Span, ...]
    items: tuple[Item, ...]
