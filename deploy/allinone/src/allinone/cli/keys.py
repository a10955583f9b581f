"""``limelight keys``: API keys of the caller's tenant."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from allinone.cli.shell import clear_errors, out
from allinone.client import Api

app = typer.Typer(help="API keys of your tenant.", no_args_is_help=True)


@app.command("list")
def list_keys() -> None:
    """Show all keys; secrets cannot be shown again."""
    with clear_errors():
        rows = Api.from_environment().call("GET", "/v1/keys")
    table = Table("id", "name", "starts with", "made", "revoked")
    for row in rows:
        table.add_row(
            row["key_id"], row["name"], row["prefix"], row["created_at"], row["revoked_at"] or ""
        )
    out.print(table)


@app.command()
def create(name: Annotated[str, typer.Argument(help="what the key is for")]) -> None:
    """Make a key and print its secret, this once."""
    with clear_errors():
        made = Api.from_environment().call("POST", "/v1/keys", {"name": name})
    out.print(made["secret"])


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="id, as the list shows it")]) -> None:
    """Revoke a key, at once and for good."""
    with clear_errors():
        gone = Api.from_environment().call("DELETE", f"/v1/keys/{key_id}")
    out.print(f"{gone['name']} ({gone['prefix']}...) is revoked.")
