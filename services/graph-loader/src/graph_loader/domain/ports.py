"""What the domain needs of a graph database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from graph_loader.domain.models import Affinity, Answer, Backlog, Key, Offers, Person, Wanted
from graph_loader.domain.region import Reach, Region

Decide = Callable[[Region], None]
"""Changes a region in place. It may run more than once, on a fresh region each time."""


class Graph(Protocol):
    """Users, campaigns and what connects them, and the answers of models, of all tenants.

    Every method raises ``bus.errors.Unavailable`` while the database is down.
    """

    async def change(self, reach: Reach, decide: Decide) -> None:
        """Load what ``reach`` names, let ``decide`` change it and store the difference.

        All or nothing, and no other change of the same tenants comes in between.
        """

    async def people(self, users: Collection[Key]) -> Mapping[Key, Person]:
        """Those of ``users`` who are known, with the strongest neighbours and what they did."""

    async def offers(self, wanted: Wanted) -> Offers:
        """What is asked for of the campaigns; of deleted ones only that they are."""

    async def remember(self, affinities: Sequence[Affinity]) -> None:
        """Keep what is published of users. Who was not marked since then waits no longer.

        A higher version that is kept already stays; users who are not there stay away.
        """

    async def waiting(self, limit: int) -> Sequence[Key]:
        """The users who have been waiting longest to be computed again."""

    async def backlog(self) -> Backlog:
        """How many wait, and for how long."""

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        """Keep answers with what they name and cite; of one answer the highest revision."""

    async def healthy(self) -> bool:
        """Whether the database answers."""

    async def close(self) -> None:
        """Let go of it; idempotent."""
