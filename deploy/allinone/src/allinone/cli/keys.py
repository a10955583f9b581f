"""``limelight keys``: API keys of the caller's tenant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from allinone.cli.shell import clear_errors, out
from allinone.cli.users import user_id
from allinone.client import Api

app = typer.Typer(help="API keys of your tenant.", no_args_is_help=True)
_SPAN = re.compile(r"(\d{1,5})([dh])")


@app.command("list")
def list_keys() -> None:
    """Show all keys that you may see; secrets cannot be shown again."""
    with clear_errors():
        rows = Api.from_environment().call("GET", "/v1/keys")
    table = Table(
        Column("id", no_wrap=True),
        "name",
        Column("starts with", no_wrap=True),
        *("scopes", "tier", "user", "made", "last used", "state"),
    )
    for row in rows:
        table.add_row(
            row["key_id"],
            row["name"],
            row["prefix"],
            " ".join(row["scopes"]),
            row["tier"],
            row["user_id"] or "",
            row["created_at"][:19],
            (row["last_used_at"] or "")[:19],
            _state(row),
        )
    out.print(table)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="what the key is for")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write, admin; repeat it; default: yours")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="free, pro, enterprise; default: yours")] = None,
    user: Annotated[str | None, typer.Option(help="id or e-mail of whose key it is")] = None,
    expires: Annotated[str | None, typer.Option(help="30d, 12h or 2030-01-01T00:00Z")] = None,
) -> None:
    """Make a key and print its secret, this once."""
    with clear_errors():
        api = Api.from_environment()
        wanted = {
            "scopes": scope or None,
            "tier": tier,
            "user_id": None if user is None else user_id(api, user),
            "expires_at": None if expires is None else _time(expires).isoformat(),
        }
        given = {field: value for field, value in wanted.items() if value is not None}
        made = api.call("POST", "/v1/keys", {"name": name} | given)
    out.print(made["secret"])


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="id, as the list shows it")]) -> None:
    """Revoke a key, at once and for good."""
    with clear_errors():
        gone = Api.from_environment().call("DELETE", f"/v1/keys/{key_id}")
    out.print(f"{gone['name']} ({gone['prefix']}...) is revoked.", markup=False)


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return f"revoked {key['revoked_at'][:19]}"
    if key["disabled_at"]:
        return "user disabled"
    if not key["expires_at"]:
        return "valid"
    over = datetime.fromisoformat(key["expires_at"]) <= datetime.now(UTC)
    return f"{'expired' if over else 'valid until'} {key['expires_at'][:19]}"


def _time(text: str) -> datetime:
    span = _SPAN.fullmatch(text)
    if span is not None:
        count = int(span[1])
        return datetime.now(UTC) + (
            timedelta(days=count) if span[2] == "d" else timedelta(hours=count)
        )
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--expires {text!r}: give 30d, 12h or 2030-01-01T00:00Z") from error
    return time if time.tzinfo is not None else time.astimezone()
