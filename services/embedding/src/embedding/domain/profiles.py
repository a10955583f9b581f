"""Takes in what people say: keeps it raw, and moves the vectors of those who said it.

Everything here may be done again: a message has the id of what it is, a state is written only
over the version it was made from, and a point is put where it belongs however often.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from embedding.domain.decay import DecayedMean, Newest, mean_of
from embedding.domain.errors import Contended
from embedding.domain.models import Kept, Message, UserKey
from embedding.domain.ports import Clock, Embedder, Lake, VectorIndex
from embedding.domain.rules import message_point, microseconds, tells
from embedding.domain.states import Recipe, UserState

ATTEMPTS = 10
PAGE = 200
"""Messages of a user that are embedded at once when their state is made anew."""

Pairs = Sequence[tuple[Message, Newest]]


@dataclass(frozen=True)
class Profiles:
    """The states of users, in the lake and in the index."""

    lake: Lake
    index: VectorIndex
    embedder: Embedder
    recipe: Recipe
    clock: Clock

    async def take_in(self, messages: Sequence[Message]) -> Mapping[UserKey, UserState]:
        """Keep messages and add those that tell of their users; the states of the latter.

        What was heard before its user was forgotten is not kept; the states of those who have
        spoken since are among them, made anew. Raises Contended.
        """
        graves = await self.lake.forgotten({item.user for item in messages})
        wanted = [item for item in messages if not _buried(item, graves)]
        # A process that died may have kept some of them a moment before it saw the tombstone.
        states: dict[UserKey, UserState] = {}
        for user in {item.user for item in messages if _buried(item, graves)}:
            if (left := await self.forget(user, graves[user])) is not None:
                states[user] = left
        states |= await self._added(wanted)
        return await self._placed(states, {item.user for item in messages}, graves)

    async def rebuild(self, user: UserKey) -> UserState | None:
        """Make a state anew from what the lake has, with this recipe. Raises Contended."""
        for _ in range(ATTEMPTS):
            known = (await self.lake.states([user])).get(user)
            base = known.version if known else 0
            state = await self._replayed(user, base)
            if await self._replaced(user, base, state):
                return state
        raise Contended(f"the state of a user changed {ATTEMPTS} times while it was made anew")

    async def renewed(self, users: Collection[UserKey], since: datetime) -> Sequence[UserState]:
        """The states of users under higher versions, to tell of them again.

        Left out are those who are not there, who are of another recipe, who have spoken ``since``
        or speak at this moment: what they said is told with all that is near now.
        """
        graves = await self.lake.forgotten(users)
        known = (await self.lake.states(users)).values()
        own = [state for state in known if self._is_due(state, since)]
        await self.lake.mark_counted([each for state in own for each in state.pending])
        pairs = [
            (replace(state, version=self._after(state.version), pending=()), state.version)
            for state in own
        ]
        saved = set(await self.lake.save_states(pairs))
        states = {state.user: state for state, _ in pairs if state.user in saved}
        return list((await self._placed(states, set(users), graves)).values())

    def _is_due(self, state: UserState, since: datetime) -> bool:
        """A version that added nothing was made here, and a crash may have left it untold."""
        spoke = bool(state.pending) and state.version >= microseconds(since)
        return state.recipe == self.recipe.name and not spoke

    async def forget(self, user: UserKey, at: datetime) -> UserState | None:
        """Remove all that was heard of a user up to ``at``, and remember that. Raises Contended.

        Returns the state of what was heard since, under a higher version than any before it.
        """
        await self.lake.forget(user, at)
        await self.index.remove_user(user)
        return await self.rebuild(user)

    async def _added(self, messages: Sequence[Message]) -> dict[UserKey, UserState]:
        done: dict[UserKey, UserState] = {}
        left = list(messages)
        for _ in range(ATTEMPTS):
            if not left:
                return done
            lost = await self._attempt(left, done)
            left = [item for item in left if item.user in lost]
        raise Contended(f"states of {len({item.user for item in left})} users keep changing")

    async def _attempt(
        self, messages: Sequence[Message], done: dict[UserKey, UserState]
    ) -> set[UserKey]:
        """One pass over users; those whose state was changed by others meanwhile are returned.

        States are read before the marks of messages are: a mark that is set between the two
        belongs to a version that this pass cannot overwrite.
        """
        known = dict(await self.lake.states({item.user for item in messages}))
        kept = await self.lake.add_messages(messages)
        for user in [user for user, state in known.items() if state.recipe != self.recipe.name]:
            if (state := await self.rebuild(user)) is not None:
                done[user] = state
            del known[user]
            kept = [item for item in kept if item.message.user != user]
        fresh = await self._embedded(_uncounted(kept, known))
        changed = {user: self._moved(known.get(user), own) for user, own in fresh.items()}
        saved = await self._saved(changed, known)
        speakers = {item.message.user for item in kept if tells(item.message)}
        done |= {user: known[user] for user in speakers & known.keys() - changed.keys()}
        done |= {user: changed[user] for user in saved}
        return changed.keys() - saved

    async def _embedded(self, messages: Sequence[Message]) -> dict[UserKey, Pairs]:
        """Messages with their vectors, by user, once they can be searched."""
        vectors = await self.embedder.embed("message", [item.text for item in messages])
        pairs = [
            (item, Newest(item.said_at, str(item.id), vector))
            for item, vector in zip(messages, vectors, strict=True)
            if vector is not None
        ]
        await self.index.put_texts([(message_point(item), new.vector) for item, new in pairs])
        by_user: dict[UserKey, list[tuple[Message, Newest]]] = {}
        for pair in pairs:
            by_user.setdefault(pair[0].user, []).append(pair)
        return dict(by_user)

    def _moved(self, known: UserState | None, pairs: Pairs) -> UserState:
        user = pairs[0][0].user
        base = known.version if known else 0
        mean = mean_of(known.mean if known else None, _news(pairs), self.recipe.half_life)
        heard = [item.heard_at for item, _ in pairs] + ([known.heard_at] if known else [])
        return self._state(user, base, mean, heard, [item.id for item, _ in pairs])

    def _state(
        self,
        user: UserKey,
        base: int,
        mean: DecayedMean | None,
        heard: Sequence[datetime],
        pending: Iterable[UUID],
    ) -> UserState:
        assert mean is not None, "a state is made of at least one message"
        version = self._after(base)
        return UserState(user, version, self.recipe.name, mean, max(heard), tuple(pending))

    def _after(self, version: int) -> int:
        """By the clock: a lake that was lost and filled again is not behind what readers have."""
        return max(version + 1, microseconds(self.clock.now()))

    async def _saved(
        self, changed: Mapping[UserKey, UserState], known: Mapping[UserKey, UserState]
    ) -> set[UserKey]:
        before = [known[user] for user in changed if user in known]
        await self.lake.mark_counted([each for state in before for each in state.pending])
        return set(
            await self.lake.save_states(
                [
                    (state, known[user].version if user in known else 0)
                    for user, state in changed.items()
                ]
            )
        )

    async def _placed(
        self,
        states: dict[UserKey, UserState],
        users: set[UserKey],
        graves: Mapping[UserKey, datetime],
    ) -> Mapping[UserKey, UserState]:
        """Put the points; then undo what was done for those who were forgotten meanwhile."""
        await self.index.put_users([point for state in states.values() if (point := state.point)])
        now = await self.lake.forgotten(users)
        for user in [user for user in now if now[user] != graves.get(user)]:
            states.pop(user, None)
            if (left := await self.forget(user, now[user])) is not None:
                states[user] = left
        return states

    async def _replayed(self, user: UserKey, base: int) -> UserState | None:
        mean: DecayedMean | None = None
        heard: list[datetime] = []
        pending: list[UUID] = []
        after: UUID | None = None
        while page := await self.lake.messages_of(user, after, PAGE):
            after = page[-1].message.id
            pairs = (await self._embedded(_telling(page))).get(user, ())
            mean = mean_of(mean, _news(pairs), self.recipe.half_life)
            heard += [max(item.heard_at for item, _ in pairs)] if pairs else []
            counted = {item.message.id for item in page if item.counted}
            pending += [item.id for item, _ in pairs if item.id not in counted]
        return None if mean is None else self._state(user, base, mean, heard, pending)

    async def _replaced(self, user: UserKey, base: int, state: UserState | None) -> bool:
        """Write what was made anew if nothing came in between."""
        if state is None:
            gone = base == 0 or await self.lake.drop_state(user, base)
            if gone:
                await self.index.remove_user(user)
            return gone
        saved = bool(await self.lake.save_states([(state, base)]))
        if saved and state.point is not None:
            await self.index.put_users([state.point])
        return saved


def _buried(message: Message, graves: Mapping[UserKey, datetime]) -> bool:
    forgotten_at = graves.get(message.user)
    return forgotten_at is not None and message.heard_at <= forgotten_at


def _uncounted(kept: Sequence[Kept], known: Mapping[UserKey, UserState]) -> list[Message]:
    """Each message once that tells and is not part of its user's state yet."""
    pending = {each for state in known.values() for each in state.pending}
    fresh = {
        item.message.id: item.message
        for item in kept
        if not item.counted and item.message.id not in pending and tells(item.message)
    }
    return list(fresh.values())


def _telling(page: Sequence[Kept]) -> list[Message]:
    return [item.message for item in page if tells(item.message)]


def _news(pairs: Pairs) -> list[Newest]:
    return [new for _, new in pairs]
