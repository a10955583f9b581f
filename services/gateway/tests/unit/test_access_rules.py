"""What roles, scopes and tiers allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from gateway.domain.access import (
    TENANT_SCOPES,
    Role,
    Scope,
    Tier,
    effective_scopes,
    folded_email,
    granted_expiry,
    granted_scopes,
    granted_tier,
    lower_tier,
    role_scopes,
    spelled,
)
from gateway.domain.errors import Forbidden, InvalidKey
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 20, tzinfo=UTC)
scopes = st.frozensets(st.sampled_from(Scope))
roles = st.none() | st.sampled_from(Role)
tiers = st.sampled_from(Tier)
times = st.datetimes(
    min_value=datetime(2026, 1, 1), max_value=datetime(2028, 1, 1), timezones=st.just(UTC)
)


def test_what_each_role_may() -> None:
    assert {role: spelled(role_scopes(role)) for role in Role} == {
        Role.OWNER: "read, write, admin",
        Role.ANALYST: "read, write",
        Role.VIEWER: "read",
    }
    assert role_scopes(None) == frozenset(Scope)


@given(scopes, roles)
def test_a_key_may_what_it_was_given_and_its_role_allows(
    stored: frozenset[Scope], role: Role | None
) -> None:
    may = effective_scopes(stored, role)
    assert all(
        (scope in may) == (scope in stored and scope in role_scopes(role)) for scope in Scope
    )


@given(st.none() | scopes, scopes, roles)
def test_nobody_gives_what_they_or_the_role_have_not(
    asked: frozenset[Scope] | None, maker: frozenset[Scope], role: Role | None
) -> None:
    allowed = maker & role_scopes(role) & TENANT_SCOPES
    beyond = (asked or frozenset()) - allowed
    if beyond:
        with pytest.raises(Forbidden, match=spelled(beyond)):
            granted_scopes(asked, maker, role)
    else:
        assert granted_scopes(asked, maker, role) == (allowed if asked is None else asked)


@given(st.none() | tiers, tiers)
def test_a_tier_is_given_up_to_the_makers(asked: Tier | None, maker: Tier) -> None:
    order = ["free", "pro", "enterprise"]
    if asked is not None and order.index(asked) > order.index(maker):
        with pytest.raises(Forbidden, match=asked):
            granted_tier(asked, maker)
    else:
        assert granted_tier(asked, maker) == (asked or maker)


@given(tiers, tiers)
def test_the_lower_tier_counts(one: Tier, other: Tier) -> None:
    lower = lower_tier(one, other)
    assert lower in {one, other}
    assert lower == lower_tier(other, one)
    assert lower.height <= min(one.height, other.height)


@given(st.none() | times, st.none() | times)
def test_a_key_does_not_outlive_its_maker(asked: datetime | None, maker: datetime | None) -> None:
    try:
        expires = granted_expiry(asked, maker, NOW)
    except InvalidKey:
        assert asked is not None
        assert asked <= NOW
    except Forbidden:
        assert asked is not None
        assert maker is not None
        assert asked > maker
    else:
        assert expires == (maker if asked is None else asked)
        assert maker is None or (expires is not None and expires <= maker)


def test_a_key_may_not_end_at_once() -> None:
    with pytest.raises(InvalidKey):
        granted_expiry(NOW, None, NOW)
    assert granted_expiry(NOW + timedelta(seconds=1), None, NOW)


@given(st.emails())
def test_an_address_is_the_same_in_any_case(email: str) -> None:
    assert folded_email(f" {email.upper()} ") == folded_email(email.lower())
    assert folded_email(folded_email(email)) == folded_email(email)


def test_other_addresses_are_other_users() -> None:
    assert folded_email("a.b@example.com") != folded_email("ab@example.com")
    assert folded_email("STRASSE@x.de") == folded_email("straße@x.de")
    assert folded_email("Ａda@x.de") == folded_email("ada@x.de")


def test_scopes_are_spelled_in_order() -> None:
    assert spelled({Scope.ADMIN, Scope.READ}) == "read, admin"
    assert spelled(frozenset[Scope]()) == ""
