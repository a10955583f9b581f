"""Between events and the domain: one function for each event, in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bus.codec import Delivered
from contracts.events.marketing import (
    AffinityChanged,
    AffinityPath,
    CampaignChanged,
    ConversationRecorded,
    EngagementRecorded,
    IntentScore,
    UserEmbedded,
    UserForgotten,
)
from contracts.events.marketing import Candidate as CandidateOf
from contracts.events.visibility import AnswerAnalyzed, Finding

from graph_loader.domain.models import (
    Affinity,
    Answer,
    Campaign,
    Candidate,
    Conversation,
    Engagement,
    Key,
    Named,
    Nearness,
    Statement,
    Wish,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST = 2**63 - 1
"""The largest number that the databases hold; a file may claim to have more lines."""
_KINDS = {
    "impression": "seen",
    "click": "clicked",
    "conversion": "converted",
    "dismissal": "dismissed",
}


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def at(microseconds: int) -> datetime:
    """The other way round."""
    return _EPOCH + timedelta(microseconds=microseconds)


def user_of(
    item: Delivered[UserEmbedded | EngagementRecorded | ConversationRecorded | UserForgotten],
) -> Key:
    """The user whom an event is about."""
    return item.tenant_id, item.event.user_id


def statement(item: Delivered[UserEmbedded]) -> Statement:
    """What a user says now. Of what is told twice the last counts."""
    event = item.event
    return Statement(
        user=user_of(item),
        version=event.version,
        said_at=micros(event.embedded_at),
        heard_at=micros(event.heard_at),
        neighbours=tuple((one.user_id, one.similarity) for one in event.neighbours),
        wants=tuple(
            {one.intent: Wish(one.intent, one.score, one.latest) for one in event.intents}.values()
        ),
        near=tuple(
            {
                one.campaign_id: Nearness(one.campaign_id, one.similarity)
                for one in event.campaigns
            }.values()
        ),
    )


def engagement(item: Delivered[EngagementRecorded], now: datetime) -> Engagement:
    """What a user did. What is said to happen later than now happened now.

    A time in the future would weigh more than everything that really comes after.
    """
    event = item.event
    return Engagement(
        user=user_of(item),
        campaign_id=event.campaign_id,
        kind=_KINDS[event.kind],
        at=micros(min(event.happened_at, now)),
        taken_at=micros(item.taken_in(now)),
    )


def conversation(item: Delivered[ConversationRecorded], now: datetime) -> Conversation:
    """Where a conversation came from."""
    line = item.event.line_of
    return Conversation(
        taken_at=micros(item.taken_in(now)),
        event_id=item.envelope.id,
        file="" if line is None else line.file,
        line=0 if line is None else min(line.line, _MOST),
    )


def campaign(event: CampaignChanged) -> Campaign:
    """A campaign as it is now."""
    intents = tuple(sorted(set(event.intents)))
    return Campaign(micros(event.changed_at), event.deleted, event.title, intents)


def answer(item: Delivered[AnswerAnalyzed]) -> Answer:
    """What an answer names and cites."""
    event = item.event
    return Answer(
        tenant_id=item.tenant_id,
        completion_id=event.completion_id,
        revision=event.revision,
        analyzed_at=micros(event.analyzed_at),
        prompt_id=event.prompt_id,
        model=event.model,
        simulated=event.simulated,
        names=_names(event),
        domains=tuple(sorted({citation.domain for citation in event.citations})),
    )


def affinity_changed(affinity: Affinity, now: datetime) -> AffinityChanged:
    """The candidates of a user."""
    return AffinityChanged(
        user_id=affinity.key[1],
        version=affinity.version,
        candidates=tuple(map(_candidate, affinity.candidates)),
        intents=tuple(
            IntentScore(intent=wish.intent, score=wish.score, latest=wish.latest)
            for wish in affinity.wants
        ),
        heard_at=at(affinity.heard_at),
        computed_at=now,
    )


def _candidate(candidate: Candidate) -> CandidateOf:
    return CandidateOf(
        campaign_id=candidate.campaign_id,
        affinity=candidate.affinity,
        paths=tuple(
            AffinityPath(
                kind=path.kind,
                weight=path.weight,
                users=path.users,
                intent=path.intent,
                campaign_id=path.campaign_id,
            )
            for path in candidate.paths
        ),
    )


def _names(event: AnswerAnalyzed) -> tuple[Named, ...]:
    """One entry for each brand. Events of older analyzers have mentions only, in order."""
    found = {one.brand_id: _named(one) for one in event.findings}
    for mention in event.mentions:
        found.setdefault(
            mention.brand_id,
            Named(mention.brand_id, mention.outcome, sentiment=mention.sentiment),
        )
    return tuple(found[brand_id] for brand_id in sorted(found))


def _named(finding: Finding) -> Named:
    outcomes: Sequence[tuple[bool, str]] = (
        (finding.recommended, "recommended"),
        (finding.denied, "denied"),
        (finding.named, "named"),
        (finding.cited, "cited"),
    )
    outcome = next((name for holds, name in outcomes if holds), "link-only")
    return Named(finding.brand_id, outcome, finding.rank, finding.sentiment)
