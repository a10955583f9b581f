"""``limelight keys, users, tenants, usage`` against a gateway that runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from typer.testing import Result

Run = Callable[..., Result]
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def a_tenant(limelight: Run) -> str:
    """The key of the owner of a new tenant."""
    said = limelight("tenants", "create", "Quillnote", "ada@example.com", "--tier", "pro").output
    assert re.search(rf"Tenant   {UUID}  Quillnote \(pro\)", said)
    assert re.search(rf"Owner    {UUID}  ada@example.com", said)
    found = re.search(r"API key  (lk_\S{43})\n", said)
    assert found is not None
    return found[1]


def test_a_tenant_with_its_users_and_keys(limelight: Run) -> None:
    owner = a_tenant(limelight)
    bo = limelight("users", "add", "Bo@example.com", "Bo", "--role", "analyst", key=owner)
    assert re.fullmatch(rf"{UUID}\n", bo.output)
    listed = limelight("users", "list", key=owner).output
    assert re.search(r"Bo@example.com\s*│ Bo\s*│ analyst", listed)
    assert "ada@example.com" in listed

    made = limelight(
        *("keys", "create", "for bo", "--user", "bo@example.com", "--scope", "read"),
        *("--tier", "free", "--expires", "30d"),
        key=owner,
    )
    secret = made.output.strip()
    keys = limelight("keys", "list", key=secret).output
    assert re.search(rf"for bo\s*│ {secret[:11]} │ read\s*│ free │ {bo.output.strip()}", keys)
    assert "valid until" in keys

    assert (
        "is viewer now" in limelight("users", "role", "bo@example.com", "viewer", key=owner).output
    )
    limelight("users", "disable", bo.output.strip(), key=owner)
    assert "disabled" in limelight("keys", "list", key=secret, status=1).output
    limelight("users", "enable", "bo@example.com", key=owner)
    limelight("keys", "list", key=secret)


def test_a_key_is_revoked(limelight: Run) -> None:
    owner = a_tenant(limelight)
    secret = limelight("keys", "create", "[bold]short-lived", key=owner).output.strip()
    keys = limelight("keys", "list", key=owner).output
    key_id = next(line for line in keys.splitlines() if secret[:11] in line).split("│")[1].strip()
    assert "is revoked" in limelight("keys", "revoke", key_id, key=owner).output
    assert re.search(rf"{secret[:11]}.*revoked", limelight("keys", "list", key=owner).output)


def test_what_may_not_be_is_said(limelight: Run) -> None:
    owner = a_tenant(limelight)
    said = limelight("tenants", "create", "T", "a@example.com", key=owner, status=1).output
    assert "operator" in said
    said = limelight("users", "role", "ada@example.com", "viewer", key=owner, status=1).output
    assert "last owner" in said
    assert "no user has" in limelight("users", "disable", "x@y.z", key=owner, status=1).output
    said = limelight("keys", "create", "k", "--expires", "soon", key=owner, status=1).output
    assert "30d" in said
    assert (
        "scopes" in limelight("keys", "create", "k", "--scope", "all", key=owner, status=1).output
    )


def test_usage_is_shown(limelight: Run) -> None:
    owner = a_tenant(limelight)
    for _ in range(3):
        limelight("users", "list", key=owner)
    until, said = time.monotonic() + 30, ""
    while time.monotonic() < until and not re.search(r"GET /v1/users\s*│\s*3 │", said):
        time.sleep(0.5)  # it is stored every few seconds
        said = limelight("usage", "--by", "endpoint", key=owner).output
    assert re.search(r"GET /v1/users\s*│\s*3 │", said)
    assert re.search(r"total\s*│\s*\d+ │", limelight("usage", key=owner).output)
    empty = limelight("usage", "--from", "2020-01-01", "--to", "2020-01-02", key=owner).output
    assert re.search(r"total\s*│\s*0 │", empty)


def test_users_on_more_than_a_page_are_found(
    limelight: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = a_tenant(limelight)
    for n in range(3):
        limelight("users", "add", f"u{n}@example.com", "U", key=owner)
    monkeypatch.setattr("allinone.cli.users.PAGE", 2)
    assert len(re.findall(UUID, limelight("users", "list", key=owner).output)) == 4
    limelight("users", "disable", "u2@example.com", key=owner)
