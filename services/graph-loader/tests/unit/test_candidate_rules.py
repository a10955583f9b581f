from __future__ import annotations

import pytest
from graph_loader.domain.models import (
    NEVER,
    Candidate,
    Nearness,
    Neighbour,
    Offers,
    Path,
    Person,
    Shared,
    Times,
    User,
    Wish,
)
from graph_loader.domain.region import WINDOW, window
from graph_loader.domain.rules import CANDIDATES, DAY, Weights, candidates, strength, wanted
from graph_loader.domain.showing import is_new, shown
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_790_000_000_000_000
CALM = settings(deadline=None)
NOTHING = Offers({}, {}, frozenset())
EVEN = Weights(1.0, 1.0, 1.0, 1.0, sharpness=2.0)


def ids(found: tuple[Candidate, ...]) -> list[str]:
    return [one.campaign_id for one in found]


def test_a_conversion_counts_most_and_an_impression_nothing() -> None:
    assert strength(Times(converted=NOW), NOW) == 1.0
    assert strength(Times(clicked=NOW), NOW) == 0.7
    assert strength(Times(clicked=NOW, converted=NOW), NOW) == 1.0
    assert strength(Times(seen=NOW), NOW) == 0.0


def test_it_fades_by_half_in_sixty_days() -> None:
    assert strength(Times(converted=NOW - 60 * DAY), NOW) == pytest.approx(0.5)
    assert strength(Times(clicked=NOW - 120 * DAY), NOW) == pytest.approx(0.175)


def test_what_is_said_to_happen_tomorrow_counts_as_now() -> None:
    assert strength(Times(converted=NOW + 9 * DAY), NOW) == 1.0


def test_a_dismissal_counts_if_it_came_last() -> None:
    assert strength(Times(clicked=NOW - 1, dismissed=NOW), NOW) == pytest.approx(0.2)
    assert strength(Times(clicked=NOW, dismissed=NOW - 1), NOW) == 0.7
    assert strength(Times(dismissed=NOW), NOW) == -0.5


def test_neighbours_count_by_a_power_of_their_similarity() -> None:
    clicked = (("c", Times(converted=NOW)),)
    near = Neighbour("v", 0.8, (), clicked)
    far = Neighbour("w", 0.4)
    (found,) = candidates("t", Person(User(), (), (near, far)), NOTHING, NOW, EVEN)
    assert found.affinity == pytest.approx(0.64 / 0.8)
    assert [(path.kind, path.users) for path in found.paths] == [("similar-users", 1)]


def test_opposite_users_count_nothing() -> None:
    opposite = Neighbour("v", -0.9, (), (("c", Times(converted=NOW)),))
    assert candidates("t", Person(User(), (), (opposite,)), NOTHING, NOW) == ()


def test_a_campaign_that_neighbours_dismissed_is_no_candidate() -> None:
    done = Neighbour("v", 0.9, (), (("c", Times(dismissed=NOW)),))
    assert candidates("t", Person(User(), (), (done,)), NOTHING, NOW) == ()


def test_a_path_names_the_intent_that_most_of_the_similar_users_share() -> None:
    did = (("c", Times(clicked=NOW)),)
    user = User(wants=(Wish("a", 0.9), Wish("b", 0.3), Wish("z", 0.8)))
    near = tuple(
        Neighbour(f"v{n}", 0.5, intents, did)
        for n, intents in enumerate([("b",), ("b", "a"), ("b", "x"), ("x",)])
    )
    (found,) = candidates("t", Person(user, (), near), NOTHING, NOW)
    assert (found.paths[0].users, found.paths[0].intent) == (4, "b")
    alone = Neighbour("v", 0.5, ("x",), did)
    (found,) = candidates("t", Person(user, (), (alone,)), NOTHING, NOW)
    assert found.paths[0].intent is None


def test_campaigns_engaged_with_together_add_up_and_name_the_strongest() -> None:
    person = Person(User(), (("a", Times(converted=NOW)), ("b", Times(converted=NOW))))
    shared = {("t", "a"): (Shared("c", 4, 0.5),), ("t", "b"): (Shared("c", 2, 0.4),)}
    offers = Offers(shared, {}, frozenset())
    (found,) = candidates("t", person, offers, NOW, EVEN)
    assert found.affinity == pytest.approx(1 - 0.5 * 0.6)
    (path,) = found.paths
    assert (path.kind, path.users, path.campaign_id) == ("co-engaged", 4, "a")
    assert candidates("other", person, offers, NOW, EVEN) == ()


def test_the_strongest_intent_of_a_campaign_counts() -> None:
    user = User(wants=(Wish("a", 0.3), Wish("b", 0.6), Wish("c", -0.5)))
    targeting = {("t", "a"): ("c1",), ("t", "b"): ("c1",), ("t", "c"): ("c2",)}
    (found,) = candidates("t", Person(user), Offers({}, targeting, frozenset()), NOW, EVEN)
    assert (found.campaign_id, found.paths) == ("c1", (Path("intent", 0.6, intent="b"),))


def test_content_counts_unless_the_campaign_is_deleted() -> None:
    person = Person(User(near=(Nearness("a", 0.5), Nearness("b", 0.9), Nearness("c", -0.1))))
    offers = Offers({}, {}, frozenset({("t", "b"), ("other", "a")}))
    (found,) = candidates("t", person, offers, NOW)
    assert found == Candidate("a", 0.15, (Path("content", 0.15),))


