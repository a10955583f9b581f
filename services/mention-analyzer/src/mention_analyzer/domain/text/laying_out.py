"""Taking an answer apart: Markdown as assistants write it, and text that lost its line breaks.

No parser of CommonMark: assistants escape, nest and break Markdown in ways that a parser turns
into one long paragraph, and places must be those of the raw text. Each step reads the text once
with a pattern that cannot backtrack into itself, so that no answer, however broken, takes long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mention_analyzer.domain.text.layout import Layout, Span
from mention_analyzer.domain.text.linking import links_and_regions
from mention_analyzer.domain.text.listing import items

_NO_END = (
    r"(?<!\b[A-Z]\.)"  # "J. Crew", "U.S."
    r"(?<!\b(?:Mr|Ms|Dr|St|vs|Jr|Sr|No|Co)\.)(?<!\b(?:Mrs|etc|Inc|Ltd|e\.g|i\.e|a\.m|p\.m)\.)"
    r"(?<!\b(?:Bros|Corp|incl)\.)"
    r"(?<!\A\d\.)(?<![\n*#:.]\d\.)(?<![\n*#:.] \d\.)(?<![\n*]\d\d\.)"  # "**1. Notion**"
)
# What ends a sentence, with what follows up to the next. A line break that goes on in lower case
# is one that only wraps. Where line breaks are lost, a full stop touches the next capital.
_END = re.compile(
    r"[.!?…。！？\n](?:"  # noqa: RUF001 - the full stops of Chinese and Japanese
    r"(?<=\n)(?![ \t]*+[a-z])\s*+"
    r"|(?<=[。！？])"  # noqa: RUF001
    rf"|(?<=[.!?…]){_NO_END}[.!?…]*+[\"'”’)\]*_]*+"  # noqa: RUF001
    r"(?:[ \t\u00a0]*+(?:\n\s*+|\Z)|[ \t\u00a0]++(?!(?![a-z][A-Z])[a-z])"
    r"|(?<=[a-z)%°\"”][.!?])(?=[A-Z][a-z \u00a0]))"
    r")"
)


def lay_out(text: str) -> Layout:
    """Regions, links, sentences and list items of ``text``, in time linear in its length."""
    links, regions = links_and_regions(text)
    return Layout(text, regions, links, tuple(_sentences(text)), items(text))


def _sentences(text: str) -> Iterator[Span]:
    start = 0
    for end in _END.finditer(text):
        if (stop := end.end()) > start:
            yield Span(start, stop)
            start = stop
    if start < len(text):
        yield Span(start, len(text))
