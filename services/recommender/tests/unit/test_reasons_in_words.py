"""Reasons are for people, and name no one."""

from __future__ import annotations

import pytest
from recommender.domain.models import Path, Source
from recommender.domain.reasons import popular_reason, reasons_of, source_of
from services.recommender.tests.kits import campaign

TEA = {"tea": campaign("tea", title="Plum tea")}


def said(*paths: Path, most: int = 9) -> list[str]:
    return [reason.text for reason in reasons_of(paths, TEA, most)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            Path("similar-users", 0.5, 3, "pricing"),
            "3 people who say similar things and asked about pricing engaged with this",
        ),
        (
            Path("similar-users", 0.5, 1, "book_flight"),
            "1 person who says similar things and asked about book flight engaged with this",
        ),
        (Path("similar-users", 0.5, 12), "12 people who say similar things engaged with this"),
        (Path("similar-users", 0.5), "people who say similar things engaged with this"),
        (
            Path("co-engaged", 0.5, 2, campaign_id="tea"),
            "people who engaged with Plum tea also engaged with this",
        ),
        (
            Path("co-engaged", 0.5, 2, campaign_id="unknown"),
            "people who engaged with the same campaigns also engaged with this",
        ),
        (
            Path("co-engaged", 0.5, 2),
            "people who engaged with the same campaigns also engaged with this",
        ),
        (Path("intent", 0.5, intent="pricing"), "you asked about pricing"),
        (Path("intent", 0.5, intent="gift-cards"), "you asked about gift cards"),
        (Path("intent", 0.5), "this is what you asked for"),
        (Path("content", 0.5), "this is close to what you said"),
    ],
)
def test_a_connection_in_words(path: Path, text: str) -> None:
    (reason,) = reasons_of([path], TEA, 3)
    assert reason.text == text
    assert (reason.kind, reason.weight, reason.users) == (path.kind, path.weight, path.users)
    assert reason.intent == path.intent


def test_the_strongest_are_told_and_unknown_kinds_are_not() -> None:
    paths = [Path("magic", 9.0), Path("intent", 2.0, intent="a"), Path("content", 1.0)]
    assert said(*paths) == ["you asked about a", "this is close to what you said"]
    assert said(*paths, most=1) == ["you asked about a"]


@pytest.mark.parametrize(
    ("paths", "source"),
    [
        ([Path("similar-users", 0.5), Path("intent", 0.4)], Source.PERSONAL),
        ([Path("co-engaged", 0.2), Path("intent", 0.4)], Source.INTENT),
        (
            [Path("co-engaged", 0.3), Path("similar-users", 0.2), Path("intent", 0.4)],
            Source.PERSONAL,
        ),
        ([Path("content", 0.1)], Source.INTENT),
        ([Path("magic", 0.1)], Source.PERSONAL),
        ([], Source.PERSONAL),
    ],
)
def test_a_source_is_what_adds_most(paths: list[Path], source: Source) -> None:
    assert source_of(paths) is source


def test_how_many_engaged_is_said_in_numbers() -> None:
    assert popular_reason(0, 0.5) == ()
    assert popular_reason(1, 0.5)[0].text == "1 person engaged with this lately"
    assert popular_reason(12, 0.5)[0].text == "12 people engaged with this lately"
    assert popular_reason(12, 0.5)[0].users == 12
