"""Secrets of keys, and the identity of requests."""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.domain.rules import new_secret, request_hash, secret_hash, shown_prefix
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_secrets_are_long_and_new() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("lk_") and len(secret) == 46 for secret in made)


def test_what_is_stored_is_the_hash() -> None:
    assert secret_hash("lk_ü") == hashlib.sha256("lk_ü".encode()).digest()


def test_what_is_shown_is_a_small_part() -> None:
    secret = new_secret()
    assert shown_prefix(secret) == secret[:11]
    assert len(secret) - len(shown_prefix(secret)) >= 35  # 210 bits stay unknown


@given(st.dictionaries(st.text(), JSON))
def test_a_request_is_the_same_in_any_order_of_its_fields(body: dict[str, Any]) -> None:
    swapped = dict(reversed(body.items()))
    assert request_hash("POST", "/runs", body) == request_hash("POST", "/runs", swapped)


@given(JSON, JSON)
def test_requests_that_differ_have_other_hashes(one: Any, two: Any) -> None:
    # True == 1 in Python, but not in JSON.
    same = repr(one) == repr(two)
    assert same or one == two or request_hash("P", "/", one) != request_hash("P", "/", two)


def test_method_and_path_belong_to_a_request() -> None:
    hashes = {
        request_hash("POST", "/runs", {}),
        request_hash("PUT", "/runs", {}),
        request_hash("POST", "/keys", {}),
        request_hash("POST", "/runs", {"": None}),
    }
    assert len(hashes) == 4
