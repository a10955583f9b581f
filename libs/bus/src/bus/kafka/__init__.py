"""The log on Apache Kafka: FastStream wires the consumers, aiokafka moves the records.

Delivery is ours: a FastStream subscriber with a handler loses records and spins on a header name
that is not UTF-8, and says nothing of it (docs/adr). So the subscriber has no handler, and
``bus.kafka.consumer`` reads from the aiokafka consumer it has started.
"""

from bus.kafka.log import KafkaLog

__all__ = ["KafkaLog"]
