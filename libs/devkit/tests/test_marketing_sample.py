from __future__ import annotations

from datetime import UTC, datetime

from contracts.events.marketing import CampaignChanged, ConversationRecorded, EngagementRecorded
from devkit.marketing import CAMPAIGNS, WANTS, sample
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_the_same_seed_draws_the_same_people(seed: int, number: int) -> None:
    once = list(sample(seed, NOW).people(number))
    assert once == list(sample(seed, NOW).people(number))
    assert once[: number // 2] == list(sample(seed, NOW).people(number // 2))


def test_everything_it_draws_fits_the_contracts() -> None:
    for campaign in CAMPAIGNS:
        CampaignChanged.model_validate({**campaign, "changed_at": NOW})
    for person in sample(3, NOW).people(200):
        talk = ConversationRecorded.model_validate(person.conversation)
        assert all(message.sent_at <= NOW for message in talk.messages)
        for engagement in person.engagements:
            EngagementRecorded.model_validate(engagement)


def test_people_mostly_do_what_they_say() -> None:
    wanted = {campaign["campaign_id"]: set(campaign["intents"]) for campaign in CAMPAIGNS}
    people = list(sample(5, NOW).people(500))
    clicks = [
        bool(wanted[deed["campaign_id"]] & set(person.wants))
        for person in people
        for deed in person.engagements
        if deed["kind"] == "click"
    ]
    assert len(clicks) > 100
    assert all(clicks)
    ids = [deed["engagement_id"] for person in people for deed in person.engagements]
    assert len(set(ids)) == len(ids)


def test_every_want_has_a_campaign() -> None:
    answered = {intent for campaign in CAMPAIGNS for intent in campaign["intents"]}
    assert answered == {want.name for want in WANTS}
