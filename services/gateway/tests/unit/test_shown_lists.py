"""What a user is shown of the lists that the read model holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gateway.domain.marketing import NEVER, Campaign, Window, microseconds
from gateway.domain.recommendations import Found, shown
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
CAMPAIGNS = ("a", "b", "c", "d", "e")
some = st.frozensets(st.sampled_from(CAMPAIGNS))


def a_list(*items: str | dict[str, Any], source: str = "personal") -> bytes:
    full = [item if isinstance(item, dict) else {"campaign_id": item} for item in items]
    body = {"source": source, "as_of": "x", "ranker_version": "r", "items": full}
    return json.dumps(body).encode()


def ids(found: Found, limit: int = 5, now: datetime = NOW) -> list[str]:
    return [item["campaign_id"] for item in shown(found, limit, now)["items"]]


def test_a_list_of_ones_own_comes_first() -> None:
    view = shown(Found("u", a_list("a"), a_list("b", source="popular")), 5, NOW)
    assert view == {
        "user_id": "u",
        "source": "personal",
        "cold": False,
        "as_of": "x",
        "ranker_version": "r",
        "items": [{"campaign_id": "a"}],
    }


def test_who_is_not_known_gets_the_popular_ones() -> None:
    view = shown(Found("u", None, a_list("b", source="popular")), 5, NOW)
    assert (view["user_id"], view["source"], view["cold"]) == ("u", "popular", True)
    assert view["items"] == [{"campaign_id": "b"}]


def test_where_nothing_is_popular_yet_nothing_is_shown() -> None:
    view = shown(Found("u", None, None), 5, NOW)
    assert view == {
        "user_id": "u",
        "source": "popular",
        "cold": True,
        "as_of": None,
        "ranker_version": None,
        "items": [],
    }


def test_a_list_that_has_become_empty_stays_empty() -> None:
    found = Found("u", a_list("a"), a_list("b"), windows={"a": NEVER})
    assert ids(found) == []
    assert shown(found, 5, NOW)["cold"] is False


@pytest.mark.parametrize(
    ("ends_at", "there"),
    [
        (None, True),
        ("2026-11-04T12:00:00Z", False),
        ("2026-11-04T12:00:00.000001Z", True),
        ("2026-11-04T13:00:00+01:00", False),
        ("2026-11-04T13:00:01+01:00", True),
        ("2026-11-03T00:00:00Z", False),
    ],
)
def test_what_has_ended_is_left_out(ends_at: str | None, there: bool) -> None:
    found = Found("u", a_list({"campaign_id": "a", "ends_at": ends_at}, "b"), None)
    assert ids(found) == (["a", "b"] if there else ["b"])


@given(
    own=st.none() | st.lists(st.sampled_from(CAMPAIGNS), unique=True),
    popular=st.none() | st.lists(st.sampled_from(CAMPAIGNS), unique=True),
    inactive=some,
    excluded=some,
    ended=some,
    limit=st.integers(1, 6),
)
def test_what_may_not_be_shown_makes_room_for_the_next(
    own: list[str] | None,
    popular: list[str] | None,
    inactive: frozenset[str],
    excluded: frozenset[str],
    ended: frozenset[str],
    limit: int,
) -> None:
    past = (NOW - timedelta(hours=1)).isoformat()

    def stored(names: list[str] | None) -> bytes | None:
        if names is None:
            return None
        return a_list(*({"campaign_id": n, "ends_at": past if n in ended else None} for n in names))

    found = Found("u", stored(own), stored(popular), dict.fromkeys(inactive, NEVER), excluded)
    hidden = inactive | excluded | ended
    wanted = (own if own is not None else popular) or []
    assert ids(found, limit) == [name for name in wanted if name not in hidden][:limit]


HOUR = timedelta(hours=1)


def a_window(**changes: Any) -> Window | None:
    return Campaign("t", "a", "A", NOW, **changes).window(NOW)


@pytest.mark.parametrize(
    ("change", "shown_at"),
    [
        ({}, (True, True, True)),
        ({"budget": "paused"}, (False, False, False)),
        ({"deleted": True, "ends_at": NOW + 9 * HOUR}, (False, False, False)),
        ({"ends_at": NOW}, (True, False, False)),
        ({"ends_at": NOW + HOUR}, (True, True, False)),
        ({"starts_at": NOW - HOUR}, (True, True, True)),
        ({"starts_at": NOW + HOUR}, (False, False, True)),
        ({"starts_at": NOW, "ends_at": NOW + HOUR}, (False, True, False)),
    ],
)
def test_a_campaign_is_shown_while_its_window_holds(
    change: dict[str, Any], shown_at: tuple[bool, ...]
) -> None:
    window = a_window(**change)
    times = (NOW - timedelta(seconds=1), NOW, NOW + HOUR)
    found = tuple(window is None or window.holds(at) for at in times)
    # What has begun is not asked again when it began.
    assert found[1:] == shown_at[1:]
    assert found[0] == shown_at[0] or window is None


@pytest.mark.parametrize(
    ("ends_at", "window", "there"),
    [
        ("2026-11-04T13:00:00Z", Window(0, microseconds(NOW)), False),  # it was ended early
        ("2026-11-04T11:00:00Z", Window(0, microseconds(NOW + HOUR)), True),  # it was prolonged
        (None, Window(microseconds(NOW + HOUR), microseconds(NOW + 2 * HOUR)), False),
        (None, Window(microseconds(NOW), microseconds(NOW + HOUR)), True),
    ],
)
def test_what_a_campaign_is_now_holds_whatever_it_was(
    ends_at: str | None, window: Window, there: bool
) -> None:
    own = a_list({"campaign_id": "a", "ends_at": ends_at})
    assert ids(Found("u", own, None, {"a": window})) == (["a"] if there else [])
