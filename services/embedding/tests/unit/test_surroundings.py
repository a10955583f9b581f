"""Who and what is near: neighbours, intents, campaigns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from embedding.adapters.memory import MemoryVectorIndex
from embedding.domain.models import Campaign, Message, Surroundings, UserKey, UserPoint
from embedding.domain.rules import MOST_LIKINGS, intent_vector, label, likings, wishes
from services.embedding.tests.embedding_kit import ADA, ADA_ELSEWHERE, BEN, NOW, Kit, said
from services.embedding.tests.lake_kit import campaign, vector


def survey(kit: Kit, *messages: Message) -> dict[UserKey, Surroundings]:
    async def both() -> dict[UserKey, Surroundings]:
        states = await kit.profiles.take_in(messages)
        return await kit.parts.surveyor.survey(list(states.values()))

    return asyncio.run(both())


def put(kit: Kit, *campaigns: Campaign) -> list[Campaign]:
    return [each.campaign for each in asyncio.run(kit.catalogs.put(campaigns))]


def a_campaign(name: str, text: str, *intents: str, **changes: object) -> Campaign:
    made = campaign(name, title=text, text="", intents=intents, excluded_intents=(), vector=None)
    return replace(made, **{"changed_at": NOW, "ends_at": None, **changes})  # type: ignore[arg-type]


def test_neighbours_are_users_of_the_tenant_who_say_similar_things() -> None:
    kit = Kit()
    survey(kit, said("tea", BEN), said("green tea", UserKey("kaffeehaus", "cleo")))
    survey(kit, said("green tea", ADA_ELSEWHERE))
    near = survey(kit, said("green tea"))[ADA].neighbours
    assert [each.user_id for each in near] == ["cleo", "ben"]
    assert near[0].similarity == pytest.approx(1.0)
    assert survey(kit, said("tea", ADA_ELSEWHERE))[ADA_ELSEWHERE].neighbours == ()


def test_no_similarity_is_above_1() -> None:
    kit = Kit()
    words = " ".join(f"word{at}" for at in range(50))
    survey(kit, said(words, BEN))
    near = survey(kit, said(words))[ADA].neighbours
    assert near[0].similarity <= 1.0


def test_intents_are_those_of_the_tenants_campaigns() -> None:
    kit = Kit()
    put(kit, a_campaign("c", "flights to Rome", "book_flight"))
    put(kit, replace(a_campaign("c", "trains", "book_train"), tenant_id="bluebird"))
    (wish,) = survey(kit, said("book a flight to Rome"))[ADA].wishes
    assert (wish.intent, wish.latest) == ("book_flight", True)
    assert wish.score > 0.5
    assert survey(kit, said("it rains"))[ADA].wishes[0].latest is False


def test_an_intent_that_is_only_excluded_is_looked_for_too() -> None:
    kit = Kit()
    put(kit, replace(a_campaign("c", "coffee"), excluded_intents=("cancel_order",)))
    wishes = survey(kit, said("please cancel my order"))[ADA].wishes
    assert [wish.intent for wish in wishes] == ["cancel_order"]


def test_campaigns_are_scored_by_what_they_say_the_nearest_first() -> None:
    kit = Kit()
    put(kit, a_campaign("beans", "fresh beans"), a_campaign("tea", "green tea"))
    likings = survey(kit, said("green tea"))[ADA].likings
    assert [each.campaign_id for each in likings] == ["tea", "beans"]
    assert likings[0].similarity == pytest.approx(1.0)


def test_the_last_message_counts_though_a_long_history_says_something_else() -> None:
    kit = Kit()
    put(kit, a_campaign("c", "flights", "book_flight"))
    survey(kit, *(said("coffee", name=f"m-{at}") for at in range(30)))
    at = NOW + timedelta(minutes=1)
    found = survey(kit, said("book flight", said_at=at))[ADA]
    assert found.wishes[0].score > 0.5
    assert found.wishes[0].latest


@pytest.mark.parametrize(
    "changes",
    [{"deleted": True}, {"ends_at": NOW}, {"ends_at": NOW - timedelta(days=1)}],
    ids=["deleted", "just-ended", "ended"],
)
def test_a_campaign_that_is_over_is_near_nobody(changes: dict[str, object]) -> None:
    kit = Kit()
    put(kit, replace(a_campaign("c", "green tea", "buy_tea"), **changes))  # type: ignore[arg-type]
    assert survey(kit, said("green tea"))[ADA] == Surroundings(NOW)


def test_an_older_state_of_a_campaign_changes_nothing() -> None:
    kit = Kit()
    now = a_campaign("c", "green tea", changed_at=NOW)
    before = a_campaign("c", "beans", changed_at=NOW - timedelta(hours=1))
    assert [each.title for each in put(kit, now)] == ["green tea"]
    assert put(kit, before) == []
    assert survey(kit, said("green tea"))[ADA].likings[0].similarity == pytest.approx(1.0)


def test_what_another_process_was_told_of_campaigns_is_known_some_seconds_later() -> None:
    kit = Kit()
    survey(kit, said("green tea"))
    other = Kit(kit.lake, kit.index)
    put(other, a_campaign("c", "green tea"))
    assert survey(kit, said("green tea"))[ADA].likings == ()
    kit.clock.advance(6)
    assert len(survey(kit, said("green tea"))[ADA].likings) == 1


def test_a_campaign_of_another_model_is_embedded_again() -> None:
    old = Kit(model="words@1")
    put(old, a_campaign("c", "green tea", "buy_tea"))
    new = Kit(old.lake, model="words@2")
    found = survey(new, said("green tea"))[ADA]
    assert found.likings[0].similarity == pytest.approx(1.0)


def test_what_the_model_does_not_know_is_near_nobody() -> None:
    kit = Kit()
    put(kit, a_campaign("c", "🙂", "🙂"), a_campaign("d", "tea", "☕"))
    found = survey(kit, said("tea"))[ADA]
    assert [each.campaign_id for each in found.likings] == ["d"]
    assert [each.intent for each in found.wishes] == ["☕"]  # known by the campaign that answers it


def test_users_of_many_tenants_are_surveyed_together() -> None:
    kit = Kit()
    put(kit, a_campaign("c", "green tea"))
    found = survey(kit, said("green tea"), said("tea", BEN), said("tea", ADA_ELSEWHERE))
    assert found.keys() == {ADA, BEN, ADA_ELSEWHERE}
    assert found[ADA_ELSEWHERE] == Surroundings(NOW)
    assert [each.user_id for each in found[BEN].neighbours] == ["ada"]


def test_an_intent_means_its_name_and_what_answers_it() -> None:
    name, answer = vector(1, 0), vector(0, 1)
    both = intent_vector(name, [answer, None, answer])
    assert both == pytest.approx(vector(1, 1), abs=1e-6)
    assert intent_vector(name, [None]) == pytest.approx(name)
    assert intent_vector(None, [answer]) == pytest.approx(answer)
    assert intent_vector(None, []) is None


@pytest.mark.parametrize(
    ("intent", "said_as"),
    [("book_flight", "book flight"), ("pricing", "pricing"), ("a-b.c__d", "a b c d"), ("_", "")],
)
def test_labels_are_what_people_would_say(intent: str, said_as: str) -> None:
    assert label(intent) == said_as


def test_no_more_than_so_many_are_told() -> None:
    rows = np.tile(vector(1), (100, 1))
    names = [f"c{at}" for at in range(100)]
    assert len(likings(names, rows, vector(1), vector(1))) == MOST_LIKINGS
    assert len(wishes(names, rows, vector(1), vector(1))) == 20
    assert wishes(names, rows, vector(0, 1), vector(-1)) == ()


class Gated(MemoryVectorIndex):
    """Ben's point is put only when the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    async def put_users(self, points: Sequence[UserPoint]) -> None:
        if any(point.user == BEN for point in points):
            self.reached.set()
            await self.gate.wait()
        await super().put_users(points)


def test_who_sees_the_other_has_the_newer_word() -> None:
    """Else the word of who looked too early would hold: that the two are not alike."""

    async def both() -> tuple[Surroundings, Surroundings]:
        index = Gated()
        kit = Kit(index=index)

        async def turn(text: str, user: UserKey) -> Surroundings:
            states = await kit.profiles.take_in([said(text, user)])
            return (await kit.parts.surveyor.survey(list(states.values())))[user]

        first = asyncio.create_task(turn("tea", BEN))
        await index.reached.wait()
        kit.clock.advance(1)
        ada = await turn("green tea", ADA)
        kit.clock.advance(1)
        index.gate.set()
        return ada, await first

    ada, ben = asyncio.run(both())
    assert ada.neighbours == ()
    assert [near.user_id for near in ben.neighbours] == ["ada"]
    assert ben.looked_at > ada.looked_at
