"""Which pages an answer cites, what is the same page, and whose it is."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mention_analyzer.domain.models import Analysis, Answer, Brand, Outcome, Owner, Source
from mention_analyzer.domain.pages.addresses import host_of_domain, is_search, page_of, registrable
from mention_analyzer.domain.pages.citations import owner_of
from mention_analyzer.domain.rules import analyze


def brand(*domains: str, name: str = "Notion", own: bool = False) -> Brand:
    return Brand(uuid4(), name, domains=domains, own=own)


def analysis(text: str, *brands: Brand, sources: tuple[str, ...] = ()) -> Analysis:
    beside = tuple(Source(url) for url in sources)
    answer = Answer("t", uuid4(), uuid4(), uuid4(), "p/m", 0, text, simulated=False, sources=beside)
    return analyze(answer, brands)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://notion.so/a", "http://www.notion.so/a/"),
        ("https://notion.so", "https://NOTION.so/#top"),
        ("https://notion.so/a", "https://notion.so:443/a"),
        ("https://notion.so./a", "notion.so/a"),
        ("https://notion.so/a", "https://notion.so/a#:~:text=The%20Quick%20List"),
        ("https://notion.so/a", "https://notion.so/a?utm_source=chatgpt.com"),
        ("https://notion.so/a?id=1", "https://notion.so/a?utm_source=x&id=1&gclid=7"),
        ("https://notion.so/a?id=1&b=2", "https://notion.so/a?id=1&amp;b=2"),
        ("https://münchen.de/", "https://xn--mnchen-3ya.de"),
        ("https://notion.so/a", "//notion.so/a"),
        ("https://notion.so/a", "https:\\\\notion.so\\a"),
        ("https://user:word@notion.so/a", "https://notion.so/a"),
    ],
)
def test_spellings_of_one_page(one: str, other: str) -> None:
    first, second = page_of(one), page_of(other)
    assert first is not None
    assert second is not None
    assert first.normal == second.normal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://notion.so/a", "https://notion.so/b"),
        ("https://notion.so/a?id=1", "https://notion.so/a?id=2"),
        ("https://notion.so/a", "https://docs.notion.so/a"),
        ("https://notion.so/a", "https://notion.so:8080/a"),
        ("https://notion.so/a?reference=1", "https://notion.so/a"),
    ],
)
def test_different_pages(one: str, other: str) -> None:
    first, second = page_of(one), page_of(other)
    assert first is not None
    assert second is not None
    assert first.normal != second.normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "https://",
        "https://[::1",
        "https://exa mple.com",
        "mailto:a@notion.so",
        "javascript:alert(1)",
        "ftp://notion.so",
        "https://notion..so",
        "https://-notion.so",
        "https://notion.so:port/",
        "https://notion.so:99999/",
        "https://" + "a" * 64 + ".com",
        "https://" + "a.notion." * 40 + "so",
        "https://1.2.3.999",
        "https://%6eotion.so",
        "https://\u2100.so",
        "#footnote",
        "/relative/path",
    ],
)
def test_what_is_no_page(url: str) -> None:
    assert page_of(url) is None
    assert analysis(f"See [here]({url}).", brand("notion.so"), sources=(url,)).citations == ()


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.notion.so", "notion.so"),
        ("docs.example.co.uk", "example.co.uk"),
        ("a.b.example.com.au", "example.com.au"),
        ("me.github.io", "me.github.io"),
        ("github.io", "github.io"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("localhost", "localhost"),
        ("shop.brand.unknowntld", "brand.unknowntld"),
    ],
)
def test_registrable_domains(host: str, domain: str) -> None:
    assert registrable(host) == domain


@pytest.mark.parametrize(
    ("url", "owned"),
    [
        ("https://notion.so/x", True),
        ("https://www.notion.so/x", True),
        ("https://help.notion.so", True),
        ("HTTPS://NOTION.SO.", True),
        ("https://evil@notion.so/", True),
        ("https://notion.so@evil.com/", False),
        ("https://notion.so.evil.com/", False),
        ("https://evil.com/notion.so", False),
        ("https://evil.com\\@notion.so", False),
        ("https://evil.com?notion.so", False),
        ("https://xnotion.so/", False),
        ("https://notion.so:8443/x", True),
    ],
)
def test_whose_page_it_is(url: str, owned: bool) -> None:
    found = analysis("Hello.", brand("https://www.Notion.so/"), sources=(url,))
    assert [one.owner is Owner.COMPETITOR for one in found.citations] == [owned]


@pytest.mark.parametrize(
    ("declared", "host", "owned"),
    [
        ("docs.example.co.uk", "docs.example.co.uk", True),
        ("docs.example.co.uk", "v2.docs.example.co.uk", True),
        ("docs.example.co.uk", "example.co.uk", False),
        ("docs.example.co.uk", "shop.example.co.uk", False),
        ("example.co.uk", "docs.example.co.uk", True),
        ("www.example.com", "example.com", True),
        ("https://example.com/shop?x=1", "example.com", True),
        ("münchen.de", "xn--mnchen-3ya.de", True),
        ("com", "example.com", False),
        ("not a domain", "example.com", False),
    ],
)
def test_declared_domains(declared: str, host: str, owned: bool) -> None:
    assert (owner_of(host, (brand(declared),)) is not None) is owned


def test_the_longest_domain_wins() -> None:
    whole, part = brand("example.com"), brand("music.example.com", name="Music")
    assert owner_of("music.example.com", (whole, part)) is part
    assert owner_of("shop.example.com", (whole, part)) is whole


def test_own_competitor_and_third_party() -> None:
    found = analysis(
        "See https://ours.com, https://theirs.com and https://press.com.",
        brand("ours.com", name="Ours", own=True),
        brand("theirs.com", name="Theirs"),
    )
    assert [one.owner for one in found.citations] == [
        Owner.OWN,
        Owner.COMPETITOR,
        Owner.THIRD_PARTY,
    ]
    assert found.citations[2].brand_id is None


def test_a_page_counts_once_as_it_stands_first() -> None:
    url = "https://press.com/a?utm_source=chatgpt.com"
    text = f"A [test]({url}) and https://press.com/a.\n\n[1]: http://www.press.com/a/"
    found = analysis(text, brand("notion.so"), sources=("https://press.com/a", "https://b.com"))
    assert [(one.url, one.start) for one in found.citations] == [
        (url, text.index("[test]")),
        ("https://b.com", None),
    ]
    assert found.citations[0].domain == "press.com"


def test_a_reference_is_cited_where_it_is_used() -> None:
    text = "Good ([The Press][1]).\n\n[1]: https://press.com/a"
    (citation,) = analysis(text, brand("notion.so")).citations
    assert citation.start == text.index("[The Press]")


@pytest.mark.parametrize(
    ("url", "search"),
    [
        ("https://chatgpt.com/?hints=search&q=HP+15", True),
        ("https://www.google.com/search?q=hp+15", True),
        ("https://www.google.co.uk/search?q=hp+15", True),
        ("https://chatgpt.com/", False),
        ("https://store.google.com/search?q=pixel", False),
        ("https://google.com.evil.com/search?q=x", False),
        ("https://press.com/search?q=x", False),
        ("https://www.bing.com/maps?q=x", False),
    ],
)
def test_results_of_a_search_are_no_page(url: str, search: bool) -> None:
    page = page_of(url)
    assert page is not None
    assert is_search(page) is search
    assert len(analysis(f"[Buy]({url})", brand("notion.so")).citations) == (not search)


def test_a_linked_brand_that_is_not_named_is_link_only() -> None:
    text = "Try [this app](https://www.acme.com/x) today."
    found = analysis(text, brand("acme.com", name="Zenith"))
    (mention,) = found.mentions
    assert (mention.outcome, mention.rule) == (Outcome.LINK_ONLY, "link-domain")
    assert (mention.text, mention.sentiment) == ("https://www.acme.com/x", None)
    assert text[mention.start : mention.end] == mention.text
    (finding,) = found.findings
    assert (finding.link_only, finding.named, finding.rank) == (True, False, None)
    assert (finding.mentions, finding.citations) == (0, 1)


def test_a_linked_brand_that_is_named_has_no_mention_more() -> None:
    found = analysis("[Zenith](https://acme.com)", brand("acme.com", name="Zenith"))
    assert [mention.outcome for mention in found.mentions] == [Outcome.NAMED]
    assert found.findings[0].citations == 1


def test_mentions_in_one_address_do_not_overlap() -> None:
    found = analysis(
        "See https://acme.com/evernote here.",
        brand(name="Evernote"),
        brand("acme.com", name="Acme"),
    )
    assert [mention.text for mention in found.mentions] == ["evernote"]
    assert len(found.findings) == 2


def test_a_source_beside_the_text_has_no_place() -> None:
    found = analysis("Hello.", brand("acme.com"), sources=("https://acme.com/x",))
    assert found.mentions == ()
    assert [one.start for one in found.citations] == [None]
    assert [(one.citations, one.named, one.link_only) for one in found.findings] == [
        (1, False, False)
    ]


@given(st.text(max_size=60) | st.text("ab./:@#?[]\\%-_ ü", max_size=30).map("https://{}".format))
def test_no_address_breaks_anything(url: str) -> None:
    page = page_of(url)
    host_of_domain(url)
    if page:
        assert registrable(page.host)
        again = page_of(f"https://{page.normal}") if ":" not in page.host else page
        assert again is not None
        assert again.normal == page.normal
