"""Brands, answers and what is found in them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand to look for, by its name and its aliases."""

    brand_id: UUID
    name: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrandSet:
    """The brands of one run, as they were when it started."""

    tenant_id: str
    run_id: UUID
    brands: tuple[Brand, ...]


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


@dataclass(frozen=True, slots=True)
class Mention:
    """One occurrence. ``start`` and ``end`` count code points, end exclusive."""

    brand_id: UUID
    start: int
    end: int
    text: str
    rule: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that one version of the analyzer found in one answer."""

    answer: Answer
    analyzer_version: str
    mentions: tuple[Mention, ...]
