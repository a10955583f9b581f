"""The pages that an answer refers to, and whose they are.

A citation is a link of any kind in the text (running text, label of a source, definition of a
reference, bare address) or a source named beside it. Each page counts once, where it stands first,
in the spelling that stands there; ``addresses.page_of`` says what is the same page. Links to the
results of a search ("Where to buy": chatgpt.com/?hints=search&q=...) refer to no page and are left
out, and so is what is no valid address.

A page is a brand's if its host is one of the brand's domains or below it; the longest such domain
wins. Only hosts count: of a domain entered as "example.com/shop", the path is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mention_analyzer.domain.models import Brand, Citation, Mention, Outcome, Owner, Source
from mention_analyzer.domain.pages.addresses import (
    Page,
    host_of_domain,
    is_search,
    page_of,
    registrable,
)
from mention_analyzer.domain.text.layout import Layout, Link, Span

LINK_DOMAIN = "link-domain"


@dataclass(frozen=True, slots=True)
class Cited:
    """A page, its brand if it is one's, and every link of the text that leads to it, in order."""

    page: Page
    citation: Citation
    brand: Brand | None
    links: tuple[Link, ...]


def citations(
    layout: Layout, sources: Sequence[Source], brands: tuple[Brand, ...]
) -> tuple[Cited, ...]:
    """The cited pages, those in the text in order of their place, then those beside it."""
    links = dict[str, list[Link]]()
    first = dict[str, tuple[Page, str]]()
    for link in layout.links:
        if page := _cited_page(link.url):
            links.setdefault(page.normal, []).append(link)
            first.setdefault(page.normal, (page, link.url))
    for source in sources:
        if page := _cited_page(source.url):
            first.setdefault(page.normal, (page, source.url))
    return tuple(
        _cited(page, url, tuple(links.get(page.normal, ())), brands) for page, url in first.values()
    )


def linked_mentions(
    cited: Iterable[Cited], layout: Layout, mentions: Sequence[Mention]
) -> Iterator[Mention]:
    """A LINK_ONLY mention for each page in the text of a brand that no mention has.

    It spans the address, not the label; addresses that hold another mention are left out, so that
    mentions never overlap.
    """
    known = {mention.brand_id for mention in mentions}
    for one in cited:
        if one.brand and one.brand.brand_id not in known:
            spans = (_address(layout.text, link) for link in one.links)
            span = next((span for span in spans if span), None)
            if span and not any(m.start < span.end and span.start < m.end for m in mentions):
                text = layout.text[span.start : span.end]
                yield Mention(
                    one.brand.brand_id,
                    span.start,
                    span.end,
                    text,
                    LINK_DOMAIN,
                    outcome=Outcome.LINK_ONLY,
                )


def owner_of(host: str, brands: tuple[Brand, ...]) -> Brand | None:
    """The brand whose domain ``host`` is, or is below."""
    domains = _domains(brands)
    while host:
        if brand := domains.get(host):
            return brand
        host = host.partition(".")[2]
    return None


def _cited_page(url: str) -> Page | None:
    page = page_of(url)
    return None if page is None or is_search(page) else page


def _cited(page: Page, url: str, links: tuple[Link, ...], brands: tuple[Brand, ...]) -> Cited:
    brand = owner_of(page.host, brands)
    owner = Owner.THIRD_PARTY if not brand else Owner.OWN if brand.own else Owner.COMPETITOR
    citation = Citation(
        url=url,
        domain=registrable(page.host),
        owner=owner,
        brand_id=brand.brand_id if brand else None,
        start=links[0].start if links else None,
    )
    return Cited(page, citation, brand, links)


def _address(text: str, link: Link) -> Span | None:
    """Where the address of a link stands: in its target rather than in its label."""
    start = text.rfind(link.url, link.start, link.end)
    return None if start < 0 else Span(start, start + len(link.url))


@lru_cache(maxsize=256)
def _domains(brands: tuple[Brand, ...]) -> dict[str, Brand]:
    """Brands by the hosts of their domains; the first brand keeps a domain that two declare."""
    found = dict[str, Brand]()
    for brand in brands:
        for host in map(host_of_domain, brand.domains):
            if host:
                found.setdefault(host, brand)
    return found
