"""What every topic must obey besides having a model."""

from __future__ import annotations

from datetime import timedelta

import pytest
from contracts.events.base import Event
from contracts.events.visibility import AnswerAnalyzed
from contracts.paths import REPOSITORY
from contracts.topics import TOPICS, Topic, dlq_name, topic_named

SERVICES = {path.name for path in (REPOSITORY / "services").iterdir() if path.is_dir()}
KAFKA_NAME_LIMIT = 249
each_topic = pytest.mark.parametrize("name", [topic.name for topic in TOPICS])


def topic_with(name: str = "answer.analyzed.v1", key: str = "completion_id") -> Topic[Event]:
    return Topic(name=name, event=AnswerAnalyzed, key=key, purpose="", producers=(), consumers=())


def test_names_and_events_are_unique() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    assert len({topic.event for topic in TOPICS}) == len(TOPICS)


@pytest.mark.parametrize(
    "name",
    [
        "answer.analyzed",
        "answer.analyzed.v0",
        "answer.analyzed.1",
        "answer_sheet.analyzed.v1",
        "Answer.analyzed.v1",
        "answer..v1",
        "answer.analyzed.v1.extra",
        "-answer.analyzed.v1",
        " answer.analyzed.v1",
    ],
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not <domain>"):
        topic_with(name=name)


@each_topic
def test_the_second_word_is_a_past_participle(name: str) -> None:
    assert name.split(".")[1].endswith(("ed", "forgotten"))


def test_a_key_that_is_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no field 'answer_id'"):
        topic_with(key="answer_id")


@each_topic
def test_the_key_is_a_required_id(name: str) -> None:
    topic = topic_named(name)
    assert topic.key.endswith("_id") or topic.key == "provider"
    assert topic.event.model_fields[topic.key].is_required()


@each_topic
def test_producers_and_consumers_are_services(name: str) -> None:
    topic = topic_named(name)
    assert topic.producers  # a topic without consumers is for readers outside
    assert {*topic.producers, *topic.consumers, *topic.followers} <= SERVICES


@each_topic
def test_nobody_is_named_twice(name: str) -> None:
    topic = topic_named(name)
    assert len(set(topic.producers)) == len(topic.producers)
    assert len({*topic.consumers, *topic.followers}) == len(topic.consumers) + len(topic.followers)


@each_topic
def test_sizes_are_sane(name: str) -> None:
    topic = topic_named(name)
    assert topic.partitions > 0
    assert topic.max_record_bytes > 0
    assert topic.retention is None or topic.retention >= timedelta(days=1)


@each_topic
def test_the_purpose_is_a_sentence(name: str) -> None:
    assert topic_named(name).purpose.endswith(".")


def test_dlq_names_are_distinct_and_short_enough_for_kafka() -> None:
    names = [dlq_name(topic.name, group) for topic in TOPICS for group in topic.consumers]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= KAFKA_NAME_LIMIT
    assert not {topic.name for topic in TOPICS} & set(names)


def test_dlq_name() -> None:
    assert dlq_name("answer.analyzed.v1", "gateway") == "answer.analyzed.v1.gateway.dlq"


def test_an_unknown_topic_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        topic_named("answer.forgotten.v1")


@each_topic
def test_events_are_immutable_and_ignore_unknown_fields(name: str) -> None:
    config = topic_named(name).event.model_config
    assert config.get("frozen") is True
    assert config.get("extra") == "ignore"
