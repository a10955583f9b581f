"""Brands, answers and what is found in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class CaseRule(StrEnum):
    """Whether upper and lower case tell a brand's names from other words.

    ``AUTO`` is ``EXACT`` for names that are ordinary words or very short, else ``ANY``.
    """

    AUTO = "auto"
    EXACT = "exact"
    ANY = "any"


class Outcome(StrEnum):
    """What one occurrence of a brand amounts to. The first three are being named."""

    NAMED = "named"
    RECOMMENDED = "recommended"
    DENIED = "denied"
    CITED = "cited"  # as the source of a statement only, e.g. the label of a reference
    LINK_ONLY = "link-only"  # in the target of a link only, where no reader sees it


class Owner(StrEnum):
    """Whose page a citation is, seen from the tracked brands."""

    OWN = "own"
    COMPETITOR = "competitor"
    THIRD_PARTY = "third-party"


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand to look for, by its name and its aliases.

    ``domains`` are its sites, ``exclude`` phrases around a name that are not the brand ("on top"
    for "On"), ``own`` tells the tenant's brands from competitors.
    """

    brand_id: UUID
    name: str
    aliases: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    own: bool = False
    case: CaseRule = CaseRule.AUTO


@dataclass(frozen=True, slots=True)
class BrandSet:
    """The brands of one run; a higher ``revision`` replaces them from then on."""

    tenant_id: str
    run_id: UUID
    brands: tuple[Brand, ...]
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A page that the assistant named beside its text."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One raw answer of a model; never changed once stored."""

    tenant_id: str
    completion_id: UUID
    run_id: UUID
    prompt_id: UUID
    model: str
    sample: int
    text: str
    simulated: bool
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Mention:
    """One occurrence. ``start`` and ``end`` count code points, end exclusive.

    ``alias`` is the name that matched, as the brand declares it. ``sentiment`` runs from -1 to 1,
    None where there are no words to judge by.
    """

    brand_id: UUID
    start: int
    end: int
    text: str
    rule: str
    alias: str = ""
    outcome: Outcome = Outcome.NAMED
    sentiment: float | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A page that the answer refers to, in its text (``start`` is where) or beside it (None).

    ``domain`` is the registrable one, by the public suffix list, or the host where there is none.
    ``brand_id`` is the tracked brand whose page it is.
    """

    url: str
    domain: str
    owner: Owner
    brand_id: UUID | None = None
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A brand in one answer; only brands with a mention or a citation have one.

    ``rank`` counts brands by their first mention from 1 (None if not named), ``list_rank`` the
    items of the answer's list up to the one that names it. ``sentiment`` is the mean over its
    mentions. ``position_adjusted_words`` is between 0 and 1, and 0 if none of its pages is cited.
    """

    brand_id: UUID
    mentions: int
    named: bool
    recommended: bool
    denied: bool
    cited: bool
    link_only: bool
    rank: int | None = None
    list_rank: int | None = None
    sentiment: float | None = None
    citations: int = 0
    position_adjusted_words: float = 0.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that one version of the analyzer found in one answer, for one set of brands."""

    answer: Answer
    analyzer_version: str
    mentions: tuple[Mention, ...]
    citations: tuple[Citation, ...] = ()
    findings: tuple[Finding, ...] = ()
    revision: int = 1
