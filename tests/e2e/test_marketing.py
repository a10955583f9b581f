"""From what people say to the campaigns they should see, through HTTP and the log only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from bus.local import LocalLog
from bus.record import OutRecord
from contracts.topics import CAMPAIGN_CHANGED, CONVERSATION_RECORDED, ENGAGEMENT_RECORDED
from devkit.limelight_process import LimelightProcess
from devkit.marketing import CAMPAIGNS, sample

Json = dict[str, Any]
PEOPLE = 60
REPAIR = "My machine leaks at the gasket, can you repair it?"
SECONDS = 60.0
T = TypeVar("T")


class NotNow(AssertionError):
    """The gateway asks to try again a little later."""


class Shop:
    """The invented shop's tenant on a running all-in-one."""

    def __init__(self, limelight: LimelightProcess) -> None:
        self.limelight = limelight

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.limelight.call(method, path, body)
        if status == 503:
            raise NotNow(answer)
        assert status < 300, answer
        return answer

    def put_campaigns(self) -> None:
        for campaign in CAMPAIGNS:
            self.put(**campaign)

    def put(self, campaign_id: str, **fields: Any) -> None:
        self.ok("PUT", f"/v1/campaigns/{quote(campaign_id, safe='')}", fields)

    def people(self, number: int = PEOPLE) -> None:
        for person in sample(seed=7).people(number):
            self.ok("POST", "/v1/conversations", person.conversation)
            for engagement in person.engagements:
                self.ok("POST", "/v1/engagements", engagement)

    def say(self, user: str, text: str, **more: Any) -> None:
        body = {"conversation_id": f"c-{user}", "user_id": user, "text": text}
        self.ok("POST", "/v1/conversations", body | more)

    def engage(self, user: str, campaign: str, kind: str, **more: Any) -> None:
        body = {
            "engagement_id": f"{user}-{campaign}-{kind}",
            "user_id": user,
            "campaign_id": campaign,
            "kind": kind,
        }
        self.ok("POST", "/v1/engagements", body | more)

    def shown(self, user: str, limit: int = 20) -> Json:
        found: Json = self.ok("GET", f"/v1/recommendations/{quote(user, safe='')}?limit={limit}")
        return found

    def until(self, user: str, ready: Callable[[Json], bool]) -> Json:
        """The recommendations of a user once they are as they should become."""
        what = f"for the recommendations of {user}"
        return self._until(lambda: self.shown(user), ready, what)

    def hits_until(
        self, question: str, ready: Callable[[list[Json]], bool], limit: int = 50
    ) -> list[Json]:
        """What a search finds once it is what it should become."""
        path = f"/v1/search?q={quote(question)}&limit={limit}"
        return self._until(lambda: list(self.ok("GET", path)["hits"]), ready, f"for {question!r}")

    def _until(self, ask: Callable[[], T], ready: Callable[[T], bool], what: str) -> T:
        """Every service has its own pace: what one has done says nothing of the others."""
        found: list[T] = []

        def changed() -> bool:
            try:
                found[:] = [ask()]
            except NotNow:
                return False
            return ready(found[0])

        try:
            self.limelight.wait_until(changed, what, SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{found}\n{error}") from error
        return found[0]


def known(found: Json) -> bool:
    return bool(found["source"] != "popular")


def repaired(found: Json) -> bool:
    """Whether what is shown fits somebody who asked for a repair."""
    return known(found) and "service-plan" in ids(found)[:3]


def explained(found: Json) -> bool:
    """Whether the first three have reasons: what is popular has none until people engage."""
    return all(item["reasons"] for item in found["items"][:3])


def by_people(found: Json) -> bool:
    """Whether people who say the same bring the first of what is shown."""
    first = found["items"][0]
    kinds = {reason["kind"] for reason in first["reasons"]}
    return first["source"] == "personal" and "similar-users" in kinds


def ids(found: Json) -> list[str]:
    return [item["campaign_id"] for item in found["items"]]


@pytest.fixture
def shop(limelight: LimelightProcess) -> Shop:
    limelight.start()
    return Shop(limelight)


def said_by(hits: list[Json]) -> set[str]:
    return {hit["user_id"] for hit in hits}


def test_from_words_to_recommendations(shop: Shop) -> None:
    shop.put_campaigns()
    shop.people()
    assert shop.shown("nobody")["source"] == "popular"

    shop.say("ada", REPAIR)
    found = shop.until("ada", lambda now: repaired(now) and explained(now))
    assert "user-" not in json.dumps(found["items"])  # nobody is named to anybody
    assert datetime.fromisoformat(found["as_of"]) > datetime.now(UTC) - timedelta(minutes=1)

    first = ids(found)[0]
    shop.engage("ada", first, "conversion")
    shop.until("ada", lambda now: first not in ids(now))

    def of_repairs(hits: list[Json]) -> bool:
        return any("broken" in hit["text"] or "leaks" in hit["text"] for hit in hits)

    shop.hits_until("something is broken", of_repairs, limit=3)
    shop.hits_until(REPAIR, lambda hits: "ada" in said_by(hits))

    shop.ok("DELETE", "/v1/users/ada")
    shop.until("ada", lambda now: not known(now))
    shop.hits_until(REPAIR, lambda hits: "ada" not in said_by(hits))


def test_a_campaign_that_comes_later_reaches_who_has_spoken(shop: Shop) -> None:
    shop.say("zoe", REPAIR)
    shop.hits_until(REPAIR, lambda hits: "zoe" in said_by(hits))
    shop.put("mending", title="Repair at home", intents=["repair"])
    found = shop.until("zoe", lambda now: known(now) and ids(now) == ["mending"])
    assert any(reason["kind"] == "intent" for reason in found["items"][0]["reasons"])


def test_what_others_do_reaches_those_who_say_the_same(shop: Shop) -> None:
    """Somebody whose neighbours engage is refreshed, although they did nothing themselves."""
    shop.put("new-offer", title="Something quite unrelated to any words")
    for n in range(4):
        shop.say(f"tea-{n}", f"How hot should the water be for green tea? {n}")
    shop.until("tea-0", lambda now: True)
    for n in range(1, 4):
        shop.engage(f"tea-{n}", "new-offer", "click")
    shop.until("tea-0", lambda now: known(now) and ids(now) == ["new-offer"] and by_people(now))


def test_a_campaign_that_ends_is_gone_at_once(shop: Shop) -> None:
    shop.put_campaigns()
    shop.people(20)
    shop.say("ben", "Do you have fresh beans?")
    found = shop.until("ben", lambda now: known(now) and len(ids(now)) > 1)
    first = ids(found)[0]
    campaign = next(item for item in CAMPAIGNS if item["campaign_id"] == first)
    shop.put(**{**campaign, "budget": "exhausted"})
    shop.until("ben", lambda now: first not in ids(now))
    shop.ok("DELETE", f"/v1/campaigns/{ids(found)[1]}")
    shop.until("ben", lambda now: ids(found)[1] not in ids(now))


def test_an_engagement_may_come_before_its_campaign(shop: Shop) -> None:
    shop.say("cy", "Which oolong should I try?")
    shop.engage("cy", "later", "click")
    shop.say("di", "Which oolong should I try first?")
    shop.put("later", title="Oolong tasting", intents=["tea"])
    found = shop.until("di", lambda now: ids(now) == ["later"] and known(now))
    assert found["items"][0]["title"] == "Oolong tasting"


def test_what_is_sent_twice_counts_once(shop: Shop) -> None:
    shop.put_campaigns()
    at = datetime.now(UTC).isoformat()
    for _ in range(3):
        shop.say("eve", REPAIR, sent_at=at)
        shop.engage("eve", "tea-garden", "click")
    shop.say("eve", "Which oolong should I try?")  # behind the others: a user's words keep order

    hits = shop.hits_until(REPAIR, lambda hits: any("oolong" in hit["text"] for hit in hits))

    assert [hit["text"] for hit in hits].count(REPAIR) == 1
    shop.until("eve", known)


@pytest.mark.parametrize(
    "text", ["", "   ", "🙂🙂🙂", "梅のお茶はありますか", "x" * 1_000_000, "a\x00b"]
)
def test_strange_words_are_taken_and_hold_nobody_up(shop: Shop, text: str) -> None:
    shop.put_campaigns()
    body = {"conversation_id": "odd", "user_id": "odd", "text": text}
    status, answer = shop.limelight.call("POST", "/v1/conversations", body)
    assert status == 202 or (status in {413, 422} and answer["hint"]), answer
    shop.say("fay", REPAIR)
    shop.until("fay", known)
    shop.until("odd", lambda now: bool(now["items"]))


def test_another_tenant_sees_nothing_and_changes_nothing(shop: Shop) -> None:
    made = shop.limelight.run("tenants", "create", "rival", "ruth@rival.example")
    assert made.returncode == 0, made.stderr
    key = next(word for word in made.stdout.split() if word.startswith("lk_"))
    theirs = {"Authorization": f"Bearer {key}"}
    shop.put_campaigns()
    shop.say("gus", REPAIR)
    shop.until("gus", known)
    call = shop.limelight.call

    assert call("GET", "/v1/recommendations/gus", headers=theirs)[1]["items"] == []
    assert call("GET", "/v1/campaigns", headers=theirs)[1]["items"] == []
    assert call("GET", f"/v1/search?q={quote(REPAIR)}", headers=theirs)[1]["hits"] == []
    body = {"title": "Hijacked"}
    assert call("PUT", "/v1/campaigns/service-plan", body, theirs)[0] == 201
    assert call("DELETE", "/v1/users/gus", headers=theirs)[0] == 202
    shop.say("hal", REPAIR)
    shop.until("hal", known)
    assert known(shop.shown("gus"))
    assert "Hijacked" not in json.dumps(shop.shown("gus"))


def test_recommendations_survive_a_kill(shop: Shop) -> None:
    shop.put_campaigns()
    shop.people(10)
    shop.say("ida", REPAIR)
    shop.until("ida", repaired)
    shop.limelight.kill()
    shop.limelight.start()
    shop.until("ida", repaired)
    shop.say("jon", REPAIR)
    shop.until("jon", known)


def test_producers_outside_publish_the_same_three(shop: Shop) -> None:
    """Bare records on the log: no CloudEvents headers, the tenant in the body."""
    shop.put_campaigns()
    assert shop.limelight.stop() == 0
    now = datetime.now(UTC).isoformat()
    talk = {
        "conversation_id": "t",
        "user_id": "kim",
        "messages": [{"text": "Which espresso machine is loud?", "sent_at": now}],
        "tenant_id": "demo",
    }
    deed = {
        "engagement_id": "d",
        "user_id": "kim",
        "campaign_id": "from-outside",
        "kind": "impression",
        "happened_at": now,
        "tenant_id": "demo",
    }
    offer = {
        "campaign_id": "from-outside",
        "title": "An espresso machine that whispers",
        "intents": ["espresso_machine"],
        "changed_at": now,
        "tenant_id": "demo",
    }
    asyncio.run(
        _put(
            shop.limelight.data_dir,
            OutRecord(CAMPAIGN_CHANGED.name, b"demo/from-outside", json.dumps(offer).encode()),
            OutRecord(CAMPAIGN_CHANGED.name, b"from-outside", json.dumps(offer).encode()),
            OutRecord(CONVERSATION_RECORDED.name, b"kim", json.dumps(talk).encode()),
            OutRecord(ENGAGEMENT_RECORDED.name, b"kim", json.dumps(deed).encode()),
            OutRecord(ENGAGEMENT_RECORDED.name, b"kim", b'{"kind": "hug", "tenant_id": "demo"}'),
        )
    )
    shop.limelight.start()
    shop.until("kim", lambda found: "from-outside" in ids(found) and known(found))
    shown = shop.ok("GET", "/v1/campaigns/from-outside")
    assert shown["title"] == offer["title"]
    shop.limelight.wait_until(lambda: rejected(shop), "for what cannot be read", SECONDS)


def rejected(shop: Shop) -> bool:
    """Whether the campaign under another's key and the hug are where bad records go."""
    listed = shop.limelight.run("dlq", "list").stdout
    return CAMPAIGN_CHANGED.name in listed and ENGAGEMENT_RECORDED.name in listed


async def _put(data_dir: Path, *records: OutRecord) -> None:
    log = await LocalLog.open(data_dir / "log.sqlite")
    producer = await log.producer()
    await producer.send(records)
    await log.close()


def test_files_are_imported_and_an_import_that_was_cut_goes_on(
    limelight: LimelightProcess, server_folder: Path
) -> None:
    limelight.start()
    folder = server_folder / "sample"
    assert limelight.run("sample", "marketing", str(folder), "--users", "40").returncode == 0
    assert limelight.run("import", "campaigns", str(folder / "campaigns.json")).returncode == 0
    talks = folder / "conversations.jsonl"
    lines = talks.read_text().splitlines()
    talks.write_text("\n".join([*lines[:20], "{broken", *lines[20:]]) + "\n")
    done = limelight.run("import", "conversations", str(talks))
    assert done.returncode == 1
    assert "conversations.jsonl:21: " in done.stderr
    assert "40 lines taken in, 1 left out" in done.stdout
    done = limelight.run("import", "engagements", str(folder / "engagements.jsonl"))
    assert done.returncode == 0, done.stderr
    shop = Shop(limelight)
    shop.until("user-000039", known)
