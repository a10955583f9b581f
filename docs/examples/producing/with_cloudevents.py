"""An answer as a CloudEvent in binary mode: pip install cloudevents confluent-kafka."""

import os
import sys
from datetime import UTC, datetime
from uuid import uuid4

from cloudevents.core.bindings.kafka import to_binary_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

TOPIC = "answer.captured.v1"
answer_id = str(uuid4())
event = CloudEvent(
    {
        "type": TOPIC,  # the name of the topic
        "source": "https://clipper.example.com/browsers",  # yours; with the id it is unique
        "id": str(uuid4()),  # sent again with the same id, it counts once
        "time": datetime.now(UTC),
        "subject": answer_id,  # what the event is about: the same as the key
        "tenantid": os.environ["TENANT"],
        "correlationid": str(uuid4()),
        "datacontenttype": "application/json",
    },
    {
        "answer_id": answer_id,
        "prompt": "Which note app?",
        "surface": "app",
        "model": "Some Assistant",
        "text": sys.argv[1],
        "captured_at": "2026-11-20T09:00:00Z",
    },
)
message = to_binary_event(event, key_mapper=lambda event: event.get_subject())

producer = Producer(
    {
        "bootstrap.servers": os.environ["KAFKA"],
        "partitioner": "murmur2_random",  # as Java's clients and ours: one key, one partition
        "enable.idempotence": True,
    }
)


def delivered(error: object, _: object) -> None:
    """Stop if the broker refuses the record, because it is too large for example."""
    if error is not None:
        sys.exit(f"not delivered: {error}")


producer.produce(
    TOPIC,
    key=message.key,
    value=message.value,
    headers=list(message.headers.items()),
    on_delivery=delivered,
)
producer.flush()
