"""Whom a campaign concerns that comes after they have spoken, and when it is looked for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from embedding.adapters.memory import MemoryVectorIndex
from embedding.domain.audience import REACH
from embedding.domain.models import Campaign, Surroundings, UserKey, UserPoint
from embedding.domain.surroundings import Embedded
from services.embedding.tests.embedding_kit import ADA, ADA_ELSEWHERE, BEN, NOW, Kit, said
from services.embedding.tests.lake_kit import campaign

TEA = "green tea"
LATER, LAST = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)


def a_campaign(**changes: object) -> Campaign:
    made = campaign("tea-week", title=TEA, text="", intents=(), excluded_intents=(), vector=None)
    return replace(made, **{"changed_at": NOW, "ends_at": None, **changes})  # type: ignore[arg-type]


def put(kit: Kit, *states: Campaign) -> list[Embedded]:
    return list(asyncio.run(kit.catalogs.put(states)))


def say(kit: Kit, text: str, user: UserKey = ADA) -> None:
    asyncio.run(kit.profiles.take_in([said(text, user)]))


def audience(kit: Kit, tenant_id: str = ADA.tenant_id, since: datetime = NOW) -> list[UserKey]:
    return list(asyncio.run(kit.parts.audience.of(tenant_id, "tea-week", since)))


def surveyed(kit: Kit, *users: UserKey) -> dict[UserKey, Surroundings]:
    found = asyncio.run(kit.parts.audience.surveyed(users, LATER))
    return {state.user: around for state, around in found}


def test_it_is_those_of_the_tenant_who_said_something_near_the_nearest_first() -> None:
    kit = Kit()
    say(kit, "a green tea please", ADA)
    say(kit, "my bicycle is broken", UserKey(ADA.tenant_id, "cleo"))
    say(kit, "green tea", BEN)
    say(kit, "green tea", ADA_ELSEWHERE)
    put(kit, a_campaign())
    assert audience(kit) == [BEN, ADA]
    assert audience(kit, ADA_ELSEWHERE.tenant_id) == []


@pytest.mark.parametrize("kind", ["intents", "excluded_intents"])
def test_it_is_found_by_what_the_campaign_is_for_or_not_for(kind: str) -> None:
    kit = Kit()
    say(kit, "cancel my order")
    put(kit, a_campaign(**{kind: ("cancel_order",)}))
    assert audience(kit) == [ADA]
    wishes = surveyed(kit, ADA)[ADA].wishes
    assert [wish.intent for wish in wishes] == ["cancel_order"]


@pytest.mark.parametrize("changes", [{"deleted": True}, {"ends_at": NOW}])
def test_a_campaign_that_is_over_has_none(changes: dict[str, object]) -> None:
    kit = Kit()
    say(kit, TEA)
    put(kit, a_campaign(**changes))
    assert audience(kit) == []


def test_it_is_no_more_than_so_many_the_nearest_of_all_that_the_campaign_means() -> None:
    kit = Kit()
    near, far = kit.words.vector("drink green tea"), kit.words.vector("some green tea for two")
    assert near is not None
    assert far is not None
    names = [f"user-{number:04}" for number in range(REACH + 50)]
    points = [
        UserPoint(UserKey(ADA.tenant_id, name), 1, near if number % 2 else far)
        for number, name in enumerate(names)
    ]
    asyncio.run(kit.index.put_users(points))
    put(kit, a_campaign(intents=("drink",)))
    found = audience(kit)
    assert len(found) == REACH == len(set(found))
    assert {user.user_id for user in found[: len(names) // 2]} == set(names[1::2])


def test_who_is_looked_around_has_a_higher_version_and_the_same_words() -> None:
    kit = Kit()
    say(kit, TEA)
    before = kit.memory.stored[ADA]
    put(kit, a_campaign())
    ((state, around),) = asyncio.run(kit.parts.audience.surveyed([ADA], LATER))
    assert before.pending
    assert state == replace(before, version=state.version, pending=()) == kit.memory.stored[ADA]
    assert state.version > before.version
    assert kit.vectors.users[ADA].version == state.version
    assert [each.campaign_id for each in around.likings] == ["tea-week"]
    say(kit, "more of it")
    assert kit.memory.stored[ADA].mean.count == 2
    say(kit, TEA)  # again: known since before
    assert kit.memory.stored[ADA].mean.count == 2


def test_who_is_gone_or_of_another_model_or_speaks_meanwhile_is_left_out() -> None:
    kit = Kit()
    say(kit, TEA)
    say(kit, TEA, BEN)
    asyncio.run(kit.profiles.forget(BEN, NOW))
    assert surveyed(kit, ADA, BEN).keys() == {ADA}
    assert surveyed(Kit(kit.lake, kit.index, half_life=timedelta(days=1)), ADA) == {}

    async def meanwhile() -> None:
        state = kit.memory.stored[ADA]
        newer = replace(state, version=state.version + 1)

        async def late(*_: object) -> dict[UserKey, object]:
            kit.memory.stored[ADA] = newer
            return {ADA: state}

        kit.memory.states = late  # type: ignore[method-assign, assignment]
        assert await kit.parts.audience.surveyed([ADA], LATER) == []
        assert kit.memory.stored[ADA] == newer

    asyncio.run(meanwhile())


def test_who_was_told_since_everybody_knew_is_not_told_again() -> None:
    kit = Kit()
    say(kit, TEA)
    put(kit, a_campaign())
    found = asyncio.run(kit.parts.audience.surveyed([ADA], LATER))
    assert audience(kit) == [ADA]  # looked around, but not told yet
    kit.parts.audience.told(found)
    assert audience(kit, since=NOW) == []
    assert audience(kit, since=NOW + timedelta(seconds=1)) == [ADA]


def test_it_is_not_remembered_who_was_told_but_only_that_they_were() -> None:
    kit = Kit()
    say(kit, TEA)
    put(kit, a_campaign())
    found = asyncio.run(kit.parts.audience.surveyed([ADA], LATER))
    kit.parts.audience.told(found)
    asyncio.run(kit.profiles.forget(ADA, NOW))
    assert ADA.user_id not in repr(kit.parts.audience._told)


def test_of_many_who_were_told_the_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding.domain.audience.REMEMBERED", 1)
    kit = Kit()
    say(kit, TEA)
    say(kit, TEA, BEN)
    put(kit, a_campaign())
    for user in (ADA, BEN):
        kit.parts.audience.told(asyncio.run(kit.parts.audience.surveyed([user], LATER)))
    assert audience(kit) == [ADA]


def test_campaigns_of_a_tenant_that_was_not_asked_for_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("embedding.domain.surroundings.REMEMBERED", 2)
    kit = Kit()
    for tenant in ("a", "b", "c"):
        put(kit, a_campaign(tenant_id=tenant))
        assert asyncio.run(kit.catalogs.of(tenant)).campaigns == ("tea-week",)
    assert list(kit.catalogs._known) == ["b", "c"]
    assert asyncio.run(kit.catalogs.of("a")).campaigns == ("tea-week",)


def test_who_is_forgotten_while_they_are_looked_around_stays_forgotten() -> None:
    class Late(MemoryVectorIndex):
        async def put_users(self, points: object) -> None:
            if self.users:
                await kit.profiles.forget(ADA, NOW)
            await super().put_users(points)  # type: ignore[arg-type]

    kit = Kit(index=Late())
    say(kit, TEA)
    assert surveyed(kit, ADA) == {}
    assert kit.memory.stored == {}
    put(kit, a_campaign())
    assert audience(kit) == []


def test_who_has_spoken_since_everybody_knew_is_told_by_that() -> None:
    kit = Kit()
    put(kit, a_campaign())
    say(kit, TEA)
    audience = kit.parts.audience
    assert asyncio.run(audience.surveyed([ADA], NOW)) == []
    ((first, _),) = asyncio.run(audience.surveyed([ADA], LATER))
    # Nobody knows whether that was told: it is told again, though the version is new enough.
    ((again, _),) = asyncio.run(audience.surveyed([ADA], NOW))
    assert again.version > first.version


class Gated(MemoryVectorIndex):
    """Puts nobody before the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    async def put_users(self, points: object) -> None:
        self.reached.set()
        await self.gate.wait()
        await super().put_users(points)  # type: ignore[arg-type]


