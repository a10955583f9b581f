"""Marketing on the stores of the distributed setup: Kafka, MongoDB's protocol, Milvus, Neo4j.

FerretDB stands for MongoDB and Milvus Lite for Milvus: what packages of registries can give.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from devkit.ferretdb_server import start_ferretdb
from devkit.kafka_server import KafkaServer
from devkit.local_server import ServerUnavailable
from devkit.marketing import CAMPAIGNS, sample
from devkit.neo4j_server import Neo4jServer
from tests.e2e.own_processes import KEY, Processes, Stores, apply_topics

pytestmark = pytest.mark.xdist_group("kafka")  # one broker at a time
SERVICES = ("gateway", "embedding", "graph_loader", "recommender")
REPAIR = "My machine leaks at the gasket, can you repair it?"


@pytest.fixture
def processes(kafka: KafkaServer, server_folder: Path) -> Iterator[Processes]:
    with ExitStack() as stack:
        try:
            neo4j = stack.enter_context(Neo4jServer.start(server_folder / "neo4j"))
            ferretdb, mongo_url = start_ferretdb(server_folder / "ferretdb")
        except ServerUnavailable as error:
            pytest.skip(str(error))
        stack.enter_context(ferretdb)
        stores = stack.enter_context(Stores(server_folder))
        environment = {
            "LIMELIGHT_LOG_URL": f"kafka://{kafka.bootstrap_servers}",
            "LIMELIGHT_BOOTSTRAP_KEY": KEY,
        }
        apply_topics(environment)
        running = Processes(server_folder, environment, SERVICES)
        stack.callback(running.stop)
        running.start(
            "gateway",
            LIMELIGHT_POSTGRES_DSN=stores.dsn("gateway"),
            LIMELIGHT_REDIS_URL=stores.redis.url,
        )
        running.start(
            "embedding",
            LIMELIGHT_MONGO_URL=f"{mongo_url}/lake",
            LIMELIGHT_MILVUS_URI=str(server_folder / "milvus.db"),
        )
        running.start("graph_loader", LIMELIGHT_GRAPH_URL=neo4j.url)
        running.start("recommender", LIMELIGHT_REDIS_URL=stores.redis.database(1))
        for service in SERVICES:
            running.wait_until_ready(service)
        yield running


def until(processes: Processes, user: str, ready: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 60
    while not ready(found := processes.call("GET", f"/v1/recommendations/{user}?limit=20")):
        assert time.monotonic() < end, {name: processes.output(name) for name in SERVICES}
        time.sleep(0.1)
    return found


@pytest.mark.timeout(400)
def test_from_words_to_recommendations_on_the_stores_of_production(processes: Processes) -> None:
    for campaign in CAMPAIGNS:
        body = {name: value for name, value in campaign.items() if name != "campaign_id"}
        processes.call("PUT", f"/v1/campaigns/{campaign['campaign_id']}", body)
    for person in sample(seed=7).people(30):
        processes.call("POST", "/v1/conversations", person.conversation)
        for deed in person.engagements:
            processes.call("POST", "/v1/engagements", deed)

    talk = {"conversation_id": "c", "user_id": "ada", "text": REPAIR}
    processes.call("POST", "/v1/conversations", talk)
    found = until(processes, "ada", lambda now: now["source"] != "popular")
    assert "service-plan" in [item["campaign_id"] for item in found["items"]][:3]

    hits = processes.call("GET", "/v1/search?q=broken+machine&limit=3")["hits"]
    assert len(hits) == 3
    processes.call("DELETE", "/v1/users/ada")
    until(processes, "ada", lambda now: now["source"] == "popular")
    assert processes.stop() == dict.fromkeys(SERVICES, 0)
