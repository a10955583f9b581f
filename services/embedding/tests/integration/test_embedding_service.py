"""The whole service with the real model, on each pair of stores."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from bus.stores.postgres import connect
from contracts.examples import examples
from contracts.topics import (
    CAMPAIGN_CHANGED,
    CAMPAIGN_EMBEDDED,
    COMPLETION_FINISHED,
    CONVERSATION_RECORDED,
    SEARCH_ANSWERED,
    SEARCH_REQUESTED,
    USER_EMBEDDED,
    USER_FORGOTTEN,
)
from embedding.adapters import minilm
from embedding.app import reembed
from embedding.settings import Settings
from services.embedding.tests.conftest import EMPTY
from services.embedding.tests.lake_kit import mongo_url
from services.embedding.tests.running_kit import Platform, platform, running, said

pytestmark = pytest.mark.asyncio
COFFEE, OTHER = "kaffeehaus", "bluebird"


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("LIMELIGHT_TEST_MONGO_URL")
    with mongo_url(given, tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture(params=["postgres", "mongo-and-milvus"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a service whose stores are empty."""
    if request.param == "postgres":
        return Settings.model_validate({"postgres_dsn": request.getfixturevalue("dsn")})
    address = f"{request.getfixturevalue('mongo')}/{uuid4().hex}"
    milvus = str(tmp_path / "milvus.db")
    return Settings.model_validate({"mongo_url": address, "milvus_uri": milvus})


@pytest_asyncio.fixture
async def place(settings: Settings, tmp_path: Path) -> AsyncIterator[Platform]:
    if settings.postgres_dsn is not None:
        pool = await connect(settings.postgres_dsn, "tests", size=1)
        await pool.execute(EMPTY)
        await pool.close()
    async with platform(tmp_path / "log") as made:
        yield made


async def test_from_what_people_say_to_who_and_what_is_near(
    place: Platform, settings: Settings
) -> None:
    await place.publish(
        CAMPAIGN_CHANGED,
        COFFEE,
        {
            "campaign_id": "rome",
            "title": "Flights to Italy",
            "text": "Book a flight to Rome or Milan.",
            "intents": ["book_flight"],
            "changed_at": datetime.now(UTC),
        },
    )
    async with running(place, settings):
        (campaign,) = await place.until(CAMPAIGN_EMBEDDED, lambda found: len(found) == 1)
        assert campaign.model == minilm.MODEL
        await place.publish(
            CONVERSATION_RECORDED,
            COFFEE,
            said("ben", "I need a flight to Rome"),
            said("cleo", "My espresso machine leaks", "🙂", ""),
        )
        await place.until(USER_EMBEDDED, lambda found: len(found) == 2)
        await place.publish(CONVERSATION_RECORDED, OTHER, said("ada", "flights to Rome"))
        await place.publish(CONVERSATION_RECORDED, COFFEE, said("ada", "Any flights to Rome?"))
        found = await place.until(USER_EMBEDDED, lambda found: len(found) == 4)
    ada = next(each for each in found if each.user_id == "ada" and each.neighbours)
    assert [each.user_id for each in ada.neighbours] == ["ben", "cleo"]
    assert ada.neighbours[0].similarity > 0.7
    assert [(each.intent, each.latest) for each in ada.intents] == [("book_flight", True)]
    assert ada.campaigns[0].campaign_id == "rome"
    elsewhere = next(each for each in found if each.user_id == "ada" and each is not ada)
    assert (elsewhere.neighbours, elsewhere.intents, elsewhere.campaigns) == ((), (), ())


async def test_a_campaign_that_comes_later_reaches_who_has_spoken(
    place: Platform, settings: Settings
) -> None:
    async with running(place, settings):
        await place.publish(
            CONVERSATION_RECORDED,
            COFFEE,
            said("ada", "Which green tea do you have?"),
            said("ben", "Can you repair my bicycle?"),
        )
        await place.publish(CONVERSATION_RECORDED, OTHER, said("ada", "green tea"))
        await place.until(USER_EMBEDDED, lambda found: len(found) == 3)
        campaign = _campaign("tea-week") | {"intents": ["buy_tea"], "title": "Green tea week"}
        await place.publish(CAMPAIGN_CHANGED, COFFEE, campaign)
        found = await place.until(USER_EMBEDDED, lambda found: len(found) == 4)
        changed = campaign | {"budget": "paused", "changed_at": datetime.now(UTC)}
        await place.publish(CAMPAIGN_CHANGED, COFFEE, changed)
        await place.until(CAMPAIGN_EMBEDDED, lambda found: len(found) == 2)
        await place.settled(CAMPAIGN_CHANGED, CAMPAIGN_EMBEDDED)
    ada = found[-1]
    assert ada.user_id == "ada"
    assert [each.campaign_id for each in ada.campaigns] == ["tea-week"]
    assert [each.intent for each in ada.intents] == ["buy_tea"]
    assert [each.user_id for each in ada.neighbours] == ["ben"]
    assert len(await place.events(USER_EMBEDDED)) == 4  # a budget tells nobody anything


