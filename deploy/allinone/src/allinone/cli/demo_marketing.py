"""``limelight demo marketing``: conversations in, recommendations out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from devkit.marketing import CAMPAIGNS

from allinone.checkpoints import Checkpoint
from allinone.cli.demo import serving
from allinone.cli.marketing_imports import put_campaigns, send_lines
from allinone.cli.recommended import show, show_hits
from allinone.cli.samples import CONVERSATIONS, ENGAGEMENTS, write_marketing
from allinone.cli.shell import clear_errors, out
from allinone.cli.up import configure_logs, run
from allinone.client import Api, ClientError
from allinone.options import Options

WAIT_SECONDS = 120.0
POLL_SECONDS = 0.05
SAID = "My machine leaks at the gasket, can you repair it?"
QUERY = "something is broken"
Json = dict[str, Any]


def marketing(
    users: Annotated[int, typer.Option(min=10, help="how many invented people talk first")] = 300,
    *,
    once: Annotated[bool, typer.Option("--once", help="end after it")] = False,
) -> None:
    """Import invented conversations, then watch what one more person is recommended, and why."""
    with clear_errors():
        configure_logs("WARNING")
        run(serving(Options.from_environment(), lambda api: _walk(api, users), once=once))


def _walk(api: Api, users: int) -> None:
    out.print(f"{len(CAMPAIGNS)} campaigns, {users} invented people:")
    put_campaigns(api, [dict(campaign) for campaign in CAMPAIGNS])
    _import(api, users)
    you = f"you-{uuid4().hex[:6]}"
    out.print("\nSomebody whom nobody knows yet:")
    show(_recommended(api, you))
    out.print(f'They say: "{SAID}"')
    _say(api, you, SAID)
    first = _shown_after(api, you, lambda found: found["source"] != "popular")
    wanted = first["items"][0]
    out.print(f"They click on: {wanted['title']}, and take it.")
    for kind in ("impression", "click", "conversion"):
        _engage(api, you, wanted["campaign_id"], kind)
    _shown_after(api, you, lambda found: wanted["campaign_id"] not in _ids(found))
    show_hits(QUERY, api.call("GET", "/v1/search", query={"q": QUERY, "limit": 5}))
    out.print("They ask to be forgotten.")
    api.call("DELETE", f"/v1/users/{you}")
    _shown_after(api, you, lambda found: found["source"] == "popular")


def _import(api: Api, users: int) -> None:
    """Send the files as ``limelight import`` does, and wait until the last person has a list."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_marketing(folder, users)
        begun = time.monotonic()
        for file, path in ((CONVERSATIONS, "/v1/conversations"), (ENGAGEMENTS, "/v1/engagements")):
            send_lines(api, path, folder / file, Checkpoint(folder / "notes", folder / file, path))
    last = f"user-{users - 1:06d}"
    _until(api, last, lambda found: found["source"] != "popular")
    out.print(f"The last of them has recommendations after {time.monotonic() - begun:.1f} s.")


def _say(api: Api, user: str, text: str) -> None:
    body = {"conversation_id": f"talk-{user}", "user_id": user, "text": text}
    api.call("POST", "/v1/conversations", body)


def _engage(api: Api, user: str, campaign: str, kind: str) -> None:
    body = {
        "engagement_id": str(uuid4()),
        "user_id": user,
        "campaign_id": campaign,
        "kind": kind,
        "happened_at": datetime.now(UTC).isoformat(),
    }
    api.call("POST", "/v1/engagements", body)


def _shown_after(api: Api, user: str, ready: Callable[[Json], bool]) -> Json:
    begun = time.monotonic()
    found = _until(api, user, ready)
    out.print(f"\n{1000 * (time.monotonic() - begun):.0f} ms later:")
    show(found)
    return found


def _until(api: Api, user: str, ready: Callable[[Json], bool]) -> Json:
    until = time.monotonic() + WAIT_SECONDS
    while not ready(found := _recommended(api, user)):
        if time.monotonic() > until:
            raise ClientError(f"the recommendations of {user} did not change in time")
        time.sleep(POLL_SECONDS)
    return found


def _recommended(api: Api, user: str) -> Json:
    found: Json = api.call("GET", f"/v1/recommendations/{user}", query={"limit": 5})
    return found


def _ids(found: Json) -> set[str]:
    return {item["campaign_id"] for item in found["items"]}
