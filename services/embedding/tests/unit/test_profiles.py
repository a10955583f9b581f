"""Taking in, forgetting, making anew: whatever comes again or at once, the result is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from embedding.adapters.memory import MemoryLake
from embedding.domain.decay import Newest, mean_of
from embedding.domain.errors import Contended
from embedding.domain.models import Kept, Message, UserKey
from embedding.domain.profiles import ATTEMPTS
from embedding.domain.states import UserState
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services.embedding.tests.embedding_kit import ADA, ADA_ELSEWHERE, BEN, MONTH, NOW, Kit, said

HOUR = timedelta(hours=1)


def same_mean(state: UserState | None, kit: Kit, messages: Sequence[Message]) -> bool:
    """Whether a state is the mean of just these messages, each once."""
    once = {item.id: item for item in messages}.values()
    news = [Newest(m.said_at, str(m.id), kit.words.vector(m.text)) for m in once]  # type: ignore[arg-type]
    expected = mean_of(None, news, kit.profiles.recipe.half_life)
    if state is None or expected is None:
        return state is None and expected is None
    assert state.mean.count == expected.count
    return bool(np.allclose(state.mean.total, expected.total, atol=1e-9))


def run(kit: Kit, *messages: Message) -> Mapping[UserKey, UserState]:
    return asyncio.run(kit.profiles.take_in(messages))


def test_what_a_user_says_moves_them_and_nobody_else() -> None:
    kit = Kit()
    states = run(kit, said("espresso"), said("grinder"), said("tea", BEN))
    assert states.keys() == {ADA, BEN}
    assert same_mean(states[ADA], kit, [said("espresso"), said("grinder")])
    assert same_mean(states[BEN], kit, [said("tea", BEN)])
    assert kit.vectors.users[ADA].version == states[ADA].version
    assert {point.text for point, _ in kit.vectors.texts.values()} == {"espresso", "grinder", "tea"}


def test_the_same_name_in_another_tenant_is_somebody_else() -> None:
    kit = Kit()
    states = run(kit, said("espresso"), said("espresso", ADA_ELSEWHERE), said("tea", ADA_ELSEWHERE))
    assert same_mean(states[ADA], kit, [said("espresso")])
    assert states[ADA_ELSEWHERE].mean.count == 2


def test_what_comes_again_is_embedded_and_counted_once() -> None:
    kit = Kit()
    first = run(kit, said("espresso"), said("espresso"))
    again = run(kit, said("espresso"))
    assert kit.words.embedded == ["espresso"]
    assert again[ADA] is first[ADA]
    more = run(kit, said("espresso"), said("grinder"))
    assert more[ADA].version > first[ADA].version
    assert same_mean(more[ADA], kit, [said("espresso"), said("grinder")])
    assert [kept.counted for kept in kit.memory.messages.values()] == [True, False]
    assert more[ADA].pending == (said("grinder").id,)


@pytest.mark.parametrize("text", ["", "  \n", "🙂🙂", "!?"])
def test_what_says_nothing_is_kept_and_moves_nobody(text: str) -> None:
    kit = Kit()
    assert run(kit, said(text)) == {}
    assert len(kit.memory.messages) == 1
    assert kit.vectors.users == {}
    before = run(kit, said("espresso"))
    assert run(kit, said(text)).get(ADA, before[ADA]) == before[ADA]


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_only_what_users_say_tells_of_them(role: str) -> None:
    kit = Kit()
    assert run(kit, said("Ours start at 240 euros", role=role)) == {}
    assert kit.words.embedded == []
    assert len(kit.memory.messages) == 1


def test_raw_messages_stay_if_the_model_fails() -> None:
    kit = Kit()

    async def fails(kind: str, texts: Sequence[str]) -> Sequence[Any]:
        raise RuntimeError("no model")

    kit.words.embed = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        run(kit, said("espresso"))
    assert len(kit.memory.messages) == 1
    assert kit.memory.stored == {}


def test_heard_at_is_the_latest_of_what_was_added() -> None:
    kit = Kit()
    run(kit, said("espresso", heard_at=NOW))
    states = run(kit, said("grinder", heard_at=NOW - HOUR))
    assert states[ADA].heard_at == NOW
    states = run(kit, said("tea", heard_at=NOW + HOUR), said("tea", BEN, heard_at=NOW))
    assert states[ADA].heard_at == NOW + HOUR


TEXTS = ["espresso", "grinder", "tea", "green tea", "refund please", "🙂", "beans"]
events = st.lists(
    st.tuples(
        st.sampled_from(TEXTS),
        st.sampled_from([ADA, BEN, ADA_ELSEWHERE]),
        st.integers(0, 90).map(lambda days: NOW - timedelta(days=days)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(events, st.lists(st.integers(0, 11), max_size=20), st.integers(1, 5))
def test_any_order_with_any_repetition_has_one_result(
    drawn: list[tuple[str, UserKey, datetime]], again: list[int], size: int
) -> None:
    kit = Kit()
    messages = [said(text, user, f"{text} {at}", said_at=at) for text, user, at in drawn]
    stream = messages + [messages[at % len(messages)] for at in again]
    stream = stream[::-1]
    for start in range(0, len(stream), size):
        run(kit, *stream[start : start + size])
    for user in {item.user for item in messages}:
        own = [item for item in messages if item.user == user and item.text != "🙂"]
        assert same_mean(kit.memory.stored.get(user), kit, own)


class CrashingLake(MemoryLake):
    """Dies at the call of that number."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_left = 10**9

    def step(self) -> None:
        self.calls_left -= 1
        if self.calls_left == 0:
            raise ConnectionError("killed")

    async def add_messages(self, messages: Sequence[Message]) -> Sequence[Kept]:
        self.step()
        kept = await super().add_messages(messages)
        self.step()
        return kept

    async def mark_counted(self, messages: Collection[UUID]) -> None:
        self.step()
        await super().mark_counted(messages)
        self.step()

    async def save_states(self, states: Sequence[tuple[UserState, int]]) -> Collection[UserKey]:
        self.step()
        saved = await super().save_states(states)
        self.step()
        return saved


