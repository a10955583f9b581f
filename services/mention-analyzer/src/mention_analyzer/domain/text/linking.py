"""Links, references, addresses and code in an answer: what is not plain prose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

from mention_analyzer.domain.text.layout import Link, Place, Region

_SIGNS = ("[", "://", "www.", "`")
# Begins with one set of characters, which the search skips to.
_SIGN = re.compile(
    r"[\[`hHwW](?:(?<=\[)|(?<=`)`*+|(?<=[hH])[tT]{2}[pP][sS]?://|(?<=[wW])[wW]{2}\.(?=\w))"
)
_TARGET = r"[^\s()<>]*+(?:\([^\s()]*+\)[^\s()<>]*+)*+"
_TITLE = r"\"[^\"\n]*+\"|'[^'\n]*+'"
_LINK = re.compile(
    r"\[(?P<label>(?:[^\[\]\\\n]++|\\.|\[[^\[\]\n]*+\])*+)\]"
    rf"(?:\([ \t]*+<?(?P<url>{_TARGET})>?(?:[ \t]++(?:{_TITLE}))?+[ \t]*+\)"
    r"|\[(?P<ref>[^\[\]\n]{0,200}+)\])?"
)
_DEFINITION = re.compile(
    r"\[(?P<ref>[^\[\]\n]{1,200}+)\]:[ \t]*+(?:<?(?P<url>(?:https?://|www\.|/)[^\s>]++)>?"
    r"(?=[ \t\n]|\Z))?+[ \t]*+(?P<title>[^\n]*+)"
)
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"`\[\]{}|\\^]++", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:[\s,;&·•]|\\|and\b)*+")
_CODE_REACH = 2000  # inline code is short: an unpaired backtick must not search a whole text


class _Raw(NamedTuple):
    """A link before it is known what its reference points to and whether it is a citation."""

    start: int
    label_end: int
    end: int
    url: str | None
    ref: str


def links_and_regions(text: str) -> tuple[tuple[Link, ...], tuple[Region, ...]]:
    """Every link and every region that is not prose, in order of their places."""
    if not any(sign in text for sign in _SIGNS):
        return (), ()
    raws, links, regions = list[_Raw](), list[Link](), list[Region]()
    targets: dict[str, str] = {}
    _scan(text, raws, links, regions, targets)
    cited = _cited(text, raws)
    for raw in raws:
        _settle(text, raw, raw.start in cited, targets, links, regions)
    by_start = attrgetter("start")
    return tuple(sorted(links, key=by_start)), tuple(sorted(regions, key=by_start))


def _scan(
    text: str,
    raws: list[_Raw],
    links: list[Link],
    regions: list[Region],
    targets: dict[str, str],
) -> None:
    position = 0
    while sign := _SIGN.search(text, position):
        start, first = sign.start(), text[sign.start()]
        if first == "`":
            position = _code(text, start, sign.end(), regions)
        elif first != "[":
            position = _address(text, start, links, regions)
        elif defined := _definition(text, start):
            position = _define(defined, links, regions, targets)
        else:
            position = _bracketed(text, start, raws)


def _code(text: str, start: int, inside: int, regions: list[Region]) -> int:
    """Until the same number of backticks; a fence that is never closed goes on to the end."""
    ticks = text[start:inside]
    fence = len(ticks) >= 3 and _begins_line(text, start)
    closed = text.find(
        f"\n{ticks}" if fence else ticks, inside, *(() if fence else (inside + _CODE_REACH,))
    )
    if closed < 0 and not fence:
        return inside
    end = len(text) if closed < 0 else closed + len(ticks) + fence
    regions.append(Region(start, end, Place.CODE))
    return end


def _address(text: str, start: int, links: list[Link], regions: list[Region]) -> int:
    """An address in running text, without the punctuation of the sentence around it."""
    found = _ADDRESS.match(text, start)
    if found is None:  # "https://" and nothing after
        return start + 1
    url = found[0].rstrip(".,;:!?'*_~")
    if url.endswith(")") and url.count("(") < url.count(")"):
        url = url[: url.index(")") if "(" not in url else -1].rstrip(".,;:!?'*_~")
    end = start + max(len(url), 4)
    links.append(Link(start, end, text[start:end], Place.URL))
    regions.append(Region(start, end, Place.URL))
    return end


def _definition(text: str, start: int) -> re.Match[str] | None:
    return _DEFINITION.match(text, start) if _begins_line(text, start) else None


def _begins_line(text: str, start: int) -> bool:
    """With at most three spaces before, as Markdown has it."""
    if start and text[start - 1] not in "\n ":
        return False
    before = text[max(0, start - 4) : start].rpartition("\n")
    return not before[2].strip(" ") and (bool(before[1]) or start <= 3)


def _define(
    found: re.Match[str], links: list[Link], regions: list[Region], targets: dict[str, str]
) -> int:
    """``[1]: https://... "Title"``, or a footnote: ``[^1]: text with https://...``."""
    end, url = found.end(), found["url"]
    if not url:
        _footnote(found.string, found.start(), end, links, regions)
        return end
    targets[found["ref"].casefold()] = url
    links.append(Link(found.start(), end, url, Place.REFERENCE))
    regions.append(Region(found.start(), found.start("title"), Place.URL))
    if found["title"]:
        regions.append(Region(found.start("title"), end, Place.REFERENCE))
    return end


