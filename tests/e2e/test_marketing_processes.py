"""Marketing on the stores of the distributed setup: Kafka, MongoDB's protocol, Milvus, Neo4j.

FerretDB stands for MongoDB and Milvus Lite for Milvus: what packages of registries can give.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from devkit.marketing import CAMPAIGNS, sample
from devkit.stack import ALL, Deployment
from tests.e2e.conftest import started

pytestmark = pytest.mark.xdist_group("kafka")  # one broker at a time
SERVICES = ("gateway", "embedding", "graph_loader", "recommender")
LIST = "/v1/recommendations/ada?limit=20"
REPAIR = "My machine leaks at the gasket, can you repair it?"


@pytest.fixture
def deployment(server_folder: Path) -> Iterator[Deployment]:
    with ExitStack() as stack:
        servers = stack.enter_context(started(server_folder, ALL))
        yield stack.enter_context(Deployment(server_folder, servers, SERVICES))


@pytest.mark.timeout(400)
def test_from_words_to_recommendations_on_the_stores_of_production(deployment: Deployment) -> None:
    deployment.start()
    for campaign in CAMPAIGNS:
        body = {name: value for name, value in campaign.items() if name != "campaign_id"}
        deployment.call("PUT", f"/v1/campaigns/{campaign['campaign_id']}", body)
    for person in sample(seed=7).people(30):
        deployment.call("POST", "/v1/conversations", person.conversation)
        for deed in person.engagements:
            deployment.call("POST", "/v1/engagements", deed)

    talk = {"conversation_id": "c", "user_id": "ada", "text": REPAIR}
    deployment.call("POST", "/v1/conversations", talk)
    found = deployment.until(LIST, lambda now: now["source"] != "popular")
    assert "service-plan" in [item["campaign_id"] for item in found["items"]][:3]

    hits = deployment.call("GET", "/v1/search?q=broken+machine&limit=3")["hits"]
    assert len(hits) == 3
    deployment.call("DELETE", "/v1/users/ada")
    deployment.until(LIST, lambda now: now["source"] == "popular")
    assert deployment.stop() == dict.fromkeys(SERVICES, 0)
