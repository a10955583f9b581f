"""Computes the candidates of users from the graph as it is now."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from runtime.clock import Clock

from graph_loader.domain.models import Affinity, Candidate, Key, Offers, Person
from graph_loader.domain.ports import Graph
from graph_loader.domain.rules import WEIGHTS, Weights, candidates, wanted
from graph_loader.domain.showing import is_new, shown
from graph_loader.translation import micros


async def affinities(
    graph: Graph, users: Collection[Key], clock: Clock, weights: Weights = WEIGHTS
) -> Mapping[Key, Affinity]:
    """The candidates of those of ``users`` who are known.

    A version is a time from before the reading: of two computations at once the one that began
    later wins, and it has seen all that the other saw. Raises Unavailable.
    """
    read_at = micros(clock.now())
    people = await graph.people(users)
    offers = await graph.offers(wanted(people))
    return {key: _affinity(key, person, offers, read_at, weights) for key, person in people.items()}


def _affinity(key: Key, person: Person, offers: Offers, read_at: int, weights: Weights) -> Affinity:
    found: tuple[Candidate, ...] = candidates(key[0], person, offers, read_at, weights)
    return Affinity(
        key=key,
        version=max(person.affinity_version + 1, read_at),
        read_at=read_at,
        candidates=found,
        wants=person.user.wants,
        heard_at=person.user.heard_at,
        marks=person.marks,
        shown=shown(found),
        changed=is_new(person.shown, found),
    )
