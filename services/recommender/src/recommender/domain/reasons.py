"""Why a campaign is recommended, in words for people. No reason names a user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from recommender.domain.models import Campaign, Path, Reason, Source

PERSONAL = frozenset({"similar-users", "co-engaged"})
FROM_WORDS = frozenset({"intent", "content"})
POPULAR = "popular"


def source_of(paths: Sequence[Path]) -> Source:
    """Whether people or words connect a user to a campaign: what adds more to the affinity."""
    words = people = 0.0
    for path in paths:
        if path.kind in FROM_WORDS:
            words += path.weight
        else:
            people += path.weight
    return Source.INTENT if words > people else Source.PERSONAL


def reasons_of(
    paths: Sequence[Path], campaigns: Mapping[str, Campaign], most: int
) -> tuple[Reason, ...]:
    """One reason for each connection that there are words for, the strongest first."""
    return tuple(
        Reason(path.kind, _TEXTS[path.kind](path, campaigns), path.weight, path.users, path.intent)
        for path in paths
        if path.kind in _TEXTS
    )[:most]


def popular_reason(people: int, popularity: float) -> tuple[Reason, ...]:
    """How many engaged lately; nothing if nobody did."""
    if people < 1:
        return ()
    text = f"{_people(people)} engaged with this lately"
    return (Reason(POPULAR, text, popularity, people),)


def _similar_users(path: Path, _: Mapping[str, Campaign]) -> str:
    says = "says" if path.users == 1 else "say"
    asked = f" and asked about {_words(path.intent)}" if path.intent else ""
    return f"{_people(path.users)} who {says} similar things{asked} engaged with this"


def _co_engaged(path: Path, campaigns: Mapping[str, Campaign]) -> str:
    other = campaigns.get(path.campaign_id or "")
    with_what = "the same campaigns" if other is None else other.title
    return f"people who engaged with {with_what} also engaged with this"


def _intent(path: Path, _: Mapping[str, Campaign]) -> str:
    return f"you asked about {_words(path.intent)}" if path.intent else "this is what you asked for"


def _content(_: Path, __: Mapping[str, Campaign]) -> str:
    return "this is close to what you said"


_TEXTS: Mapping[str, Callable[[Path, Mapping[str, Campaign]], str]] = {
    "similar-users": _similar_users,
    "co-engaged": _co_engaged,
    "intent": _intent,
    "content": _content,
}


def _people(number: int) -> str:
    if number < 1:
        return "people"
    return "1 person" if number == 1 else f"{number} people"


def _words(intent: str | None) -> str:
    """An intent's name as it is said: book_flight is "book flight"."""
    return (intent or "").replace("_", " ").replace("-", " ").strip()
