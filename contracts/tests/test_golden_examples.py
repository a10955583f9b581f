"""The golden examples are valid, and together they tell one run without contradiction."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from contracts.envelope import Envelope, derived_id, from_headers
from contracts.events.completion import (
    VISIBILITY,
    CompletionChunked,
    CompletionFinished,
    CompletionRequested,
)
from contracts.events.visibility import AnswerAnalyzed, VisibilityRunStarted
from contracts.examples import Example, examples
from contracts.json_schema import payload_schema
from contracts.topics import (
    ANSWER_ANALYZED,
    COMPLETION_CHUNKED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
    TOPICS,
    VISIBILITY_RUN_STARTED,
    topic_named,
)
from jsonschema import Draft202012Validator

EXAMPLES = examples()
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=str)


def envelope_of(example: Example) -> Envelope:
    return from_headers(example.headers)


def requested() -> dict[UUID, tuple[CompletionRequested, Envelope]]:
    found = {}
    for example in examples(COMPLETION_REQUESTED.name):
        event = CompletionRequested.model_validate_json(example.value)
        found[event.completion_id] = (event, envelope_of(example))
    return found


def finished() -> dict[UUID, tuple[CompletionFinished, Envelope]]:
    found = {}
    for example in examples(COMPLETION_FINISHED.name):
        event = CompletionFinished.model_validate_json(example.value)
        found[event.completion_id] = (event, envelope_of(example))
    return found


def analyzed() -> list[tuple[AnswerAnalyzed, Envelope]]:
    return [
        (AnswerAnalyzed.model_validate_json(example.value), envelope_of(example))
        for example in examples(ANSWER_ANALYZED.name)
    ]


def started() -> dict[UUID, VisibilityRunStarted]:
    events = [
        VisibilityRunStarted.model_validate_json(example.value)
        for example in examples(VISIBILITY_RUN_STARTED.name)
    ]
    return {event.run_id: event for event in events}


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_every_topic_has_two_examples_at_least(topic: str) -> None:
    assert len(examples(topic)) >= 2


def test_every_example_belongs_to_a_topic() -> None:
    assert {example.topic for example in EXAMPLES} <= {topic.name for topic in TOPICS}


@each_example
def test_body_round_trips(example: Example) -> None:
    model = topic_named(example.topic).event
    event = model.model_validate_json(example.value)
    again = json.loads(event.model_dump_json())
    assert model.model_validate(again) == event
    assert again.keys() >= example.body.keys()


@each_example
def test_body_satisfies_the_schema(example: Example) -> None:
    schema = payload_schema(topic_named(example.topic))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(example.body)] == []


@each_example
def test_body_has_no_field_that_the_model_does_not_know(example: Example) -> None:
    event = topic_named(example.topic).event.model_validate_json(example.value)
    assert json.loads(event.model_dump_json(exclude_unset=True)) == example.body


@each_example
def test_key_and_subject_are_the_key_of_the_event(example: Example) -> None:
    topic = topic_named(example.topic)
    event, envelope = topic.event.model_validate_json(example.value), envelope_of(example)
    assert topic.key_of(event) == envelope.subject
    assert topic.record_key(event, envelope.tenant_id) == example.key.decode()


@each_example
def test_headers_name_the_topic_and_one_of_its_producers(example: Example) -> None:
    envelope = envelope_of(example)
    assert envelope.type == example.topic
    assert envelope.source in topic_named(example.topic).producers


def test_event_ids_are_distinct() -> None:
    ids = [envelope_of(example).id for example in EXAMPLES]
    assert len(set(ids)) == len(ids)


@each_example
def test_ids_follow_the_rule(example: Example) -> None:
    envelope = envelope_of(example)
    if envelope.causation_id is None:
        assert UUID(envelope.id).version == 7
    else:
        cause, index = envelope.causation_id, 0
        if example.topic == COMPLETION_CHUNKED.name:
            index = CompletionChunked.model_validate_json(example.value).number
        assert envelope.id == derived_id(envelope.type, envelope.subject, cause, index)


def test_every_completion_was_requested_as_it_finished() -> None:
    for completion_id, (event, envelope) in finished().items():
        request, cause = requested()[completion_id]
        assert (event.origin, event.model) == (request.origin, request.model)
        assert envelope.causation_id == cause.id
        assert (envelope.tenant_id, envelope.correlation_id) == (
            cause.tenant_id,
            cause.correlation_id,
        )


def test_every_answer_is_analyzed_and_no_failure_is() -> None:
    answered = {
        key
        for key, (event, _) in finished().items()
        if event.outcome == "answered" and event.origin.kind == VISIBILITY
    }
    assert {event.completion_id for event, _ in analyzed()} == answered


def test_analysis_repeats_what_the_completion_says() -> None:
    for event, envelope in analyzed():
        completion, cause = finished()[event.completion_id]
        origin = completion.origin
        assert (event.run_id, event.prompt_id, event.sample) == (
            origin.parent_id,
            origin.item_id,
            origin.sample,
        )
        assert (event.model, event.simulated) == (completion.model, completion.simulated)
        assert envelope.causation_id == cause.id


def test_mentions_stand_in_the_answer_where_they_say() -> None:
    for event, _ in analyzed():
        text = finished()[event.completion_id][0].text or ""
        for mention in event.mentions:
            assert text[mention.start : mention.end] == mention.text


def test_mentions_are_of_brands_of_the_run_by_a_name_of_theirs() -> None:
    for event, _ in analyzed():
        brands = {brand.brand_id: brand for brand in started()[event.run_id].brands}
        for mention in event.mentions:
            brand = brands[mention.brand_id]
            assert mention.text in (brand.name, *brand.aliases)


def test_a_run_expects_the_completions_that_were_requested_for_it() -> None:
    run_ids = [
        event.origin.parent_id
        for event, _ in requested().values()
        if event.origin.kind == VISIBILITY
    ]
    for run_id in set(run_ids):
        assert started()[run_id].expected_completions == run_ids.count(run_id)


def test_examples_show_every_outcome() -> None:
    events = [event for event, _ in finished().values()]
    assert {event.outcome for event in events} == {"answered", "failed", "not_run"}
    assert {event.simulated for event in events} == {True, False}
    assert any(not (event.text or "").isascii() for event in events)
    assert any(not event.mentions for event, _ in analyzed())


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="checkout"):
        examples("answer.analyzed.v1", folder=tmp_path)
