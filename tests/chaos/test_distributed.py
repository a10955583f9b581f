"""All services apart, on real servers, killed and cut off while they work: the short form.

``make chaos`` is the long one. What it promises is in docs/reliability.md.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from devkit.history import complaints
from devkit.servers.local import ServerUnavailable
from devkit.stack import ALL, SERVICES, Servers
from tests.chaos.distributed.plan import LONG, SHORT
from tests.chaos.distributed.run import run
from tests.chaos.distributed.tables import outcome_table
from tests.chaos.distributed.traffic import Accepted, Client

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


def test_what_was_cut_off_in_the_middle_of_an_answer_is_sent_again() -> None:
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    accepted = Accepted()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:
        server.settimeout(30)
        client = Client(server.getsockname()[1], accepted)
        asked = threads.submit(client.send, "POST", "/v1/engagements", {})
        for answer in (b"", head, head + b"{}"):
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
        assert asked.result(30) == {}
    assert accepted.tries["accepted"] == 1
    assert accepted.tries.total() == 3


def test_the_same_seed_breaks_the_same_things() -> None:
    assert list(LONG.faults()) == list(LONG.faults())
    kinds = [fault.kind for fault in LONG.faults()]
    assert kinds.count("kill") == len(SERVICES) + LONG.random_kills
    assert {"kill-server", "stop-server", "outage", "storm", "duplicates"} <= set(kinds)
