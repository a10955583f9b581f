"""Names of every metric and attribute that Limelight exports, in one place.

OpenTelemetry's messaging and GenAI conventions are still being renamed: a rename is a change of
this module and of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


@dataclass(frozen=True)
class Metric:
    """A Prometheus metric. Labels hold only values of small, closed sets, never ids or tenants."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


EVENT_AGE = Metric(
    "limelight_event_age_seconds",
    "histogram",
    "Time from an event's creation to the end of its processing.",
    ("service", "topic"),
)
RECORDS = Metric(
    "limelight_records_total",
    "counter",
    "Records by how their processing ended: applied, duplicate, dead_lettered, retried.",
    ("service", "topic", "outcome"),
)
DEAD_LETTERS = Metric(
    "limelight_dead_letters_total",
    "counter",
    "Records written to a DLQ, by the stable reason code.",
    ("service", "topic", "reason"),
)
DLQ_DEPTH = Metric(
    "limelight_dlq_depth_records",
    "gauge",
    "Records in a DLQ that were not replayed yet.",
    ("service", "topic"),
)
CONSUMER_LAG = Metric(
    "limelight_consumer_lag_records",
    "gauge",
    "Records written to a topic that the service has not committed yet.",
    ("service", "topic"),
)
CONSUMER_HALTED = Metric(
    "limelight_consumer_halted",
    "gauge",
    "1 if the consumer stopped because too large a share of its records failed.",
    ("service",),
)
OUTBOX_OLDEST = Metric(
    "limelight_outbox_oldest_unpublished_seconds",
    "gauge",
    "Age of the oldest outbox row that is not published; 0 if there is none.",
    ("service",),
)
OUTBOX_PUBLISHED = Metric(
    "limelight_outbox_published_total",
    "counter",
    "Events that the relay published and the log acknowledged.",
    ("service", "topic"),
)
IN_FLIGHT = Metric(
    "limelight_in_flight_calls",
    "gauge",
    "Calls to model providers being made now, and those waiting for their next attempt.",
    ("service", "state"),
)
QUEUED_CALLS = Metric(
    "limelight_queued_calls",
    "gauge",
    "Completions that were accepted and wait for their first attempt.",
    ("service",),
)
QUEUE_OLDEST = Metric(
    "limelight_queue_oldest_seconds",
    "gauge",
    "Time since the oldest waiting completion was accepted; 0 if there is none.",
    ("service",),
)
LANE_LIMIT = Metric(
    "limelight_lane_limit_calls",
    "gauge",
    "How many calls at once the adaptive limit of a model allows now.",
    ("service", "lane"),
)
BREAKER_OPEN = Metric(
    "limelight_breaker_open",
    "gauge",
    "1 if the circuit breaker of a model lets no call through, 0.5 if it probes.",
    ("service", "lane"),
)
COMPLETIONS = Metric(
    "limelight_completions_total",
    "counter",
    "Completions by how they ended: answered, or the failure kind.",
    ("service", "outcome"),
)
COMPLETION_SECONDS = Metric(
    "limelight_completion_seconds",
    "histogram",
    "Time from a completion's request to its end, waiting and all attempts included.",
    ("service", "priority"),
)
COST = Metric(
    "limelight_cost_usd_total",
    "counter",
    "Money spent on calls whose price is known.",
    ("service", "provider"),
)
CALLS_WITHOUT_PRICE = Metric(
    "limelight_calls_without_price_total",
    "counter",
    "Billed calls whose price is not known: they are missing in the cost.",
    ("service", "provider"),
)
CACHE_HITS = Metric(
    "limelight_answers_from_cache_total",
    "counter",
    "Completions that were answered with an earlier answer.",
    ("service",),
)
CHUNKS_LOST = Metric(
    "limelight_chunks_lost_total",
    "counter",
    "Pieces of streamed answers that the log did not take; their answers are not affected.",
    ("service",),
)
PROVIDER_CALLS = Metric(
    "limelight_provider_calls_total",
    "counter",
    "Calls to a model provider by outcome: answered, or the failure kind.",
    ("service", "provider", "outcome"),
)
PROVIDER_SECONDS = Metric(
    "limelight_provider_call_seconds",
    "histogram",
    "Time a provider took for one call, without queueing.",
    ("service", "provider"),
)
FIRST_TOKEN_SECONDS = Metric(
    "limelight_provider_first_token_seconds",
    "histogram",
    "Time to the first piece of text of a streamed call.",
    ("service", "provider"),
)
TOKENS = Metric(
    "limelight_tokens_total",
    "counter",
    "Tokens as counted by the provider, by direction: input, output, cached, reasoning.",
    ("service", "provider", "direction"),
)
OUTCOME_UNKNOWN = Metric(
    "limelight_calls_outcome_unknown_total",
    "counter",
    "Calls that a crash may have cut between the provider's reply and its record.",
    ("service",),
)
HTTP_SECONDS = Metric(
    "limelight_http_request_seconds",
    "histogram",
    "Time to answer an HTTP request.",
    ("service", "method", "route", "status"),
)
LOOP_LAG = Metric(
    "limelight_event_loop_lag_seconds",
    "histogram",
    "How much later than asked the event loop ran a timer: work that blocks it shows here.",
    ("service",),
)
EVENTS_PUBLISHED = Metric(
    "limelight_events_published_total",
    "counter",
    "Events that a service without an outbox published and the log acknowledged.",
    ("service", "topic"),
)
TEXTS_EMBEDDED = Metric(
    "limelight_texts_embedded_total",
    "counter",
    "Texts turned into vectors: messages, answers, campaigns, intents, queries.",
    ("service", "kind"),
)
EMBEDDING_SECONDS = Metric(
    "limelight_embedding_seconds",
    "histogram",
    "Time the embedding model took for one batch of texts.",
    ("service", "lane"),
)
REFRESH_WAITING = Metric(
    "limelight_refresh_waiting_users",
    "gauge",
    "Users whose surroundings changed and who wait to be computed again.",
    ("service",),
)
REFRESH_OLDEST = Metric(
    "limelight_refresh_oldest_seconds",
    "gauge",
    "How long the longest waiting of them has been waiting; 0 if there is none.",
    ("service",),
)
RECOMMENDATIONS_READ = Metric(
    "limelight_recommendations_read_total",
    "counter",
    "Recommendations that were asked for, by their source; unready: the read model was rebuilding.",
    ("service", "source"),
)
READ_MODEL_READY = Metric(
    "limelight_read_model_ready",
    "gauge",
    "1 if the read model of recommendations is complete, 0 while it is rebuilt from its topics.",
    ("service",),
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)

