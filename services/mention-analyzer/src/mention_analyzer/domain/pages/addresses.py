"""Addresses of pages: what is the same page, and whose domain it is on.

Domains are by the public suffix list (publicsuffix.org, as the package publicsuffixlist brings
it), private suffixes included: "a.github.io" and "b.github.io" have different owners.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from publicsuffixlist import PublicSuffixList

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}", re.ASCII)
_MOST_HOST = 253
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d)", re.IGNORECASE)
_PORTS = frozenset({None, 80, 443})
# Parameters that tell how a reader came to a page, not which page it is.
_TRACKING = re.compile(
    r"(?:utm_\w+|gclid|gbraid|wbraid|dclid|fbclid|msclkid|yclid|twclid|ttclid|igshid|mc_[ce]id|"
    r"srsltid|gad_\w+|_hs\w+|_ga|_gl|_gsid|ref_?|ref_src|cmpid|campaign(?:id)?|aff(?:id)?|si|"
    r"vero_id|mkt_tok|spm|trk)(?:=|$)",
    re.IGNORECASE,
)
# Pages of results that an assistant's own interface links to: they name a search, not a page.
_SEARCH = re.compile(r"(?:chatgpt\.com|(?:google|bing|duckduckgo|perplexity)\.[a-z.]{2,6})")
_SEARCH_PATHS = frozenset({"", "/", "/search"})


class Page(NamedTuple):
    """A page by the form that all its spellings share."""

    host: str
    normal: str


def page_of(url: str) -> Page | None:
    """The page of a URL as an answer spells it; None for what is no address on the web.

    Left out of ``normal`` are the scheme, "www.", the usual ports, user names, tracking parameters,
    the fragment and a slash at the end; other parameters stay in their order.
    """
    parts = _split(url)
    host = host_of(parts) if parts else None
    if parts is None or host is None:
        return None
    query = "&".join(part for part in parts.query.split("&") if not _TRACKING.match(part))
    place = host.removeprefix("www.") + _port(parts) + parts.path.rstrip("/")
    return Page(host, f"{place}?{query}" if query else place)


def is_search(page: Page) -> bool:
    """Whether the page is one of search results, e.g. chatgpt.com/?hints=search&q=..."""
    place, _, query = page.normal.partition("?")
    host, slash, path = place.partition("/")
    asks = any(part.startswith("q=") for part in query.split("&"))
    return asks and slash + path in _SEARCH_PATHS and _SEARCH.fullmatch(host) is not None


def host_of(parts: SplitResult) -> str | None:
    """The host in lower case and in ASCII (IDNA), without a dot at the end.

    None if it is invalid, or has no dot and so is no place on the web.
    """
    try:
        name = (parts.hostname or "").rstrip(".")
        name = name if name.isascii() else name.encode("idna").decode("ascii").lower()
    except (UnicodeError, ValueError):
        return None
    if _is_ip(name):
        return name
    valid = len(name) <= _MOST_HOST and _HOST.fullmatch(name)
    return name if valid and not name.rpartition(".")[2].isdigit() else None


def host_of_domain(domain: str) -> str | None:
    """The host of a brand's domain, however it was entered: with scheme, "www." or a path."""
    page = page_of(domain.strip())
    return page.host.removeprefix("www.") if page else None


@lru_cache(maxsize=8192)
def registrable(host: str) -> str:
    """The registrable domain of a host, or the host itself where there is none (IP, suffix)."""
    if _is_ip(host):
        return host
    return _suffixes().privatesuffix(host) or host


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    """Built at first use: reading the list takes some 30 milliseconds."""
    return PublicSuffixList()


def _split(url: str) -> SplitResult | None:
    """The parts as a browser reads them: a backslash is a slash, http or https if nothing else."""
    given = unescape(url.strip()).replace("\\", "/")
    if given.startswith("//"):
        given = f"https:{given}"
    elif not _SCHEME.match(given):
        given = f"https://{given}"
    try:
        parts = urlsplit(given)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} else None


def _port(parts: SplitResult) -> str:
    return "" if parts.port in _PORTS else f":{parts.port}"


def _is_ip(host: str) -> bool:
    if not (":" in host or host[-1:].isdigit()):
        return False
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
