"""What a service says it reads and writes is what ``contracts.topics`` says, both ways."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
from bus.host import ServiceSpec
from contracts.topics import TENANT_CHANGED, TOPICS

COMPOSERS = {"transactional", "convergent", "publishing", "listening"}


@pytest.fixture
def spec(package: Path) -> ServiceSpec:
    found = importlib.import_module(f"{package.name}.app").SERVICE
    assert isinstance(found, ServiceSpec)
    return found


def test_name_is_that_of_the_folder(service: Path, spec: ServiceSpec) -> None:
    assert spec.name == service.name


def test_subscriptions_are_the_topics_that_name_it_as_consumer(
    service: Path, spec: ServiceSpec
) -> None:
    declared = {topic.name for topic in TOPICS if service.name in topic.consumers}
    assert {topic.name for topic in spec.subscriptions} == declared


def test_publishes_are_the_topics_that_name_it_as_producer(
    service: Path, spec: ServiceSpec
) -> None:
    declared = {topic.name for topic in TOPICS if service.name in topic.producers}
    assert {topic.name for topic in spec.publishes} == declared


def test_topics_are_the_declared_ones_and_not_copies(spec: ServiceSpec) -> None:
    used = (*spec.subscriptions, *spec.publishes)
    assert [topic.name for topic in used if not any(topic is known for known in TOPICS)] == []


def test_no_topic_is_listed_twice(spec: ServiceSpec) -> None:
    assert len(set(spec.subscriptions)) == len(spec.subscriptions)
    assert len(set(spec.publishes)) == len(spec.publishes)


def test_who_reads_records_of_strangers_knows_the_tenants(service: Path, spec: ServiceSpec) -> None:
    """``bus.intake`` refuses to be made without a directory; this says so in the contracts."""
    reads_public = any(topic.public for topic in spec.subscriptions)
    assert reads_public == (service.name in TENANT_CHANGED.followers)


def test_consumers_decode_through_the_intake_only(source: Path, source_name: str) -> None:
    """Whoever decodes a record by hand decides by hand whether its tenant exists."""
    allowed = {
        "libs/bus/src/bus/codec.py",
        "libs/bus/src/bus/intake.py",
        "libs/bus/src/bus/tenants.py",
        # Completions that were taken in before, from its own store.
        "services/llm-executor/src/llm_executor/translation.py",
    }
    imported = [
        alias.name
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "bus.codec"
        for alias in node.names
    ]
    assert source_name in allowed or "decode" not in imported


def test_the_operator_sets_when_a_consumer_halts(package: Path) -> None:
    """Every consumer of a composition root gets the ratio of its settings."""
    tree = ast.parse((package / "app.py").read_text(encoding="utf-8"))
    composed = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in COMPOSERS
    ]
    assert composed
    wanted = "policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio)"
    assert [call for call in composed if wanted not in call] == []
