"""All services apart, on real servers, killed and cut off while they work: the short form.

``make chaos`` is the long one. What it promises is in docs/reliability.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from devkit.history import complaints
from devkit.servers.local import ServerUnavailable
from devkit.stack import ALL, SERVICES, Servers
from tests.chaos.distributed.plan import LONG, SHORT
from tests.chaos.distributed.run import run
from tests.chaos.distributed.tables import outcome_table

pytestmark = pytest.mark.xdist_group("kafka")  # one broker at a time


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_is_done_twice(server_folder: Path) -> None:
    try:
        servers = Servers.start(server_folder / "servers")
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with servers:
        outcome = run(SHORT, server_folder, servers, print)
        for name in ALL:  # nobody needs their data any more
            servers[name].kill()
    assert complaints(outcome.history) == [], outcome_table(outcome)
    assert {*SERVICES, *SHORT.servers} == set(outcome.seen.kills)
    assert outcome.seen.doubled, "nothing was sent twice"
    assert outcome.accepted.conversations, "nobody said anything"
    assert outcome.history.calls.cut, "no kill ever met a call"
    assert len(outcome.accepted.runs) > 1, "no run was started while things broke"


def test_the_same_seed_breaks_the_same_things() -> None:
    assert list(LONG.faults()) == list(LONG.faults())
    kinds = [fault.kind for fault in LONG.faults()]
    assert kinds.count("kill") == len(SERVICES) + LONG.random_kills
    assert {"kill-server", "stop-server", "outage", "storm", "duplicates"} <= set(kinds)