def _footnote(text: str, start: int, end: int, links: list[Link], regions: list[Region]) -> None:
    while found := _ADDRESS.search(text, start, end):
        if found.start() > start:
            regions.append(Region(start, found.start(), Place.REFERENCE))
        start = _address(text, found.start(), links, regions)
    if start < end:
        regions.append(Region(start, end, Place.REFERENCE))


def _bracketed(text: str, start: int, raws: list[_Raw]) -> int:
    if start and text[start - 1] == "\\":  # before the match, which would read on to the end
        return start + 1
    found = _LINK.match(text, start)
    if found is None:
        return start + 1
    ref = found["ref"]
    raw = _Raw(start, found.end("label"), found.end(), found["url"], ref or found["label"])
    raws.append(raw)
    return raw.end


def _cited(text: str, raws: list[_Raw]) -> set[int]:
    """Starts of links that stand with nothing but links in parentheses: ``([A][1], [B][2])``."""
    cited, index = set[int](), 0
    while index < len(raws):
        start = raws[index].start
        if start == 0 or text[start - 1] != "(":
            index += 1
            continue
        group = list(_group(text, raws, index))
        end = group[-1].end
        if text[end : end + 1] == ")":
            cited.update(raw.start for raw in group)
        index += len(group)
    return cited


def _group(text: str, raws: list[_Raw], index: int) -> Iterator[_Raw]:
    """Links with only commas and the like between them."""
    yield raws[index]
    for number in range(index + 1, len(raws)):
        end, start = raws[number - 1].end, raws[number].start
        if start - end > 20 or not _BETWEEN.fullmatch(text, end, start):
            return
        yield raws[number]


def _settle(
    text: str,
    raw: _Raw,
    cited: bool,
    targets: dict[str, str],
    links: list[Link],
    regions: list[Region],
) -> None:
    """Decide what the brackets are, now that all definitions are known."""
    start, label_end, end, url, ref = raw
    number = url is None and ref.lstrip("^").isdigit()
    target = targets.get(ref.casefold()) if url is None else url
    if target is None and not number:
        return  # brackets that are no link, e.g. "[sic]"
    bare = number and end == label_end + 1
    place = Place.REFERENCE if cited or bare else Place.LINK_TEXT
    if target:
        links.append(Link(start, end, target, place))
    if text[start + 1] in "hHwW" and _ADDRESS.match(text, start + 1, label_end):
        regions.append(Region(start, end, Place.URL))
        return
    if label_end > start + 1:
        regions.append(Region(start + 1, label_end, place))
    if end > label_end + 1 and url != "":
        regions.append(Region(label_end, end, Place.URL))
