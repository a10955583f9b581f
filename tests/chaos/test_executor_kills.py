"""Kill -9 at random moments: nothing is lost, nothing has two results, every repeat is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from devkit.embedded import EmbeddedPostgres
from tests.chaos.executor_kills import End, Evidence, Kill, Sweep, complaints, run
from tests.load.executor_bed import Bed

SHORT = Sweep(requests=1_200, kills=12, seed=20261107)
A, B, OWNER = UUID(int=1), UUID(int=2), UUID(int=3)
ANSWERED = End("answered", 1, False, {"text": "yes"})
CUT = replace(ANSWERED, said_unknown=True)
GOOD = Evidence(
    sweep=replace(SHORT, in_flight=1),
    seconds=1.0,
    kills=[Kill(0.5, 1, 1, frozenset({(B, OWNER)}))],
    requested=frozenset({A, B}),
    stored={A: ANSWERED, B: CUT},
    published={A: [("1", b'{"text": "yes"}')], B: [("2", b'{"text": "yes"}')] * 2},
    dead_letters=0,
    calls=3,
    distinct=2,
    repeated=1,
    at_once=1,
)
BAD: dict[str, Callable[[Evidence], Evidence]] = {
    "lost": lambda good: replace(good, stored={A: ANSWERED}),
    "unasked": lambda good: replace(good, requested=frozenset({A})),
    "not answered": lambda good: replace(
        good, stored={A: replace(ANSWERED, outcome="failed"), B: CUT}
    ),
    "not published": lambda good: replace(good, published={A: good.published[A]}),
    "two events": lambda good: replace(
        good, published={**good.published, A: [*good.published[A], ("3", b'{"text": "yes"}')]}
    ),
    "two bodies": lambda good: replace(
        good, published={**good.published, A: [*good.published[A], ("1", b'{"text": "no"}')]}
    ),
    "another body": lambda good: replace(
        good, published={**good.published, A: [("1", b'{"text": "no"}')]}
    ),
    "dead letter": lambda good: replace(good, dead_letters=1),
    "not called": lambda good: replace(good, calls=1, distinct=1, repeated=0),
    "repeated at no kill": lambda good: replace(good, calls=4),
    "repeated in silence": lambda good: replace(good, repeated=2),
    "cut in silence": lambda good: replace(good, stored={A: ANSWERED, B: ANSWERED}),
    "not cut": lambda good: replace(good, stored={A: CUT, B: CUT}),
    "crowded": lambda good: replace(good, at_once=2),
}


def test_killed_at_random_moments(postgres: EmbeddedPostgres, server_folder: Path) -> None:
    bed = Bed(server_folder, postgres)
    found = asyncio.run(run(bed, "executor-kills", SHORT, print))
    assert complaints(found) == []
    assert len(found.kills) > SHORT.kills / 2
    assert found.unknown, "no kill ever met a call"


def test_what_is_right_is_not_complained_of() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_the_checks_see_what_is_wrong(make: Callable[[Evidence], Evidence]) -> None:
    assert len(complaints(make(GOOD))) >= 1
