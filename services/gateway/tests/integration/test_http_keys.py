"""API keys over HTTP: what each may do, and that none gives away more than it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from gateway.api import access
from gateway.domain.access import Role, Scope, Tier
from gateway.domain.rules import new_secret, secret_hash
from services.gateway.tests.accounts import (
    ALL,
    NOBODY,
    READ,
    WRITE,
    Holder,
    holder,
    holder_of_role,
    user,
)
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit, an_api_key, hold_now

pytestmark = pytest.mark.asyncio
KEYS = "/v1/keys"
ENDPOINTS = [
    ("GET", KEYS, "read"),
    ("GET", f"{KEYS}/{NOBODY}", "read"),
    ("POST", KEYS, "write"),
    ("DELETE", f"{KEYS}/{NOBODY}", "write"),
    ("GET", "/v1/users", "admin"),
    ("POST", "/v1/users", "admin"),
    ("GET", f"/v1/users/{NOBODY}", "admin"),
    ("PATCH", f"/v1/users/{NOBODY}", "admin"),
    ("POST", f"/v1/users/{NOBODY}/disable", "admin"),
    ("POST", f"/v1/users/{NOBODY}/enable", "admin"),
    ("POST", "/v1/tenants", "operator"),
    ("GET", "/v1/tenants/x", "read"),
    ("GET", "/v1/usage", "read"),
]
BODIES: dict[tuple[str, str], Any] = {
    ("POST", KEYS): {"name": "k"},
    ("POST", "/v1/users"): {"email": "a@b.example", "name": "A", "role": "viewer"},
    ("PATCH", f"/v1/users/{NOBODY}"): {"role": "viewer"},
    ("POST", "/v1/tenants"): {"name": "T", "owner": {"email": "a@b.example", "name": "A"}},
}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def made(maker: Holder, **body: Any) -> dict[str, Any]:
    response = await maker.call("POST", KEYS, json={"name": "new"} | body)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def refused(maker: Holder, **body: Any) -> str:
    response = await maker.call("POST", KEYS, json={"name": "new"} | body)
    return str(problem(response, 403, "forbidden")["title"])


@pytest.mark.parametrize(("method", "path", "scope"), ENDPOINTS)
async def test_each_route_needs_its_scope(api: Api, method: str, path: str, scope: str) -> None:
    others = await holder(api, scopes=frozenset(Scope) - {Scope(scope)})
    body = problem(
        await others.call(method, path, json=BODIES.get((method, path))), 403, "forbidden"
    )
    assert scope in body["title"]
    assert others.key.prefix in body["hint"]
    it = await holder(api, scopes=frozenset({Scope(scope)}))
    answered = await it.call(method, path, json=BODIES.get((method, path)))
    assert answered.status_code not in {401, 403}, answered.text


async def test_a_name_alone_makes_a_key_like_the_one_that_asks(api: Api) -> None:
    owner = await user(api, Role.OWNER)
    soon = datetime.now(UTC) + timedelta(days=1)
    maker = await holder(
        api, scopes=frozenset(Scope), tier=Tier.FREE, user_id=owner.user_id, expires_at=soon
    )
    key = await made(maker)
    assert key["scopes"] == ["read", "write", "admin"]
    assert key["tier"] == "free"
    assert key["user_id"] == str(owner.user_id)
    assert datetime.fromisoformat(key["expires_at"]) == soon
    assert key["made_by"] == str(maker.key.key_id)
    assert (key["last_used_at"], key["revoked_at"], key["disabled_at"]) == (None, None, None)
    mine = {"Authorization": f"Bearer {key['secret']}"}
    assert (await api.http.get(KEYS, headers=mine)).status_code == 200


async def test_a_key_of_no_user_makes_keys_of_no_user(api: Api) -> None:
    assert (await made(await holder(api)))["user_id"] is None


async def test_only_the_hash_of_a_secret_is_stored(api: Api, kit: Kit) -> None:
    secret = (await made(await holder(api)))["secret"]
    row = await kit.pool.fetchrow(
        "SELECT api_keys::text AS whole, secret_hash FROM api_keys WHERE prefix = $1", secret[:11]
    )
    assert row is not None
    assert secret not in row["whole"]
    assert row["secret_hash"] == secret_hash(secret)


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.VIEWER, ["read"]), (Role.ANALYST, ["read", "write"]), (Role.OWNER, sorted(ALL))],
)
async def test_a_user_has_no_key_beyond_the_role(api: Api, role: Role, may: list[str]) -> None:
    someone, admin = await user(api, role), await holder(api)
    key = await made(admin, user_id=str(someone.user_id))
    assert sorted(key["scopes"]) == sorted(may)
    beyond = sorted({"read", "write", "admin"} - set(may))
    for scope in beyond:
        said = await refused(admin, user_id=str(someone.user_id), scopes=["read", scope])
        assert f"scope {scope} " in said


async def test_nobody_gives_more_than_they_have(api: Api) -> None:
    analyst = await holder_of_role(api, Role.ANALYST)
    assert "admin" in await refused(analyst, scopes=["read", "admin"])
    writer = await holder(api, scopes=WRITE, tier=Tier.FREE)
    assert "read" in await refused(writer, scopes=["read", "write"])
    assert "pro" in await refused(writer, tier="pro")
    assert (await made(writer, tier="free"))["scopes"] == ["write"]
    assert (await made(await holder(api), scopes=["read"], tier="free"))["tier"] == "free"


async def test_the_scope_of_operators_cannot_be_given(api: Api) -> None:
    operator = await holder(api, scopes=frozenset(Scope))
    response = await operator.call("POST", KEYS, json={"name": "k", "scopes": ["operator"]})
    problem(response, 422, "invalid-request")
    assert "operator" not in (await made(operator))["scopes"]


async def test_a_key_is_never_above_its_tenants_tier(api: Api, kit: Kit) -> None:
    maker = await holder(api, tier=Tier.ENTERPRISE)  # the tenant's is pro
    assert (await made(maker))["tier"] == "pro"
    assert "enterprise" in await refused(maker, tier="enterprise")
    await kit.pool.execute(
        "UPDATE tenants SET tier = 'free' WHERE tenant_id = $1", maker.key.tenant_id
    )
    assert (await made(maker))["tier"] == "free"
    assert "pro" in await refused(maker, tier="pro")


async def test_an_analyst_makes_keys_for_nobody_else(api: Api) -> None:
    analyst, other = await holder_of_role(api, Role.ANALYST), await user(api, Role.ANALYST)
    assert "admin" in await refused(analyst, user_id=str(other.user_id))
    assert (await made(analyst, user_id=str(analyst.key.user_id)))["scopes"] == ["read", "write"]
    # Whether there is such a user is not for them to learn either.
    assert "admin" in await refused(analyst, user_id=str(NOBODY))


async def test_a_viewer_makes_no_keys(api: Api) -> None:
    assert "write" in await refused(await holder_of_role(api, Role.VIEWER))


async def test_a_lower_role_counts_at_once_for_keys_that_are_there(api: Api) -> None:
    owner = await holder_of_role(api, Role.OWNER)
    assert owner.key.user_id is not None
    assert (await owner.call("GET", "/v1/users")).status_code == 200
    await user(api, Role.OWNER)
    await api.kit.users.set_role(api.tenant_id, owner.key.user_id, Role.VIEWER)
    assert "admin" in problem(await owner.call("GET", "/v1/users"), 403, "forbidden")["title"]
    (shown,) = [
        key
        for key in (await owner.call("GET", KEYS)).json()
        if key["key_id"] == str(owner.key.key_id)
    ]
    assert shown["scopes"] == ["read"]
    await api.kit.users.set_role(api.tenant_id, owner.key.user_id, Role.OWNER)
    assert (await owner.call("GET", "/v1/users")).status_code == 200


async def test_a_key_cannot_live_on_in_another(api: Api) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    maker = await holder(api, expires_at=soon)
    later = (soon + timedelta(seconds=1)).isoformat()
    assert "earlier" in await refused(maker, expires_at=later)
    sooner = soon - timedelta(minutes=1)
    assert (
        datetime.fromisoformat((await made(maker, expires_at=sooner.isoformat()))["expires_at"])
        == sooner
    )


async def test_a_key_that_is_expired_already_is_refused(api: Api) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    response = await (await holder(api)).call("POST", KEYS, json={"name": "k", "expires_at": past})
    problem(response, 422, "invalid-key")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": " "},
        {"name": "k", "scopes": []},
        {"name": "k", "scopes": ["root"]},
        {"name": "k", "tier": "gold"},
        {"name": "k", "expires_at": "2030-01-01T00:00:00"},
        {"name": "k", "user_id": "me"},
        {"name": "k", "scope": ["read"]},
    ],
)
async def test_a_malformed_request_is_refused(api: Api, body: dict[str, Any]) -> None:
    problem(await api.call("POST", KEYS, json=body), 422, "invalid-request")


async def test_a_key_ends_at_its_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    short = await holder(api, expires_at=ends)
    assert (await short.call("GET", KEYS)).status_code == 200
    hold_now(monkeypatch, access, ends - timedelta(milliseconds=1))
    assert (await short.call("GET", KEYS)).status_code == 200
    hold_now(monkeypatch, access, ends)
    body = problem(await short.call("GET", KEYS), 401, "unauthorized")
    assert "expired" in body["title"]


async def test_a_revoked_key_ends_at_once(api: Api) -> None:
    gone, admin = await holder(api), await holder(api)
    assert (await admin.call("DELETE", f"{KEYS}/{gone.key.key_id}")).json()["revoked_at"]
    assert "revoked" in problem(await gone.call("GET", KEYS), 401, "unauthorized")["title"]


async def test_keys_of_a_disabled_user_are_void_until_enabled(api: Api) -> None:
    analyst, admin = await holder_of_role(api, Role.ANALYST), await holder(api)
    path = f"/v1/users/{analyst.key.user_id}"
    assert (await analyst.call("GET", KEYS)).status_code == 200
    assert (await admin.call("POST", f"{path}/disable")).status_code == 200
    assert "disabled" in problem(await analyst.call("GET", KEYS), 401, "unauthorized")["title"]
    key = (await admin.call("GET", f"{KEYS}/{analyst.key.key_id}")).json()
    assert key["disabled_at"] is not None
    assert (await admin.call("POST", f"{path}/enable")).status_code == 200
    assert (await analyst.call("GET", KEYS)).status_code == 200


async def test_who_is_no_admin_sees_the_own_users_keys(api: Api) -> None:
    analyst, admin = await holder_of_role(api, Role.ANALYST), await holder(api)
    sibling = await made(analyst)
    shown = [key["key_id"] for key in (await analyst.call("GET", KEYS)).json()]
    assert shown == [str(analyst.key.key_id), sibling["key_id"]]
    everything = {key["key_id"] for key in (await admin.call("GET", KEYS)).json()}
    assert everything >= {*shown, str(admin.key.key_id)}
    for method in ("GET", "DELETE"):
        response = await analyst.call(method, f"{KEYS}/{admin.key.key_id}")
        assert "admin" in problem(response, 403, "forbidden")["title"]
    assert (await analyst.call("DELETE", f"{KEYS}/{sibling['key_id']}")).status_code == 200
    assert (await admin.call("GET", KEYS)).status_code == 200


async def test_keys_of_no_user_are_not_each_others(api: Api) -> None:
    one, other = await holder(api, scopes=READ | WRITE), await holder(api, scopes=READ | WRITE)
    assert [key["key_id"] for key in (await one.call("GET", KEYS)).json()] == [str(one.key.key_id)]
    problem(await one.call("DELETE", f"{KEYS}/{other.key.key_id}"), 403, "forbidden")
    assert (await one.call("DELETE", f"{KEYS}/{one.key.key_id}")).status_code == 200


async def test_another_tenants_keys_are_not_there(api: Api) -> None:
    foreign = await holder(await api.another_tenant())
    admin = await holder(api)
    for method in ("GET", "DELETE"):
        problem(await admin.call(method, f"{KEYS}/{foreign.key.key_id}"), 404, "not-found")
    assert (await foreign.call("GET", KEYS)).status_code == 200
    shown = {key["key_id"] for key in (await admin.call("GET", KEYS)).json()}
    assert str(foreign.key.key_id) not in shown


async def test_another_tenants_user_gets_no_key(api: Api) -> None:
    foreign = await user(await api.another_tenant(), Role.VIEWER)
    response = await (await holder(api)).call(
        "POST", KEYS, json={"name": "k", "user_id": str(foreign.user_id)}
    )
    problem(response, 404, "not-found")


async def test_the_store_keeps_a_key_with_its_own_tenants_user(api: Api, kit: Kit) -> None:
    foreign = await user(await api.another_tenant(), Role.VIEWER)
    with pytest.raises(Exception, match="api_keys_tenant_id_user_id_fkey"):
        await holder(api, user_id=foreign.user_id)


async def test_the_bootstrap_key_alone_is_an_operator(api: Api, kit: Kit) -> None:
    first, second = new_secret(), new_secret()
    for secret in (first, second):
        key = replace(an_api_key("boot", secret), scopes=frozenset(Scope), tier=Tier.ENTERPRISE)
        await kit.keys.add_bootstrap(key, secret_hash(secret))
    before, now = (
        await kit.keys.by_hash(secret_hash(first)),
        await kit.keys.by_hash(secret_hash(second)),
    )
    assert before is not None
    assert now is not None
    assert before.scopes == ALL
    assert now.scopes == frozenset(Scope)
    assert now.tier == Tier.ENTERPRISE


async def test_a_bootstrap_key_of_old_becomes_an_operator(kit: Kit) -> None:
    secret = new_secret()
    old = replace(an_api_key("old", secret), tier=Tier.PRO)
    await kit.keys.add(old, secret_hash(secret))
    key = replace(an_api_key("old", secret), scopes=frozenset(Scope), tier=Tier.ENTERPRISE)
    await kit.keys.add_bootstrap(key, secret_hash(secret))
    found = await kit.keys.by_hash(secret_hash(secret))
    assert found is not None
    assert (found.key_id, found.scopes, found.tier) == (
        old.key_id,
        frozenset(Scope),
        Tier.ENTERPRISE,
    )


async def test_the_examples_are_accepted(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    for example in document["components"]["schemas"]["KeyRequest"]["examples"]:
        response = await api.call("POST", KEYS, json=example)
        assert response.status_code == 201, response.text


async def test_errors_are_documented(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    for path in (KEYS, "/v1/users", "/v1/tenants", "/v1/usage"):
        for operation in document["paths"][path].values():
            assert {"401", "403", "429"} <= operation["responses"].keys()
