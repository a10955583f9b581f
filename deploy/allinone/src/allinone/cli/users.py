"""``limelight users``: who works for the caller's tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.table import Column, Table

from allinone.cli.shell import clear_errors, out
from allinone.client import Api, ClientError

PAGE = 200
app = typer.Typer(help="Users of your tenant.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="id or e-mail of the user")]
Role = Annotated[str, typer.Argument(help="owner, analyst or viewer")]


@app.command("list")
def list_users() -> None:
    """Show all users."""
    with clear_errors():
        rows = list(_all(Api.from_environment()))
    table = Table(Column("id", no_wrap=True), "e-mail", "name", "role", "added", "disabled")
    for row in rows:
        table.add_row(
            row["user_id"],
            row["email"],
            row["name"],
            row["role"],
            row["created_at"][:19],
            (row["disabled_at"] or "")[:19],
        )
    out.print(table)


@app.command()
def add(
    email: Annotated[str, typer.Argument(help="address; no two users have the same")],
    name: Annotated[str, typer.Argument(help="what they are called")],
    role: Annotated[str, typer.Option(help="owner, analyst or viewer")] = "viewer",
) -> None:
    """Add a user and print their id."""
    with clear_errors():
        body = {"email": email, "name": name, "role": role}
        made = Api.from_environment().call("POST", "/v1/users", body)
    out.print(made["user_id"])


@app.command("role")
def change_role(user: User, role: Role) -> None:
    """Change what a user is, and at once what their keys may do."""
    with clear_errors():
        api = Api.from_environment()
        changed = api.call("PATCH", f"/v1/users/{user_id(api, user)}", {"role": role})
    out.print(f"{changed['email']} is {changed['role']} now.", markup=False)


@app.command()
def disable(user: User) -> None:
    """None of the user's keys is valid from now on, until the user is enabled again."""
    with clear_errors():
        api = Api.from_environment()
        changed = api.call("POST", f"/v1/users/{user_id(api, user)}/disable")
    out.print(f"{changed['email']} is disabled.", markup=False)


@app.command()
def enable(user: User) -> None:
    """Make a disabled user's keys valid again."""
    with clear_errors():
        api = Api.from_environment()
        changed = api.call("POST", f"/v1/users/{user_id(api, user)}/enable")
    out.print(f"{changed['email']} is enabled.", markup=False)


def user_id(api: Api, given: str) -> str:
    """The id of a user who is named by id or e-mail. Raises ClientError."""
    if "@" not in given:
        return given
    for row in _all(api):
        if row["email"].casefold() == given.casefold():
            return str(row["user_id"])
    raise ClientError(f"no user has the address {given}: see limelight users list")


def _all(api: Api) -> Iterator[dict[str, Any]]:
    place: dict[str, str] = {}
    while True:
        page = api.call("GET", f"/v1/users?{urlencode({'limit': PAGE} | place)}")
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        place = {"cursor": page["next_cursor"]}
