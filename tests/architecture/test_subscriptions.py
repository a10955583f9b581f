"""What a service says it reads and writes is what ``contracts.topics`` says, both ways."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from bus.host import ServiceSpec
from contracts.topics import TOPICS


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
