"""The HTTP server as a component, and the ops port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import httpx2
import pytest
import pytest_asyncio
from runtime import health
from runtime.deadline import Deadline
from runtime.health import Check, Checks, ops_app
from runtime.server import HttpServer, PortTaken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

pytestmark = pytest.mark.asyncio
SERVING = {"postgres"}
PATIENCE = 30  # seconds that no step of these takes, however busy the machine is


async def slow(request: Request) -> Response:
    request.app.state.arrived.set()
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("answered")


async def endless(request: Request) -> Response:
    async def ticks() -> AsyncIterator[str]:
        try:
            yield "tick\n"
            request.app.state.arrived.set()
            await asyncio.sleep(100 * PATIENCE)
        finally:
            request.app.state.ended.set()

    return StreamingResponse(ticks())


def app() -> Starlette:
    made = Starlette(routes=[Route("/slow", slow), Route("/endless", endless)])
    made.state.arrived, made.state.ended = asyncio.Event(), asyncio.Event()
    return made


@pytest.fixture
def arrived() -> asyncio.Event:
    """Set when a request is at work."""
    return asyncio.Event()


@pytest.fixture
def ended() -> asyncio.Event:
    """Set when an endless answer has come to its end."""
    return asyncio.Event()


@pytest_asyncio.fixture
async def server(arrived: asyncio.Event, ended: asyncio.Event) -> AsyncIterator[HttpServer]:
    served = app()
    served.state.arrived, served.state.ended = arrived, ended
    made = HttpServer(served, "127.0.0.1", 0)
    await made.start()
    yield made
    await made.stop(Deadline(1))


async def get(url: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.get(url)


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def broken() -> bool:
    raise RuntimeError("password=hunter2")


async def hanging() -> bool:
    await asyncio.sleep(2 * PATIENCE)
    return True


async def test_port_0_picks_a_free_one(server: HttpServer) -> None:
    assert server.port > 0
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert (await get(f"{server.url}/slow?seconds=0")).text == "answered"


async def test_an_address_for_all_is_called_by_the_local_one() -> None:
    assert HttpServer(Starlette(), "0.0.0.0", 8080).url == "http://127.0.0.1:8080"


async def test_a_taken_port_is_told_with_the_variable_that_picks_another(
    server: HttpServer,
) -> None:
    second = HttpServer(Starlette(), "127.0.0.1", server.port, variable="LIMELIGHT_OPS_PORT")
    with pytest.raises(PortTaken) as caught:
        await second.start()
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert "LIMELIGHT_OPS_PORT" in str(caught.value)
    await second.stop(Deadline(0))
    assert (await get(f"{server.url}/slow?seconds=0")).status_code == 200


async def test_a_port_is_free_again_after_the_end(server: HttpServer) -> None:
    await server.stop(Deadline(1))
    second = HttpServer(app(), "127.0.0.1", server.port)
    await second.start()
    try:
        assert (await get(f"{second.url}/slow?seconds=0")).text == "answered"
    finally:
        await second.stop(Deadline(1))


async def test_what_was_asked_is_answered_before_the_end(
    server: HttpServer, arrived: asyncio.Event
) -> None:
    asked = asyncio.create_task(get(f"{server.url}/slow?seconds=0.3"))
    await asyncio.wait_for(arrived.wait(), PATIENCE)
    await server.stop(Deadline(PATIENCE))
    assert (await asked).text == "answered"


async def test_nobody_is_waited_for_beyond_the_deadline(
    server: HttpServer, arrived: asyncio.Event
) -> None:
    asked = asyncio.create_task(get(f"{server.url}/slow?seconds={2 * PATIENCE}"))
    await asyncio.wait_for(arrived.wait(), PATIENCE)
    started = time.monotonic()
    await server.stop(Deadline(0.2))
    assert time.monotonic() - started < PATIENCE
    asked.cancel()
    await asyncio.wait({asked})


@pytest.mark.parametrize("path", ["endless", f"slow?seconds={100 * PATIENCE}"])
async def test_what_does_not_end_leaves_the_others_most_of_the_deadline(
    server: HttpServer, arrived: asyncio.Event, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.server.OPEN_SECONDS", 0.1)
    asked = asyncio.create_task(get(f"{server.url}/{path}"))
    await asyncio.wait_for(arrived.wait(), PATIENCE)
    deadline = Deadline(4 * PATIENCE)
    await server.stop(deadline)
    assert deadline.left > PATIENCE
    with pytest.raises(httpx2.RemoteProtocolError):
        await asyncio.wait_for(asked, PATIENCE)


async def test_a_stream_that_is_cut_ends_in_order(
    server: HttpServer,
    arrived: asyncio.Event,
    ended: asyncio.Event,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = asyncio.create_task(get(f"{server.url}/endless"))
    await asyncio.wait_for(arrived.wait(), PATIENCE)
    await server.stop(Deadline(0.4))
    assert ended.is_set()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    await asyncio.wait({asked})


@pytest_asyncio.fixture
async def ops(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    checks: Mapping[str, Check] = request.param
    made = HttpServer(ops_app(checks, SERVING & checks.keys() or None), "127.0.0.1", 0)
    await made.start()
    yield made.url
    await made.stop(Deadline(1))


@pytest.mark.parametrize("ops", [{"log": yes, "store": yes}], indirect=True)
async def test_ready_when_every_check_is(ops: str) -> None:
    ready = await get(f"{ops}/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "checks": {"log": True, "store": True}}


@pytest.mark.parametrize("ops", [{"log": yes, "store": no, "redis": broken}], indirect=True)
async def test_not_ready_says_which_check_failed(ops: str) -> None:
    unready = await get(f"{ops}/readyz")
    assert unready.status_code == 503
    assert unready.json()["checks"] == {"log": True, "store": False, "redis": False}
    assert "hunter2" not in unready.text
    assert (await get(f"{ops}/livez")).status_code == 200


@pytest.mark.parametrize(
    ("ops", "status"),
    [
        ({"log": no, "postgres": yes}, 200),
        ({"log": yes, "postgres": no}, 503),
        ({"log": yes, "postgres": broken}, 503),
        ({"log": no, "store": yes}, 503),  # nothing is said of what serving needs: all of it
        ({"log": yes, "store": yes}, 200),
    ],
    indirect=["ops"],
)
async def test_what_serving_needs_decides_whether_it_can_serve(ops: str, status: int) -> None:
    served, ready = await get(f"{ops}/servez"), await get(f"{ops}/readyz")
    assert served.status_code == status
    assert served.json()["checks"] == ready.json()["checks"]
    assert served.json()["status"] == ("ready" if status == 200 else "not ready")


async def test_what_serving_needs_is_among_the_checks() -> None:
    with pytest.raises(ValueError, match="no such check: postgre"):
        ops_app({"postgres": yes}, {"postgre"})


async def test_a_check_that_hangs_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.1)
    started = time.monotonic()
    results = await Checks({"one": hanging, "two": yes, "three": hanging}).run()
    assert results == {"one": False, "two": True, "three": False}
    assert time.monotonic() - started < PATIENCE


async def test_checks_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", PATIENCE)
    all_begun = asyncio.Barrier(3)

    async def meeting() -> bool:
        await all_begun.wait()
        return True

    checks = Checks({"one": meeting, "two": meeting, "three": meeting})
    assert await checks.run() == {"one": True, "two": True, "three": True}


async def test_a_check_that_hangs_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.02)
    begun, go_on = 0, asyncio.Event()

    async def stuck() -> bool:
        nonlocal begun
        begun += 1
        return await go_on.wait()

    checks = Checks({"store": stuck})
    assert [await checks.run() for _ in range(3)] == [{"store": False}] * 3
    assert begun == 1
    go_on.set()
    await asyncio.sleep(0)
    assert await checks.run() == {"store": True}
    assert begun == 2  # the late answer is of no use: the store may be down again


async def test_callers_at_once_get_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", PATIENCE)
    begun = 0

    async def slowly() -> bool:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0.02)
        return True

    checks = Checks({"store": slowly, "redis": yes})
    answers = await asyncio.gather(*(checks.run() for _ in range(3)))
    assert answers == [{"store": True, "redis": True}] * 3
    assert begun == 1
    assert await checks.run() == answers[0]
    assert begun == 2


async def test_without_checks_it_is_ready() -> None:
    assert await Checks({}).run() == {}


@pytest.mark.parametrize("ops", [{}], indirect=True)
async def test_metrics_are_served_as_text(ops: str) -> None:
    response = await get(f"{ops}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "python_info" in response.text
