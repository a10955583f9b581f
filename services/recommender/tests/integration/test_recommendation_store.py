"""What every backend of the recommender's store promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from recommender.domain.decay import EPOCH, weight
from recommender.domain.errors import UnusableVector
from recommender.domain.models import (
    Campaign,
    CampaignVector,
    Facts,
    FrequencyCap,
    Intent,
    Kind,
    Path,
)
from recommender.domain.ports import (
    ON_ITS_WAY,
    SWEEP,
    Due,
    PopularDraft,
    Saved,
    Settled,
    Verdict,
)
from recommender.domain.standings import Standing, Standings
from recommender.domain.tallies import Tally
from services.recommender.tests.kits import (
    DAY,
    NOW,
    POPULAR_AFTER,
    Kit,
    affinity,
    campaign,
    draft,
    engagement,
    near,
)

pytestmark = pytest.mark.asyncio
ADA, NAMESAKE, BEN = ("t-1", "ada"), ("t-2", "ada"), ("t-1", "ben")
HOUR = timedelta(hours=1)


async def heard(kit: Kit, user: tuple[str, str] = ADA) -> int:
    """A user of whom something is stored; their revision."""
    known = await kit.people.take_affinities({user: affinity("espresso")})
    return known[user].revision


async def saved(kit: Kit, user: tuple[str, str] = ADA, **changes: object) -> Saved:
    known = await kit.people.read([user])
    revision = (await kit.offers.catalogs([user[0]]))[user[0]].revision
    made = replace(draft(user, known[user], revision), **changes)  # type: ignore[arg-type]
    return (await kit.people.save([made]))[0]


async def due(kit: Kit, tenant_id: str = "t-1") -> tuple[str, ...]:
    return (await kit.agenda.due({tenant_id: 10}))[tenant_id].users


async def settle(kit: Kit, answer: Saved, user: tuple[str, str] = ADA) -> None:
    """The log has a list that is to be made again the day after."""
    await kit.people.settle({user: Settled(answer.version, answer.revision, NOW + DAY)})


async def test_an_affinity_comes_back_as_it_was(kit: Kit) -> None:
    paths = (
        Path("similar-users", 0.5, 3, "pricing"),
        Path("co-engaged", 0.1, 1, campaign_id="梅-tea"),
    )
    told = affinity(
        near("espresso", 0.1 + 0.2, *paths),
        near("梅-tea", 1e-9),
        version=7,
        heard_at=NOW + timedelta(microseconds=1),
        intents=[Intent("book_flight", 0.35, latest=True)],
    )
    await kit.people.take_affinities({ADA: told})
    known = await kit.people.read([ADA, BEN])
    assert known.keys() == {ADA}
    assert known[ADA].person.affinity == told
    assert known[ADA].person.facts == {}


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 2)])
async def test_the_highest_version_holds(kit: Kit, order: tuple[int, int]) -> None:
    first, second = (affinity(f"v{version}", version=version) for version in order)
    await kit.people.take_affinities({ADA: first})
    known = await kit.people.take_affinities({ADA: second})
    assert known[ADA].person.affinity == affinity("v2", version=2)
    assert (await kit.people.read([ADA]))[ADA] == known[ADA]


async def test_a_revision_changes_with_what_is_taken_and_only_then(kit: Kit) -> None:
    first = await heard(kit)
    assert await heard(kit) == first
    told = engagement()
    second = (await kit.people.take_engagements([("t-1", told)]))[ADA].revision
    assert second > first
    assert (await kit.people.take_engagements([("t-1", told)]))[ADA].revision == second


async def test_engagements_are_counted_once_by_their_ids(kit: Kit) -> None:
    shown = engagement(Kind.IMPRESSION, at=NOW - HOUR)
    again = replace(shown, at=NOW, kind=Kind.CLICK)
    await kit.people.take_engagements([("t-1", shown), ("t-1", again)])
    known = await kit.people.take_engagements([("t-1", shown)])
    assert known[ADA].person.facts == {"espresso": Facts(impressions=(NOW - HOUR,))}
    counted = (await kit.offers.counted(["t-1"]))["t-1"]
    half_life = kit.policy.half_life
    assert counted.tallies == {"espresso": Tally(impressions=weight(NOW - HOUR, half_life))}


async def test_facts_keep_all_impressions_and_the_last_of_the_rest(kit: Kit) -> None:
    told = [
        engagement(kind, at=NOW - hours * HOUR)
        for kind in (Kind.IMPRESSION, Kind.CLICK, Kind.DISMISSAL, Kind.CONVERSION)
        for hours in (2, 1, 3)
    ]
    told.append(engagement(Kind.CLICK, "梅 tea:{x}", at=EPOCH - 20000 * DAY + 50 * 365 * DAY))
    known = await kit.people.take_engagements([("t-1", one) for one in told])
    facts = known[ADA].person.facts
    last = NOW - HOUR
    assert facts["espresso"] == Facts((NOW - 3 * HOUR, NOW - 2 * HOUR, last), last, last, last)
    assert facts["梅 tea:{x}"].clicked_at == told[-1].at


async def test_one_person_counts_once_however_often_they_engage(kit: Kit) -> None:
    times = [NOW - 2 * DAY, NOW, NOW - DAY]
    kinds = [Kind.CLICK, Kind.CONVERSION, Kind.CLICK]
    told = [engagement(kind, at=at) for kind, at in zip(kinds, times, strict=True)]
    await kit.people.take_engagements([("t-1", one) for one in told])
    tally = (await kit.offers.counted(["t-1"]))["t-1"].tallies["espresso"]
    assert tally.people == pytest.approx(weight(NOW, kit.policy.half_life), abs=1e-9)


async def test_a_list_is_published_once_and_again_for_what_asked_for_it(kit: Kit) -> None:
    await heard(kit)
    first = await saved(kit)
    assert first.verdict is Verdict.PUBLISH
    assert (await saved(kit, cause="c-2")).verdict is Verdict.KNOWN
    again = await saved(kit)
    assert (again.verdict, again.version) == (Verdict.PUBLISH, first.version)
    await kit.people.published({ADA: first.version})
    assert (await saved(kit)).verdict is Verdict.KNOWN
    other = await saved(kit, cause="c-2", digest="d-2")
    assert other.verdict is Verdict.PUBLISH
    assert other.version > first.version
    assert (await saved(kit, digest="d-2")).verdict is Verdict.KNOWN


async def test_a_version_is_the_time_unless_that_has_been_passed(kit: Kit) -> None:
    await heard(kit)
    first = await saved(kit)
    assert first.version == NOW.timestamp() * 1_000_000
    second = await saved(kit, digest="d-2")
    assert second.version == first.version + 1


async def test_a_list_made_from_what_no_longer_holds_is_refused(kit: Kit) -> None:
    old = await heard(kit)
    await kit.people.take_engagements([("t-1", engagement())])
    assert (await saved(kit, revision=old)).verdict is Verdict.STALE
    assert (await saved(kit)).verdict is Verdict.PUBLISH


async def test_of_two_lists_made_at_once_one_is_refused(kit: Kit) -> None:
    revision = await heard(kit)
    assert (await saved(kit, revision=revision)).verdict is Verdict.PUBLISH
    assert (await saved(kit, revision=revision, digest="d-2")).verdict is Verdict.STALE


async def test_a_list_made_from_an_old_campaign_is_refused(kit: Kit) -> None:
    await heard(kit)
    await kit.offers.take_campaigns([("t-1", campaign())])
    assert (await saved(kit, catalog_revision=0)).verdict is Verdict.STALE
    assert (await saved(kit)).verdict is Verdict.PUBLISH


async def test_a_list_of_somebody_unknown_is_refused(kit: Kit) -> None:
    await heard(kit)
    known = await kit.people.read([ADA])
    assert await kit.people.save([draft(BEN, known[ADA])]) == [Saved(Verdict.STALE)]
    assert await kit.agenda.due({"t-1": 10}) == {"t-1": Due()}


async def test_a_held_list_is_due_until_it_is_settled(kit: Kit) -> None:
    await heard(kit)
    await kit.people.postpone({ADA: NOW})
    answer = await saved(kit, cause=SWEEP, held=True)
    assert await due(kit) == ("ada",)
    again = await saved(kit, cause=SWEEP, held=True)
    assert (again.verdict, again.version) == (Verdict.PUBLISH, answer.version)
    await settle(kit, again)
    assert await due(kit) == ()
    assert (await saved(kit, cause=SWEEP, held=True)).verdict is Verdict.KNOWN


async def test_what_a_sweep_may_have_left_unpublished_an_event_publishes(kit: Kit) -> None:
    await heard(kit)
    await saved(kit, cause=SWEEP, held=True)
    assert (await saved(kit, cause="c-2")).verdict is Verdict.PUBLISH
    assert (await saved(kit, cause="c-2")).verdict is Verdict.PUBLISH
    assert (await saved(kit, cause="c-3")).verdict is Verdict.KNOWN


async def test_to_settle_what_changed_since_settles_nothing(kit: Kit) -> None:
    await heard(kit)
    await kit.people.postpone({ADA: NOW})
    answer = await saved(kit, cause=SWEEP, held=True)
    await kit.people.take_engagements([("t-1", engagement())])
    await settle(kit, answer)
    assert await due(kit) == ("ada",)


async def test_a_newer_list_is_published_again_behind_an_older_one(kit: Kit) -> None:
    await heard(kit)
    older = await saved(kit)
    await kit.people.published({ADA: older.version})
    newer = await saved(kit, cause="c-2", digest="d-2")
    await kit.people.published({ADA: newer.version})
    assert await due(kit) == ()
    await kit.people.published({ADA: older.version})
    assert await kit.agenda.claim(9) == ["t-1"]
    assert await due(kit) == ("ada",)
    again = await saved(kit, cause=SWEEP, digest="d-2", held=True)
    assert (again.verdict, again.version) == (Verdict.PUBLISH, newer.version)
    await settle(kit, again)
    assert await due(kit) == ()


async def test_a_list_made_while_another_is_on_its_way_is_published_once_more(kit: Kit) -> None:
    await heard(kit)
    await saved(kit)
    newer = await saved(kit, cause="c-2", digest="d-2")
    await kit.people.published({ADA: newer.version})
    assert await due(kit) == ()
    assert await kit.agenda.claim(9) == []
    for cause in ("c-3", SWEEP):
        known = await saved(kit, cause=cause, digest="d-2", held=cause == SWEEP)
        assert known.verdict is Verdict.KNOWN
    kit.clock.advance(ON_ITS_WAY.total_seconds())
    assert await kit.agenda.claim(9) == ["t-1"]
    assert await due(kit) == ("ada",)
    again = await saved(kit, cause=SWEEP, digest="d-2", held=True)
    assert (again.verdict, again.version) == (Verdict.PUBLISH, newer.version)
    await settle(kit, again)
    kit.clock.advance(ON_ITS_WAY.total_seconds())
    assert await due(kit) == ()


async def test_a_sweep_too_publishes_once_more_when_all_has_arrived(kit: Kit) -> None:
    await heard(kit)
    await saved(kit)
    await kit.people.postpone({ADA: NOW})
    await settle(kit, await saved(kit, cause=SWEEP, digest="d-2", held=True))
    assert await due(kit) == ()
    kit.clock.advance(ON_ITS_WAY.total_seconds())
    assert await due(kit) == ("ada",)


@pytest.mark.parametrize("arrives", [False, True])
async def test_the_end_of_a_list_is_published_again_behind_the_list(
    kit: Kit, arrives: bool
) -> None:
    await heard(kit)
    older = await saved(kit)
    versions = await kit.people.forget({ADA: NOW})
    assert await due(kit) == ()
    if arrives:
        await kit.people.published({ADA: older.version})
    else:
        kit.clock.advance(ON_ITS_WAY.total_seconds())
    assert await due(kit) == ("ada",)
    ends = await kit.people.ended([ADA, BEN])
    assert {user: end.version for user, end in ends.items()} == versions
    await kit.people.published(versions)
    await kit.people.drop({ADA: ends[ADA].owed})
    kit.clock.advance(ON_ITS_WAY.total_seconds())
    assert await due(kit) == ()


async def test_an_end_that_is_owed_again_meanwhile_stays_due(kit: Kit) -> None:
    await heard(kit)
    older = await saved(kit)
    await kit.people.forget({ADA: NOW})
    kit.clock.advance(ON_ITS_WAY.total_seconds())
    ends = await kit.people.ended([ADA])
    await kit.people.published({ADA: older.version})
    await kit.people.published({ADA: ends[ADA].version})
    await kit.people.drop({ADA: ends[ADA].owed})
    assert await due(kit) == ("ada",)


async def test_a_list_that_is_owed_again_while_a_sweep_publishes_it_stays_due(kit: Kit) -> None:
    await heard(kit)
    older = await saved(kit)
    await kit.people.published({ADA: older.version})
    await kit.people.postpone({ADA: NOW})
    newer = await saved(kit, cause=SWEEP, digest="d-2", held=True)
    await kit.people.published({ADA: older.version})
    await settle(kit, newer)
    assert await due(kit) == ("ada",)


async def test_who_comes_back_while_a_list_is_on_its_way_has_theirs_published_once_more(
    kit: Kit,
) -> None:
    await heard(kit)
    await saved(kit)
    await kit.people.forget({ADA: NOW})
    back = affinity("espresso", heard_at=NOW + timedelta(microseconds=1))
    await kit.people.take_affinities({ADA: back})
    newer = await saved(kit, cause="c-2")
    await kit.people.published({ADA: newer.version})
    kit.clock.advance(ON_ITS_WAY.total_seconds())
    assert await due(kit) == ("ada",)
    assert (await saved(kit, cause=SWEEP, held=True)).version == newer.version


async def test_of_a_lost_store_nothing_is_published_again(kit: Kit) -> None:
    await kit.people.published({ADA: 7})
    await kit.offers.popular_published({"t-1": 7})
    assert await kit.agenda.due({"t-1": 9}) == {"t-1": Due()}


async def test_a_user_is_due_when_the_list_says(kit: Kit) -> None:
    await heard(kit)
    await saved(kit, due_at=NOW + HOUR)
    assert (await kit.agenda.due({"t-1": 10}))["t-1"].users == ()
    kit.clock.advance(3600)
    assert (await kit.agenda.due({"t-1": 10}))["t-1"].users == ("ada",)


async def test_the_earlier_of_two_times_is_when_a_user_is_due(kit: Kit) -> None:
    await kit.people.postpone({ADA: NOW})
    await kit.people.postpone({ADA: NOW + DAY})
    assert (await kit.agenda.due({"t-1": 10}))["t-1"].users == ("ada",)


async def test_who_waits_longest_is_first(kit: Kit) -> None:
    await kit.people.postpone({ADA: NOW - HOUR, BEN: NOW - 2 * HOUR, ("t-1", "cleo"): NOW})
    assert (await kit.agenda.due({"t-1": 2}))["t-1"].users == ("ben", "ada")
    backlog = await kit.agenda.backlog()
    assert (backlog.waiting, backlog.oldest) == (3, 7200)


async def test_nothing_is_due_of_who_is_unknown(kit: Kit) -> None:
    await heard(kit)
    await kit.people.postpone({ADA: NOW, BEN: NOW})
    await kit.people.drop({ADA: 0, BEN: 0})
    assert (await kit.agenda.due({"t-1": 10}))["t-1"].users == ("ada",)


async def test_a_forgotten_user_is_gone(kit: Kit) -> None:
    await heard(kit)
    await kit.people.take_engagements([("t-1", engagement())])
    version = (await saved(kit)).version
    await kit.people.published({ADA: version})
    versions = await kit.people.forget({ADA: NOW})
    assert versions[ADA] > version
    assert await kit.people.read([ADA]) == {}
    kit.clock.advance(2 * 86400)
    assert (await kit.agenda.due({"t-1": 10}))["t-1"].users == ()
    assert await kit.people.forget({ADA: NOW}) == versions


async def test_versions_go_on_behind_the_time_of_forgetting_by_whatever_clock(kit: Kit) -> None:
    """Readers drop what is not newer than the time that they were told of."""
    await heard(kit)
    ahead = NOW + timedelta(seconds=2)
    versions = await kit.people.forget({ADA: ahead})
    assert versions[ADA] > ahead.timestamp() * 1_000_000
    later = affinity("espresso", heard_at=ahead + timedelta(seconds=0.4))
    await kit.people.take_affinities({ADA: later})
    assert (await saved(kit)).version > versions[ADA]


async def test_what_was_taken_in_before_is_dropped_afterwards(kit: Kit) -> None:
    await kit.people.forget({ADA: NOW})
    assert await kit.people.take_affinities({ADA: affinity("espresso", heard_at=NOW)}) == {}
    old = engagement(taken_at=NOW)
    assert await kit.people.take_engagements([("t-1", old)]) == {}
    assert (await kit.offers.counted(["t-1"]))["t-1"].tallies == {}


async def test_what_is_taken_in_later_is_welcome(kit: Kit) -> None:
    old = await kit.people.forget({ADA: NOW})
    later = NOW + timedelta(microseconds=1)
    new = engagement(at=NOW - DAY, taken_at=later)
    known = await kit.people.take_engagements([("t-1", new)])
    assert known[ADA].person.facts["espresso"].clicked_at == NOW - DAY
    known = await kit.people.take_affinities({ADA: affinity("espresso", heard_at=later)})
    assert known[ADA].person.affinity is not None
    assert (await saved(kit)).version > old[ADA]


async def test_what_was_taken_in_later_survives_a_late_word_of_forgetting(kit: Kit) -> None:
    later = NOW + HOUR
    await kit.people.take_affinities({ADA: affinity("espresso", heard_at=later)})
    told = [engagement(at=NOW - DAY), engagement(Kind.DISMISSAL, taken_at=later)]
    told.append(engagement(Kind.IMPRESSION, at=NOW - DAY, taken_at=later))
    before = (await kit.people.take_engagements([("t-1", one) for one in told]))[ADA]
    version = (await saved(kit)).version
    versions = await kit.people.forget({ADA: NOW})
    known = (await kit.people.read([ADA]))[ADA]
    assert known.person.affinity == affinity("espresso", heard_at=later)
    assert known.person.facts == {"espresso": Facts((NOW - DAY,), dismissed_at=NOW)}
    assert known.revision > before.revision
    assert (await kit.agenda.due({"t-1": 10}))["t-1"].users == ("ada",)
    assert versions[ADA] > version
    assert (await saved(kit)).version > versions[ADA]


@pytest.mark.parametrize("comes_back_by", ["affinity", "engagement"])
async def test_a_list_made_before_the_user_was_forgotten_is_refused(
    kit: Kit, comes_back_by: str
) -> None:
    revision = await heard(kit)
    await kit.people.forget({ADA: NOW})
    if comes_back_by == "affinity":
        later = affinity("espresso", heard_at=NOW + HOUR)
        await kit.people.take_affinities({ADA: later})
    else:
        await kit.people.take_engagements([("t-1", engagement(taken_at=NOW + HOUR))])
    assert (await saved(kit, revision=revision)).verdict is Verdict.STALE


async def test_users_of_one_name_in_two_tenants_are_two(kit: Kit) -> None:
    await heard(kit, ADA)
    await kit.people.take_affinities({NAMESAKE: affinity("tea", version=9)})
    same = engagement(engagement_id="e")
    await kit.people.take_engagements([("t-1", same), ("t-2", same)])
    await kit.people.forget({ADA: NOW})
    known = await kit.people.read([ADA, NAMESAKE])
    assert known.keys() == {NAMESAKE}
    assert known[NAMESAKE].person.affinity == affinity("tea", version=9)
    counted = await kit.offers.counted(["t-1", "t-2"])
    assert counted["t-1"].tallies == counted["t-2"].tallies
    assert len(counted["t-1"].tallies) == 1


@pytest.mark.parametrize("pair", [("a}:user:b", "a"), ("a:", "a"), ("%7D", "}"), ("a", "A")])
async def test_no_name_of_a_tenant_reaches_into_another(kit: Kit, pair: tuple[str, str]) -> None:
    one, other = pair
    await kit.people.take_affinities({(one, "c"): affinity("espresso")})
    await kit.offers.take_campaigns([(one, campaign())])
    assert await kit.people.read([(other, "c"), (other, "b}:user:c"), (other, ":c")]) == {}
    assert (await kit.offers.catalogs([other]))[other].campaigns == {}


FULL = Campaign(
    campaign_id="梅-tea",
    title="梅のお茶 {x}",
    changed_at=NOW,
    intents=("buy_tea", "pricing"),
    starts_at=NOW - DAY,
    ends_at=NOW + DAY,
    budget_active=False,
    excluded_users=frozenset({"staff", "ada"}),
    excluded_intents=frozenset({"cancel"}),
    cap=FrequencyCap(3, timedelta(hours=1.5)),
    deleted=True,
)


async def test_a_campaign_comes_back_as_it_was(kit: Kit) -> None:
    await kit.offers.take_campaigns([("t-1", FULL), ("t-1", campaign())])
    found = (await kit.offers.catalogs(["t-1"]))["t-1"]
    assert found.campaigns == {"梅-tea": FULL, "espresso": campaign()}
    assert found.by_intent == {"buy_tea": ("梅-tea",), "pricing": ("梅-tea",)}


async def test_of_two_states_the_later_one_holds(kit: Kit) -> None:
    gone = replace(campaign(at=NOW), deleted=True)
    old = campaign(at=NOW - DAY, title="Old")
    for order in ([old, gone], [gone, old], [gone], [old]):
        await kit.offers.take_campaigns([("t-1", one) for one in order])
        assert (await kit.offers.catalogs(["t-1"]))["t-1"].campaigns == {"espresso": gone}


async def test_of_two_states_of_one_time_the_last_holds(kit: Kit) -> None:
    for title in ("One", "Two", "One"):
        await kit.offers.take_campaigns([("t-1", campaign(title=title))])
        found = (await kit.offers.catalogs(["t-1"]))["t-1"]
        assert found.campaigns["espresso"].title == title


async def test_a_catalogs_revision_changes_with_its_campaigns_and_vectors_only(kit: Kit) -> None:
    async def revision() -> int:
        return (await kit.offers.catalogs(["t-1"]))["t-1"].revision

    vector = CampaignVector("espresso", "m@1", (1.0, 0.0), NOW)
    first = await revision()
    await kit.offers.take_campaigns([("t-1", campaign())])
    second = await revision()
    await kit.offers.take_vectors([("t-1", vector)])
    third = await revision()
    assert first < second < third
    await kit.offers.take_campaigns([("t-1", campaign())])
    await kit.offers.take_vectors([("t-1", vector)])
    await kit.people.take_engagements([("t-1", engagement())])
    assert await revision() == third


async def test_vectors_are_kept_by_the_state_they_are_of(kit: Kit) -> None:
    def vector(key: str, x: float, y: float, days: int = 0) -> tuple[str, CampaignVector]:
        return "t-1", CampaignVector(key, "m@1", (x, y), NOW + days * DAY)

    await kit.offers.take_vectors([vector("a", 3.0, 0.0), vector("b", 1.0, 1.0, days=1)])
    await kit.offers.take_vectors([vector("b", -1.0, 0.0)])
    likeness = (await kit.offers.catalogs(["t-1"]))["t-1"].vectors.cosines(["a", "b", "c"])
    assert likeness is not None
    assert likeness.tolist()[0] == pytest.approx([1, 0.5**0.5, 0])
    await kit.offers.take_vectors([vector("b", -1.0, 0.0, days=2)])
    likeness = (await kit.offers.catalogs(["t-1"]))["t-1"].vectors.cosines(["a", "b"])
    assert likeness is not None
    assert likeness.tolist()[0] == pytest.approx([1, -1])


@pytest.mark.parametrize("bad", [(0.0, 0.0), (float("nan"), 1.0), (float("inf"), 0.0)])
async def test_a_vector_without_direction_is_refused(kit: Kit, bad: tuple[float, ...]) -> None:
    with pytest.raises(UnusableVector, match="espresso"):
        await kit.offers.take_vectors([("t-1", CampaignVector("espresso", "m@1", bad, NOW))])


async def popular(kit: Kit, **changes: object) -> tuple[PopularDraft, Saved]:
    counted = (await kit.offers.counted(["t-1"]))["t-1"]
    revision = (await kit.offers.catalogs(["t-1"]))["t-1"].revision
    told = Standings({"espresso": Standing(1.5, 1.0, 12)}, ("espresso",), Standing(1.0, 0.1, 0))
    made = PopularDraft("t-1", counted, revision, told, "d-1", NOW + DAY, "c-1")
    made = replace(made, **changes)  # type: ignore[arg-type]
    return made, (await kit.offers.save_popular([made]))[0]


async def test_standings_come_back_with_the_catalog(kit: Kit) -> None:
    await kit.offers.take_campaigns([("t-1", campaign())])
    assert (await kit.offers.catalogs(["t-1"]))["t-1"].standings == Standings()
    made, _ = await popular(kit)
    for reader in (kit, kit.another()):
        found = (await reader.offers.catalogs(["t-1"]))["t-1"]
        assert found.standings == made.standings
        assert found.campaigns == {"espresso": campaign()}


async def test_a_popular_list_is_due_half_a_second_after_an_engagement(kit: Kit) -> None:
    await kit.people.take_engagements([("t-1", engagement())])
    assert (await kit.agenda.due({"t-1": 1}))["t-1"] == Due()
    kit.clock.advance(0.4)
    await kit.people.take_engagements([("t-1", engagement())])
    kit.clock.advance(0.1)
    assert (await kit.agenda.due({"t-1": 1}))["t-1"] == Due(popular=True)
    await popular(kit)
    assert (await kit.agenda.due({"t-1": 1}))["t-1"] == Due()


async def test_an_engagement_while_a_popular_list_is_made_makes_another(kit: Kit) -> None:
    await kit.people.take_engagements([("t-1", engagement())])
    counted = (await kit.offers.counted(["t-1"]))["t-1"]
    await kit.people.take_engagements([("t-1", engagement())])
    _, answer = await popular(kit, counted=counted)
    assert answer.verdict is Verdict.PUBLISH
    kit.clock.advance(POPULAR_AFTER.total_seconds())
    assert (await kit.agenda.due({"t-1": 1}))["t-1"] == Due(popular=True)


async def test_a_popular_list_obeys_the_rules_of_lists(kit: Kit) -> None:
    made, first = await popular(kit)
    assert first.verdict is Verdict.PUBLISH
    assert (await kit.offers.save_popular([made]))[0].verdict is Verdict.STALE
    assert (await popular(kit, cause="c-2"))[1].verdict is Verdict.KNOWN
    again = (await popular(kit))[1]
    assert (again.verdict, again.version) == (Verdict.PUBLISH, first.version)
    assert (await popular(kit, digest="d-2"))[1].version > first.version
    await kit.offers.take_campaigns([("t-1", campaign())])
    assert (await popular(kit, catalog_revision=0))[1].verdict is Verdict.STALE


async def test_a_held_popular_list_is_due_until_it_is_settled(kit: Kit) -> None:
    await kit.offers.take_campaigns([("t-1", campaign())])
    held, answer = await popular(kit, held=True, cause=SWEEP)
    assert (await kit.agenda.due({"t-1": 1}))["t-1"].popular
    held, again = await popular(kit, held=True, cause=SWEEP)
    assert (again.verdict, again.version) == (Verdict.PUBLISH, answer.version)
    await kit.offers.settle_popular([(held, answer)])
    assert (await kit.agenda.due({"t-1": 1}))["t-1"].popular
    await kit.offers.settle_popular([(held, again)])
    assert not (await kit.agenda.due({"t-1": 1}))["t-1"].popular


@pytest.mark.parametrize("held", [False, True])
async def test_a_newer_popular_list_is_published_again_behind_an_older_one(
    kit: Kit, held: bool
) -> None:
    made, older = await popular(kit, cause=SWEEP, held=held)
    _, newer = await popular(kit, digest="d-2")
    await kit.offers.popular_published({"t-1": newer.version})
    if held:
        await kit.offers.settle_popular([(made, older)])
    else:
        await kit.offers.popular_published({"t-1": older.version})
    assert (await kit.agenda.due({"t-1": 1}))["t-1"].popular
    kit.clock.advance(ON_ITS_WAY.total_seconds())
    made, again = await popular(kit, digest="d-2", cause=SWEEP, held=True)
    assert (again.verdict, again.version) == (Verdict.PUBLISH, newer.version)
    await kit.offers.settle_popular([(made, again)])
    assert not (await kit.agenda.due({"t-1": 1}))["t-1"].popular


async def test_a_walk_finds_the_users_whom_a_campaign_concerns(kit: Kit) -> None:
    everybody = [ADA, BEN, ("t-1", "cleo"), NAMESAKE]
    for user in everybody:
        await heard(kit, user)
    await saved(kit, ADA, considered=("tea", "espresso"))
    await saved(kit, BEN, considered=("tea",))
    await saved(kit, ("t-1", "cleo"), considered=(), complete=False)
    await saved(kit, NAMESAKE, considered=("espresso",))
    await kit.offers.take_campaigns([("t-1", campaign("espresso"))])
    assert (await kit.agenda.due({"t-1": 9}))["t-1"] == Due(popular=True, walk=True)
    await kit.agenda.walk("t-1", 1)
    due = await kit.agenda.due({"t-1": 9, "t-2": 9})
    assert set(due["t-1"].users) == {"ada", "cleo"}
    assert not due["t-1"].walk
    assert due["t-2"] == Due()


async def test_a_walk_without_a_change_marks_nobody(kit: Kit) -> None:
    await heard(kit)
    await saved(kit, complete=False)
    await kit.agenda.walk("t-1", 1)
    assert (await kit.agenda.due({"t-1": 9}))["t-1"] == Due()


async def test_a_tenant_with_something_due_is_claimed_by_one(kit: Kit) -> None:
    await kit.people.postpone({ADA: NOW, NAMESAKE: NOW - HOUR, ("t-3", "ada"): NOW + HOUR})
    assert await kit.agenda.claim(1) == ["t-2"]
    assert await kit.another().agenda.claim(9) == ["t-1"]
    assert await kit.another().agenda.claim(9) == []
    await kit.agenda.release(["t-2"])
    assert await kit.agenda.claim(9) == ["t-2"]
    kit.clock.advance(3600)
    assert set(await kit.agenda.claim(9)) == {"t-1", "t-2", "t-3"}


async def test_a_tenant_is_claimed_anew_when_more_is_due(kit: Kit) -> None:
    await heard(kit)
    await kit.people.postpone({ADA: NOW})
    assert await kit.agenda.claim(9) == ["t-1"]
    await saved(kit, due_at=NOW + HOUR)
    await kit.agenda.release(["t-1"])
    assert await kit.agenda.claim(9) == []
    await kit.offers.take_campaigns([("t-1", campaign())])
    assert await kit.agenda.claim(9) == ["t-1"]