async def test_what_is_read_again_after_a_restart_changes_nothing(
    place: Platform, settings: Settings
) -> None:
    bodies = [said("ada", "green tea", "black tea"), said("ben", "espresso")]
    await place.publish(CONVERSATION_RECORDED, COFFEE, *bodies)
    async with running(place, settings):
        before = await place.until(USER_EMBEDDED, lambda found: len(found) == 2)
        await place.settled(CONVERSATION_RECORDED)
    await place.rewind(CONVERSATION_RECORDED)
    async with running(place, settings):
        after = await place.until(USER_EMBEDDED, lambda found: len(found) == 4)
        await place.publish(CONVERSATION_RECORDED, COFFEE, said("ada", "green tea", "oolong"))
        more = await place.until(USER_EMBEDDED, lambda found: len(found) == 5)
    facts = {(each.user_id, each.version, each.messages) for each in before}
    assert {(each.user_id, each.version, each.messages) for each in after} == facts
    assert more[-1].messages == 4  # the second "green tea" was said at another time


async def test_search_finds_messages_and_answers_until_they_are_forgotten(
    place: Platform, settings: Settings
) -> None:
    ended = next(each for each in examples(COMPLETION_FINISHED.name) if each.case == "answered")
    answer = {**ended.body, "text": "Boil the water to eighty degrees for green tea."}
    await place.publish(COMPLETION_FINISHED, COFFEE, answer)
    await place.publish(CONVERSATION_RECORDED, COFFEE, said("ada", "How hot for green tea?"))
    await place.publish(CONVERSATION_RECORDED, OTHER, said("ada", "How hot for green tea?"))
    async with running(place, settings):
        await place.settled(COMPLETION_FINISHED, CONVERSATION_RECORDED)
        await _ask(place, "temperature of tea", ["message", "answer"])
        (found,) = await place.until(SEARCH_ANSWERED, lambda found: len(found) == 1)
        assert {hit.kind for hit in found.hits} == {"message", "answer"}
        assert len(found.hits) == 2
        await place.publish(
            USER_FORGOTTEN, COFFEE, {"user_id": "ada", "forgotten_at": datetime.now(UTC)}
        )
        await place.settled(USER_FORGOTTEN)
        await _ask(place, "temperature of tea", ["message", "answer"])
        answers = await place.until(SEARCH_ANSWERED, lambda found: len(found) == 2)
    assert sorted(len(each.hits) for each in answers) == [1, 2]


async def test_everything_can_be_made_anew_with_another_half_life(
    place: Platform, settings: Settings
) -> None:
    await place.publish(CONVERSATION_RECORDED, COFFEE, said("ada", "green tea", "black tea"))
    await place.publish(CONVERSATION_RECORDED, COFFEE, said("ben", "tea"))
    await place.publish(CAMPAIGN_CHANGED, COFFEE, _campaign("tea-week"))
    ended = next(each for each in examples(COMPLETION_FINISHED.name) if each.case == "answered")
    await place.publish(COMPLETION_FINISHED, COFFEE, ended.body)
    async with running(place, settings):
        await place.until(USER_EMBEDDED, lambda found: len(found) == 2)
        await place.settled(CONVERSATION_RECORDED, CAMPAIGN_CHANGED, COMPLETION_FINISHED)
    told = len(await place.events(USER_EMBEDDED))
    changed = settings.model_copy(update={"half_life_days": 7.0})
    done = await reembed(changed, place.log)
    assert (done.users, done.campaigns, done.answers) == (2, 1, 1)
    found = [event for _, event in await place.events(USER_EMBEDDED)]
    old, new = found[:told], found[told:]
    versions = {each.user_id: each.version for each in sorted(old, key=lambda each: each.version)}
    assert {each.user_id for each in new} == {"ada", "ben"}
    assert all(each.version > versions[each.user_id] for each in new)
    assert {each.user_id: each.messages for each in new} == {"ada": 2, "ben": 1}
    assert all(len(each.neighbours) == 1 for each in new)
    assert len(await place.events(CAMPAIGN_EMBEDDED)) == 2


def _campaign(name: str) -> dict[str, object]:
    return {"campaign_id": name, "title": "Tea week", "changed_at": datetime.now(UTC)}


async def _ask(place: Platform, query: str, kinds: list[str]) -> None:
    body = {"search_id": uuid4(), "query": query, "kinds": kinds, "requested_at": datetime.now(UTC)}
    await place.publish(SEARCH_REQUESTED, COFFEE, body)