def test_connections_of_all_kinds_add_up_the_strongest_first() -> None:
    user = User(wants=(Wish("i", 0.5),), near=(Nearness("c", 0.5),))
    near = (Neighbour("v", 1.0, ("i",), (("c", Times(converted=NOW)),)),)
    person = Person(user, (("a", Times(converted=NOW)),), near)
    offers = Offers({("t", "a"): (Shared("c", 3, 0.8),)}, {("t", "i"): ("c",)}, frozenset())
    (found,) = candidates("t", person, offers, NOW)
    kinds = [path.kind for path in found.paths]
    assert kinds == ["similar-users", "co-engaged", "intent", "content"]
    assert found.affinity == pytest.approx(1.0 + 0.8 + 0.25 + 0.15)
    assert found.affinity == pytest.approx(sum(path.weight for path in found.paths))


def test_only_the_best_are_kept_and_equal_ones_by_their_ids() -> None:
    near = tuple(Nearness(f"c{n:03}", 0.5) for n in reversed(range(CANDIDATES + 5)))
    found = candidates("t", Person(User(near=near)), NOTHING, NOW)
    assert ids(found) == [f"c{n:03}" for n in range(CANDIDATES)]


def test_wanted_is_what_the_people_are_connected_with() -> None:
    user = User(wants=(Wish("i", 1.0),), near=(Nearness("n", 1.0),))
    found = wanted({("t", "u"): Person(user, (("a", Times(clicked=1)), ("b", Times(dismissed=1))))})
    assert found.engaged == {("t", "a")}
    assert found.intents == {("t", "i")}
    assert found.near == {("t", "n")}


def test_the_window_holds_the_latest_that_were_not_dismissed_since() -> None:
    engaged = {f"c{n:02}": Times(clicked=n + 1) for n in range(WINDOW + 5)}
    assert window(engaged) == tuple(f"c{n:02}" for n in reversed(range(5, WINDOW + 5)))
    assert window({"a": Times(clicked=5, dismissed=6), "b": Times(seen=9), "c": NEVER}) == ()
    assert window({"a": Times(clicked=5, dismissed=4)}) == ("a",)


times = st.builds(Times, *[st.one_of(st.just(0), st.integers(1, 2 * NOW))] * 4)
campaign = st.sampled_from("abcdef")
people = st.builds(
    Person,
    st.builds(
        User,
        wants=st.lists(st.builds(Wish, st.sampled_from("xyz"), st.floats(-1, 1)), max_size=3).map(
            tuple
        ),
        near=st.lists(
            st.builds(Nearness, campaign, st.floats(-1, 1)),
            max_size=3,
            unique_by=lambda one: one.campaign_id,
        ).map(tuple),
    ),
    st.dictionaries(campaign, times, max_size=4).map(lambda one: tuple(one.items())),
    st.lists(
        st.builds(
            Neighbour,
            st.text("uvw", min_size=1),
            st.floats(-1, 1),
            st.lists(st.sampled_from("xyz"), max_size=2).map(tuple),
            st.dictionaries(campaign, times, max_size=3).map(lambda one: tuple(one.items())),
        ),
        max_size=4,
    ).map(tuple),
)
offers = st.builds(
    Offers,
    st.dictionaries(
        st.tuples(st.just("t"), campaign),
        st.lists(st.builds(Shared, campaign, st.integers(1, 9), st.floats(0, 1)), max_size=3).map(
            tuple
        ),
    ),
    st.dictionaries(
        st.tuples(st.just("t"), st.sampled_from("xyz")), st.lists(campaign, max_size=3).map(tuple)
    ),
    st.frozensets(st.tuples(st.just("t"), campaign)),
)


@CALM
@given(people, offers)
def test_candidates_are_positive_explained_and_in_order(person: Person, offered: Offers) -> None:
    found = candidates("t", person, offered, NOW)
    assert len(set(ids(found))) == len(found)
    order = [(-one.affinity, one.campaign_id) for one in found]
    assert order == sorted(order)
    for one in found:
        weights = [path.weight for path in one.paths]
        assert weights == sorted(weights, reverse=True)
        assert all(weight > 0 for weight in weights)
        assert one.affinity <= 2.8 + 1e-9
        assert len({path.kind for path in one.paths}) == len(one.paths)


def told(*affinities: tuple[str, float]) -> list[Candidate]:
    return [Candidate(campaign_id, affinity, ()) for campaign_id, affinity in affinities]


def test_what_moved_by_less_than_a_hundredth_is_not_new() -> None:
    before = shown(told(("a", 0.5), ("b", 0.1)))
    assert not is_new(before, told(("b", 0.1005), ("a", 0.499)))
    assert is_new(before, told(("a", 0.5), ("b", 0.103)))
    assert is_new(before, told(("a", 0.5)))
    assert is_new(before, told(("a", 0.5), ("c", 0.1)))


def test_twice_as_many_people_behind_a_reason_are_new() -> None:
    def by(users: int) -> list[Candidate]:
        return [Candidate("a", 0.5, (Path("similar-users", 0.5, users),))]

    assert is_new(shown(by(1)), by(2))
    assert not is_new(shown(by(18)), by(19))
    assert is_new(shown(by(1)), [Candidate("a", 0.5, (Path("intent", 0.5),))])


def test_nothing_after_nothing_is_not_new() -> None:
    assert not is_new("", [])
    assert is_new("", told(("a", 0.1)))
    assert is_new(shown(told(("a", 0.1))), [])