@pytest.mark.parametrize("second", range(1, 7))
@pytest.mark.parametrize("first", range(1, 7))
def test_a_crash_anywhere_and_another_one_lose_and_double_nothing(first: int, second: int) -> None:
    lake = CrashingLake()
    kit = Kit(lake)
    batches = [[said("espresso"), said("tea", BEN)], [said("grinder"), said("beans")]]
    for batch, calls in zip(batches, (first, second), strict=True):
        lake.calls_left = calls
        with pytest.raises(ConnectionError):
            run(kit, *batch)
        lake.calls_left = 10**9
        run(kit, *batch)
    run(kit, *batches[0])
    assert same_mean(lake.stored[ADA], kit, [said("espresso"), *batches[1]])
    assert same_mean(lake.stored[BEN], kit, [said("tea", BEN)])
    assert kit.vectors.users[ADA].version == lake.stored[ADA].version
    assert len(kit.vectors.texts) == 4


class RacingLake(MemoryLake):
    """Lets others in between reading states and writing them."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Any] = []

    async def add_messages(self, messages: Sequence[Message]) -> Sequence[Kept]:
        kept = await super().add_messages(messages)
        if self.meanwhile:
            await self.meanwhile.pop(0)()
        return kept


def test_two_who_take_in_the_same_at_once_count_it_once() -> None:
    lake = RacingLake()
    kit, other = Kit(lake), Kit(lake)
    lake.meanwhile = [lambda: other.profiles.take_in([said("espresso"), said("tea")])]
    states = run(kit, said("espresso"), said("grinder"))
    assert same_mean(states[ADA], kit, [said("espresso"), said("tea"), said("grinder")])
    assert same_mean(lake.stored[ADA], kit, [said("espresso"), said("tea"), said("grinder")])


def test_who_is_always_late_gives_up() -> None:
    lake = RacingLake()
    kit, other = Kit(lake), Kit(lake)

    def rival(number: int) -> Any:
        async def take_in() -> None:
            await other.profiles.take_in([said(f"word{number}")])

        return take_in

    lake.meanwhile = [each for at in range(ATTEMPTS * 2) for each in (rival(at), _nothing)]
    with pytest.raises(Contended):
        run(kit, said("espresso"))


async def _nothing() -> None: ...


def test_who_is_forgotten_is_gone_and_may_come_back() -> None:
    kit = Kit()
    run(kit, said("espresso"), said("tea", BEN), said("espresso", ADA_ELSEWHERE))
    asyncio.run(kit.profiles.forget(ADA, NOW + HOUR))
    assert ADA not in kit.memory.stored
    assert ADA not in kit.vectors.users
    assert {kept.message.user for kept in kit.memory.messages.values()} == {BEN, ADA_ELSEWHERE}
    assert {point.user_id for point, _ in kit.vectors.texts.values()} == {"ben", "ada"}
    assert "ada" not in repr(kit.memory.graves)
    late = run(kit, said("grinder", heard_at=NOW + HOUR), said("beans", BEN))
    assert late.keys() == {BEN}
    back = run(kit, said("espresso", heard_at=NOW + HOUR + timedelta(microseconds=1)))
    assert same_mean(back[ADA], kit, [said("espresso")])


def test_what_was_heard_after_forgetting_stays_though_it_was_read_before() -> None:
    kit = Kit()
    later = said("tea", heard_at=NOW + 2 * HOUR)
    before = run(kit, said("espresso"), later)[ADA]
    left = asyncio.run(kit.profiles.forget(ADA, NOW + HOUR))
    state = kit.memory.stored[ADA]
    assert left == state
    assert same_mean(state, kit, [later])
    assert state.version > before.version
    assert [point.text for point, _ in kit.vectors.texts.values()] == ["tea"]
    assert kit.vectors.users[ADA].version == state.version
    assert run(kit, later)[ADA] == state


def test_forgetting_twice_is_forgetting_once() -> None:
    kit = Kit()
    run(kit, said("espresso"))
    for _ in range(2):
        assert asyncio.run(kit.profiles.forget(ADA, NOW + HOUR)) is None
    assert kit.memory.messages == {}


def test_who_is_forgotten_while_taken_in_is_gone() -> None:
    lake = RacingLake()
    kit = Kit(lake)
    lake.meanwhile = [lambda: kit.profiles.forget(ADA, NOW + HOUR)]
    assert run(kit, said("espresso"), said("tea", BEN)).keys() == {BEN}
    assert {kept.message.user for kept in lake.messages.values()} == {BEN}
    assert kit.vectors.users.keys() == {BEN}
    assert ADA not in lake.stored


def test_what_a_crash_left_behind_of_the_forgotten_goes_with_the_next_late_event() -> None:
    kit = Kit()
    asyncio.run(kit.lake.forget(ADA, NOW + HOUR))
    asyncio.run(kit.lake.add_messages([said("espresso")]))
    run(kit, said("tea"))
    assert kit.memory.messages == {}


def test_who_has_spoken_since_is_told_of_anew_when_a_crash_left_something_behind() -> None:
    """Somebody may have been told of with it meanwhile."""
    kit = Kit()
    later = said("grinder", heard_at=NOW + 2 * HOUR)
    before = run(kit, said("espresso"), later)[ADA]
    asyncio.run(kit.lake.forget(ADA, NOW + HOUR))
    asyncio.run(kit.lake.add_messages([said("espresso")]))
    state = run(kit, said("espresso"))[ADA]
    assert same_mean(state, kit, [later])
    assert state.version > before.version


def test_another_recipe_makes_a_state_anew_and_never_mixes() -> None:
    lake = MemoryLake()
    old = Kit(lake, model="words@1")
    before = run(old, said("espresso"), said("tea"), said("🙂"))[ADA]
    new = Kit(lake, model="words@2")
    state = run(new, said("grinder"))[ADA]
    assert state.recipe == "words@2/30d"
    assert state.version > before.version
    assert same_mean(state, new, [said("espresso"), said("tea"), said("grinder")])
    assert run(new, said("grinder"), said("tea"))[ADA] == state
    assert new.vectors.users[ADA].version == state.version


def test_another_half_life_is_another_recipe() -> None:
    lake = MemoryLake()
    old = said("espresso", said_at=NOW - MONTH)
    run(Kit(lake), old, said("tea"))
    kit = Kit(lake, half_life=MONTH / 30)
    state = run(kit, said("tea"))[ADA]
    assert same_mean(state, kit, [old, said("tea")])
    assert state.mean.weight == pytest.approx(1 + 2**-30)


def test_making_anew_while_others_take_in_loses_and_doubles_nothing() -> None:
    lake = RacingLake()
    kit = Kit(lake)
    run(kit, said("espresso"))
    first = lake.messages_of

    async def with_company(user: UserKey, after: UUID | None, limit: int) -> Sequence[Kept]:
        page = await first(user, after, limit)
        lake.messages_of = first  # type: ignore[method-assign]
        await kit.profiles.take_in([said("tea")])
        return page

    lake.messages_of = with_company  # type: ignore[method-assign]
    state = asyncio.run(kit.profiles.rebuild(ADA))
    assert same_mean(state, kit, [said("espresso"), said("tea")])
    assert same_mean(
        run(kit, said("tea"), said("beans"))[ADA],
        kit,
        [said("espresso"), said("tea"), said("beans")],
    )


def test_a_clock_set_back_does_not_set_versions_back() -> None:
    kit = Kit()
    first = run(kit, said("espresso"))[ADA]
    kit.clock.advance(-3600)
    assert run(kit, said("tea"))[ADA].version == first.version + 1
