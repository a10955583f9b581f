"""Users and tenants over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from gateway.domain.access import Role, Scope, Tier
from services.gateway.tests.accounts import NOBODY, Holder, holder, holder_of_role, user
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
USERS = "/v1/users"


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


@pytest_asyncio.fixture
async def admin(api: Api) -> Holder:
    return await holder(api)


async def added(admin: Holder, email: str, role: str = "viewer") -> dict[str, Any]:
    body = {"email": email, "name": "Someone", "role": role}
    response = await admin.call("POST", USERS, json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def test_a_user_is_added_and_shown(admin: Holder) -> None:
    body = {"email": " Ada@Example.com ", "name": "Ada", "role": "owner"}
    response = await admin.call("POST", USERS, json=body)
    assert response.status_code == 201
    made = response.json()
    assert (made["email"], made["role"]) == ("Ada@Example.com", "owner")
    assert made["disabled_at"] is None
    assert response.headers["location"] == f"{USERS}/{made['user_id']}"
    assert (await admin.call("GET", response.headers["location"])).json() == made


@pytest.mark.parametrize("again", ["ada@example.com", "ADA@EXAMPLE.COM", "Ａda@example.com"])
async def test_an_address_is_there_once_whatever_its_case(admin: Holder, again: str) -> None:
    await added(admin, "Ada@example.com")
    body = {"email": again, "name": "A", "role": "viewer"}
    problem(await admin.call("POST", USERS, json=body), 409, "email-taken")


async def test_of_two_equal_addresses_at_once_one_wins(admin: Holder) -> None:
    body = {"email": "both@example.com", "name": "A", "role": "viewer"}
    answers = await asyncio.gather(*(admin.call("POST", USERS, json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_another_tenant_may_have_the_same_address(api: Api, admin: Holder) -> None:
    await added(admin, "ada@example.com")
    await added(await holder(await api.another_tenant()), "ada@example.com")


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ada", "name": "A", "role": "viewer"},
        {"email": "a@b@c", "name": "A", "role": "viewer"},
        {"email": "a b@c.de", "name": "A", "role": "viewer"},
        {"email": "a\x00@c.de", "name": "A", "role": "viewer"},
        {"email": "a@" + "b" * 253, "name": "A", "role": "viewer"},
        {"email": "a@b.de", "name": "", "role": "viewer"},
        {"email": "a@b.de", "name": "A", "role": "root"},
        {"email": "a@b.de", "name": "A"},
        {"email": "a@b.de", "name": "A", "role": "viewer", "tenant_id": "other"},
    ],
)
async def test_a_malformed_user_is_refused(admin: Holder, body: dict[str, Any]) -> None:
    problem(await admin.call("POST", USERS, json=body), 422, "invalid-request")


async def test_users_are_listed_page_by_page(api: Api, admin: Holder) -> None:
    made = [(await added(admin, f"{n}@example.com"))["user_id"] for n in range(5)]
    await added(await holder(await api.another_tenant()), "foreign@example.com")
    seen: list[str] = []
    sizes, cursor = [], None
    while True:
        params = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await admin.call("GET", USERS, params=params)).json()
        seen += [item["user_id"] for item in page["items"]]
        sizes.append(len(page["items"]))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made
    assert sizes == [2, 2, 1]


async def test_a_full_last_page_says_so(admin: Holder) -> None:
    for n in range(2):
        await added(admin, f"{n}@example.com")
    page = (await admin.call("GET", USERS, params={"limit": 2})).json()
    assert (len(page["items"]), page["next_cursor"]) == (2, None)


@pytest.mark.parametrize("cursor", ["", "x", "WyJ4Il0", "WzFd", "W10", "bnVsbA", "ü"])
async def test_a_cursor_of_ones_own_making_is_refused(admin: Holder, cursor: str) -> None:
    response = await admin.call("GET", USERS, params={"cursor": cursor})
    problem(response, 422, "invalid-cursor")


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x"])
async def test_a_bad_limit_is_refused(admin: Holder, limit: str) -> None:
    problem(await admin.call("GET", USERS, params={"limit": limit}), 422, "invalid-request")


async def test_a_role_is_changed(admin: Holder) -> None:
    made = await added(admin, "a@example.com", "viewer")
    response = await admin.call("PATCH", f"{USERS}/{made['user_id']}", json={"role": "owner"})
    assert response.json() == made | {"role": "owner"}
    assert (await admin.call("GET", f"{USERS}/{made['user_id']}")).json()["role"] == "owner"


async def test_the_first_disabling_counts(admin: Holder) -> None:
    made = await added(admin, "a@example.com")
    path = f"{USERS}/{made['user_id']}"
    first = (await admin.call("POST", f"{path}/disable")).json()
    assert first["disabled_at"] is not None
    assert (await admin.call("POST", f"{path}/disable")).json() == first
    assert (await admin.call("POST", f"{path}/enable")).json() == made
    assert (await admin.call("POST", f"{path}/enable")).json() == made


async def test_the_last_owner_stays(api: Api, admin: Holder) -> None:
    owner = await added(admin, "owner@example.com", "owner")
    path = f"{USERS}/{owner['user_id']}"
    for method, where, body in (
        ("PATCH", path, {"role": "analyst"}),
        ("POST", f"{path}/disable", None),
    ):
        response = await admin.call(method, where, json=body)
        assert "owner" in problem(response, 409, "last-owner")["hint"]
    assert (await admin.call("GET", path)).json() == owner
    assert (await admin.call("PATCH", path, json={"role": "owner"})).status_code == 200
    await user(await api.another_tenant(), Role.OWNER)  # an owner elsewhere is of no help
    problem(await admin.call("PATCH", path, json={"role": "viewer"}), 409, "last-owner")


async def test_a_disabled_owner_is_no_owner(admin: Holder) -> None:
    one = await added(admin, "one@example.com", "owner")
    other = await added(admin, "other@example.com", "owner")
    assert (await admin.call("POST", f"{USERS}/{one['user_id']}/disable")).status_code == 200
    body = {"role": "viewer"}
    response = await admin.call("PATCH", f"{USERS}/{other['user_id']}", json=body)
    problem(response, 409, "last-owner")
    # who is disabled already may be demoted
    response = await admin.call("PATCH", f"{USERS}/{one['user_id']}", json=body)
    assert response.status_code == 200


async def test_in_a_tenant_without_owners_others_can_be_disabled(admin: Holder) -> None:
    made = await added(admin, "a@example.com", "analyst")
    assert (await admin.call("POST", f"{USERS}/{made['user_id']}/disable")).status_code == 200


@pytest.mark.parametrize("turn", range(5))
async def test_of_owners_who_go_at_once_one_stays(api: Api, admin: Holder, turn: int) -> None:
    owners = [f"{USERS}/{(await user(api, Role.OWNER)).user_id}" for _ in range(4)]
    # with connections open for all, so that none is late
    await asyncio.gather(*(admin.call("GET", USERS) for _ in range(8)))
    answers = await asyncio.gather(
        *(
            admin.call("POST", f"{path}/disable")
            if n < turn
            else admin.call("PATCH", path, json={"role": "viewer"})
            for n, path in enumerate(owners)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 409]
    left = await api.kit.users.of_tenant(api.tenant_id, 10, None)
    assert sum(one.role is Role.OWNER and one.disabled_at is None for one in left) == 1


async def test_an_owner_may_leave_if_another_stays(api: Api) -> None:
    leaving, staying = [await holder_of_role(api, Role.OWNER) for _ in range(2)]
    response = await leaving.call("POST", f"{USERS}/{leaving.key.user_id}/disable")
    assert response.status_code == 200
    problem(await leaving.call("GET", USERS), 401, "unauthorized")
    assert (await staying.call("GET", USERS)).status_code == 200


async def test_another_tenants_users_are_not_there(api: Api, admin: Holder) -> None:
    foreign = await user(await api.another_tenant(), Role.VIEWER)
    for user_id in (foreign.user_id, NOBODY):
        for method, path, body in (
            ("GET", f"{USERS}/{user_id}", None),
            ("PATCH", f"{USERS}/{user_id}", {"role": "owner"}),
            ("POST", f"{USERS}/{user_id}/disable", None),
            ("POST", f"{USERS}/{user_id}/enable", None),
        ):
            problem(await admin.call(method, path, json=body), 404, "not-found")
    unchanged = await api.kit.users.find(foreign.tenant_id, foreign.user_id)
    assert unchanged == foreign


async def test_an_operator_makes_a_tenant_that_works(api: Api) -> None:
    operator = await holder(api, scopes=frozenset(Scope))
    body = {
        "name": "Quillnote Ltd",
        "tier": "enterprise",
        "owner": {"email": "ada@quillnote.example", "name": "Ada"},
    }
    response = await operator.call("POST", "/v1/tenants", json=body)
    assert response.status_code == 201, response.text
    made = response.json()
    assert made["tenant"]["name"] == "Quillnote Ltd"
    assert made["tenant"]["tenant_id"] != api.tenant_id
    assert (made["owner"]["role"], made["owner"]["email"]) == ("owner", "ada@quillnote.example")
    assert made["key"]["scopes"] == ["read", "write", "admin"]
    assert (made["key"]["tier"], made["key"]["user_id"]) == ("enterprise", made["owner"]["user_id"])
    mine = {"Authorization": f"Bearer {made['key']['secret']}"}
    users = (await api.http.get(USERS, headers=mine)).json()["items"]
    assert users == [made["owner"]]
    shown = await api.http.get(response.headers["location"], headers=mine)
    assert shown.json() == made["tenant"]
    denied = await api.http.post("/v1/tenants", headers=mine, json=body)
    assert "operator" in problem(denied, 403, "forbidden")["title"]


async def test_a_tenant_is_free_unless_said_otherwise(api: Api) -> None:
    operator = await holder(api, scopes=frozenset(Scope))
    body = {"name": "T", "owner": {"email": "a@b.example", "name": "A"}}
    made = (await operator.call("POST", "/v1/tenants", json=body)).json()
    assert (made["tenant"]["tier"], made["key"]["tier"]) == ("free", "free")


async def test_tenants_see_themselves_and_operators_all(api: Api, admin: Holder) -> None:
    foreign = (await api.another_tenant()).tenant_id
    assert (await admin.call("GET", f"/v1/tenants/{api.tenant_id}")).json()["tier"] == "pro"
    for unknown in (foreign, str(NOBODY), "%00"):
        problem(await admin.call("GET", f"/v1/tenants/{unknown}"), 404, "not-found")
    operator = await holder(api, scopes=frozenset(Scope), tier=Tier.PRO)
    assert (await operator.call("GET", f"/v1/tenants/{foreign}")).status_code == 200
    problem(await operator.call("GET", "/v1/tenants/nobody"), 404, "not-found")


async def test_the_examples_are_accepted(api: Api) -> None:
    operator = await holder(api, scopes=frozenset(Scope))
    schemas = (await api.http.get("/openapi.json")).json()["components"]["schemas"]
    for name, path in (("TenantRequest", "/v1/tenants"), ("UserRequest", USERS)):
        for example in schemas[name]["examples"]:
            assert (await operator.call("POST", path, json=example)).status_code == 201
    someone = await user(api, Role.VIEWER)
    (change,) = schemas["UserChange"]["examples"]
    assert (
        await operator.call("PATCH", f"{USERS}/{someone.user_id}", json=change)
    ).status_code == 200