@pytest.mark.parametrize("speaks_first", [True, False])
def test_one_of_both_sees_the_other_when_a_campaign_comes_while_somebody_speaks(
    *, speaks_first: bool
) -> None:
    """Who is not in the index when it is asked looks at the campaigns afterwards."""

    async def both() -> tuple[list[UserKey], Surroundings]:
        index = Gated()
        kit = Kit(index=index)

        async def speak() -> Surroundings:
            states = await kit.profiles.take_in([said(TEA)])
            return (await kit.parts.surveyor.survey(list(states.values())))[ADA]

        speaking = asyncio.create_task(speak())
        await index.reached.wait()
        if speaks_first:
            index.gate.set()
            await speaking
        await kit.catalogs.put([a_campaign()])
        found = list(await kit.parts.audience.of(ADA.tenant_id, "tea-week", NOW))
        index.gate.set()
        return found, await speaking

    found, around = asyncio.run(both())
    assert (found == [ADA]) == speaks_first
    assert bool(around.likings) == (not speaks_first)


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        ({}, {"title": "black tea"}, True),
        ({}, {"text": "and cake"}, True),
        ({}, {"intents": ("drink",)}, True),
        ({}, {"excluded_intents": ("drink",)}, True),
        ({"deleted": True}, {}, True),
        ({"ends_at": NOW}, {}, True),
        ({}, {}, False),
        ({}, {"ends_at": LAST}, False),
        ({"intents": ("a", "b")}, {"intents": ("b", "a")}, False),
    ],
)
def test_meaning_is_what_a_campaign_says_and_is_for_while_it_runs(
    before: dict[str, object], now: dict[str, object], *, changed: bool
) -> None:
    kit = Kit()
    (new,) = put(kit, a_campaign(**before))
    assert new.meaning_changed
    (put_again,) = put(kit, a_campaign(**{"changed_at": LATER} | now))
    assert put_again.meaning_changed == changed


def test_what_was_perhaps_never_told_is_told_when_it_is_heard_again() -> None:
    kit = Kit()
    new = a_campaign(title="black tea", changed_at=LATER)
    put(kit, a_campaign())
    put(kit, new)
    assert put(kit, new)[0].meaning_changed
    assert put(kit, new, replace(new, changed_at=LAST))[0].meaning_changed
    assert not put(kit, replace(new, changed_at=LAST + timedelta(seconds=1)))[0].meaning_changed
