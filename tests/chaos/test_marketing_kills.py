"""Kill -9 while people talk; clients send again what got no answer, and everything counts once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from devkit.failpoints import VARIABLE
from devkit.limelight_process import LimelightProcess
from devkit.running import UNANSWERED, ProcessError
from tests.chaos.kills import short_form

ARMED = (sys.executable, str(Path(__file__).with_name("armed_limelight.py")))
TEXT = "Can you repair the gasket of my machine?"
OFFER = "/v1/campaigns/service-plan"
AT = datetime.now(UTC).isoformat()
PEOPLE = ("ada", "ben", "cy")
POINTS = (
    "consumer-after-decode",
    "consumer-before-publish",
    "consumer-after-publish",
    "consumer-after-offset",
    "relay-after-send",
)
# The first passings are of the start and of campaigns, later ones of people.
KILLS = short_form(
    [
        (point, number)
        for point in POINTS
        for number in ((1, 4) if point.startswith("relay") else (1, 4, 9))
    ]
)


@pytest.fixture
def armed(data_dir: Path, certain: dict[str, str]) -> Iterator[LimelightProcess]:
    with LimelightProcess(data_dir, command=ARMED, environment=certain) as process:
        yield process


def requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "PUT", OFFER, {"title": "Service plan", "intents": ["repair"]}
    for person in PEOPLE:
        talk = {"conversation_id": f"c-{person}", "user_id": person, "text": TEXT, "sent_at": AT}
        yield "POST", "/v1/conversations", talk
    for person in PEOPLE[1:]:
        for kind in ("impression", "click"):
            yield (
                "POST",
                "/v1/engagements",
                {
                    "engagement_id": f"{person}-{kind}",
                    "user_id": person,
                    "campaign_id": "service-plan",
                    "kind": kind,
                    "happened_at": AT,
                },
            )


def sent(limelight: LimelightProcess) -> bool:
    """Whether everything was accepted before the process died."""
    try:
        for method, path, body in requests():
            status, answer = limelight.call(method, path, body)
            assert status < 300, answer
    except UNANSWERED:
        return False
    return True


def shown(limelight: LimelightProcess, user: str) -> Any:
    status, found = limelight.call("GET", f"/v1/recommendations/{user}")
    return found if status == 200 else {"source": "", "items": []}


def ready(limelight: LimelightProcess) -> bool:
    """Whether it is up; a process that has ended is not."""
    try:
        return limelight.ready()
    except AssertionError:
        return False


def people_behind(found: Any, kind: str) -> list[int]:
    """How many people each reason of that kind counts, over all items."""
    reasons = [reason for item in found["items"] for reason in item["reasons"]]
    return [reason["users"] for reason in reasons if reason["kind"] == kind]


def said_by(limelight: LimelightProcess) -> list[str]:
    """Whose messages a search finds, one for each message; nothing while nobody answers it."""
    path = f"/v1/search?q={quote(TEXT)}&kind=message&limit=20"
    status, found = limelight.call("GET", path)
    return sorted(hit["user_id"] for hit in found["hits"]) if status == 200 else []


def check_end_state(limelight: LimelightProcess) -> None:
    def settled() -> bool:
        """Neighbours are told within a bound, not at once: lists pass through older states."""
        ada = shown(limelight, "ada")
        popular = people_behind(shown(limelight, "stranger"), "popular")
        similar = people_behind(ada, "similar-users")
        return (
            (ada["source"], len(ada["items"])) == ("personal", 1)
            and (popular, similar) == ([2], [2])
            and said_by(limelight) == sorted(PEOPLE)
        )

    try:
        limelight.wait_until(settled, "for the lists of a calm run", 60)
    except ProcessError as error:
        lists = {user: shown(limelight, user) for user in (*PEOPLE, "stranger")}
        raise AssertionError(f"{lists} {said_by(limelight)}") from error
    rows = limelight.run("dlq", "list", timeout=90)
    assert rows.returncode == 0, rows.stderr
    assert "recorded.v1" not in rows.stdout


def test_a_calm_run(armed: LimelightProcess) -> None:
    armed.start()
    assert sent(armed)
    check_end_state(armed)


@pytest.mark.parametrize(("point", "number"), KILLS)
def test_killed_at_a_point(armed: LimelightProcess, point: str, number: int) -> None:
    armed.start({VARIABLE: f"kill={point}:{number}"}, ready=False)
    armed.wait_until(lambda: not armed.alive or ready(armed), "to be up or dead", 60)
    if armed.alive and sent(armed):
        armed.wait_until(lambda: not armed.alive, f"to pass {point} {number} times", 60)
    assert armed.wait_for_exit(60) == -9
    armed.start()
    assert sent(armed)
    check_end_state(armed)