# Span and log attributes (OpenTelemetry semantic conventions for messaging and GenAI).
MESSAGING_SYSTEM = "messaging.system"
MESSAGING_DESTINATION = "messaging.destination.name"
MESSAGING_OPERATION = "messaging.operation.name"
MESSAGING_GROUP = "messaging.consumer.group.name"
MESSAGING_PARTITION = "messaging.destination.partition.id"
MESSAGING_OFFSET = "messaging.kafka.offset"
MESSAGING_ID = "messaging.message.id"
GENAI_OPERATION = "gen_ai.operation.name"
GENAI_PROVIDER = "gen_ai.provider.name"
GENAI_REQUEST_MODEL = "gen_ai.request.model"
GENAI_REQUEST_SEED = "gen_ai.request.seed"
GENAI_REQUEST_TEMPERATURE = "gen_ai.request.temperature"
GENAI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GENAI_RESPONSE_MODEL = "gen_ai.response.model"
GENAI_RESPONSE_ID = "gen_ai.response.id"
GENAI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
GENAI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GENAI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GENAI_CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
GENAI_REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
GENAI_REQUEST_STREAM = "gen_ai.request.stream"
GENAI_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
COST_USD = "limelight.cost.usd"
ATTEMPT = "limelight.attempt"
TENANT = "limelight.tenant.id"
SIMULATED = "limelight.simulated"
