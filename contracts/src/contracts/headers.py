"""The headers of every record, described for readers in other languages.

``contracts.envelope`` writes and reads them; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.envelope import CONTENT_TYPE, SPEC_VERSION


@dataclass(frozen=True)
class Header:
    """One Kafka header; values are UTF-8 text."""

    name: str
    required: bool
    description: str
    const: str | None = None
    format: str | None = None
    pattern: str | None = None


HEADERS: tuple[Header, ...] = (
    Header("ce_specversion", True, "Version of CloudEvents.", const=SPEC_VERSION),
    Header("ce_id", True, "Id of the event; unique together with the source."),
    Header("ce_source", True, "Which service emitted the event.", format="uri-reference"),
    Header("ce_type", True, "Name of the event: the same as the topic."),
    Header("ce_time", True, "When it happened, with a time zone.", format="date-time"),
    Header("ce_subject", True, "Id of the entity it is about: the same as the record key."),
    Header("ce_tenantid", True, "Whose data it is."),
    Header("ce_correlationid", True, "Shared by everything that one command set off."),
    Header("ce_causationid", False, "Id of the event that directly led to this one."),
    Header(
        "traceparent",
        False,
        "W3C trace context, so that one run is one trace.",
        pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
    ),
    Header("content-type", False, "Media type of the body.", const=CONTENT_TYPE),
)
