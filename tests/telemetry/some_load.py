"""A little of everything that the dashboards show, through the public API and the log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

from bus.local import LocalLog
from bus.record import OutRecord
from contracts.examples import examples
from contracts.topics import COMPLETION_REQUESTED
from devkit.limelight_process import LimelightProcess
from devkit.marketing import CAMPAIGNS, sample

PEOPLE = 8


def bury_one(data_dir: Path) -> None:
    """Write a record that nobody can read to the log of a stopped all-in-one."""
    broken = OutRecord(
        COMPLETION_REQUESTED.name, b"1", b"{", examples(COMPLETION_REQUESTED.name)[0].headers
    )

    async def write() -> None:
        log = await LocalLog.open(data_dir / "log.sqlite")
        await (await log.producer()).send([broken])
        await log.close()

    asyncio.run(write())


def ask_models(limelight: LimelightProcess) -> None:
    """A run with streamed answers, to its report, and an import; then a refused request."""
    run = {
        "brands": [{"name": "Notion"}],
        "prompts": [f"Which note app? {uuid4()}"],
        "models": ["simulator/sim-large"],
        "samples": 3,
        "stream": True,
    }
    accepted = _done(limelight, "POST", "/v1/visibility/runs", run)
    limelight.finished_report(accepted["run_id"])
    _done(limelight, "GET", "/v1/models")
    nobody = {"Authorization": "Bearer lk_nobody-has-this-key-of-32-characters"}
    assert limelight.call("GET", "/v1/models", headers=nobody)[0] == 401


def make_campaigns(limelight: LimelightProcess) -> None:
    """The invented shop's."""
    for campaign in CAMPAIGNS:
        fields = {name: value for name, value in campaign.items() if name != "campaign_id"}
        _done(limelight, "PUT", f"/v1/campaigns/{campaign['campaign_id']}", fields)


def talk(limelight: LimelightProcess, seed: int) -> None:
    """Some of its customers say and do something, until one of them has a list of their own."""
    people = list(sample(seed=seed).people(PEOPLE))
    for person in people:
        _done(limelight, "POST", "/v1/conversations", person.conversation)
        for engagement in person.engagements:
            _done(limelight, "POST", "/v1/engagements", engagement)
    user = people[0].conversation["user_id"]

    def known() -> bool:
        status, found = limelight.call("GET", f"/v1/recommendations/{user}")
        return bool(status == 200 and found["source"] != "popular")

    def searched() -> bool:
        return limelight.call("GET", "/v1/search?q=repair&limit=1")[0] == 200

    limelight.wait_until(known, "for a list of one's own", 60)
    limelight.wait_until(searched, "for a search", 60)


def _done(limelight: LimelightProcess, method: str, path: str, body: Any = None) -> Any:
    status, answer = limelight.call(method, path, body)
    assert status < 300, answer
    return answer
