"""``limelight tenants``: for whoever runs the platform."""

from __future__ import annotations

from typing import Annotated

import typer

from allinone.cli.shell import clear_errors, out
from allinone.client import Api

app = typer.Typer(help="Tenants of this platform.", no_args_is_help=True)


@app.callback()
def tenants() -> None:
    """Tenants of this platform; needs the key that it was started with."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="what the tenant is called")],
    email: Annotated[str, typer.Argument(help="address of its first owner")],
    owner: Annotated[str | None, typer.Option(help="name of the owner; default: address")] = None,
    tier: Annotated[str, typer.Option(help="free, pro or enterprise")] = "free",
) -> None:
    """Make a tenant with an owner, and print the owner's first key, this once."""
    with clear_errors():
        body = {"name": name, "tier": tier, "owner": {"email": email, "name": owner or email}}
        made = Api.from_environment().call("POST", "/v1/tenants", body)
    tenant = made["tenant"]
    out.print(f"Tenant   {tenant['tenant_id']}  {tenant['name']} ({tenant['tier']})", markup=False)
    out.print(f"Owner    {made['owner']['user_id']}  {made['owner']['email']}", markup=False)
    out.print(f"API key  {made['key']['secret']}", markup=False)
