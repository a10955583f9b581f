"""All services on the stores of the distributed setup, two processes of each.

FerretDB stands for MongoDB and Milvus Lite for Milvus: what packages of registries can give.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from contracts.telemetry import RECORDS
from devkit.marketing import CAMPAIGNS, sample
from devkit.service_process import ServiceProcess
from devkit.stack import ALL, SERVICES, Deployment
from tests.e2e.conftest import started

pytestmark = pytest.mark.xdist_group("kafka")  # one broker at a time
RUN = {
    "brands": [{"name": "Quillnote"}, {"name": "Papertrail Pro"}],
    "prompts": ["Which note app?"],
    "models": ["simulator/certain"],
    "samples": 40,
}
PEOPLE = 40
LIST = "/v1/recommendations/ada?limit=20"
REPAIR = "My machine leaks at the gasket, can you repair it?"
ENDED = dict.fromkeys(SERVICES, 0)
COUNTED = {
    "gateway": "completion.finished.v1",
    "llm_executor": "completion.requested.v1",
    "mention_analyzer": "completion.finished.v1",
    "embedding": "conversation.recorded.v1",
    "graph_loader": "user.embedded.v1",
    "recommender": "affinity.changed.v1",
}
"""Of each service a topic whose records both of its processes get."""


@pytest.fixture(scope="module")
def pairs(certain: dict[str, str]) -> Iterator[Pairs]:
    simulated = Path(certain["LIMELIGHT_SIMULATOR_CONFIG"])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="limelight-")))
        servers = stack.enter_context(started(folder, ALL))
        deployment = Deployment(folder, servers, SERVICES, simulated=simulated)
        stack.enter_context(deployment).start()
        pairs = Pairs(deployment, stack)
        for campaign in CAMPAIGNS:
            body = {name: value for name, value in campaign.items() if name != "campaign_id"}
            deployment.call("PUT", f"/v1/campaigns/{campaign['campaign_id']}", body)
        yield pairs


class Pairs:
    """A deployment with a second process of each service."""

    def __init__(self, deployment: Deployment, stack: ExitStack) -> None:
        self.deployment = deployment
        self.second = {name: deployment.replica(name, f"{name}-2") for name in SERVICES}
        for process in self.second.values():
            stack.callback(process.stop)
            process.start()
        for process in self.second.values():
            process.wait_until_ready()

    def work(self, first: int) -> None:
        """A run, and people who talk, to the end."""
        accepted = self.deployment.call("POST", "/v1/visibility/runs", RUN)
        users = [f"user-{number}" for number in range(first, first + PEOPLE)]
        for user, person in zip(users, sample(seed=first).people(PEOPLE), strict=True):
            talk = {**person.conversation, "user_id": user, "conversation_id": f"c-{user}"}
            self.deployment.call("POST", "/v1/conversations", talk)
        report = self.deployment.finished_report(accepted["run_id"])
        assert report["groups"][0]["answers"] == RUN["samples"]
        for user in users:
            self.deployment.until(f"/v1/recommendations/{user}", personal)


def personal(found: dict[str, Any]) -> bool:
    return bool(found["source"] != "popular")


def repaired(found: dict[str, Any]) -> bool:
    """Whether what is shown fits somebody who asked for a repair."""
    shown = [item["campaign_id"] for item in found["items"]]
    return personal(found) and "service-plan" in shown[:3]


def said_by(found: dict[str, Any]) -> set[str]:
    return {hit["user_id"] for hit in found["hits"]}


def applied(process: ServiceProcess, topic: str) -> float:
    """How many records of a topic it has worked on."""
    until = time.monotonic() + 60
    while not (told := process.metrics()):
        assert process.alive, process.output()
        assert time.monotonic() < until, f"no metrics of {process.module}: {process.output()}"
    labels = rf'outcome="applied",service="[^"]+",topic="{re.escape(topic)}"'
    return sum(map(float, re.findall(rf"^{RECORDS.name}\{{{labels}\}} (.+)$", told, re.MULTILINE)))


@pytest.mark.timeout(400)
def test_from_words_to_recommendations(pairs: Pairs) -> None:
    ours = pairs.deployment
    for person in sample(seed=7).people(30):
        ours.call("POST", "/v1/conversations", person.conversation)
        for deed in person.engagements:
            ours.call("POST", "/v1/engagements", deed)
    ours.call(
        "POST", "/v1/conversations", {"conversation_id": "c", "user_id": "ada", "text": REPAIR}
    )
    ours.until(LIST, repaired)

    ours.until("/v1/search?q=broken+machine&limit=3", lambda found: len(found["hits"]) == 3)
    ours.call("DELETE", "/v1/users/ada")
    ours.until(LIST, lambda now: not personal(now))
    ours.until(f"/v1/search?q={quote(REPAIR)}&limit=50", lambda found: "ada" not in said_by(found))


@pytest.mark.timeout(400)
def test_two_processes_share_the_work_and_hand_it_over(pairs: Pairs) -> None:
    pairs.work(0)
    for name, topic in COUNTED.items():
        both = (pairs.deployment.services[name], pairs.second[name])
        shares = [applied(one, topic) for one in both]
        assert min(shares) > 0, (name, shares)

    assert {name: process.stop() for name, process in pairs.second.items()} == ENDED
    pairs.work(PEOPLE)
    assert pairs.deployment.stop() == ENDED
